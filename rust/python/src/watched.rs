//! Long work beside the calling thread, which passes progress on to Python and hears of Ctrl-C.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::error::{Failure, Result};

/// How often Python is asked whether to go on.
const INTERVAL: Duration = Duration::from_millis(100);

/// What the threads that work and the calling thread tell each other.
pub struct Watch<P> {
    progress: Mutex<Option<P>>,
    cancelled: AtomicBool,
}

impl<P> Watch<P> {
    /// Notes how far the work has come; says whether to go on.
    pub fn tell(&self, progress: P) -> ControlFlow<()> {
        *self.progress.lock() = Some(progress);
        match self.cancelled.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Runs `work` on a thread of its own. `tell` hears now and then, and at the end, how far it has come; an exception from there, or of a
/// signal, ends the work and is returned once it has ended.
pub fn run<T: Send + 'static, P: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(Arc<Watch<P>>) -> Result<T> + Send + 'static,
    tell: impl Fn(P) -> PyResult<()>,
) -> PyResult<Result<T>> {
    let watch = Arc::new(Watch { progress: Mutex::new(None), cancelled: AtomicBool::new(false) });
    let (done, answer) = sync_channel(1);
    let answer = Mutex::new(answer);
    let watched = Arc::clone(&watch);
    let spawned = std::thread::Builder::new().spawn(move || {
        // That somebody waits is certain: the other end is below.
        let _ = done.send(work(watched));
    });
    if let Err(error) = spawned {
        return Ok(Err(vexfs_store::Error::Threads { reason: error.to_string() }.into()));
    }
    let mut stopped = Ok(());
    let result = loop {
        let ended = match py.detach(|| answer.lock().recv_timeout(INTERVAL)) {
            Ok(result) => Some(result),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(Failure::Argument("the work ended without a result".into())))
            }
        };
        let seen = watch.progress.lock().take();
        stopped = stopped.and_then(|()| py.check_signals()).and_then(|()| seen.map_or(Ok(()), &tell));
        watch.cancelled.store(stopped.is_err(), Ordering::Relaxed);
        if let Some(result) = ended {
            break result;
        }
    };
    match stopped {
        Ok(()) => Ok(result),
        Err(stopped) => {
            // What came too late may take long to let go: an open volume is closed.
            py.detach(|| drop(result));
            Err(stopped)
        }
    }
}
