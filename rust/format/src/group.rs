//! The group table: the one place that says which slot of each bitmap holds. It has two sides that are used in
//! turn; the descriptor names the side and its checksum. Opening a volume reads the table and no bitmap.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use crate::error::Result;
use crate::geometry::{BitmapKind, GROUP_BLOCKS, Geometry, TABLE_ENTRIES};
use crate::record;
use crate::stamp::{self, Stamp, Structure};
use crate::types::{BLOCK_SIZE, Block, BlockNo, CheckpointId, NODE_BLOCKS, objects};

/// What marks a block of the group table.
pub const GROUP_TABLE: Structure = Structure::new("group table", *b"VexG", 1);

record! {
    /// What the group table says about one group.
    pub struct RawGroupEntry: 32 {
        /// CRC32C in the stamp of the slot that holds the block bitmap.
        0 block_crc: U32,
        /// CRC32C in the stamp of the slot that holds the inode bitmap.
        4 inode_crc: U32,
        /// Which slot holds the block bitmap: 0 or 1; 255 when none was ever written.
        8 block_slot: u8,
        /// Which slot holds the inode bitmap: 0 or 1; 255 when none was ever written.
        9 inode_slot: u8,
        /// Free blocks.
        10 free_blocks: U16,
        /// Free inodes.
        12 free_inodes: U16,
        /// The longest run of free blocks.
        14 largest_run: U16,
        /// Aligned units of four blocks that are wholly free.
        16 free_units: U16,
        /// Zero.
        18 reserved: [u8; 14],
    }
}

record! {
    /// A block of one side of the group table.
    pub struct RawTableBlock: 4096 {
        /// The stamp; its kind is the side.
        0 stamp: Stamp,
        /// The checkpoint that wrote the block.
        32 checkpoint: U64,
        /// The group of the first entry.
        40 first_group: U32,
        /// How many entries follow.
        44 count: U32,
        /// Zero.
        48 reserved: [u8; 16],
        /// The entries; zero behind the last.
        64 entries: [RawGroupEntry; 126],
    }
}

/// "No slot was ever written": the bitmap is [the one at birth](crate::bitmap::Bitmap::at_birth).
const UNWRITTEN: u8 = 255;

/// The slot that holds a bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSlot {
    /// Which of the two: 0 or 1.
    pub side: u8,
    /// The checksum in the slot's stamp.
    pub crc: u32,
}

/// What the table says about one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    /// The slot of the block bitmap; `None` when none was ever written.
    pub block: Option<LiveSlot>,
    /// The slot of the inode bitmap; `None` when none was ever written.
    pub inode: Option<LiveSlot>,
    /// Free blocks.
    pub free_blocks: u16,
    /// Free inodes.
    pub free_inodes: u16,
    /// The longest run of free blocks.
    pub largest_run: u16,
    /// Aligned units of four blocks that are wholly free.
    pub free_units: u16,
}

impl GroupEntry {
    /// The entry of a group whose bitmaps no checkpoint has written yet.
    #[must_use]
    pub fn at_birth(geometry: &Geometry, group: u32) -> Self {
        let gaps = geometry.free_at_birth(group);
        let unit = |gap: &core::ops::Range<u32>| {
            (gap.end / NODE_BLOCKS).saturating_sub(gap.start.div_ceil(NODE_BLOCKS)) as u16
        };
        let reserved = if group == 0 { objects::FIRST_INODE as u16 } else { 0 };
        Self {
            block: None,
            inode: None,
            free_blocks: gaps.iter().map(|gap| gap.len() as u16).sum(),
            free_inodes: GROUP_BLOCKS as u16 - reserved,
            largest_run: gaps.iter().map(|gap| gap.len() as u16).max().unwrap_or(0),
            free_units: gaps.iter().map(unit).sum(),
        }
    }

    /// The slot of one of the bitmaps; `None` when none was ever written.
    #[must_use]
    pub const fn slot(&self, kind: BitmapKind) -> Option<LiveSlot> {
        match kind {
            BitmapKind::Block => self.block,
            BitmapKind::Inode => self.inode,
        }
    }

    fn encode(&self) -> RawGroupEntry {
        let raw = |slot: Option<LiveSlot>| slot.map_or((UNWRITTEN, 0), |slot| (slot.side, slot.crc));
        let ((block_slot, block_crc), (inode_slot, inode_crc)) = (raw(self.block), raw(self.inode));
        RawGroupEntry {
            block_crc: U32::new(block_crc),
            inode_crc: U32::new(inode_crc),
            block_slot,
            inode_slot,
            free_blocks: U16::new(self.free_blocks),
            free_inodes: U16::new(self.free_inodes),
            largest_run: U16::new(self.largest_run),
            free_units: U16::new(self.free_units),
            reserved: [0; 14],
        }
    }

    fn parse(raw: &RawGroupEntry, group_len: u32) -> Result<Self> {
        let within = |field, value: U16, most: u32| match value.get() {
            value if u32::from(value) <= most => Ok(value),
            value => Err(GROUP_TABLE.bad(field, value.into())),
        };
        let free_blocks = within("free blocks", raw.free_blocks, group_len)?;
        Ok(Self {
            block: parse_slot(raw.block_slot, raw.block_crc)?,
            inode: parse_slot(raw.inode_slot, raw.inode_crc)?,
            free_blocks,
            free_inodes: within("free inodes", raw.free_inodes, GROUP_BLOCKS)?,
            largest_run: within("largest run", raw.largest_run, free_blocks.into())?,
            free_units: within("free units", raw.free_units, u32::from(free_blocks) / NODE_BLOCKS)?,
        })
    }
}

fn parse_slot(side: u8, crc: U32) -> Result<Option<LiveSlot>> {
    match side {
        0..=1 => Ok(Some(LiveSlot { side, crc: crc.get() })),
        UNWRITTEN => Ok(None),
        _ => Err(GROUP_TABLE.bad("slot", side.into())),
    }
}

/// The groups whose entries are in block `index` of a side.
#[must_use]
pub fn groups_of(geometry: &Geometry, index: u32) -> core::ops::Range<u32> {
    let first = index.saturating_mul(TABLE_ENTRIES).min(geometry.group_count);
    first..first.saturating_add(TABLE_ENTRIES).min(geometry.group_count)
}

/// The bytes of block `index` of a side, from the entries of its groups (those beyond a block's 126 are left out).
#[must_use]
pub fn encode_block(
    geometry: &Geometry,
    volume: u64,
    side: u8,
    index: u32,
    checkpoint: CheckpointId,
    entries: &[GroupEntry],
) -> Block {
    let mut raw = RawTableBlock::new_zeroed();
    raw.stamp = GROUP_TABLE.stamp(side.into(), volume, block_of(geometry, side, index).0);
    raw.checkpoint = checkpoint.to_le();
    raw.first_group = U32::new(groups_of(geometry, index).start);
    raw.count = U32::new(entries.len().min(TABLE_ENTRIES as usize) as u32);
    raw.entries.iter_mut().zip(entries).for_each(|(raw, entry)| *raw = entry.encode());
    let mut block = [0; BLOCK_SIZE];
    block.copy_from_slice(raw.as_bytes());
    stamp::seal(&mut block);
    block
}

/// Reads block `index` of a side: the entries of [its groups](groups_of), each checked against its group's size.
pub fn parse_block(
    geometry: &Geometry,
    volume: u64,
    side: u8,
    index: u32,
    bytes: &[u8],
) -> Result<Vec<GroupEntry>> {
    let raw: &RawTableBlock = stamp::view(&GROUP_TABLE, bytes)?;
    let stamp = GROUP_TABLE.check(bytes, volume, block_of(geometry, side, index).0)?;
    let groups = groups_of(geometry, index);
    if stamp.kind.get() != side.into() {
        return Err(GROUP_TABLE.bad("side", stamp.kind.get().into()));
    }
    if raw.first_group.get() != groups.start {
        return Err(GROUP_TABLE.bad("first group", raw.first_group.get().into()));
    }
    if raw.count.get() as usize != groups.len() {
        return Err(GROUP_TABLE.bad("count of entries", raw.count.get().into()));
    }
    groups.zip(&raw.entries).map(|(group, raw)| GroupEntry::parse(raw, geometry.group_len(group))).collect()
}

/// The block that holds block `index` of a side.
#[must_use]
pub fn block_of(geometry: &Geometry, side: u8, index: u32) -> BlockNo {
    let [a, b] = geometry.table;
    let side = if side == 0 { a } else { b };
    BlockNo(side.start.0.saturating_add(index.into()))
}
