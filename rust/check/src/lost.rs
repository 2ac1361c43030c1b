//! Which keys of the newest tree nobody can know anything about, because a node or value could not be read.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use vexfs_format::{Key, kinds};

/// Ranges of keys: each from its first key to before its second, or to the end.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    ranges: Mutex<BTreeMap<Key, Option<Key>>>,
}

impl Lost {
    /// Nothing is known of these keys.
    pub fn add(&self, low: Key, high: Option<Key>) {
        let mut ranges = self.ranges.lock();
        let longest = match ranges.get(&low) {
            None => high,
            Some(known) => known.and_then(|known| high.map(|high| high.max(known))),
        };
        ranges.insert(low, longest);
    }

    /// Whether everything is known.
    pub fn is_empty(&self) -> bool {
        self.ranges.lock().is_empty()
    }

    /// Whether nothing is known of this key.
    pub fn has(&self, key: Key) -> bool {
        self.touches(key, key)
    }

    /// Whether nothing is known of some of the keys from `from` to `to`.
    pub fn touches(&self, from: Key, to: Key) -> bool {
        let ranges = self.ranges.lock();
        // Ranges of one tree do not overlap, so of those that begin before only the last can reach here.
        let before = ranges.range(..=from).next_back();
        before.is_some_and(|(_, high)| high.is_none_or(|high| high > from))
            || ranges.range(from..=to).next().is_some()
    }

    /// Whether something of this object is unknown.
    pub fn touches_object(&self, object: u64) -> bool {
        self.touches(Key::new(object, 0, 0), Key::new(object, u8::MAX, u64::MAX))
    }

    /// Whether a directory's entries may be among what is unknown.
    pub fn may_have_entries(&self) -> bool {
        self.ranges.lock().iter().any(|(low, high)| {
            let entry = |object| Key::new(object, kinds::DIRENT, 0);
            let first = if low.kind <= kinds::DIRENT {
                Some(entry(low.object))
            } else {
                low.object.checked_add(1).map(entry)
            };
            first.is_some_and(|first| high.is_none_or(|high| high > first))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_within_a_lost_range_are_lost_and_those_at_its_end_are_not() {
        let lost = Lost::default();
        lost.add(Key::new(20, 5, 100), Some(Key::new(22, 1, 0)));
        assert!(lost.has(Key::new(21, 2, 7)) && lost.has(Key::new(20, 5, 100)));
        assert!(!lost.has(Key::new(22, 1, 0)) && !lost.has(Key::new(20, 5, 99)));
        assert!(lost.touches_object(20) && lost.touches_object(21) && !lost.touches_object(19));
        assert!(!lost.touches_object(23) && lost.may_have_entries());
    }

    #[test]
    fn the_extents_of_one_file_hide_no_entries() {
        let lost = Lost::default();
        lost.add(Key::new(20, kinds::EXTENT, 0), Some(Key::new(21, kinds::INODE, 0)));
        assert!(!lost.may_have_entries());
        lost.add(Key::new(30, kinds::EXTENT, 0), Some(Key::new(32, 0, 0)));
        assert!(lost.may_have_entries());
    }
}
