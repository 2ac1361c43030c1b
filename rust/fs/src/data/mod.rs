//! The bytes of files.
//!
//! A file's data lies in extents: runs of blocks with a checksum for each block, which are never overwritten: what
//! changes is written elsewhere and the old blocks are freed. Where there is no extent there is a hole, which reads
//! as zero and costs nothing; preallocated blocks read as zero too. The bytes of the last block may be in the tree
//! instead (see `tail`). Data goes to the device when it is written; only the extents wait for the commit.
//!
//! Invariants: an extent does not cross a boundary of 1 MiB of the file; the bytes of a block behind the end of the
//! file are zero; extents that begin behind the end are preallocated, or what a truncation has yet to remove, and
//! whoever extends the file over the latter removes it (`Editor::extend`).
//!
//! Two transactions may write one file at the same time. Those that write data share: they conflict only if they
//! touch the same chunk of 1 MiB, as the chunks' tokens say. Those that change the shape (truncate, punch, move,
//! put or take a tail) are exclusive: they write the inode record and the token of the file's life, which all others
//! observe.

mod blocks;
mod bulk;
mod change;
mod copy;
mod edit;
mod editor;
mod extents;
mod fallocate;
mod read;
mod seek;
mod shift;
mod sums;
mod tail;
#[cfg(test)]
mod tests;
mod truncate;
mod verbs;
mod window;
mod write;

use vexfs_format::BLOCK_SIZE;
use vexfs_format::extent::CHUNK_BYTES;

pub(crate) use change::Written;
pub use fallocate::Allocate;
pub(crate) use truncate::{remove_some, truncate_some};

/// Bytes of a block.
const BLOCK: u64 = BLOCK_SIZE as u64;
/// Blocks of a chunk.
const CHUNK_BLOCKS: u64 = CHUNK_BYTES / BLOCK;
/// Blocks of the longest file.
const MAX_BLOCKS: u64 = vexfs_format::inode::MAX_FILE_BYTES / BLOCK;

/// What is kept in memory for an inode while somebody holds it.
#[derive(Debug, Default)]
pub struct FileState {
    window: window::Window,
}
