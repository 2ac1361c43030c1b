//! What can go wrong with the tree.

use std::fmt;
use std::sync::Arc;

use vexfs_format::{BlockNo, BlockRun, Key};

/// The result of an operation on the tree.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the tree. Every variant has one stable code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The device failed.
    #[error(transparent)]
    Device(#[from] vexfs_device::Error),
    /// A node or a value kept out of line is not what was written.
    #[error("{0}")]
    Corrupt(Box<Corruption>),
    /// A value is longer than the tree keeps.
    #[error("the value of {} has {len} bytes, 65536 is the most; split it over several keys", Shown(*.key))]
    TooLarge {
        /// The key it was for.
        key: Key,
        /// Its length in bytes.
        len: usize,
    },
    /// A batch is not in strictly ascending order.
    #[error("the batch is out of order at {}; this is a bug in the caller, report it", Shown(*.key))]
    Unsorted {
        /// The key that is not above the one before it.
        key: Key,
    },
    /// There are no blocks for a new node or value.
    #[error("no free run of {blocks} blocks for the tree; free some space and try again")]
    NoSpace {
        /// How many blocks were asked for.
        blocks: u32,
    },
    /// The allocator gave something else than it was asked for.
    #[error(
        "the allocator gave {} blocks at {} where {blocks} at a multiple of {align} were asked for; \
         this is a bug, report it",
        .run.len, .run.start
    )]
    WrongRun {
        /// What it gave.
        run: BlockRun,
        /// How many blocks were asked for.
        blocks: u32,
        /// What the first one was to be a multiple of.
        align: u32,
    },
    /// A new node does not hold what it was to hold.
    #[error("a new tree node cannot be made: {what}; the tree is as before; this is a bug, report it")]
    Internal {
        /// What went wrong.
        what: &'static str,
    },
    /// The allocator failed.
    #[error("blocks for the tree could not be allocated: {0}")]
    Alloc(Arc<dyn std::error::Error + Send + Sync>),
}

/// Which part of the tree is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The first block of the node or value.
    pub block: BlockNo,
    /// The node's height above the leaves; `None` for a value kept out of line.
    pub level: Option<u8>,
    /// The lowest key that is lost with it.
    pub low: Key,
    /// The first key behind those that are lost with it; `None` if there is none.
    pub high: Option<Key>,
    /// What is wrong with it.
    pub reason: vexfs_format::Error,
}

impl Error {
    /// The stable code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Device(error) => error.code(),
            Self::Corrupt(corruption) => match corruption.level {
                Some(_) => "corrupt_node",
                None => "corrupt_value",
            },
            Self::TooLarge { .. } => "value_too_large",
            Self::Unsorted { .. } => "unsorted_batch",
            Self::NoSpace { .. } => "no_space",
            Self::WrongRun { .. } => "wrong_run",
            Self::Internal { .. } => "internal",
            Self::Alloc(_) => "allocation_failed",
        }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, level, low, high, reason } = self;
        match (level, high) {
            (None, _) => write!(f, "the value of {} in block {block} is damaged", Shown(*low))?,
            (Some(0), _) => write!(f, "the tree's leaf in block {block} is damaged")?,
            (Some(level), _) => write!(f, "the tree's node in block {block} (level {level}) is damaged")?,
        }
        match (level, high) {
            (None, _) => {}
            (Some(_), Some(high)) => write!(f, ", keys {} up to {} are lost", Shown(*low), Shown(*high))?,
            (Some(_), None) => write!(f, ", keys from {} on are lost", Shown(*low))?,
        }
        write!(f, ": {reason}")
    }
}

/// A key in a message: object, kind, offset.
struct Shown(Key);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:#04x}/{}", self.0.object, self.0.kind, self.0.offset)
    }
}
