//! Extents: which blocks hold a run of a file's bytes, with the checksum of each block. An extent never crosses a
//! 1 MiB boundary of the file, so an item stays small and a write of one chunk touches no other chunk's items.
//! A block's checksum covers all its 4096 bytes, which are zero behind the end of the file.

use core::ops::Range;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::inode::MAX_FILE_BYTES;
use crate::record;
use crate::types::{BLOCK_SIZE, BlockNo, BlockRun, Seq};

/// The bytes of a chunk: no extent crosses a multiple of it.
pub const CHUNK_BYTES: u64 = 1 << 20;
/// The most blocks of an extent.
pub const MAX_EXTENT_BLOCKS: u32 = (CHUNK_BYTES / BLOCK_SIZE as u64) as u32;

record! {
    /// An extent (kind 0x05, offset = its byte position in the file); one CRC32C per block follows, none if unwritten.
    pub struct RawExtent: 20 {
        /// The first block.
        0 physical: U64,
        /// The sequence of the transaction that allocated the blocks.
        8 birth: U64,
        /// How many blocks, 1 to 256.
        16 blocks: U16,
        /// Bit 0: allocated but never written, reads as zero.
        18 flags: U16,
    }
}

const UNWRITTEN: u16 = 1;

/// A checked extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent<'a> {
    /// The blocks.
    pub run: BlockRun,
    /// The sequence of the transaction that allocated the blocks.
    pub birth: Seq,
    /// The checksum of each block; `None` when they were never written and read as zero.
    pub crcs: Option<&'a [U32]>,
}

impl<'a> Extent<'a> {
    /// Reads the value of the item at this position of a file.
    pub fn parse(offset: u64, value: &'a [u8]) -> Result<Self> {
        let (raw, crcs) = RawExtent::ref_from_prefix(value).map_err(|_| bad("length", value.len() as u64))?;
        let blocks = u32::from(raw.blocks.get());
        let in_chunk = offset % CHUNK_BYTES / BLOCK_SIZE as u64;
        if !offset.is_multiple_of(BLOCK_SIZE as u64) || offset >= MAX_FILE_BYTES {
            return Err(bad("position", offset));
        }
        if blocks == 0 || in_chunk + u64::from(blocks) > u64::from(MAX_EXTENT_BLOCKS) {
            return Err(bad("count of blocks", blocks.into()));
        }
        let crcs = match raw.flags.get() {
            0 => Some(crcs),
            UNWRITTEN => None,
            flags => return Err(bad("flags", flags.into())),
        };
        let crcs = match crcs {
            None if value.len() == size_of::<RawExtent>() => None,
            Some(crcs) => match <[U32]>::ref_from_bytes(crcs) {
                Ok(crcs) if crcs.len() == blocks as usize => Some(crcs),
                _ => return Err(bad("length", value.len() as u64)),
            },
            None => return Err(bad("length", value.len() as u64)),
        };
        let run = BlockRun { start: BlockNo(raw.physical.get()), len: blocks };
        Ok(Self { run, birth: raw.birth.into(), crcs })
    }

    /// The item's value for blocks that were written, with the checksum of each; as many blocks as checksums.
    #[must_use]
    pub fn encode_written(start: BlockNo, birth: Seq, crcs: &[u32]) -> Vec<u8> {
        let mut value = head(start, birth, crcs.len() as u32, 0);
        crcs.iter().for_each(|&crc| value.extend_from_slice(&crc.to_le_bytes()));
        value
    }

    /// The item's value for blocks that are allocated but not written.
    #[must_use]
    pub fn encode_unwritten(run: BlockRun, birth: Seq) -> Vec<u8> {
        head(run.start, birth, run.len, UNWRITTEN)
    }

    /// The item's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.crcs {
            None => Self::encode_unwritten(self.run, self.birth),
            Some(crcs) => {
                let mut value = head(self.run.start, self.birth, self.run.len, 0);
                value.extend_from_slice(crcs.as_bytes());
                value
            }
        }
    }

    /// A part of the extent: these of its blocks, counted from its first; `None` if it has not all of them.
    #[must_use]
    pub fn part(&self, blocks: Range<u32>) -> Option<Self> {
        let whole = blocks.start < blocks.end && blocks.end <= self.run.len;
        let crcs = match self.crcs {
            None => None,
            Some(crcs) => Some(crcs.get(blocks.start as usize..blocks.end as usize)?),
        };
        let start = BlockNo(self.run.start.0.checked_add(blocks.start.into())?);
        whole.then_some(Self {
            run: BlockRun { start, len: blocks.end - blocks.start },
            birth: self.birth,
            crcs,
        })
    }

    /// The checksum of the extent's `index`-th block, if it was written.
    #[must_use]
    pub fn crc(&self, index: u32) -> Option<u32> {
        self.crcs?.get(index as usize).map(|crc| crc.get())
    }
}

fn head(start: BlockNo, birth: Seq, blocks: u32, flags: u16) -> Vec<u8> {
    let raw = RawExtent {
        physical: start.to_le(),
        birth: birth.to_le(),
        blocks: U16::new(blocks.min(MAX_EXTENT_BLOCKS) as u16),
        flags: U16::new(flags),
    };
    raw.as_bytes().to_vec()
}

const fn bad(field: &'static str, value: u64) -> Error {
    Error::BadValue { what: "extent", field, value }
}
