//! Who holds which inode: open files, directories that are walked, lookups of a mount.
//!
//! Invariants: an inode without a name is removed by the transaction that took its last name if nobody held it at
//! that moment, else when the last hold goes, else at the next open of the volume. While such a transaction is
//! being committed the inode cannot be held anew: whoever tries waits for the outcome, which takes microseconds.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use vexfs_format::Ino;

use crate::data::FileState;
use crate::{Error, Fs, Result};

const SHARDS: usize = 64;

/// The table of held inodes.
#[derive(Debug)]
pub(crate) struct Handles {
    shards: Vec<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    entries: Mutex<HashMap<Ino, Entry>>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Entry {
    holds: u64,
    /// Its removal is being committed.
    removing: bool,
    /// It has no name; whoever lets go last removes it.
    orphan: bool,
    /// It never had a name and may still get one.
    linkable: bool,
    /// What the data layer keeps for it while it is held.
    data: Arc<FileState>,
}

/// How the removal of an inode's last name ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was not committed.
    Undone,
    /// The inode is gone.
    Removed,
    /// The inode waits for its removal.
    Orphaned,
}

impl Default for Handles {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }
}

impl Handles {
    fn shard(&self, ino: Ino) -> Option<&Shard> {
        self.shards.get(ino.0 as usize % SHARDS)
    }

    /// Adds a hold, whether or not the inode exists; says whether it is the first.
    pub(crate) fn hold(&self, ino: Ino) -> bool {
        let Some(shard) = self.shard(ino) else { return false };
        let mut entries = shard.entries.lock();
        while entries.get(&ino).is_some_and(|entry| entry.removing) {
            shard.settled.wait(&mut entries);
        }
        let entry = entries.entry(ino).or_default();
        entry.holds = entry.holds.saturating_add(1);
        entry.holds == 1
    }

    /// Ends `count` holds; returns whether the inode is to be removed now.
    #[must_use]
    fn release(&self, ino: Ino, count: u64) -> bool {
        let Some(shard) = self.shard(ino) else { return false };
        let mut entries = shard.entries.lock();
        let Some(entry) = entries.get_mut(&ino) else { return false };
        entry.holds = entry.holds.saturating_sub(count);
        if entry.holds > 0 || entry.removing {
            return false;
        }
        entries.remove(&ino).is_some_and(|entry| entry.orphan)
    }

    /// What the data layer keeps for the inode, if somebody holds it.
    pub(crate) fn data(&self, ino: Ino) -> Option<Arc<FileState>> {
        let entries = self.shard(ino)?.entries.lock();
        entries.get(&ino).map(|entry| Arc::clone(&entry.data))
    }

    /// Whether somebody holds the inode.
    pub(crate) fn is_held(&self, ino: Ino) -> bool {
        let Some(shard) = self.shard(ino) else { return false };
        shard.entries.lock().get(&ino).is_some_and(|entry| entry.holds > 0)
    }

    /// Whether the inode has no name yet but may get one.
    pub(crate) fn is_linkable(&self, ino: Ino) -> bool {
        let Some(shard) = self.shard(ino) else { return false };
        shard.entries.lock().get(&ino).is_some_and(|entry| entry.linkable)
    }

    /// Says that the inode, which somebody holds, may get its first name later.
    pub(crate) fn set_linkable(&self, ino: Ino) {
        let Some(shard) = self.shard(ino) else { return };
        if let Some(entry) = shard.entries.lock().get_mut(&ino) {
            entry.linkable = true;
        }
    }

    /// Begins the removal of an inode that has no name; says whether somebody holds it.
    pub(crate) fn begin_removal(&self, ino: Ino) -> Result<bool> {
        let Some(shard) = self.shard(ino) else { return Ok(false) };
        let mut entries = shard.entries.lock();
        let entry = entries.entry(ino).or_default();
        if entry.removing {
            return Err(Error::Store(vexfs_store::Error::Conflict));
        }
        entry.removing = true;
        Ok(entry.holds > 0)
    }

    /// Ends it; returns whether the inode is to be removed now.
    #[must_use]
    pub(crate) fn end_removal(&self, ino: Ino, outcome: Outcome) -> bool {
        let Some(shard) = self.shard(ino) else { return false };
        let mut entries = shard.entries.lock();
        let MapEntry::Occupied(mut place) = entries.entry(ino) else { return false };
        let entry = place.get_mut();
        entry.removing = false;
        entry.orphan |= outcome == Outcome::Orphaned;
        let finish = entry.holds == 0 && entry.orphan;
        if entry.holds == 0 {
            place.remove();
        }
        shard.settled.notify_all();
        finish
    }

    /// The inode has got a name (back).
    pub(crate) fn named(&self, ino: Ino) {
        let Some(shard) = self.shard(ino) else { return };
        if let Some(entry) = shard.entries.lock().get_mut(&ino) {
            (entry.orphan, entry.linkable) = (false, false);
        }
    }
}

/// Keeps an inode from being removed when its last name goes: an open file. Dropping the last hold of an inode
/// without a name removes it.
#[derive(Debug)]
pub struct Hold {
    fs: Fs,
    ino: Ino,
    generation: u64,
    /// Whether dropping it ends it.
    counted: bool,
}

impl Hold {
    pub(crate) fn new(fs: &Fs, ino: Ino, generation: u64) -> Self {
        Self { fs: fs.clone(), ino, generation, counted: true }
    }

    pub(crate) fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// The volume.
    #[must_use]
    pub fn fs(&self) -> &Fs {
        &self.fs
    }

    /// The inode.
    #[must_use]
    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Turns the hold into one that is only counted: [`Fs::forget`] ends it. This is a mount's lookup count.
    pub fn into_lookup(mut self) {
        self.counted = false;
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        self.fs.handles().hold(self.ino);
        Self::new(&self.fs, self.ino, self.generation)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.counted {
            self.fs.forget(self.ino, 1);
        }
    }
}

impl Fs {
    /// Ends `count` holds of the inode that [`Hold::into_lookup`] left behind.
    pub fn forget(&self, ino: Ino, count: u64) {
        if count > 0 && self.handles().release(ino, count) {
            self.finish_soon(ino);
        }
    }

    /// Holds an inode of the newest state.
    ///
    /// # Errors
    /// [`Error::Stale`] if it is not there any more, or (`generation` given) is another one by now.
    pub fn hold(&self, ino: Ino, generation: Option<u64>) -> Result<Hold> {
        let first = self.handles().hold(ino);
        let hold = Hold::new(self, ino, 0);
        let inode = self.view(&crate::Caller::root())?.inode(ino)?;
        let dying = first && inode.nlink == 0;
        if dying || generation.is_some_and(|generation| generation != inode.generation) {
            return Err(Error::Stale(ino));
        }
        Ok(hold.with_generation(inode.generation))
    }
}
