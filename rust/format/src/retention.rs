//! The retention table: the checkpoints whose state is kept besides the newest, each with its root and the list
//! of blocks that died with it. A drop takes effect when the descriptor that names the shorter table is durable.

use zerocopy::little_endian::{I64, U32, U64};

use crate::chain::ChainEntry;
use crate::error::Result;
use crate::pointer::{ChainPtr, NodePtr, RawChainPtr, RawNodePtr};
use crate::record;
use crate::stamp::Structure;
use crate::types::{CheckpointId, Lsn, Seq};

record! {
    /// An entry of the retention table.
    pub struct RawRetained: 128 {
        /// The checkpoint's number.
        0 id: U64,
        /// The last transaction that it holds.
        8 seq: U64,
        /// Where the log went on behind that transaction.
        16 lsn: U64,
        /// When it was made: nanoseconds since 1970.
        24 time_ns: I64,
        /// The root of its tree.
        32 root: RawNodePtr,
        /// Its dead list: a chain of buckets.
        56 dead: RawChainPtr,
        /// Nodes of its tree.
        72 nodes: U64,
        /// Leaves among them.
        80 leaves: U64,
        /// Items in its tree.
        88 items: U64,
        /// Inodes in use.
        96 inodes: U64,
        /// Bit 0: a snapshot that a user named; only the user drops it.
        104 flags: U32,
        /// Zero.
        108 reserved: [u8; 20],
    }
}

const SNAPSHOT: u32 = 1;

/// A retained checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The checkpoint's number.
    pub id: CheckpointId,
    /// The last transaction that it holds.
    pub seq: Seq,
    /// Where the log went on behind that transaction.
    pub lsn: Lsn,
    /// When it was made: nanoseconds since 1970.
    pub time_ns: i64,
    /// The root of its tree; `None` for an empty one.
    pub root: Option<NodePtr>,
    /// Its dead list, a chain of [buckets](crate::dead_list::Bucket); `None` for an empty one.
    pub dead: Option<ChainPtr>,
    /// Nodes of its tree.
    pub nodes: u64,
    /// Leaves among them.
    pub leaves: u64,
    /// Items in its tree.
    pub items: u64,
    /// Inodes in use.
    pub inodes: u64,
    /// Whether a user named it, so that only the user drops it.
    pub snapshot: bool,
}

impl ChainEntry for Retained {
    type Raw = RawRetained;
    const STRUCTURE: Structure = Structure::new("retention table", *b"VexR", 1);

    fn to_raw(&self) -> RawRetained {
        RawRetained {
            id: self.id.to_le(),
            seq: self.seq.to_le(),
            lsn: self.lsn.to_le(),
            time_ns: I64::new(self.time_ns),
            root: self.root.into(),
            dead: self.dead.into(),
            nodes: U64::new(self.nodes),
            leaves: U64::new(self.leaves),
            items: U64::new(self.items),
            inodes: U64::new(self.inodes),
            flags: U32::new(if self.snapshot { SNAPSHOT } else { 0 }),
            reserved: [0; 20],
        }
    }

    fn from_raw(raw: &RawRetained) -> Result<Self> {
        let flags = raw.flags.get();
        if flags & !SNAPSHOT != 0 {
            return Err(Self::STRUCTURE.bad("flags", flags.into()));
        }
        Ok(Self {
            id: raw.id.into(),
            seq: raw.seq.into(),
            lsn: raw.lsn.into(),
            time_ns: raw.time_ns.get(),
            root: raw.root.get(),
            dead: raw.dead.get(),
            nodes: raw.nodes.get(),
            leaves: raw.leaves.get(),
            items: raw.items.get(),
            inodes: raw.inodes.get(),
            snapshot: flags == SNAPSHOT,
        })
    }
}
