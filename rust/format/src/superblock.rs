//! The superblock: what the volume is. Written by mkfs and by tune only, in several copies; the copy with the
//! highest revision counts. It fixes the layout and never changes while the volume is in use.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{I64, U32, U64};

use crate::error::{Error, Result};
use crate::features::Features;
use crate::geometry::{GROUP_BLOCKS, Geometry};
use crate::record;
use crate::stamp::{self, Stamp, Structure};
use crate::types::{BLOCK_SIZE, Block, BlockNo};

/// What marks a superblock.
pub const SUPERBLOCK: Structure = Structure::new("superblock", *b"VexF", 1);

record! {
    /// The superblock, in blocks 0 and 1, in the last block, and in the first block of the middle group.
    pub struct RawSuperblock: 4096 {
        /// The stamp.
        0 stamp: Stamp,
        /// The volume's UUID.
        32 uuid: [u8; 16],
        /// The label: UTF-8, zero behind its end.
        48 label: [u8; 64],
        /// Blocks in the volume.
        112 block_count: U64,
        /// Blocks in the journal.
        120 journal_blocks: U32,
        /// Free aligned 16 KiB units that only removals and checkpoints may use.
        124 reserve_units: U32,
        /// When the volume was made: nanoseconds since 1970.
        128 created_ns: I64,
        /// The seed of the hash of names.
        136 hash_seed: [u8; 16],
        /// Features that code which does not know them may ignore.
        152 compat: U64,
        /// Features that code which does not know them must not write to.
        160 ro_compat: U64,
        /// Features that code which does not know them must not open.
        168 incompat: U64,
        /// Counts the changes of the superblock; the copy with the highest counts.
        176 revision: U64,
        /// Which copy this is, in order of the blocks.
        184 copy: U32,
        /// Bytes in a block: 4096.
        188 block_size: U32,
        /// Blocks in a group, and inodes in one: 32256.
        192 group_blocks: U32,
        /// Zero.
        196 reserved: [u8; 3900],
    }
}

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The volume's UUID.
    pub uuid: [u8; 16],
    /// Its name for people.
    pub label: Label,
    /// Blocks in the volume.
    pub block_count: u64,
    /// Blocks in the journal.
    pub journal_blocks: u32,
    /// Free aligned 16 KiB units that only removals and checkpoints may use.
    pub reserve_units: u32,
    /// When the volume was made: nanoseconds since 1970.
    pub created_ns: i64,
    /// The seed of the hash of names.
    pub hash_seed: [u8; 16],
    /// What a reader must know.
    pub features: Features,
    /// Counts the changes of the superblock; the copy with the highest counts.
    pub revision: u64,
}

impl Superblock {
    /// The superblock of a new volume.
    #[must_use]
    pub fn new(
        geometry: &Geometry,
        uuid: [u8; 16],
        label: Label,
        created_ns: i64,
        hash_seed: [u8; 16],
    ) -> Self {
        Self {
            uuid,
            label,
            block_count: geometry.block_count,
            journal_blocks: geometry.journal.len,
            reserve_units: geometry.reserve_units,
            created_ns,
            hash_seed,
            features: Features::default(),
            revision: 1,
        }
    }

    /// The volume's bits in every stamp: the first 8 bytes of its UUID.
    #[must_use]
    pub const fn volume(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.uuid;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Where the volume's areas lie.
    pub fn geometry(&self) -> Result<Geometry> {
        Geometry::lay_out(self.block_count, self.journal_blocks, self.reserve_units)
    }

    /// The bytes of copy number `copy`, which goes to block `address`.
    #[must_use]
    pub fn encode(&self, copy: u32, address: BlockNo) -> Block {
        let raw = RawSuperblock {
            stamp: SUPERBLOCK.stamp(0, self.volume(), address.0),
            uuid: self.uuid,
            label: self.label.0,
            block_count: U64::new(self.block_count),
            journal_blocks: U32::new(self.journal_blocks),
            reserve_units: U32::new(self.reserve_units),
            created_ns: I64::new(self.created_ns),
            hash_seed: self.hash_seed,
            compat: U64::new(self.features.compat),
            ro_compat: U64::new(self.features.ro_compat),
            incompat: U64::new(self.features.incompat),
            revision: U64::new(self.revision),
            copy: U32::new(copy),
            block_size: U32::new(BLOCK_SIZE as u32),
            group_blocks: U32::new(GROUP_BLOCKS),
            reserved: [0; 3900],
        };
        let mut block = [0; BLOCK_SIZE];
        block.copy_from_slice(raw.as_bytes());
        stamp::seal(&mut block);
        block
    }

    /// Reads the copy found in block `address`. Refuses what this code cannot read; whether it may also write
    /// is [`Features::forbid_writing`].
    pub fn parse(bytes: &[u8], address: BlockNo) -> Result<Self> {
        let raw: &RawSuperblock = stamp::view(&SUPERBLOCK, bytes)?;
        SUPERBLOCK.check_whole(bytes, address.0)?;
        let superblock = Self {
            uuid: raw.uuid,
            label: Label::parse(raw.label)?,
            block_count: raw.block_count.get(),
            journal_blocks: raw.journal_blocks.get(),
            reserve_units: raw.reserve_units.get(),
            created_ns: raw.created_ns.get(),
            hash_seed: raw.hash_seed,
            features: Features {
                compat: raw.compat.get(),
                ro_compat: raw.ro_compat.get(),
                incompat: raw.incompat.get(),
            },
            revision: raw.revision.get(),
        };
        SUPERBLOCK.check_owner(&raw.stamp, superblock.volume(), address.0)?;
        superblock.features.check()?;
        if raw.block_size.get() as usize != BLOCK_SIZE {
            return Err(SUPERBLOCK.bad("block size", raw.block_size.get().into()));
        }
        if raw.group_blocks.get() != GROUP_BLOCKS {
            return Err(SUPERBLOCK.bad("group size", raw.group_blocks.get().into()));
        }
        superblock.geometry()?;
        Ok(superblock)
    }
}

/// A volume's name for people: at most 64 bytes of UTF-8 without a zero byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label([u8; 64]);

impl Label {
    /// Takes the label if it fits.
    pub fn new(text: &str) -> Result<Self> {
        let mut label = [0; 64];
        match label.get_mut(..text.len()) {
            Some(room) if !text.contains('\0') => room.copy_from_slice(text.as_bytes()),
            _ => return Err(Error::BadLabel { bytes: text.len() }),
        }
        Ok(Self(label))
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        self.0.get(..end).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn parse(raw: [u8; 64]) -> Result<Self> {
        let label = Self(raw);
        let (text, rest) = raw.split_at(label.as_str().len());
        match rest.iter().all(|&byte| byte == 0) {
            true => Ok(label),
            false => Err(SUPERBLOCK.bad("label length", text.len() as u64)),
        }
    }
}

impl core::fmt::Debug for Label {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}
