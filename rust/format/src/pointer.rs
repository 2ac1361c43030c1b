//! Pointers to what lies in blocks of its own. The checksum of the target is in the pointer, so a stale or
//! damaged target is always seen. Block 0 holds a superblock: as a target it means "nothing".
//!
//! A pointer that was read is a claim: before it is followed, [`Geometry::holds`](crate::Geometry::holds) says
//! whether its blocks lie in the volume's data area.

use zerocopy::little_endian::{U32, U64};

use crate::record;
use crate::types::{BLOCK_SIZE, BlockNo, BlockRun, NODE_BLOCKS, Seq};

record! {
    /// A pointer to a tree node.
    pub struct RawNodePtr: 24 {
        /// The node's first block; 0 for no node.
        0 block: U64,
        /// The sequence of the checkpoint that wrote the node.
        8 birth: U64,
        /// CRC32C of the node's 16 KiB.
        16 crc: U32,
        /// The node's height above the leaves.
        20 level: u8,
        /// Zero.
        21 reserved: [u8; 3],
    }
}

record! {
    /// A pointer to a chain of blocks.
    pub struct RawChainPtr: 16 {
        /// The chain's first block; 0 for no chain.
        0 block: U64,
        /// The checksum in that block's stamp.
        8 crc: U32,
        /// How many blocks the chain has.
        12 blocks: U32,
    }
}

record! {
    /// A pointer to a value that the tree keeps out of line, in whole blocks, zero behind its end.
    pub struct RawOutOfLine: 24 {
        /// The value's first block.
        0 block: U64,
        /// The sequence of the checkpoint that wrote it.
        8 birth: U64,
        /// The value's length in bytes.
        16 len: U32,
        /// CRC32C of the value's bytes.
        20 crc: U32,
    }
}

/// A pointer to a tree node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodePtr {
    /// The node's first block.
    pub block: BlockNo,
    /// The sequence of the checkpoint that wrote the node.
    pub birth: Seq,
    /// CRC32C of the node's 16 KiB.
    pub crc: u32,
    /// The node's height above the leaves (0: a leaf).
    pub level: u8,
}

impl NodePtr {
    /// The node's blocks.
    #[must_use]
    pub const fn run(&self) -> BlockRun {
        BlockRun { start: self.block, len: NODE_BLOCKS }
    }
}

/// A pointer to a chain of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainPtr {
    /// The chain's first block.
    pub block: BlockNo,
    /// The checksum in that block's stamp.
    pub crc: u32,
    /// How many blocks the chain has.
    pub blocks: u32,
}

/// A pointer to a value that the tree keeps out of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutOfLine {
    /// The value's first block.
    pub block: BlockNo,
    /// The sequence of the checkpoint that wrote it.
    pub birth: Seq,
    /// The value's length in bytes.
    pub len: u32,
    /// CRC32C of the value's bytes.
    pub crc: u32,
}

impl OutOfLine {
    /// The value's blocks.
    #[must_use]
    pub const fn run(&self) -> BlockRun {
        BlockRun { start: self.block, len: self.len.div_ceil(BLOCK_SIZE as u32) }
    }
}

impl From<RawNodePtr> for NodePtr {
    fn from(raw: RawNodePtr) -> Self {
        Self { block: raw.block.into(), birth: raw.birth.into(), crc: raw.crc.get(), level: raw.level }
    }
}

impl From<NodePtr> for RawNodePtr {
    fn from(ptr: NodePtr) -> Self {
        Self {
            block: ptr.block.to_le(),
            birth: ptr.birth.to_le(),
            crc: U32::new(ptr.crc),
            level: ptr.level,
            reserved: [0; 3],
        }
    }
}

impl From<RawChainPtr> for ChainPtr {
    fn from(raw: RawChainPtr) -> Self {
        Self { block: raw.block.into(), crc: raw.crc.get(), blocks: raw.blocks.get() }
    }
}

impl From<ChainPtr> for RawChainPtr {
    fn from(ptr: ChainPtr) -> Self {
        Self { block: ptr.block.to_le(), crc: U32::new(ptr.crc), blocks: U32::new(ptr.blocks) }
    }
}

impl From<RawOutOfLine> for OutOfLine {
    fn from(raw: RawOutOfLine) -> Self {
        Self { block: raw.block.into(), birth: raw.birth.into(), len: raw.len.get(), crc: raw.crc.get() }
    }
}

impl From<OutOfLine> for RawOutOfLine {
    fn from(ptr: OutOfLine) -> Self {
        Self {
            block: ptr.block.to_le(),
            birth: ptr.birth.to_le(),
            len: U32::new(ptr.len),
            crc: U32::new(ptr.crc),
        }
    }
}

impl RawNodePtr {
    /// "No node", as stored.
    pub const NONE: Self =
        Self { block: U64::ZERO, birth: U64::ZERO, crc: U32::ZERO, level: 0, reserved: [0; 3] };

    /// The pointer, unless it says that there is no node.
    #[must_use]
    pub fn get(self) -> Option<NodePtr> {
        (self.block.get() != 0).then(|| self.into())
    }
}

impl From<Option<NodePtr>> for RawNodePtr {
    fn from(ptr: Option<NodePtr>) -> Self {
        ptr.map_or(Self::NONE, Into::into)
    }
}

impl RawChainPtr {
    /// "No chain", as stored.
    pub const NONE: Self = Self { block: U64::ZERO, crc: U32::ZERO, blocks: U32::ZERO };

    /// The pointer, unless it says that there is no chain.
    #[must_use]
    pub fn get(self) -> Option<ChainPtr> {
        (self.block.get() != 0).then(|| self.into())
    }
}

impl From<Option<ChainPtr>> for RawChainPtr {
    fn from(ptr: Option<ChainPtr>) -> Self {
        ptr.map_or(Self::NONE, Into::into)
    }
}
