//! The checkpoint descriptor: one block that makes a tree, its bitmaps and a log position one state. It is
//! written last, behind a flush, twice in distant places; nothing that it names is ever changed in place.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{I64, U32, U64};

use crate::error::Result;
use crate::pointer::{ChainPtr, NodePtr, RawChainPtr, RawNodePtr};
use crate::record;
use crate::stamp::{self, Stamp, Structure};
use crate::types::{BLOCK_SIZE, Block, BlockNo, CheckpointId, Lsn, Seq};

/// What marks a descriptor.
pub const DESCRIPTOR: Structure = Structure::new("checkpoint descriptor", *b"VexC", 1);

record! {
    /// A checkpoint's descriptor, in slot `id % 64` of both rings.
    pub struct RawDescriptor: 4096 {
        /// The stamp; its kind is the kind of checkpoint: 0 incremental, 1 metadata only, 2 full, 3 emergency.
        0 stamp: Stamp,
        /// The checkpoint's number.
        32 id: U64,
        /// When it was made: nanoseconds since 1970.
        40 time_ns: I64,
        /// The last transaction that it holds.
        48 seq: U64,
        /// Where the log goes on behind that transaction.
        56 lsn: U64,
        /// The epoch of the last frame before that place.
        64 epoch: U64,
        /// The chained checksum of that frame.
        72 chain_crc: U32,
        /// Which side of the group table holds (0 or 1).
        76 table_side: U32,
        /// The root of the tree.
        80 root: RawNodePtr,
        /// The retention table.
        104 retention: RawChainPtr,
        /// CRC32C of that side of the group table.
        120 table_crc: U32,
        /// Zero.
        124 pad: U32,
        /// Inodes in use.
        128 inodes: U64,
        /// Nodes of the tree.
        136 nodes: U64,
        /// Leaves among them.
        144 leaves: U64,
        /// Items in the tree.
        152 items: U64,
        /// Blocks of values kept out of line.
        160 out_of_line_blocks: U64,
        /// Free blocks.
        168 free_blocks: U64,
        /// Free inodes.
        176 free_inodes: U64,
        /// No number handed out as unique so far is above this one.
        184 unique_high: U64,
        /// Zero.
        192 reserved: [u8; 3904],
    }
}

/// What a checkpoint did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CheckpointKind {
    /// Merged what had changed: the ordinary one.
    #[default]
    Incremental = 0,
    /// Left the vector index as it was.
    MetadataOnly = 1,
    /// Also sealed the index and wrote a self-contained copy of all metadata.
    Full = 2,
    /// Made because log, memory or space ran low.
    Emergency = 3,
}

/// How much there was at a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inodes in use.
    pub inodes: u64,
    /// Nodes of the tree.
    pub nodes: u64,
    /// Leaves among them.
    pub leaves: u64,
    /// Items in the tree.
    pub items: u64,
    /// Blocks of values kept out of line.
    pub out_of_line_blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free inodes.
    pub free_inodes: u64,
}

/// A checkpoint: a state of the volume, and where the log goes on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The checkpoint's number.
    pub id: CheckpointId,
    /// What it did.
    pub kind: CheckpointKind,
    /// When it was made: nanoseconds since 1970.
    pub time_ns: i64,
    /// The last transaction that it holds.
    pub seq: Seq,
    /// Where the log goes on behind that transaction.
    pub lsn: Lsn,
    /// The epoch of the last frame before that place.
    pub epoch: u64,
    /// The chained checksum of that frame.
    pub chain_crc: u32,
    /// The root of the tree; `None` for an empty one.
    pub root: Option<NodePtr>,
    /// Which side of the group table holds (0 or 1).
    pub table_side: u8,
    /// CRC32C of that side of the group table.
    pub table_crc: u32,
    /// The retention table; `None` for an empty one.
    pub retention: Option<ChainPtr>,
    /// How much there was.
    pub counts: Counts,
    /// No number handed out as unique so far is above this one.
    pub unique_high: u64,
}

impl Descriptor {
    /// The bytes that go to block `address`.
    #[must_use]
    pub fn encode(&self, volume: u64, address: BlockNo) -> Block {
        let raw = RawDescriptor {
            stamp: DESCRIPTOR.stamp(self.kind as u16, volume, address.0),
            id: self.id.to_le(),
            time_ns: I64::new(self.time_ns),
            seq: self.seq.to_le(),
            lsn: self.lsn.to_le(),
            epoch: U64::new(self.epoch),
            chain_crc: U32::new(self.chain_crc),
            table_side: U32::new(self.table_side.into()),
            root: self.root.into(),
            retention: self.retention.into(),
            table_crc: U32::new(self.table_crc),
            pad: U32::ZERO,
            inodes: U64::new(self.counts.inodes),
            nodes: U64::new(self.counts.nodes),
            leaves: U64::new(self.counts.leaves),
            items: U64::new(self.counts.items),
            out_of_line_blocks: U64::new(self.counts.out_of_line_blocks),
            free_blocks: U64::new(self.counts.free_blocks),
            free_inodes: U64::new(self.counts.free_inodes),
            unique_high: U64::new(self.unique_high),
            reserved: [0; 3904],
        };
        let mut block = [0; BLOCK_SIZE];
        block.copy_from_slice(raw.as_bytes());
        stamp::seal(&mut block);
        block
    }

    /// Reads the descriptor found in block `address`.
    pub fn parse(bytes: &[u8], volume: u64, address: BlockNo) -> Result<Self> {
        let raw: &RawDescriptor = stamp::view(&DESCRIPTOR, bytes)?;
        let stamp = DESCRIPTOR.check(bytes, volume, address.0)?;
        Ok(Self {
            id: raw.id.into(),
            kind: CheckpointKind::parse(stamp.kind.get())?,
            time_ns: raw.time_ns.get(),
            seq: raw.seq.into(),
            lsn: raw.lsn.into(),
            epoch: raw.epoch.get(),
            chain_crc: raw.chain_crc.get(),
            root: raw.root.get(),
            table_side: match raw.table_side.get() {
                side @ 0..=1 => side as u8,
                side => return Err(DESCRIPTOR.bad("table side", side.into())),
            },
            table_crc: raw.table_crc.get(),
            retention: raw.retention.get(),
            counts: Counts {
                inodes: raw.inodes.get(),
                nodes: raw.nodes.get(),
                leaves: raw.leaves.get(),
                items: raw.items.get(),
                out_of_line_blocks: raw.out_of_line_blocks.get(),
                free_blocks: raw.free_blocks.get(),
                free_inodes: raw.free_inodes.get(),
            },
            unique_high: raw.unique_high.get(),
        })
    }
}

impl CheckpointKind {
    fn parse(raw: u16) -> Result<Self> {
        Ok(match raw {
            0 => Self::Incremental,
            1 => Self::MetadataOnly,
            2 => Self::Full,
            3 => Self::Emergency,
            other => return Err(DESCRIPTOR.bad("kind", other.into())),
        })
    }
}
