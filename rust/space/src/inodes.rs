//! Inode numbers: found by the lowest free one of a group.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};
use vexfs_format::{Geometry, Ino, objects};

use crate::bits::{BITS, Bitset, Words};
use crate::error::{Error, Result};
use crate::lane::Stream;
use crate::space::Space;

/// A directory is put where its files find numbers too: in a group with this many free ones.
const ROOM: u32 = BITS / 2;

/// One group's inode numbers in memory. Invariants: `free` counts the clear bits; none is clear below `lowest`.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct InodeGroup {
    free: AtomicU32,
    numbers: Mutex<Numbers>,
}

#[derive(Debug)]
struct Numbers {
    busy: Bitset,
    lowest: u32,
}

impl InodeGroup {
    pub fn new(busy: Bitset) -> Self {
        Self { free: AtomicU32::new(BITS - busy.count()), numbers: Mutex::new(Numbers { busy, lowest: 0 }) }
    }

    pub fn free(&self) -> u32 {
        self.free.load(Relaxed)
    }

    fn take_lowest(&self) -> Option<u32> {
        let mut numbers = self.numbers.lock();
        let index = numbers.busy.next_free(numbers.lowest);
        numbers.lowest = index.min(BITS);
        if index >= BITS {
            return None;
        }
        numbers.busy.set(index, 1);
        self.free.fetch_sub(1, Relaxed);
        Some(index)
    }

    /// Whether the number was free, and is taken now.
    fn take(&self, numbers: &mut Numbers, index: u32) -> bool {
        let free = !numbers.busy.get(index);
        if free {
            numbers.busy.set(index, 1);
            self.free.fetch_sub(1, Relaxed);
        }
        free
    }

    /// Whether the number was taken, and is free now.
    fn give(&self, index: u32) -> bool {
        let mut numbers = self.numbers.lock();
        let taken = numbers.busy.get(index);
        if taken {
            numbers.busy.clear(index, 1);
            numbers.lowest = numbers.lowest.min(index);
            self.free.fetch_add(1, Relaxed);
        }
        taken
    }
}

impl Space {
    /// Reserves an inode number until it is released: the lowest of the group of `near` (or where this thread's
    /// inodes go on), for a directory of the next group that has room for its files as well.
    pub fn alloc_inode(&self, near: Option<Ino>, directory: bool) -> Result<Ino> {
        let lane = self.lanes.mine();
        let first = near.map_or_else(|| lane.home(Stream::Inode), |near| Geometry::locate_inode(near).0);
        for least in if directory { [ROOM, 1].as_slice() } else { &[1] } {
            for group in self.ring(first) {
                if self.inode_hint(group) < *least {
                    continue;
                }
                if let Some(index) = self.inode_group(group)?.take_lowest() {
                    lane.free_inodes.fetch_sub(1, Relaxed);
                    lane.counters.inode_allocations.fetch_add(1, Relaxed);
                    if near.is_none() {
                        lane.move_home(Stream::Inode, group);
                    }
                    return Ok(Ino(u64::from(group) * u64::from(BITS) + u64::from(index)));
                }
            }
        }
        Err(Error::NoInodes { groups: self.geometry.group_count })
    }

    /// Gives an inode number back: a reservation undone, or a free that is reusable now.
    pub fn release_inode(&self, ino: Ino) -> Result<()> {
        let (group, index) = self.locate_inode(ino)?;
        if !self.inode_group(group)?.give(index) {
            return Err(Error::DoubleFreeInode { ino });
        }
        let lane = self.lanes.mine();
        lane.free_inodes.fetch_add(1, Relaxed);
        lane.counters.inode_frees.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Recovery: the committed state uses this number, though no bitmap on the device says so yet.
    pub fn mark_inode(&self, ino: Ino) -> Result<()> {
        self.mark_all_inodes([ino])
    }

    /// As [`Space::mark_inode`] for many numbers, fastest when those of a group follow each other. Stops at the
    /// first that has another owner. Threads may share the work, each with groups of its own.
    pub fn mark_all_inodes(&self, numbers: impl IntoIterator<Item = Ino>) -> Result<()> {
        let lane = self.lanes.mine();
        let mut held: Option<(u32, &InodeGroup, MutexGuard<'_, Numbers>)> = None;
        for ino in numbers {
            let (group, index) = self.locate_inode(ino)?;
            if held.as_ref().is_none_or(|(last, ..)| *last != group) {
                held = None;
            }
            let (_, loaded, numbers) = match &mut held {
                Some(held) => held,
                None => {
                    let loaded = self.inode_group(group)?;
                    held.insert((group, loaded, loaded.numbers.lock()))
                }
            };
            if !loaded.take(numbers, index) {
                return Err(Error::AlreadyUsedInode { ino });
            }
            lane.free_inodes.fetch_sub(1, Relaxed);
        }
        Ok(())
    }

    /// Whether the number is in use, reserved, or not yet reusable. Reserved numbers are.
    pub fn is_inode_busy(&self, ino: Ino) -> Result<bool> {
        let (group, index) = Geometry::locate_inode(ino);
        if ino.0 >= u64::from(self.geometry.group_count) * u64::from(BITS) {
            return Err(Error::InvalidInode { ino });
        }
        Ok(self.inode_group(group)?.numbers.lock().busy.get(index))
    }

    fn locate_inode(&self, ino: Ino) -> Result<(u32, u32)> {
        locate_inode(&self.geometry, ino)
    }
}

/// Group and index of a number that a file can have.
pub(crate) fn locate_inode(geometry: &Geometry, ino: Ino) -> Result<(u32, u32)> {
    let end = u64::from(geometry.group_count) * u64::from(BITS);
    if (objects::FIRST_INODE..end).contains(&ino.0) {
        Ok(Geometry::locate_inode(ino))
    } else {
        Err(Error::InvalidInode { ino })
    }
}
