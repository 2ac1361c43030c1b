//! Inodes without a name, and work on an inode that does not fit one transaction.
//!
//! Invariant: an inode whose link count is 0 and that is in the tree after a commit has an orphan item, and there is
//! none of an inode that is not in the tree. Each step is a transaction of bounded size that only gives space back, so a
//! full volume can do it too.

use vexfs_format::Key;
use vexfs_format::orphan::Work;
use vexfs_format::{FileType, Ino, Inode, Orphan, kinds, objects};
use vexfs_store::{Durability, Isolation, Read};

use crate::{Caller, Error, Fs, FsTx, Result, data, keys};

/// An inode without these flags has no extended attributes.
const ATTRIBUTES: u32 = Inode::HAS_ACL | Inode::HAS_DEFAULT_ACL | Inode::HAS_XATTRS;

/// Says that the inode is still to be removed.
pub(crate) fn put(tx: &mut FsTx, ino: Ino, inode: &Inode) {
    let orphan = Orphan { generation: inode.generation, work: Work::Remove };
    tx.store.put(keys::orphan(ino), orphan.encode());
}

/// Removes up to `budget` items of an inode without a name; says whether it is gone altogether.
pub(crate) fn remove_some(tx: &mut FsTx, ino: Ino, inode: &Inode, budget: &mut usize) -> Result<bool> {
    if inode.flags & ATTRIBUTES != 0 && !remove_xattrs(tx, ino, budget)? {
        return Ok(false);
    }
    if inode.file_type != FileType::Directory && !data::remove_some(tx, ino, inode, budget)? {
        return Ok(false);
    }
    tx.pending.record_put(ino);
    tx.store.delete(keys::inode(ino));
    tx.store.touch(keys::live(ino));
    tx.store.free_inode(ino);
    // A truncation that was to go on has nothing left to do.
    if inode.file_type == FileType::Regular && tx.store.get(keys::orphan(ino))?.is_some() {
        tx.store.delete(keys::orphan(ino));
    }
    Ok(true)
}

fn remove_xattrs(tx: &mut FsTx, ino: Ino, budget: &mut usize) -> Result<bool> {
    let (first, last) = (keys::xattr(ino, 0), keys::xattr(ino, u64::MAX));
    let keys: Vec<Key> = tx
        .store
        .range(first, last)
        .take(*budget)
        .map(|item| item.map(|(key, _)| key))
        .collect::<Result<_, _>>()?;
    *budget -= keys.len();
    keys.into_iter().for_each(|key| tx.store.delete(key));
    Ok(*budget > 0)
}

/// Does one step of what is left to do for the inode; says whether that was all that can be done now.
fn step(tx: &mut FsTx, ino: Ino) -> Result<bool> {
    let Some(value) = tx.store.get(keys::orphan(ino))? else { return Ok(true) };
    let orphan = Orphan::parse(&value).map_err(|source| Error::Damaged { ino, source })?;
    let mut budget = tx.fs.removal_budget();
    // The number may be another inode's by now.
    let inode = tx.find_inode(ino)?.filter(|inode| inode.generation == orphan.generation);
    if orphan.work == Work::Remove && tx.fs.handles().is_held(ino) {
        // Whoever lets go last removes it; nobody can come to hold it anew.
        return Ok(true);
    }
    let done = match (inode, orphan.work) {
        (Some(inode), Work::Remove) if inode.nlink == 0 => remove_some(tx, ino, &inode, &mut budget)?,
        (Some(inode), Work::Truncate { size }) => data::truncate_some(tx, ino, &inode, size, &mut budget)?,
        _ => true,
    };
    if done {
        tx.store.delete(keys::orphan(ino));
    }
    Ok(done)
}

impl Fs {
    /// How many items one step may remove, so that it is a small part of the log of even the smallest volume.
    pub(crate) fn removal_budget(&self) -> usize {
        let bytes = self.store().geometry().journal.bytes() / 32;
        usize::try_from(bytes / 64).unwrap_or(usize::MAX).clamp(64, 8192)
    }

    /// Finishes what is left to do for the inode. Should that fail, it stays an orphan, and is tried again when
    /// space runs out, at close, or at the next open.
    pub(crate) fn finish_soon(&self, ino: Ino) {
        if self.finish(ino).is_err() {
            self.unfinished().lock().push(ino);
        }
    }

    fn finish(&self, ino: Ino) -> Result<()> {
        let caller = Caller::root();
        loop {
            let mut tx = self.begin(&caller, Isolation::Snapshot)?;
            match step(&mut tx, ino).and_then(|done| tx.commit(Durability::Visible).map(|_| done)) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.is_conflict() => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
    }

    /// The first orphan from `from` on.
    pub(crate) fn first_orphan(&self, from: Ino) -> Result<Option<Ino>> {
        let last = Key::new(objects::ORPHANS, kinds::ORPHAN, u64::MAX);
        let first = self.store().view().range(keys::orphan(from), last).next().transpose()?;
        Ok(first.map(|(key, _)| Ino(key.offset)))
    }

    /// Does one step for the first orphan from `next` on, which a crash left; says whether there was one.
    pub(crate) fn finish_next_orphan(&self, next: &mut Ino) -> Result<bool> {
        let Some(ino) = self.first_orphan(*next)? else { return Ok(false) };
        let mut tx = self.begin(&Caller::root(), Isolation::Snapshot)?;
        match step(&mut tx, ino).and_then(|done| tx.commit(Durability::Visible).map(|_| done)) {
            Ok(done) => *next = Ino(ino.0.saturating_add(u64::from(done))),
            Err(error) if error.is_conflict() => {}
            Err(_) => {
                self.unfinished().lock().push(ino);
                *next = Ino(ino.0.saturating_add(1));
            }
        }
        Ok(true)
    }
}
