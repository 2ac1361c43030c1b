//! What goes on by itself: group commits of what nobody waits for, checkpoints, reclaiming.
//!
//! Two threads, so that a long checkpoint never delays the commit timer. They hold the store only while they
//! work, and end with it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::checkpoint::Kind;
use crate::store::Inner;

/// How often a checkpoint is considered.
const TICK: Duration = Duration::from_millis(50);
/// How long one is put off at most when they fail again and again (no space on the host).
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The threads; dropping it stops them and waits for what they are doing.
#[derive(Debug)]
pub(crate) struct Background {
    threads: Vec<(SyncSender<()>, JoinHandle<()>)>,
}

impl Background {
    pub(crate) fn start(inner: &Arc<Inner>) -> Self {
        let commit_interval = inner.options.commit_interval;
        let mut last_checkpoint = Instant::now();
        let mut pause = Pause::new();
        let commits = spawn("vexfs-commit", inner, commit_interval, |inner| {
            if let Some(writer) = &inner.writer
                && writer.log.stats().queued > 0
            {
                report("group commit", inner.sync());
            }
        });
        let checkpoints =
            spawn("vexfs-checkpoint", inner, TICK.min(inner.options.checkpoint_interval), move |inner| {
                if pause.is_over() && inner.checkpoint_is_due(last_checkpoint) {
                    let made = inner.checkpoint(Kind::Incremental);
                    pause.after(made.is_ok());
                    report("checkpoint", made.map(drop));
                    last_checkpoint = Instant::now();
                }
                report("reclaiming", inner.reclaim().map(drop));
            });
        Self { threads: [commits, checkpoints].into_iter().flatten().collect() }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for (stop, thread) in self.threads.drain(..) {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("a background thread of the volume panicked");
            }
        }
    }
}

/// Runs `work` every `interval` until the sender is dropped or the store is gone.
fn spawn(
    name: &str,
    inner: &Arc<Inner>,
    interval: Duration,
    mut work: impl FnMut(&Inner) + Send + 'static,
) -> Option<(SyncSender<()>, JoinHandle<()>)> {
    let (stop, stopped) = sync_channel::<()>(1);
    let inner: Weak<Inner> = Arc::downgrade(inner);
    let run = move || {
        while matches!(stopped.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
            let Some(inner) = inner.upgrade() else { return };
            if inner.check_writable().is_ok() {
                work(&inner);
            }
        }
    };
    match std::thread::Builder::new().name(name.to_owned()).spawn(run) {
        Ok(thread) => Some((stop, thread)),
        Err(error) => {
            tracing::error!(%error, "no background thread: changes become durable only on request");
            None
        }
    }
}

/// The time between failures, twice as long after each. Whoever needs room makes a checkpoint without regard to it.
struct Pause {
    length: Duration,
    until: Instant,
}

impl Pause {
    fn new() -> Self {
        Self { length: Duration::ZERO, until: Instant::now() }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn after(&mut self, success: bool) {
        self.length = if success { Duration::ZERO } else { (self.length * 2).clamp(TICK, LONGEST_PAUSE) };
        self.until = Instant::now() + self.length;
    }
}

fn report(what: &str, result: crate::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what} in the background failed");
    }
}

impl Inner {
    /// Whether a checkpoint should be made now: the memtable or half the log is full, or it is time.
    fn checkpoint_is_due(&self, last: Instant) -> bool {
        let state = self.state.load();
        if state.frozen.is_some() {
            return true;
        }
        let half_log =
            self.writer.as_ref().is_some_and(|writer| writer.log.used() > writer.log.capacity() / 2);
        state.active.bytes() > self.options.memtable_bytes
            || half_log
            || !state.active.is_untouched() && last.elapsed() > self.options.checkpoint_interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_that_fail_are_tried_less_and_less_often_until_one_succeeds() {
        let mut pause = Pause::new();
        assert!(pause.is_over());
        let mut before = Duration::ZERO;
        for _ in 0..20 {
            pause.after(false);
            assert!(pause.length > before || pause.length == LONGEST_PAUSE);
            assert!(!pause.is_over());
            before = pause.length;
        }
        pause.after(true);
        assert!(pause.is_over());
    }
}
