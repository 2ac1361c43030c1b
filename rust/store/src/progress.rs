//! How far recovery has come.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Error, Result};

/// How far recovery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryProgress {
    /// What it is doing, as in the phases of the report.
    pub phase: &'static str,
    /// Operations found so far.
    pub operations: u64,
    /// Bytes of log read so far. How many there are shows only at the end.
    pub bytes: u64,
}

/// Who is told how far recovery has come, by any of its threads, and says whether to go on.
#[derive(Clone)]
pub struct RecoveryWatch(Arc<dyn Fn(RecoveryProgress) -> ControlFlow<()> + Send + Sync>);

impl RecoveryWatch {
    /// Calls `tell` now and then.
    pub fn new(tell: impl Fn(RecoveryProgress) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for RecoveryWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryWatch")
    }
}

/// Counts for a watch, if there is one.
#[derive(Debug)]
pub(crate) struct Counter<'a> {
    watch: Option<&'a RecoveryWatch>,
    /// Operations and bytes.
    read: Mutex<(u64, u64)>,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(watch: Option<&'a RecoveryWatch>) -> Self {
        Self { watch, read: Mutex::default() }
    }

    /// Notes what was read besides. Under a lock, so that who is told sees no step back.
    pub(crate) fn add(&self, phase: &'static str, operations: u64, bytes: u64) -> ControlFlow<()> {
        let Some(RecoveryWatch(tell)) = self.watch else { return ControlFlow::Continue(()) };
        let mut read = self.read.lock();
        *read = (read.0.saturating_add(operations), read.1.saturating_add(bytes));
        tell(RecoveryProgress { phase, operations: read.0, bytes: read.1 })
    }

    /// Begins a phase, unless nobody wants it any more.
    pub(crate) fn begin(&self, phase: &'static str) -> Result<()> {
        match self.add(phase, 0, 0) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Journal(vexfs_journal::Error::Cancelled)),
        }
    }

    /// Begins to read from the start, because the log ends before where it seemed to.
    pub(crate) fn again(&self) {
        *self.read.lock() = (0, 0);
    }
}
