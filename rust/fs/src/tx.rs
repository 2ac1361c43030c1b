//! The life of a transaction over files: begin, savepoints, commit.
//!
//! What a commit decides last is what becomes of inodes without a name. One that nobody holds goes in this very
//! transaction if it is small; else an orphan item says what is left to do, and it is done in bounded steps by
//! whoever lets go last, by the committer, or at the next open.

use std::sync::Arc;

use vexfs_format::{Ino, Inode, Seq};
use vexfs_store::{Durability, Savepoint};

use crate::handle::Outcome;
use crate::path::Moving;
use crate::pending::Directories;
use crate::touch::Touch;
use crate::{Error, Fs, FsTx, Result, keys, orphan};

impl FsTx {
    /// Commits: validates, makes visible and, if asked, waits until it is on the device.
    ///
    /// # Errors
    /// A conflict with another transaction, no space, too large for the log: nothing has happened.
    pub fn commit(mut self, durability: Durability) -> Result<Seq> {
        let mut removals = self.settle_nameless()?;
        self.store.set_removal(!self.pending.grows);
        let Self { fs, store, pending, .. } = self;
        let moving = (pending.directories == Directories::Moved).then(|| Moving::begin(&fs));
        let seq = store.commit(durability)?;
        drop(moving);
        pending.named.iter().for_each(|ino| fs.handles().named(*ino));
        removals.committed = true;
        drop(removals);
        pending.unfinished.into_iter().for_each(|ino| fs.finish_soon(ino));
        Ok(seq)
    }

    /// Undoes everything. Dropping the transaction does the same.
    pub fn abort(self) {
        drop(self);
    }

    /// A place to roll back to.
    pub fn savepoint(&mut self) -> Savepoint {
        self.pending.part();
        self.store.savepoint()
    }

    /// Undoes everything since `savepoint`.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.pending.part();
        self.store.rollback_to(savepoint);
    }

    /// Keeps everything since `savepoint`.
    pub fn release(&mut self, savepoint: Savepoint) {
        self.pending.part();
        self.store.release(savepoint);
    }

    /// Says that an orphan item of the inode was put, whose work goes on after the commit.
    pub(crate) fn finish_after_commit(&mut self, ino: Ino) {
        self.pending.unfinished.push(ino);
    }

    /// Whether a commit would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty() && self.pending.nameless.is_empty()
    }

    /// Says that the transaction does more than give space back.
    pub(crate) fn grows(&mut self) {
        self.pending.grows = true;
    }

    /// Sets an inode record: an ordinary write, which conflicts with every other change of the inode.
    pub(crate) fn put_inode(&mut self, ino: Ino, inode: &Inode) {
        self.pending.record_put(ino);
        self.store.put(keys::inode(ino), inode.encode());
    }

    /// Changes an inode record in a way that commutes, provided that the inode is still there at commit.
    pub(crate) fn touch(&mut self, ino: Ino, touch: Touch) {
        self.store.observe(keys::live(ino));
        self.store.merge(keys::inode(ino), Arc::new(touch));
    }

    /// Notes that an entry of `dir` changed at `now`, by which `subdirs` directories came to be in it.
    pub(crate) fn touch_dir(&mut self, dir: Ino, now: i64, subdirs: i32) {
        if let Some(touch) = self.pending.touches.get(&dir) {
            touch.join(now, subdirs);
            return;
        }
        let touch = Arc::new(Touch::directory(now, subdirs));
        self.store.observe(keys::live(dir));
        self.store.merge(keys::inode(dir), Arc::clone(&touch) as Arc<dyn vexfs_store::Merge>);
        // One that the store does not keep was applied at once, to a record put by this transaction.
        if Arc::strong_count(&touch) > 1 {
            self.pending.touches.insert(dir, touch);
        }
    }

    /// Sets the link count of an inode that has just lost a name, or never had one.
    pub(crate) fn put_nameless(&mut self, ino: Ino, inode: &Inode) {
        debug_assert_eq!(inode.nlink, 0);
        self.put_inode(ino, inode);
        self.store.touch(keys::live(ino));
        self.pending.nameless.push(ino);
    }

    fn settle_nameless(&mut self) -> Result<Removals> {
        let mut removals = Removals { fs: self.fs.clone(), list: Vec::new(), committed: false };
        let mut nameless = std::mem::take(&mut self.pending.nameless);
        nameless.sort_unstable();
        nameless.dedup();
        let mut budget = self.fs.removal_budget();
        for ino in nameless {
            let Some(inode) = self.find_inode(ino)? else { continue };
            if inode.nlink > 0 {
                continue;
            }
            let held = self.fs.handles().begin_removal(ino)?;
            removals.list.push((ino, Outcome::Orphaned));
            let gone = !held && orphan::remove_some(self, ino, &inode, &mut budget)?;
            if gone && let Some((_, outcome)) = removals.list.last_mut() {
                *outcome = Outcome::Removed;
            }
            if !gone {
                orphan::put(self, ino, &inode);
            }
        }
        Ok(removals)
    }
}

/// The inodes whose removal is part of a commit that is on its way.
struct Removals {
    fs: Fs,
    list: Vec<(Ino, Outcome)>,
    committed: bool,
}

impl Drop for Removals {
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.list);
        left.retain(|(ino, outcome)| {
            let outcome = if self.committed { *outcome } else { Outcome::Undone };
            self.fs.handles().end_removal(*ino, outcome)
        });
        // Only now: this may take long, and nobody who wants to hold one of them should wait for it.
        left.into_iter().for_each(|(ino, _)| self.fs.finish_soon(ino));
    }
}

/// How often a transaction is run again before its conflict is reported.
const RETRIES: u32 = 10_000;

impl Fs {
    /// Runs `operation` in a transaction of its own, which is visible when this returns and durable with the next
    /// group commit. A conflict with another transaction runs it again.
    ///
    /// # Errors
    /// Those of the operation and of the commit.
    pub fn auto<T>(
        &self,
        caller: &crate::Caller,
        operation: impl FnMut(&mut FsTx) -> Result<T>,
    ) -> Result<T> {
        self.auto_with(caller, Durability::Visible, operation)
    }

    /// As [`Fs::auto`], with a choice of what the return waits for.
    ///
    /// # Errors
    /// Those of the operation and of the commit.
    pub fn auto_with<T>(
        &self,
        caller: &crate::Caller,
        durability: Durability,
        mut operation: impl FnMut(&mut FsTx) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 0;
        loop {
            let mut tx = self.begin(caller, vexfs_store::Isolation::Snapshot)?;
            let result = operation(&mut tx).and_then(|value| tx.commit(durability).map(|_| value));
            match result {
                Err(error) if error.is_conflict() && attempt < RETRIES => back_off(attempt),
                Err(Error::Store(vexfs_store::Error::NoSpace)) if self.settle_orphans() => {}
                result => return result,
            }
            attempt += 1;
        }
    }
}

/// Waits a little longer each time, so that whoever is in the way gets through.
fn back_off(attempt: u32) {
    match attempt {
        0..4 => std::hint::spin_loop(),
        4..16 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(u64::from(attempt.min(100)) * 10)),
    }
}
