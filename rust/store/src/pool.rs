//! The threads that share large pieces of work on file data.
//!
//! Every open store has its own, begun when they are first needed. Threads that belonged to the process would not
//! be there in a forked child, and whoever waited for them in it would wait forever.

use std::sync::OnceLock;

use crate::store::Store;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Pool(OnceLock<Option<rayon::ThreadPool>>);

impl Pool {
    fn get(&self) -> Option<&rayon::ThreadPool> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
        let build = || rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().ok();
        self.0.get_or_init(build).as_ref()
    }
}

fn name(index: usize) -> String {
    format!("vexfs-io-{index}")
}

impl Store {
    /// Runs `work` so that its parallel iterators use the threads of this store.
    pub fn share<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.inner.pool.get() {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}
