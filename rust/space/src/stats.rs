//! What can be told about the space of a volume.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use vexfs_format::{BLOCK_SIZE, Geometry};

use crate::error::Result;
use crate::lane::{Counters, Lane};
use crate::request::Class;
use crate::space::Space;

/// What was allocated for one class since the volume was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Runs.
    pub allocations: u64,
    /// Blocks in them.
    pub blocks: u64,
}

impl ClassStats {
    /// Bytes in them.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.blocks * BLOCK_SIZE as u64
    }
}

/// Counters since the volume was opened, and totals of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// For file data.
    pub data: ClassStats,
    /// For rows of vectors.
    pub vector: ClassStats,
    /// For checkpoints.
    pub meta: ClassStats,
    /// Runs given back: reservations undone and frees that became reusable.
    pub frees: u64,
    /// Blocks in them.
    pub freed_blocks: u64,
    /// Inode numbers taken.
    pub inode_allocations: u64,
    /// Inode numbers given back.
    pub inode_frees: u64,
    /// See [`Space::free_blocks`].
    pub free_blocks: u64,
    /// See [`Space::free_units`].
    pub free_units: u64,
    /// See [`Space::free_inodes`].
    pub free_inodes: u64,
    /// See [`Space::unit_floor`].
    pub unit_floor: u64,
}

/// The state of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupStats {
    /// The group.
    pub group: u32,
    /// Blocks in it.
    pub blocks: u32,
    /// Free ones.
    pub free_blocks: u32,
    /// Aligned units of four blocks that are wholly free.
    pub free_units: u32,
    /// Free inode numbers.
    pub free_inodes: u32,
    /// The longest run of free blocks.
    pub largest_run: u32,
    /// Share of the free blocks that the longest run leaves out: 0.0 = one run, towards 1.0 = scattered.
    pub fragmentation: f64,
}

/// How the free blocks of all groups lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scatter {
    /// The longest run of free blocks.
    pub largest_run: u32,
    /// Share of the free blocks that the longest run of each group leaves out: 0.0 = one run in each, towards 1.0 =
    /// scattered.
    pub fragmentation: f64,
}

impl Space {
    /// How the free blocks of all groups lie; loads no bitmap.
    pub fn scatter(&self) -> Result<Scatter> {
        let (mut largest_run, mut free, mut in_longest) = (0, 0_u64, 0_u64);
        for group in 0..self.group_count() {
            let stats = self.group_stats(group)?;
            largest_run = stats.largest_run.max(largest_run);
            free += u64::from(stats.free_blocks);
            in_longest += u64::from(stats.largest_run.min(stats.free_blocks));
        }
        let scattered = (free - in_longest) as f64;
        Ok(Scatter { largest_run, fragmentation: if free == 0 { 0.0 } else { scattered / free as f64 } })
    }

    /// Counters and totals.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let sum = |counter: &dyn Fn(&Counters) -> &AtomicU64| {
            self.lanes.all().map(|lane: &Lane| counter(&lane.counters).load(Relaxed)).sum()
        };
        let class = |class: Class| ClassStats {
            allocations: sum(&|counters| &counters.of(class).allocations),
            blocks: sum(&|counters| &counters.of(class).blocks),
        };
        Stats {
            data: class(Class::Data),
            vector: class(Class::Vector),
            meta: class(Class::Meta),
            frees: sum(&|counters| &counters.frees),
            freed_blocks: sum(&|counters| &counters.freed_blocks),
            inode_allocations: sum(&|counters| &counters.inode_allocations),
            inode_frees: sum(&|counters| &counters.inode_frees),
            free_blocks: self.free_blocks(),
            free_units: self.free_units(),
            free_inodes: self.free_inodes(),
            unit_floor: self.unit_floor(),
        }
    }

    /// The state of a group; loads no bitmap.
    pub fn group_stats(&self, group: u32) -> Result<GroupStats> {
        let entry = self.entry(group)?;
        let (hint, largest_run) = match self.loaded(group) {
            Some(loaded) => {
                let mut busy = loaded.lock();
                let longest = busy.longest();
                (busy.hint(), longest)
            }
            None => (self.hint(group), entry.largest_run.into()),
        };
        let free_blocks = u32::from(hint.free);
        let scattered = f64::from(free_blocks.saturating_sub(largest_run));
        Ok(GroupStats {
            group,
            blocks: self.geometry.group_len(group),
            free_blocks,
            free_units: hint.units.into(),
            free_inodes: self.inode_hint(group),
            largest_run,
            fragmentation: if free_blocks == 0 { 0.0 } else { scattered / f64::from(free_blocks) },
        })
    }

    /// How many groups there are.
    #[must_use]
    pub const fn group_count(&self) -> u32 {
        self.geometry.group_count
    }

    /// The layout that the space follows.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }
}
