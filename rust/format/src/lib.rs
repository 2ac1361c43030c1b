//! The bytes of a VexFS volume: one record per file, sizes and offsets asserted at compile time, no I/O.
//!
//! Nothing here trusts what it parses: a record that comes from a device is checked (magic, version, volume,
//! own address, checksum) by the one function that turns bytes into a typed record.

pub mod bitmap;
pub mod byte_maps;
pub mod chain;
pub mod checkpoint;
pub mod dead_list;
pub mod dirent;
pub mod error;
pub mod extent;
pub mod features;
pub mod frame;
pub mod geometry;
pub mod group;
pub mod inode;
pub mod name;
pub mod node;
pub mod orphan;
pub mod pointer;
pub mod record;
pub mod redo;
pub mod retention;
pub mod stamp;
pub mod superblock;
pub mod types;
pub mod xattr;

pub use bitmap::{Bitmap, Bits};
pub use checkpoint::{CheckpointKind, Counts, Descriptor};
pub use dead_list::{Bucket, DeadRun};
pub use dirent::{Dirent, Dirents};
pub use error::{Error, Result};
pub use extent::{CHUNK_BYTES, Extent, MAX_EXTENT_BLOCKS};
pub use features::Features;
pub use geometry::{BitmapKind, GROUP_BLOCKS, Geometry};
pub use group::{GroupEntry, LiveSlot};
pub use inode::{FileType, Inode, MAX_FILE_BYTES, MAX_LINKS};
pub use name::MAX_NAME;
pub use orphan::Orphan;
pub use pointer::{ChainPtr, NodePtr, OutOfLine};
pub use retention::Retained;
pub use stamp::{Stamp, Structure};
pub use superblock::{Label, Superblock};
pub use types::{
    BLOCK_SIZE, Block, BlockNo, BlockRun, CheckpointId, Ino, Key, Lsn, MAX_VALUE, NODE_BLOCKS, NODE_SIZE,
    RawKey, Seq, kinds, objects,
};
pub use xattr::{MAX_XATTR_VALUE, Xattr, Xattrs};
