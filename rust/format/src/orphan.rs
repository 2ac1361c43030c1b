//! Orphans: work on an inode that goes over several transactions. The item is written by the first of them and
//! deleted by the last, so whoever opens the volume in between knows what to finish.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::record;

record! {
    /// An orphan (object 2, kind 0x06, offset = the inode number).
    pub struct RawOrphan: 24 {
        /// 0: remove the inode and all it has. 1: remove what it has from `size` on.
        0 work: u8,
        /// Zero.
        1 reserved: [u8; 7],
        /// The inode's generation.
        8 generation: U64,
        /// For work 1: the first byte that is to go.
        16 size: U64,
    }
}

/// What is left to do for an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Remove the inode and all it has, once nobody holds it open.
    Remove,
    /// Remove what it has from this byte on.
    Truncate {
        /// The first byte that is to go.
        size: u64,
    },
}

/// An orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The inode's generation.
    pub generation: u64,
    /// What is left to do for it.
    pub work: Work,
}

impl Orphan {
    /// The item's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (work, size) = match self.work {
            Work::Remove => (0, 0),
            Work::Truncate { size } => (1, size),
        };
        let generation = U64::new(self.generation);
        RawOrphan { work, reserved: [0; 7], generation, size: U64::new(size) }.as_bytes().to_vec()
    }

    /// Reads the item's value.
    pub fn parse(value: &[u8]) -> Result<Self> {
        let bad = |field, value| Error::BadValue { what: "orphan", field, value };
        let raw = RawOrphan::ref_from_bytes(value).map_err(|_| bad("length", value.len() as u64))?;
        let work = match raw.work {
            0 => Work::Remove,
            1 => Work::Truncate { size: raw.size.get() },
            other => return Err(bad("work", other.into())),
        };
        Ok(Self { generation: raw.generation.get(), work })
    }
}
