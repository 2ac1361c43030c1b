//! The bytes of a VexFS volume: one record per file, sizes and offsets asserted at compile time, no I/O.
//!
//! Nothing here trusts what it parses: a record that comes from a device is checked (magic, version, volume,
//! own address, checksum) by the one function that turns bytes into a typed record.

pub mod record;
pub mod types;

pub use types::{
    BLOCK_SIZE, BlockNo, BlockRun, CheckpointId, Ino, Key, Lsn, NODE_BLOCKS, NODE_SIZE, RawKey, Seq, kinds,
    objects,
};
