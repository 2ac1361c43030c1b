//! The memtable: committed changes that no checkpoint holds yet, ordered by key, every version of each.
//!
//! Invariants: versions enter in sequence order, one writer at a time (the commit lock); a reader at sequence
//! *s* sees, for each key, the newest version not above *s*. A frozen memtable never changes again. The keys' lock
//! is held for a look-up or for a few insertions, never while anything is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use vexfs_format::{BlockRun, Ino, Key, Seq, kinds};

use crate::versions::{Keys, Versions};

/// A version of a key: its bytes, or that it was deleted.
pub(crate) type Version = Option<Arc<[u8]>>;

/// What one key costs in memory beside its bytes (its places in the order and the index, reference counts).
const ENTRY_OVERHEAD: u64 = 128;
/// Insertions for which the map is locked at once, so that readers wait for microseconds only.
const INSERT_BATCH: usize = 64;
/// Versions of one key from which on those that nobody reads are dropped.
const PRUNE_FROM: usize = 8;

/// Bitmap changes of committed transactions, in commit order.
#[derive(Debug, Default)]
pub(crate) struct SpaceChanges {
    /// Runs that came into use.
    pub set: Vec<BlockRun>,
    /// Runs that went out of use.
    pub freed: Vec<Freed>,
    /// Inode numbers that came into use.
    pub inode_set: Vec<Ino>,
    /// Inode numbers that went out of use.
    pub inode_freed: Vec<Ino>,
}

/// A run that went out of use: nothing born before `birth` and nothing at or after `freed` refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub run: BlockRun,
    pub birth: Seq,
    pub freed: Seq,
}

/// How many blocks the runs have together.
pub(crate) fn freed_blocks(freed: &[Freed]) -> u64 {
    freed.iter().map(|freed| u64::from(freed.run.len)).sum()
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    keys: RwLock<Keys>,
    bytes: AtomicU64,
    last: AtomicU64,
    pub(crate) space: Mutex<SpaceChanges>,
}

impl Memtable {
    /// Adds versions of one commit. Only the holder of the commit lock calls this. `oldest`: no reader reads below.
    pub(crate) fn insert(&self, seq: Seq, oldest: Seq, versions: impl IntoIterator<Item = (Key, Version)>) {
        let mut versions = versions.into_iter();
        self.last.store(seq.0, Ordering::Relaxed);
        loop {
            let mut keys = self.keys.write();
            let mut bytes = 0;
            for _ in 0..INSERT_BATCH {
                let Some((key, version)) = versions.next() else {
                    self.bytes.fetch_add(bytes, Ordering::Relaxed);
                    return;
                };
                bytes += cost(&version);
                let known = keys.entry(key);
                known.push((seq, version));
                if known.len() >= PRUNE_FROM && known.len().is_power_of_two() {
                    self.bytes.fetch_sub(prune(known, oldest), Ordering::Relaxed);
                }
            }
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The version of `key` that a reader at `seq` sees: `None` if this memtable knows none.
    pub(crate) fn get(&self, key: Key, seq: Seq) -> Option<Version> {
        if self.is_untouched() {
            return None;
        }
        self.keys.read().get(&key).and_then(|versions| seen(versions, seq)).cloned()
    }

    /// The sequence of the newest version of `key`.
    pub(crate) fn newest(&self, key: Key) -> Option<Seq> {
        self.keys.read().get(&key).and_then(|versions| versions.last()).map(|(seq, _)| *seq)
    }

    /// Whether any key in the range has a version newer than `seq`.
    pub(crate) fn changed_in(&self, from: Key, to: Key, seq: Seq) -> bool {
        let newer = |versions: &Versions| versions.last().is_some_and(|(newest, _)| *newest > seq);
        from <= to && self.keys.read().range(from, to).any(|(_, versions)| newer(versions))
    }

    /// The first `limit` keys of the range that have a version at `seq`, ascending.
    pub(crate) fn ascending(&self, from: Key, to: Key, seq: Seq, limit: usize) -> Vec<(Key, Version)> {
        if from > to {
            return Vec::new();
        }
        let keys = self.keys.read();
        let found =
            keys.range(from, to).filter_map(|(key, versions)| Some((key, seen(versions, seq)?.clone())));
        found.take(limit).collect()
    }

    /// The last `limit` keys of the range that have a version at `seq`, descending.
    pub(crate) fn descending(&self, from: Key, to: Key, seq: Seq, limit: usize) -> Vec<(Key, Version)> {
        if from > to {
            return Vec::new();
        }
        let keys = self.keys.read();
        let found = keys.range(from, to).rev();
        found.filter_map(|(key, versions)| Some((key, seen(versions, seq)?.clone()))).take(limit).collect()
    }

    /// A frozen memtable's keys, for [`Contents::newest_versions`].
    pub(crate) fn contents(&self) -> Contents<'_> {
        Contents(self.keys.read())
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing was ever committed into it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.last() == Seq(0)
    }

    /// The sequence of the newest version of any key.
    pub(crate) fn last(&self) -> Seq {
        Seq(self.last.load(Ordering::Relaxed))
    }
}

/// A memtable's keys, held for a checkpoint.
pub(crate) struct Contents<'a>(RwLockReadGuard<'a, Keys>);

impl Contents<'_> {
    /// Every key's newest version in key order, tokens left out: what a checkpoint merges.
    pub(crate) fn newest_versions(&self) -> impl Iterator<Item = (Key, Version)> + '_ {
        let logged = self.0.range(Key::MIN, Key::MAX).filter(|(key, _)| key.kind < kinds::FIRST_VOLATILE);
        logged.filter_map(|(key, versions)| Some((key, versions.last()?.1.clone())))
    }
}

fn cost(version: &Version) -> u64 {
    version.as_ref().map_or(0, |bytes| bytes.len() as u64) + ENTRY_OVERHEAD
}

/// The newest version not above `seq`.
fn seen(versions: &Versions, seq: Seq) -> Option<&Version> {
    versions.iter().rev().find(|(version_seq, _)| *version_seq <= seq).map(|(_, version)| version)
}

/// Drops the versions that no reader at `oldest` or later can see; returns what they cost.
fn prune(versions: &mut Versions, oldest: Seq) -> u64 {
    let needed = versions.iter().rposition(|(seq, _)| *seq <= oldest).unwrap_or(0);
    versions.drain(..needed).map(|(_, version)| cost(&version)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(offset: u64) -> Key {
        Key::new(20, 1, offset)
    }

    fn bytes(text: &str) -> Version {
        Some(Arc::from(text.as_bytes()))
    }

    #[test]
    fn a_reader_sees_the_newest_version_not_above_its_sequence() {
        let table = Memtable::default();
        table.insert(Seq(2), Seq(0), [(key(1), bytes("two"))]);
        table.insert(Seq(5), Seq(0), [(key(1), bytes("five"))]);
        table.insert(Seq(7), Seq(0), [(key(1), None)]);
        assert_eq!(table.get(key(1), Seq(1)), None);
        assert_eq!(table.get(key(1), Seq(4)), Some(bytes("two")));
        assert_eq!(table.get(key(1), Seq(6)), Some(bytes("five")));
        assert_eq!(table.get(key(1), Seq(9)), Some(None));
        assert_eq!(table.newest(key(1)), Some(Seq(7)));
        assert_eq!(table.newest(key(2)), None);
    }

    #[test]
    fn both_directions_skip_what_is_too_new() {
        let table = Memtable::default();
        table.insert(Seq(1), Seq(0), [(key(1), bytes("a"))]);
        table.insert(Seq(9), Seq(0), [(key(2), bytes("late"))]);
        table.insert(Seq(2), Seq(0), [(key(3), bytes("c"))]);
        assert_eq!(table.ascending(key(2), key(9), Seq(5), 9), vec![(key(3), bytes("c"))]);
        assert_eq!(table.descending(key(0), key(2), Seq(5), 9), vec![(key(1), bytes("a"))]);
        assert_eq!(
            table.descending(key(0), key(9), Seq(9), 2),
            vec![(key(3), bytes("c")), (key(2), bytes("late"))]
        );
        assert_eq!(table.ascending(key(2), key(2), Seq(5), 9), vec![]);
        assert!(table.changed_in(key(2), key(3), Seq(5)));
        assert!(!table.changed_in(key(3), key(4), Seq(5)));
    }

    #[test]
    fn a_checkpoint_takes_the_newest_version_and_no_tokens() {
        let table = Memtable::default();
        table.insert(Seq(1), Seq(0), [(key(1), bytes("old"))]);
        table.insert(Seq(2), Seq(0), [(key(1), bytes("new"))]);
        table.insert(Seq(3), Seq(0), [(Key::new(20, 0xf0, 0), bytes(""))]);
        let all: Vec<_> = table.contents().newest_versions().collect();
        assert_eq!(all, vec![(key(1), bytes("new"))]);
    }

    #[test]
    fn versions_that_nobody_can_read_any_more_are_dropped() {
        let table = Memtable::default();
        for seq in 1..=64 {
            table.insert(Seq(seq), Seq(40), [(key(1), bytes("v"))]);
        }
        assert!(table.bytes() < 40 * (ENTRY_OVERHEAD + 1), "{}", table.bytes());
        assert_eq!(table.get(key(1), Seq(40)), Some(bytes("v")));
        assert_eq!(table.newest(key(1)), Some(Seq(64)));
    }
}
