//! The bytes of a VexFS volume: one record per file, sizes and offsets asserted at compile time, no I/O.
//!
//! Nothing here trusts what it parses: a record that comes from a device is checked (magic, version, volume,
//! own address, checksum) by the one function that turns bytes into a typed record.

pub mod bitmap;
pub mod checkpoint;
pub mod error;
pub mod features;
pub mod geometry;
pub mod group;
pub mod pointer;
pub mod record;
pub mod stamp;
pub mod superblock;
pub mod types;

pub use bitmap::{Bitmap, Bits};
pub use checkpoint::{CheckpointKind, Counts, Descriptor};
pub use error::{Error, Result};
pub use features::Features;
pub use geometry::{BitmapKind, GROUP_BLOCKS, Geometry};
pub use group::{GroupEntry, LiveSlot};
pub use pointer::{ChainPtr, NodePtr, OutOfLine};
pub use stamp::{Stamp, Structure};
pub use superblock::{Label, Superblock};
pub use types::{
    BLOCK_SIZE, Block, BlockNo, BlockRun, CheckpointId, Ino, Key, Lsn, NODE_BLOCKS, NODE_SIZE, RawKey, Seq,
    kinds, objects,
};
