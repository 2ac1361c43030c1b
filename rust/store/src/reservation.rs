//! Blocks that were taken from the allocator and belong to nothing yet.

use std::sync::Arc;

use vexfs_format::BlockRun;

use crate::store::Inner;

/// A contiguous run of blocks that nobody else will get. What is not taken from it goes back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    inner: Arc<Inner>,
    run: BlockRun,
}

impl Reservation {
    pub(crate) fn new(inner: Arc<Inner>, run: BlockRun) -> Self {
        Self { inner, run }
    }

    /// What is left of it.
    #[must_use]
    pub fn run(&self) -> BlockRun {
        self.run
    }

    /// Splits the first `blocks` off, as a reservation of their own; `None` if there are fewer.
    pub fn split(&mut self, blocks: u32) -> Option<Self> {
        let run = self.take(blocks)?;
        Some(Self { inner: Arc::clone(&self.inner), run })
    }

    /// Takes the first `blocks` out of the reservation: from now on they are the caller's to release.
    pub(crate) fn take(&mut self, blocks: u32) -> Option<BlockRun> {
        let left = self.run.len.checked_sub(blocks)?;
        let taken = BlockRun { start: self.run.start, len: blocks };
        self.run = BlockRun::new(taken.end(), left);
        Some(taken)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.run.len > 0 {
            self.inner.unreserve(self.run);
        }
    }
}
