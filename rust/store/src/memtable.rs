//! The memtable: committed changes that no checkpoint holds yet, ordered by key, every version of each.
//!
//! Invariants: versions enter in sequence order, one writer at a time (the commit lock); a reader at sequence
//! *s* sees, for each key, the newest version not above *s*. A frozen memtable never changes again.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_skiplist::SkipMap;
use parking_lot::Mutex;
use vexfs_format::{BlockRun, Ino, Key, Seq};

/// A version of a key: its bytes, or that it was deleted.
pub(crate) type Version = Option<Arc<[u8]>>;

type VersionedKey = (Key, Reverse<Seq>);

/// What one key costs in memory beside its bytes (skip-list tower, key, reference count).
const ENTRY_OVERHEAD: u64 = 96;

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

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    entries: SkipMap<VersionedKey, Version>,
    bytes: AtomicU64,
    last: AtomicU64,
    pub(crate) space: Mutex<SpaceChanges>,
}

impl Memtable {
    /// Adds a version. Only the holder of the commit lock calls this.
    pub(crate) fn insert(&self, key: Key, seq: Seq, version: Version) {
        let len = version.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.bytes.fetch_add(len + ENTRY_OVERHEAD, Ordering::Relaxed);
        self.last.store(seq.0, Ordering::Relaxed);
        self.entries.insert((key, Reverse(seq)), version);
    }

    /// The version of `key` that a reader at `seq` sees: `None` if this memtable knows none.
    pub(crate) fn get(&self, key: Key, seq: Seq) -> Option<Version> {
        let entry = self.entries.lower_bound(Bound::Included(&(key, Reverse(seq))))?;
        (entry.key().0 == key).then(|| entry.value().clone())
    }

    /// The sequence of the newest version of `key`.
    pub(crate) fn newest(&self, key: Key) -> Option<Seq> {
        let entry = self.entries.lower_bound(Bound::Included(&(key, Reverse(Seq(u64::MAX)))))?;
        (entry.key().0 == key).then(|| entry.key().1.0)
    }

    /// Whether any key in the range has a version newer than `seq`.
    pub(crate) fn changed_in(&self, from: Key, to: Key, seq: Seq) -> bool {
        self.entries
            .range((from, Reverse(Seq(u64::MAX)))..=(to, Reverse(Seq(0))))
            .any(|entry| entry.key().1.0 > seq)
    }

    /// The first `limit` keys of the range that have a version at `seq`, ascending.
    pub(crate) fn ascending(&self, from: Key, to: Key, seq: Seq, limit: usize) -> Vec<(Key, Version)> {
        let mut found: Vec<(Key, Version)> = Vec::new();
        for entry in self.entries.range((from, Reverse(Seq(u64::MAX)))..=(to, Reverse(Seq(0)))) {
            let (key, Reverse(version_seq)) = *entry.key();
            if version_seq > seq || found.last().is_some_and(|(last, _)| *last == key) {
                continue;
            }
            if found.len() == limit {
                break;
            }
            found.push((key, entry.value().clone()));
        }
        found
    }

    /// The last `limit` keys of the range that have a version at `seq`, descending.
    pub(crate) fn descending(&self, from: Key, to: Key, seq: Seq, limit: usize) -> Vec<(Key, Version)> {
        let mut found: Vec<(Key, Version)> = Vec::new();
        for entry in self.entries.range((from, Reverse(Seq(u64::MAX)))..=(to, Reverse(Seq(0)))).rev() {
            let (key, Reverse(version_seq)) = *entry.key();
            if version_seq > seq {
                continue;
            }
            // Older versions of a key come first on the way down: a newer one replaces them.
            if found.last().is_some_and(|(last, _)| *last == key) {
                found.pop();
            } else if found.len() == limit {
                break;
            }
            found.push((key, entry.value().clone()));
        }
        found
    }

    /// Every key's newest version in key order, tokens left out: what a checkpoint merges.
    pub(crate) fn newest_versions(&self) -> impl Iterator<Item = (Key, Version)> + '_ {
        let mut last = None;
        self.entries.iter().filter_map(move |entry| {
            let key = entry.key().0;
            if last == Some(key) || key.kind >= vexfs_format::kinds::FIRST_VOLATILE {
                return None;
            }
            last = Some(key);
            Some((key, entry.value().clone()))
        })
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
        table.insert(key(1), Seq(2), bytes("two"));
        table.insert(key(1), Seq(5), bytes("five"));
        table.insert(key(1), Seq(7), None);
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
        table.insert(key(1), Seq(1), bytes("a"));
        table.insert(key(2), Seq(9), bytes("late"));
        table.insert(key(3), Seq(2), bytes("c"));
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
        table.insert(key(1), Seq(1), bytes("old"));
        table.insert(key(1), Seq(2), bytes("new"));
        table.insert(Key::new(20, 0xf0, 0), Seq(3), bytes(""));
        let all: Vec<_> = table.newest_versions().collect();
        assert_eq!(all, vec![(key(1), bytes("new"))]);
    }
}
