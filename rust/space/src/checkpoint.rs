//! Writing the bitmaps of a checkpoint.
//!
//! What is written is a function of the live table, the slots that it names, and the delta; what memory says is
//! busy plays no part. Only slots and table blocks that the live table does not name are written, so an attempt
//! that fails or is abandoned leaves the last checkpoint whole, and memory as it was.

use std::collections::BTreeMap;

use vexfs_format::{BitmapKind, BlockRun, CheckpointId, GroupEntry, Ino};

use crate::bits::{Bitset, Words};
use crate::error::{Error, Result};
use crate::inodes::locate_inode;
use crate::release::pieces;
use crate::slot::{self, Place};
use crate::space::Space;
use crate::table::TableState;

/// What a checkpoint changes in the bitmaps, net: nothing is named twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Blocks that come into use.
    pub set: Vec<BlockRun>,
    /// Blocks that no retained state uses any more.
    pub clear: Vec<BlockRun>,
    /// Inode numbers that come into use.
    pub inode_set: Vec<Ino>,
    /// Inode numbers that go out of use.
    pub inode_clear: Vec<Ino>,
}

/// The changes to one bitmap: runs by first index and length.
#[derive(Default)]
struct Changes {
    set: Vec<(u32, u32)>,
    clear: Vec<(u32, u32)>,
}

impl Space {
    /// Writes the bitmaps that the delta changes and the group table that names them, without a flush. They count
    /// once a descriptor names the returned state: after its flush the caller calls [`Space::checkpoint_durable`].
    /// If it gives up before the descriptor is written, it calls [`Space::abandon_checkpoint`].
    ///
    /// A set bit that is set or a clear bit that is cleared is `bitmap_corrupt`, and nothing has changed.
    pub fn write_checkpoint(&self, id: CheckpointId, delta: &Delta) -> Result<TableState> {
        let mut other = self.other.lock();
        other.check_idle()?;
        let mut entries: BTreeMap<u32, GroupEntry> = BTreeMap::new();
        for (place, changes) in self.by_bitmap(delta)? {
            self.load(place)?;
            let live = self.entry(place.group)?;
            let mut bits = slot::read(&*self.device, &self.geometry, self.volume, place, &live)?;
            self.apply(place, &live, &changes, &mut bits)?;
            let entry = entries.entry(place.group).or_insert(live);
            let avoid = live.slot(place.kind);
            slot::write(&*self.device, &self.geometry, self.volume, (place, id), &bits, avoid, entry)?;
        }
        let changes = entries.into_iter().collect();
        let live = self.table.read();
        other.write(&*self.device, (&self.geometry, self.volume), &live, id, changes)
    }

    /// The checkpoint written last is durable: its bitmaps are those on the device from now on.
    pub fn checkpoint_durable(&self) {
        let mut other = self.other.lock();
        other.durable(&mut self.table.write());
    }

    /// The checkpoint written last came to nothing; the next one begins where it began.
    pub fn abandon_checkpoint(&self) {
        self.other.lock().abandon();
    }

    fn by_bitmap(&self, delta: &Delta) -> Result<BTreeMap<Place, Changes>> {
        let mut bitmaps: BTreeMap<Place, Changes> = BTreeMap::new();
        for (runs, clear) in [(&delta.set, false), (&delta.clear, true)] {
            for run in runs {
                if !self.geometry.holds(*run) {
                    return Err(Error::InvalidRun { run: *run });
                }
                for (group, start, len) in pieces(*run) {
                    let changes = bitmaps.entry(Place { kind: BitmapKind::Block, group }).or_default();
                    changes.list(clear).push((start, len));
                }
            }
        }
        for (numbers, clear) in [(&delta.inode_set, false), (&delta.inode_clear, true)] {
            for ino in numbers {
                let (group, index) = locate_inode(&self.geometry, *ino)?;
                let changes = bitmaps.entry(Place { kind: BitmapKind::Inode, group }).or_default();
                changes.list(clear).push((index, 1));
            }
        }
        Ok(bitmaps)
    }

    /// A group whose slots change must be in memory as it was before.
    fn load(&self, place: Place) -> Result<()> {
        match place.kind {
            BitmapKind::Block => self.group(place.group).map(|_| ()),
            BitmapKind::Inode => self.inode_group(place.group).map(|_| ()),
        }
    }

    fn apply(&self, place: Place, live: &GroupEntry, changes: &Changes, bits: &mut Bitset) -> Result<()> {
        let side = live.slot(place.kind).map_or(0, |live| live.side);
        let stray = |what: &str, index: u32| {
            Err(place.corrupt(&self.geometry, side, format!("a checkpoint {what} bit {index} once more")))
        };
        for (start, len) in &changes.set {
            let used = bits.next_used(*start);
            if used < start + len {
                return stray("sets", used);
            }
            bits.set(*start, *len);
        }
        for (start, len) in &changes.clear {
            let free = bits.next_free(*start);
            if free < start + len {
                return stray("clears", free);
            }
            bits.clear(*start, *len);
        }
        Ok(())
    }
}

impl Changes {
    const fn list(&mut self, clear: bool) -> &mut Vec<(u32, u32)> {
        if clear { &mut self.clear } else { &mut self.set }
    }
}
