//! Dead lists: which blocks a retained checkpoint still needs although its successor does not. A list is a chain
//! of buckets, each for a range of births; a bucket's runs are a chain of their own. So the drop of a checkpoint
//! frees the buckets that nobody older needs, and hands the others to its neighbour by pointer.

use zerocopy::little_endian::{U32, U64};

use crate::chain::ChainEntry;
use crate::error::Result;
use crate::pointer::{ChainPtr, RawChainPtr};
use crate::record;
use crate::stamp::Structure;
use crate::types::{BlockRun, Seq};

record! {
    /// A bucket of a dead list.
    pub struct RawBucket: 40 {
        /// The least sequence of birth in it.
        0 birth_from: U64,
        /// The greatest sequence of birth in it.
        8 birth_to: U64,
        /// How many blocks its runs have.
        16 blocks: U64,
        /// Its runs.
        24 runs: RawChainPtr,
    }
}

record! {
    /// A run of blocks in a bucket.
    pub struct RawDeadRun: 20 {
        /// The first block.
        0 start: U64,
        /// The sequence at which the blocks were allocated.
        8 birth: U64,
        /// How many blocks.
        16 len: U32,
    }
}

/// A bucket of a dead list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The least sequence of birth in it.
    pub birth_from: Seq,
    /// The greatest sequence of birth in it.
    pub birth_to: Seq,
    /// How many blocks its runs have.
    pub blocks: u64,
    /// Its runs, a chain of [`DeadRun`].
    pub runs: Option<ChainPtr>,
}

/// Blocks that died together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadRun {
    /// The blocks.
    pub run: BlockRun,
    /// The sequence at which they were allocated.
    pub birth: Seq,
}

impl ChainEntry for Bucket {
    type Raw = RawBucket;
    const STRUCTURE: Structure = Structure::new("dead list", *b"VexD", 1);

    fn to_raw(&self) -> RawBucket {
        RawBucket {
            birth_from: self.birth_from.to_le(),
            birth_to: self.birth_to.to_le(),
            blocks: U64::new(self.blocks),
            runs: self.runs.into(),
        }
    }

    fn from_raw(raw: &RawBucket) -> Result<Self> {
        let bucket = Self {
            birth_from: raw.birth_from.into(),
            birth_to: raw.birth_to.into(),
            blocks: raw.blocks.get(),
            runs: raw.runs.get(),
        };
        match bucket.birth_from <= bucket.birth_to {
            true => Ok(bucket),
            false => Err(Self::STRUCTURE.bad("least birth", bucket.birth_from.0)),
        }
    }
}

impl ChainEntry for DeadRun {
    type Raw = RawDeadRun;
    const STRUCTURE: Structure = Structure::new("dead list bucket", *b"VexE", 1);

    fn to_raw(&self) -> RawDeadRun {
        RawDeadRun { start: self.run.start.to_le(), birth: self.birth.to_le(), len: U32::new(self.run.len) }
    }

    fn from_raw(raw: &RawDeadRun) -> Result<Self> {
        match raw.len.get() {
            0 => Err(Self::STRUCTURE.bad("length of a run", 0)),
            len => Ok(Self { run: BlockRun { start: raw.start.into(), len }, birth: raw.birth.into() }),
        }
    }
}
