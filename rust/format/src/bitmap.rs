//! A bitmap slot: one bit for each block or inode of a group; a set bit is in use. Which of a group's two slots
//! holds, and with which checksum, is said by the group table and by nothing else. Bits of blocks behind the
//! volume's end are set.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::error::Result;
use crate::geometry::{BitmapKind, GROUP_BLOCKS, Geometry};
use crate::record;
use crate::stamp::{self, Stamp, Structure};
use crate::types::{BLOCK_SIZE, Block, BlockNo, CheckpointId, objects};

/// What marks a bitmap slot.
pub const BITMAP: Structure = Structure::new("bitmap", *b"VexB", 1);

/// 64-bit words in a bitmap.
pub const BITMAP_WORDS: usize = GROUP_BLOCKS as usize / 64;

/// The bits of one bitmap: bit `i` of the group is bit `i % 64` of word `i / 64`.
pub type Bits = [u64; BITMAP_WORDS];

record! {
    /// One slot of a group's block bitmap or inode bitmap.
    pub struct RawBitmap: 4096 {
        /// The stamp; its kind is 0 for blocks, 1 for inodes.
        0 stamp: Stamp,
        /// The checkpoint that wrote the slot.
        32 checkpoint: U64,
        /// The group.
        40 group: U32,
        /// How many bits are set.
        44 set_bits: U32,
        /// Zero.
        48 reserved: [u8; 16],
        /// The bits as little-endian words; a set bit is in use.
        64 bits: [U64; 504],
    }
}

/// A bitmap as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// Blocks or inodes.
    pub kind: BitmapKind,
    /// The group.
    pub group: u32,
    /// The checkpoint that wrote it.
    pub checkpoint: CheckpointId,
    /// The bits.
    pub bits: Box<Bits>,
}

impl Bitmap {
    /// The bytes that go to slot `address`, and their checksum for the group table.
    #[must_use]
    pub fn encode(&self, volume: u64, address: BlockNo) -> (Block, u32) {
        encode(self.kind, self.group, self.checkpoint, &self.bits, volume, address)
    }

    /// Reads the slot that the group table names: at block `address`, with checksum `crc`.
    pub fn parse(
        bytes: &[u8],
        volume: u64,
        address: BlockNo,
        kind: BitmapKind,
        group: u32,
        crc: u32,
    ) -> Result<Self> {
        let raw: &RawBitmap = stamp::view(&BITMAP, bytes)?;
        let stamp = BITMAP.check_named(bytes, volume, address.0, crc)?;
        if stamp.kind.get() != kind as u16 {
            return Err(BITMAP.bad("kind", stamp.kind.get().into()));
        }
        if raw.group.get() != group {
            return Err(BITMAP.bad("group", raw.group.get().into()));
        }
        let mut bits = Box::new([0; BITMAP_WORDS]);
        bits.iter_mut().zip(&raw.bits).for_each(|(word, raw)| *word = raw.get());
        if raw.set_bits.get() != count(&bits) {
            return Err(BITMAP.bad("count of set bits", raw.set_bits.get().into()));
        }
        Ok(Self { kind, group, checkpoint: raw.checkpoint.into(), bits })
    }

    /// The bitmap of a group that no checkpoint has written yet: static areas, reserved inodes and what lies
    /// behind the volume's end are in use, the rest is free.
    #[must_use]
    pub fn at_birth(geometry: &Geometry, kind: BitmapKind, group: u32) -> Self {
        let mut bits = Box::new([u64::MAX; BITMAP_WORDS]);
        match kind {
            BitmapKind::Block => {
                geometry.free_at_birth(group).into_iter().flatten().for_each(|index| clear(&mut bits, index));
            }
            BitmapKind::Inode => {
                let first = if group == 0 { objects::FIRST_INODE as u32 } else { 0 };
                (first..GROUP_BLOCKS).for_each(|index| clear(&mut bits, index));
            }
        }
        Self { kind, group, checkpoint: CheckpointId(0), bits }
    }
}

/// The bytes of a bitmap slot that goes to `address`, and their checksum for the group table.
#[must_use]
pub fn encode(
    kind: BitmapKind,
    group: u32,
    checkpoint: CheckpointId,
    bits: &Bits,
    volume: u64,
    address: BlockNo,
) -> (Block, u32) {
    let raw = RawBitmap {
        stamp: BITMAP.stamp(kind as u16, volume, address.0),
        checkpoint: checkpoint.to_le(),
        group: U32::new(group),
        set_bits: U32::new(count(bits)),
        reserved: [0; 16],
        bits: bits.map(U64::new),
    };
    let mut block = [0; BLOCK_SIZE];
    block.copy_from_slice(raw.as_bytes());
    let crc = stamp::seal(&mut block);
    (block, crc)
}

/// How many bits are set.
#[must_use]
pub fn count(bits: &Bits) -> u32 {
    bits.iter().map(|word| word.count_ones()).sum()
}

fn clear(bits: &mut Bits, index: u32) {
    if let Some(word) = bits.get_mut(index as usize / 64) {
        *word &= !(1 << (index % 64));
    }
}
