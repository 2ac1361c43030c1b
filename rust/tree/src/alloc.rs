//! Where [`Reader::apply`](crate::Reader::apply) gets its blocks from.

use std::sync::Arc;

use vexfs_format::BlockRun;

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
    fn alloc(&mut self, min: u32, max: u32, align: u32) -> Result<BlockRun, AllocError>;
}
