//! Where [`Reader::apply`](crate::Reader::apply) gets its blocks from.

use std::sync::Arc;

use vexfs_format::BlockRun;

use crate::error::{Error, Result};

/// Why no blocks were handed out.
#[derive(Clone, Debug)]
pub enum AllocError {
    /// There is no such run of free blocks.
    NoSpace,
    /// The allocator failed.
    Failed(Arc<dyn std::error::Error + Send + Sync>),
}

/// Hands out blocks to the tree. It remembers what it handed out: when `apply` fails, the caller takes all of it
/// back from there, and when it succeeds, that is what the checkpoint allocated.
pub trait NodeAlloc {
    /// A run of `min` to `max` blocks that starts at a multiple of `align` (a power of two). The tree asks for exact
    /// lengths, so that nothing is left over: `min` equals `max`.
    fn alloc(&mut self, min: u32, max: u32, align: u32) -> std::result::Result<BlockRun, AllocError>;
}

/// A run of exactly `blocks` blocks at a multiple of `align`; nothing else is written to.
pub(crate) fn exactly(alloc: &mut dyn NodeAlloc, blocks: u32, align: u32) -> Result<BlockRun> {
    match alloc.alloc(blocks, blocks, align) {
        Ok(run) if run.len == blocks && run.start.0.is_multiple_of(align.into()) => Ok(run),
        Ok(run) => Err(Error::WrongRun { run, blocks, align }),
        Err(AllocError::NoSpace) => Err(Error::NoSpace { blocks }),
        Err(AllocError::Failed(error)) => Err(Error::Alloc(error)),
    }
}
