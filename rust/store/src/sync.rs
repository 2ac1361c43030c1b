//! The atomics and locks of the readers' registry: the real ones, or loom's under `--cfg loom`, behind one face.

#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU64;

#[cfg(loom)]
pub(crate) use model::{AtomicU64, Mutex};

#[cfg(loom)]
mod model {
    use loom::sync::atomic::{Ordering, fence};

    /// Loom knows sequential consistency of fences alone, so every operation stands between two: all of ours are to
    /// be sequentially consistent.
    #[derive(Debug)]
    pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self(loom::sync::atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            between_fences(order, || self.0.load(Ordering::Acquire))
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            between_fences(order, || self.0.store(value, Ordering::Release));
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            between_fences(success, || self.0.compare_exchange(current, new, Ordering::AcqRel, failure))
        }
    }

    fn between_fences<T>(order: Ordering, operation: impl FnOnce() -> T) -> T {
        assert_eq!(order, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let result = operation();
        fence(Ordering::SeqCst);
        result
    }

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        #[allow(clippy::unwrap_used, reason = "a model never continues after a panic")]
        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}
