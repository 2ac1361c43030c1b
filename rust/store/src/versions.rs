//! The keys of a memtable with their versions, found by hash or walked in order.
//!
//! Most look-ups are for one key, and most of those find nothing: a hash answers them with one or two reads of memory,
//! where the order needs one for each of its levels. Ranges go through the order.
//!
//! Invariant: every entry is in the order and in the index once; none ever leaves.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;
use vexfs_format::{Key, Seq};

use crate::memtable::Version;

/// The versions of one key, oldest first; hardly ever more than one.
pub(crate) type Versions = SmallVec<[(Seq, Version); 1]>;

/// Entries that lie together; a full chunk is never moved, so that growing costs no pause.
const CHUNK: usize = 1024;
/// Parts of the index; each grows by itself, so that no growth holds readers up for long.
const SHARDS: usize = 16;

/// See the head of the file.
#[derive(Default)]
pub(crate) struct Keys {
    entries: Entries,
    order: BTreeMap<Key, u32>,
    index: [HashTable<u32>; SHARDS],
    hasher: DefaultHashBuilder,
}

impl Keys {
    /// The versions of a key.
    #[inline]
    pub(crate) fn get(&self, key: &Key) -> Option<&Versions> {
        let hash = self.hasher.hash_one(key);
        let entries = &self.entries;
        let found = shard(&self.index, hash)?.find(hash, |&number| entries.is(number, key))?;
        entries.get(*found).map(|(_, versions)| versions)
    }

    /// The versions of a key, none yet if it is new.
    pub(crate) fn entry(&mut self, key: Key) -> &mut Versions {
        let hash = self.hasher.hash_one(key);
        let Self { entries, order, index, hasher } = self;
        let found = shard(index, hash).and_then(|shard| shard.find(hash, |&number| entries.is(number, &key)));
        let number = match found {
            Some(number) => *number,
            None => {
                let number = entries.push(key);
                order.insert(key, number);
                if let Some(shard) = index.get_mut(shard_number(hash)) {
                    shard.insert_unique(hash, number, |&each| hasher.hash_one(entries.key(each)));
                }
                number
            }
        };
        entries.get_mut(number)
    }

    /// The keys of a range, both ends included, in order.
    pub(crate) fn range(&self, from: Key, to: Key) -> impl DoubleEndedIterator<Item = (Key, &Versions)> + '_ {
        let numbers = self.order.range(from..=to);
        numbers.filter_map(|(key, number)| Some((*key, &self.entries.get(*number)?.1)))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.range(Key::MIN, Key::MAX)).finish()
    }
}

/// The bits that the table itself looks at first are others.
fn shard_number(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

fn shard(index: &[HashTable<u32>; SHARDS], hash: u64) -> Option<&HashTable<u32>> {
    index.get(shard_number(hash))
}

/// Entries by number.
#[derive(Default)]
struct Entries {
    chunks: Vec<Vec<(Key, Versions)>>,
    /// What a number that nobody was given leads to.
    none: Versions,
}

impl Entries {
    fn push(&mut self, key: Key) -> u32 {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else { return 0 };
        chunk.push((key, Versions::new()));
        (before + chunk.len() - 1) as u32
    }

    #[inline]
    fn get(&self, number: u32) -> Option<&(Key, Versions)> {
        self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)
    }

    fn get_mut(&mut self, number: u32) -> &mut Versions {
        let chunk = self.chunks.get_mut(number as usize / CHUNK);
        match chunk.and_then(|chunk| chunk.get_mut(number as usize % CHUNK)) {
            Some((_, versions)) => versions,
            None => &mut self.none,
        }
    }

    fn key(&self, number: u32) -> Key {
        self.get(number).map_or(Key::MIN, |(key, _)| *key)
    }

    #[inline]
    fn is(&self, number: u32, key: &Key) -> bool {
        self.get(number).is_some_and(|(each, _)| each == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys with equal hashes of their lower bits, of one object and of many.
    fn some(count: u64) -> impl Iterator<Item = Key> {
        (0..count).map(|number| {
            Key::new(number % 97, (number % 5) as u8, number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        })
    }

    #[test]
    fn every_key_is_found_by_hash_and_in_order_however_many_there_are() {
        let mut keys = Keys::default();
        let count = 5 * CHUNK as u64 + 3;
        for (number, key) in some(count).enumerate() {
            keys.entry(key).push((Seq(number as u64), None));
            keys.entry(key).push((Seq(u64::MAX), None));
        }
        for (number, key) in some(count).enumerate() {
            let versions =
                keys.get(&key).map(|versions| versions.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
            assert_eq!(versions, Some(vec![Seq(number as u64), Seq(u64::MAX)]));
        }
        assert!(keys.get(&Key::new(1000, 0, 0)).is_none());
        let mut sorted: Vec<Key> = some(count).collect();
        sorted.sort_unstable();
        assert!(keys.range(Key::MIN, Key::MAX).map(|(key, _)| key).eq(sorted.iter().copied()));
        assert!(
            keys.range(sorted[7], sorted[9]).rev().map(|(key, _)| key).eq([sorted[9], sorted[8], sorted[7]])
        );
    }
}
