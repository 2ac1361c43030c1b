//! A transaction's private write set: what it will change when it commits, with savepoints.
//!
//! Keys are found by hash, and put in order once, for the commit. Only a transaction that reads a range pays for their
//! order before, from then on.
//!
//! Invariant: `undo` holds, for every change made since the oldest open savepoint, what stood there before, so
//! that rolling back is replaying it backwards.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use hashbrown::DefaultHashBuilder;
use indexmap::IndexMap;
use smallvec::SmallVec;
use vexfs_format::{BlockRun, Ino, Key, Seq};

use crate::Value;

/// A change that commutes with others of its key: it is applied to whatever is committed last. All changes of a
/// transaction to one key together make the value at most 200 bytes longer.
pub trait Merge: Send + Sync + std::fmt::Debug {
    /// The bytes after the change; `current` is `None` if the key has no value. Returning `None` deletes the key.
    fn apply(&self, current: Option<&[u8]>) -> Option<Vec<u8>>;
}

/// What the transaction does to one key.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Arc<[u8]>),
    Delete,
    Merge(SmallVec<[Arc<dyn Merge>; 1]>),
    Token,
}

/// A run that came into use in this transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub run: BlockRun,
    /// Digest of the blocks' checksums, or `None` for blocks whose bytes mean nothing (preallocated).
    pub digest: Option<u32>,
}

#[derive(Debug)]
enum Undo {
    Key(Key, Option<Write>),
    Placed(BlockRun),
    Freed,
    InodeTaken,
    InodeFreed,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    pub keys: IndexMap<Key, Write, DefaultHashBuilder>,
    /// The keys in their order, once somebody has asked for a range.
    order: OnceLock<BTreeSet<Key>>,
    pub placed: Vec<Placed>,
    pub freed: Vec<(BlockRun, Seq)>,
    pub inodes_taken: Vec<Ino>,
    pub inodes_freed: Vec<Ino>,
    undo: Vec<Undo>,
    savepoints: usize,
}

/// A place to roll back to.
#[derive(Debug)]
#[must_use = "a savepoint is either rolled back to or released"]
pub struct Savepoint {
    undo_len: usize,
    depth: usize,
}

/// What rolling back gives up: reservations that no change refers to any more.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub runs: Vec<BlockRun>,
    pub inodes: Vec<Ino>,
}

impl WriteSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.values().all(|write| matches!(write, Write::Token))
            && self.placed.is_empty()
            && self.freed.is_empty()
            && self.inodes_taken.is_empty()
            && self.inodes_freed.is_empty()
    }

    /// Puts the keys in order, as they are logged.
    pub(crate) fn sort(&mut self) {
        self.keys.sort_unstable_keys();
    }

    pub(crate) fn set(&mut self, key: Key, write: Write) {
        let before = self.keys.insert(key, write);
        if let Some(order) = self.order.get_mut() {
            order.insert(key);
        }
        self.remember(|| Undo::Key(key, before));
    }

    pub(crate) fn merge(&mut self, key: Key, change: Arc<dyn Merge>) {
        let write = match self.keys.get(&key) {
            Some(Write::Put(bytes)) => applied(&change, Some(bytes)),
            Some(Write::Delete) => applied(&change, None),
            Some(Write::Merge(changes)) => {
                let mut changes = changes.clone();
                changes.push(change);
                Write::Merge(changes)
            }
            Some(Write::Token) | None => Write::Merge(SmallVec::from_iter([change])),
        };
        self.set(key, write);
    }

    /// Bytes of the values that it puts.
    pub(crate) fn value_bytes(&self) -> usize {
        let len = |write: &Write| if let Write::Put(bytes) = write { bytes.len() } else { 0 };
        self.keys.values().map(len).sum()
    }

    pub(crate) fn place(&mut self, placed: Placed) {
        self.placed.push(placed);
        self.remember(|| Undo::Placed(placed.run));
    }

    pub(crate) fn free(&mut self, run: BlockRun, birth: Seq) {
        self.freed.push((run, birth));
        self.remember(|| Undo::Freed);
    }

    pub(crate) fn take_inode(&mut self, ino: Ino) {
        self.inodes_taken.push(ino);
        self.remember(|| Undo::InodeTaken);
    }

    pub(crate) fn free_inode(&mut self, ino: Ino) {
        self.inodes_freed.push(ino);
        self.remember(|| Undo::InodeFreed);
    }

    fn remember(&mut self, undo: impl FnOnce() -> Undo) {
        if self.savepoints > 0 {
            self.undo.push(undo());
        }
    }

    /// What a reader of this transaction sees of `key` over what is `committed`; `None`: nothing written here.
    pub(crate) fn seen(
        &self,
        key: Key,
        committed: impl FnOnce() -> crate::Result<Option<Value>>,
    ) -> Option<crate::Result<Option<Value>>> {
        match self.keys.get(&key)? {
            Write::Put(bytes) => Some(Ok(Some(Value::from(Arc::clone(bytes))))),
            Write::Delete => Some(Ok(None)),
            Write::Merge(changes) => {
                Some(committed().map(|value| merged(changes, value.as_deref()).map(Value::from)))
            }
            Write::Token => None,
        }
    }

    /// The written keys in `from..=to`, without tokens.
    pub(crate) fn range(&self, from: Key, to: Key) -> impl DoubleEndedIterator<Item = (Key, &Write)> {
        let order = (from <= to).then(|| self.order.get_or_init(|| self.keys.keys().copied().collect()));
        let keys = order.into_iter().flat_map(move |order| order.range(from..=to));
        keys.filter_map(|key| Some((*key, self.keys.get(key)?)))
            .filter(|(_, write)| !matches!(write, Write::Token))
    }

    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.savepoints += 1;
        Savepoint { undo_len: self.undo.len(), depth: self.savepoints }
    }

    pub(crate) fn release(&mut self, savepoint: Savepoint) {
        self.close(&savepoint);
    }

    fn close(&mut self, savepoint: &Savepoint) {
        self.savepoints = savepoint.depth.saturating_sub(1);
        if self.savepoints == 0 {
            self.undo.clear();
        }
    }

    pub(crate) fn rollback(&mut self, savepoint: Savepoint) -> Released {
        let mut released = Released::default();
        while self.undo.len() > savepoint.undo_len {
            match self.undo.pop() {
                Some(Undo::Key(key, Some(before))) => drop(self.keys.insert(key, before)),
                Some(Undo::Key(key, None)) => self.forget(&key),
                Some(Undo::Placed(run)) => {
                    self.placed.pop();
                    released.runs.push(run);
                }
                Some(Undo::Freed) => drop(self.freed.pop()),
                Some(Undo::InodeTaken) => released.inodes.extend(self.inodes_taken.pop()),
                Some(Undo::InodeFreed) => drop(self.inodes_freed.pop()),
                None => break,
            }
        }
        self.close(&savepoint);
        released
    }

    fn forget(&mut self, key: &Key) {
        self.keys.swap_remove(key);
        if let Some(order) = self.order.get_mut() {
            order.remove(key);
        }
    }
}

/// The bytes after `changes` to `current`.
pub(crate) fn merged(changes: &[Arc<dyn Merge>], current: Option<&[u8]>) -> Option<Arc<[u8]>> {
    let mut bytes = current.map(<[u8]>::to_vec);
    for change in changes {
        bytes = change.apply(bytes.as_deref());
    }
    bytes.map(Arc::from)
}

fn applied(change: &Arc<dyn Merge>, current: Option<&[u8]>) -> Write {
    change.apply(current).map_or(Write::Delete, |bytes| Write::Put(Arc::from(bytes)))
}
