//! Tells whoever watches how far the check has come, but not too often.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::options::{Progress, Watcher};

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(100);

/// See the head of the file.
pub(crate) struct Meter {
    watcher: Option<Watcher>,
    now: Mutex<Now>,
    done: AtomicU64,
    cancelled: AtomicBool,
}

struct Now {
    pass: &'static str,
    total: u64,
    told: Instant,
}

impl Meter {
    pub fn new(watcher: Option<Watcher>) -> Self {
        let now = Now { pass: "", total: 0, told: Instant::now() };
        Self { watcher, now: Mutex::new(now), done: AtomicU64::new(0), cancelled: AtomicBool::new(false) }
    }

    /// A pass begins, in which there is so much to do.
    pub fn begin(&self, pass: &'static str, total: u64) {
        let mut now = self.now.lock();
        self.done.store(0, Ordering::Relaxed);
        (now.pass, now.total) = (pass, total);
        self.tell(&mut now);
    }

    /// So much more is done.
    pub fn add(&self, amount: u64) {
        self.done.fetch_add(amount, Ordering::Relaxed);
        if self.watcher.is_none() {
            return;
        }
        if let Some(mut now) = self.now.try_lock().filter(|now| now.told.elapsed() >= PAUSE) {
            self.tell(&mut now);
        }
    }

    /// The pass is over.
    pub fn end(&self) {
        let mut now = self.now.lock();
        now.total = now.total.max(self.done.load(Ordering::Relaxed));
        self.done.store(now.total, Ordering::Relaxed);
        self.tell(&mut now);
    }

    /// Whether the check is to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn tell(&self, now: &mut Now) {
        let Some(watcher) = &self.watcher else { return };
        now.told = Instant::now();
        let done = self.done.load(Ordering::Relaxed);
        let progress = Progress { pass: now.pass, done, total: now.total };
        if watcher(progress) == ControlFlow::Break(()) {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }
}
