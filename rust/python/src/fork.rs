//! Telling a forked child from the process that opened a volume.
//!
//! A child has a copy of the memory but none of the threads: it must neither use nor close what it inherited. A
//! counter that only a fork moves on tells the two apart at the price of one load.
#![allow(unsafe_code, reason = "a handler for fork(2) can only be registered through libc")]

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);
static REGISTER: Once = Once::new();

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How many forks lie between the first use of this module and this process.
fn forks() -> u64 {
    REGISTER.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is allowed after a fork in a threaded process. A failure
        // (no memory) leaves the counter at 0, and the device's own check remains.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}

/// Something of the process that made it. A child that drops it leaves it as it is.
pub struct Inherited<T> {
    value: ManuallyDrop<T>,
    made_at: u64,
    pid: u32,
}

impl<T> Inherited<T> {
    pub fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), made_at: forks(), pid: std::process::id() }
    }

    /// The process that made it, if this is another one.
    pub fn foreign(&self) -> Option<u32> {
        (FORKS.load(Ordering::Relaxed) != self.made_at).then_some(self.pid)
    }
}

impl<T> Deref for Inherited<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Inherited<T> {
    fn drop(&mut self) {
        if self.foreign().is_none() {
            // SAFETY: dropped once, here, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
