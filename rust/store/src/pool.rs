//! The threads that share large pieces of work on file data.
//!
//! Every open store has its own, begun when they are first needed. Threads that belonged to the process would not
//! be there in a forked child, and whoever waited for them in it would wait forever.

mod crew;

use std::sync::OnceLock;

use crate::store::Store;
use crew::Crew;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    threads: OnceLock<Option<rayon::ThreadPool>>,
    crew: Crew,
}

impl Pool {
    fn threads(&self) -> Option<&rayon::ThreadPool> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
        let build = || rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().ok();
        self.threads.get_or_init(build).as_ref()
    }
}

fn name(index: usize) -> String {
    format!("vexfs-io-{index}")
}

impl Store {
    /// Runs `work` so that its parallel iterators use the threads of this store.
    pub fn share<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.inner.pool.threads() {
            Some(threads) => threads.install(work),
            None => work(),
        }
    }

    /// Calls `work` in this thread and, for the time that takes, in helping ones too as soon as they are there; each
    /// call is to take from what is left until nothing is. For work of some 30 µs on: unlike [`Store::share`], it
    /// never waits for a thread to wake up.
    pub fn together(&self, work: &(dyn Fn() + Sync)) {
        self.inner.pool.crew.together(work);
    }
}
