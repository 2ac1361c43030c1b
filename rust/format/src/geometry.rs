//! Where everything lies. The layout is a pure function of three numbers in the superblock, so no offset is ever
//! read from a device. Invariants: the static areas do not overlap, all lie inside the volume, and none of them
//! moves; both superblocks' and descriptors' copies are far apart.
//!
//! ```text
//! superblock 0, 1 | ring A | table A | table B | bitmap slots | journal | data ... | ring B | superblock
//!                                                 from 4 groups on, the middle group begins with a superblock
//! ```

use core::ops::Range;

use crate::error::{Error, Result};
use crate::types::{BLOCK_SIZE, BlockNo, BlockRun, CheckpointId, Ino, NODE_BLOCKS, objects};

/// Blocks in an allocation group, and inodes in one.
pub const GROUP_BLOCKS: u32 = 32_256;
/// The fewest blocks of a volume (2 MiB).
pub const MIN_BLOCKS: u64 = 512;
/// The most blocks of a volume (16 TiB).
pub const MAX_BLOCKS: u64 = 1 << 32;
/// Slots in the checkpoint ring, each one block.
pub const RING_SLOTS: u32 = 64;
/// Group table entries in a block.
pub const TABLE_ENTRIES: u32 = 126;
/// Blocks of bitmap slots per group: two kinds of bitmap, two slots each.
pub const SLOTS_PER_GROUP: u32 = 4;
/// The smallest journal.
pub const MIN_JOURNAL_BYTES: u64 = 256 << 10;
/// The largest journal that is chosen unasked.
pub const MAX_DEFAULT_JOURNAL_BYTES: u64 = 1 << 30;

/// Groups from which on the middle group carries a superblock.
const GROUPS_WITH_MIDDLE: u32 = 4;
/// Block numbers 0 and 1.
const FRONT_SUPERBLOCKS: u64 = 2;

/// Which of a group's two bitmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BitmapKind {
    /// One bit per block of the group.
    Block = 0,
    /// One bit per inode of the group.
    Inode = 1,
}

/// Where the areas of a volume lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks in the volume.
    pub block_count: u64,
    /// Allocation groups; the last one may be short of blocks, never of inodes.
    pub group_count: u32,
    /// The first blocks of the two copies of the checkpoint ring.
    pub ring: [BlockNo; 2],
    /// The two sides of the group table.
    pub table: [BlockRun; 2],
    /// The first block of the bitmap slots.
    pub slots_start: BlockNo,
    /// The circular log.
    pub journal: BlockRun,
    /// Free aligned 16 KiB units that only removals and checkpoints may use.
    pub reserve_units: u32,
    /// The blocks that hold a copy of the superblock, ascending.
    pub superblocks: Vec<BlockNo>,
}

/// A static area: its name and its blocks.
pub type Area = (&'static str, BlockRun);

impl Geometry {
    /// Lays out a new volume of `block_count` blocks, with a journal of the usual or the given size.
    pub fn plan(block_count: u64, journal_bytes: Option<u64>) -> Result<Self> {
        check_size(block_count)?;
        let usual =
            (block_count * BLOCK_SIZE as u64 / 32).clamp(MIN_JOURNAL_BYTES, MAX_DEFAULT_JOURNAL_BYTES);
        let bytes = journal_bytes.unwrap_or(usual / BLOCK_SIZE as u64 * BLOCK_SIZE as u64);
        let journal_blocks = check_journal(block_count, bytes)?;
        let mut plan = Self::lay_out(block_count, journal_blocks, 0)?;
        let units = plan.data_blocks() / u64::from(NODE_BLOCKS);
        plan.reserve_units = (units / 64).clamp(16, 4096) as u32;
        Ok(plan)
    }

    /// The layout of a volume that has these numbers in its superblock.
    pub fn lay_out(block_count: u64, journal_blocks: u32, reserve_units: u32) -> Result<Self> {
        check_size(block_count)?;
        check_journal(block_count, u64::from(journal_blocks) * BLOCK_SIZE as u64)?;
        let group_count = block_count.div_ceil(u64::from(GROUP_BLOCKS)) as u32;
        let side = group_count.div_ceil(TABLE_ENTRIES);
        let ring_a = FRONT_SUPERBLOCKS;
        let table_a = ring_a + u64::from(RING_SLOTS);
        let table_b = table_a + u64::from(side);
        let slots_start = table_b + u64::from(side);
        let journal = slots_start + u64::from(group_count) * u64::from(SLOTS_PER_GROUP);
        let ring_b = block_count - 1 - u64::from(RING_SLOTS);
        if u64::from(reserve_units) > block_count / u64::from(NODE_BLOCKS) {
            let value = u64::from(reserve_units);
            return Err(Error::BadValue { what: "geometry", field: "reserve units", value });
        }
        Ok(Self {
            block_count,
            group_count,
            ring: [BlockNo(ring_a), BlockNo(ring_b)],
            table: [BlockRun::new(table_a, side), BlockRun::new(table_b, side)],
            slots_start: BlockNo(slots_start),
            journal: BlockRun::new(journal, journal_blocks),
            reserve_units,
            superblocks: superblock_places(block_count),
        })
    }

    /// The static areas by name, in order of their blocks.
    #[must_use]
    pub fn areas(&self) -> Vec<Area> {
        let slots = BlockRun { start: self.slots_start, len: self.group_count * SLOTS_PER_GROUP };
        let mut areas = vec![
            ("checkpoint ring A", BlockRun { start: self.ring[0], len: RING_SLOTS }),
            ("group table A", self.table[0]),
            ("group table B", self.table[1]),
            ("bitmap slots", slots),
            ("journal", self.journal),
            ("checkpoint ring B", BlockRun { start: self.ring[1], len: RING_SLOTS }),
        ];
        areas.extend(self.superblocks.iter().map(|&start| ("superblock", BlockRun { start, len: 1 })));
        areas.sort_by_key(|(_, run)| run.start);
        areas
    }

    /// What metadata occupies from birth: ascending runs with space between them.
    #[must_use]
    pub fn static_runs(&self) -> Vec<BlockRun> {
        let front = BlockRun { start: BlockNo(0), len: self.journal.end() as u32 };
        let back = BlockRun { start: self.ring[1], len: RING_SLOTS + 1 };
        let middle = self.middle_superblock().map(|start| BlockRun { start, len: 1 });
        [Some(front), middle, Some(back)].into_iter().flatten().collect()
    }

    /// Whether the block belongs to a static area, or lies behind the volume's end.
    #[must_use]
    pub fn is_static(&self, block: BlockNo) -> bool {
        block.0 < self.journal.end() || block >= self.ring[1] || self.middle_superblock() == Some(block)
    }

    /// Whether all blocks of the run can hold data or nodes: there are some, and none of them is static.
    #[must_use]
    pub fn holds(&self, run: BlockRun) -> bool {
        let inside = run.len > 0 && !self.is_static(run.start) && run.end() <= self.ring[1].0;
        inside && self.middle_superblock().is_none_or(|middle| run.end() <= middle.0 || run.start > middle)
    }

    /// Blocks that are not static.
    #[must_use]
    pub fn data_blocks(&self) -> u64 {
        let fixed: u64 = self.static_runs().iter().map(|run| u64::from(run.len)).sum();
        self.block_count.saturating_sub(fixed)
    }

    /// Inodes that files can have.
    #[must_use]
    pub const fn inode_count(&self) -> u64 {
        self.group_count as u64 * GROUP_BLOCKS as u64 - objects::FIRST_INODE
    }

    /// The two blocks that hold this checkpoint's descriptor.
    #[must_use]
    pub const fn descriptor_blocks(&self, id: CheckpointId) -> [BlockNo; 2] {
        let slot = id.0 % RING_SLOTS as u64;
        [BlockNo(self.ring[0].0 + slot), BlockNo(self.ring[1].0 + slot)]
    }

    /// The block that holds one slot of one of a group's bitmaps.
    #[must_use]
    pub const fn slot(&self, group: u32, kind: BitmapKind, side: u8) -> BlockNo {
        let within = kind as u64 * 2 + (side & 1) as u64;
        BlockNo(self.slots_start.0 + group as u64 * SLOTS_PER_GROUP as u64 + within)
    }

    /// Where a block's bit lies: its group, and its index there.
    #[must_use]
    pub const fn locate(block: BlockNo) -> (u32, u32) {
        ((block.0 / GROUP_BLOCKS as u64) as u32, (block.0 % GROUP_BLOCKS as u64) as u32)
    }

    /// Where an inode's bit lies: its group, and its index there.
    #[must_use]
    pub const fn locate_inode(ino: Ino) -> (u32, u32) {
        Self::locate(BlockNo(ino.0))
    }

    /// The first block of a group.
    #[must_use]
    pub const fn group_start(group: u32) -> BlockNo {
        BlockNo(group as u64 * GROUP_BLOCKS as u64)
    }

    /// How many blocks a group has.
    #[must_use]
    pub fn group_len(&self, group: u32) -> u32 {
        let rest = self.block_count.saturating_sub(Self::group_start(group).0);
        rest.min(u64::from(GROUP_BLOCKS)) as u32
    }

    /// The blocks of a group, as indices in it, that are not static, in ascending ranges.
    #[must_use]
    pub fn free_at_birth(&self, group: u32) -> Vec<Range<u32>> {
        let first = Self::group_start(group).0;
        let last = first + u64::from(self.group_len(group));
        let mut gaps = Vec::new();
        let mut at = first;
        for run in self.static_runs().into_iter().filter(|run| run.end() > first && run.start.0 < last) {
            if run.start.0 > at {
                gaps.push((at - first) as u32..(run.start.0 - first) as u32);
            }
            at = run.end();
        }
        if at < last {
            gaps.push((at - first) as u32..(last - first) as u32);
        }
        gaps
    }

    fn middle_superblock(&self) -> Option<BlockNo> {
        middle_superblock(self.block_count)
    }
}

/// Where copies of the superblock lie in a volume of `block_count` blocks, ascending; for a volume whose first
/// two are lost, its size is that of its device.
#[must_use]
pub fn superblock_places(block_count: u64) -> Vec<BlockNo> {
    let last = block_count.saturating_sub(1);
    [Some(BlockNo(0)), Some(BlockNo(1)), middle_superblock(block_count), (last > 1).then_some(BlockNo(last))]
        .into_iter()
        .flatten()
        .collect()
}

fn middle_superblock(block_count: u64) -> Option<BlockNo> {
    let groups = block_count.div_ceil(u64::from(GROUP_BLOCKS));
    (groups >= u64::from(GROUPS_WITH_MIDDLE)).then(|| BlockNo(groups / 2 * u64::from(GROUP_BLOCKS)))
}

fn check_size(blocks: u64) -> Result<()> {
    match blocks {
        0..MIN_BLOCKS => Err(Error::VolumeTooSmall { blocks, minimum: MIN_BLOCKS }),
        MIN_BLOCKS..=MAX_BLOCKS => Ok(()),
        _ => Err(Error::VolumeTooLarge { blocks, maximum: MAX_BLOCKS }),
    }
}

/// The journal's size in blocks: at most a quarter of the volume, which keeps it in front of the middle group.
fn check_journal(block_count: u64, bytes: u64) -> Result<u32> {
    let block = BLOCK_SIZE as u64;
    let maximum = block_count / 4 * block;
    if !bytes.is_multiple_of(block) || !(MIN_JOURNAL_BYTES..=maximum).contains(&bytes) {
        return Err(Error::BadJournalSize { bytes, minimum: MIN_JOURNAL_BYTES, maximum });
    }
    Ok((bytes / block) as u32)
}
