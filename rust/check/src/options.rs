//! What can be chosen.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How far a pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The pass.
    pub pass: &'static str,
    /// What is done of it.
    pub done: u64,
    /// What there is, as far as is known; 0 if nothing is.
    pub total: u64,
}

/// Who is told of the progress; it ends the check by `Break`.
pub type Watcher = Arc<dyn Fn(Progress) -> ControlFlow<()> + Send + Sync>;

/// Options of a check.
#[derive(Clone, Default)]
pub struct Options {
    /// Whether every data block is read and compared with its checksum too.
    pub data: bool,
    /// Threads; `None`: one a core, at most 16.
    pub workers: Option<usize>,
    /// Called from any of the threads, a few times a second.
    pub progress: Option<Watcher>,
}

impl Options {
    pub(crate) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.unwrap_or_else(cores).clamp(1, 16)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data, workers, progress } = self;
        f.debug_struct("Options")
            .field("data", data)
            .field("workers", workers)
            .field("progress", &progress.is_some())
            .finish()
    }
}
