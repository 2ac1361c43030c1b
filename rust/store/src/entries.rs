//! The entries of a run: made by each worker from its part of the log, sorted into one array.
//!
//! A transaction's keys come in order, and what is made later mostly has higher keys, so a part is mostly a few
//! ascending runs and parts mostly follow each other. The sort takes what order there is: each part by itself, by a
//! sort that finds runs; then range after range of keys, each gathered from all parts and small enough for a cache.
//! Both in parallel. Entries have one order, so the result does not depend on the number of workers.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;
use vexfs_device::PageBuf;
use vexfs_format::{Key, Lsn};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Result;

/// A key and where the operation on it begins: 64 bits of object, 8 of kind, 64 of offset, 56 of log position, in
/// this order, so that entries compare as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Entry([u64; 3]);

const POSITION_BITS: u32 = 56;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;
const KEY_BITS: u32 = 64 - POSITION_BITS;

/// One entry in so many is looked at to find ranges of like size,
const SAMPLE: usize = 256;
/// and a range has so many of them.
const SAMPLES: usize = 64;

impl Entry {
    pub(crate) fn new(key: Key, position: Lsn) -> Self {
        let Key { object, kind, offset } = key;
        let middle = u64::from(kind) << POSITION_BITS | offset >> KEY_BITS;
        Self([object, middle, offset << POSITION_BITS | position.0 & POSITION_MASK])
    }

    /// Not behind any entry of the key.
    pub(crate) fn first_of(key: Key) -> Self {
        Self::new(key, Lsn(0))
    }

    /// Not before any entry of the key.
    pub(crate) fn last_of(key: Key) -> Self {
        Self::new(key, Lsn(POSITION_MASK))
    }

    pub(crate) fn key(&self) -> Key {
        let Self([object, middle, low]) = *self;
        Key::new(object, (middle >> POSITION_BITS) as u8, middle << KEY_BITS | low >> POSITION_BITS)
    }

    pub(crate) fn position(&self) -> Lsn {
        let Self([_, _, low]) = *self;
        Lsn(low & POSITION_MASK)
    }

    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        let (Self([a, b, c]), Self([d, e, f])) = (*self, *other);
        (a ^ d) | (b ^ e) | (c ^ f) >> POSITION_BITS == 0
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let order = |Self([object, middle, low])| (u128::from(object) << 64 | u128::from(middle), low);
        order(*self).cmp(&order(*other))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Where workers put their parts: memory in large pieces, each filled by one worker at a time, so that a part costs
/// neither an allocation of its own nor a fault for each of its pages.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    /// Those that nobody fills at the moment.
    shelves: Mutex<Vec<Shelf>>,
    count: AtomicUsize,
    /// What parts are made in before they are put on a shelf; warm in a cache.
    tables: Mutex<Vec<Vec<Entry>>>,
}

#[derive(Debug)]
struct Shelf {
    number: usize,
    bytes: PageBuf,
    /// How many entries lie on it.
    len: usize,
}

/// A part that was sorted and put on a shelf.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    shelf: usize,
    start: usize,
    len: usize,
}

/// Bytes of a shelf.
const SHELF: usize = 8 << 20;

impl Shelves {
    /// An empty part to fill.
    pub(crate) fn table(&self) -> Vec<Entry> {
        self.tables.lock().pop().unwrap_or_default()
    }

    /// Sorts a part, and puts away the last entry of each of its keys.
    pub(crate) fn put(&self, mut part: Vec<Entry>) -> Result<Place> {
        sort(&mut part);
        keep_last(&mut part);
        let mut shelf = self.shelf(part.len())?;
        let place = Place { shelf: shelf.number, start: shelf.len, len: part.len() };
        if let Some(free) =
            shelf.entries_mut().get_mut(place.start..).and_then(|free| free.get_mut(..place.len))
        {
            free.copy_from_slice(&part);
        }
        shelf.len += place.len;
        self.shelves.lock().push(shelf);
        part.clear();
        self.tables.lock().push(part);
        Ok(place)
    }

    /// A shelf with room for so many entries, to be put back.
    fn shelf(&self, len: usize) -> Result<Shelf> {
        if let Some(shelf) = self.shelves.lock().pop_if(|shelf| shelf.entries().len() - shelf.len >= len) {
            return Ok(shelf);
        }
        let bytes =
            PageBuf::zeroed(SHELF.max(len * size_of::<Entry>()) / size_of::<Entry>() * size_of::<Entry>())?;
        Ok(Shelf { number: self.count.fetch_add(1, Ordering::Relaxed), bytes, len: 0 })
    }

    /// Sorts what lies in these places into one array, on the pool that this runs in. Of the entries of a key it has
    /// at least the last.
    pub(crate) fn sorted(self, places: &[Place]) -> Result<Sorted> {
        let mut shelves = self.shelves.into_inner();
        shelves.sort_unstable_by_key(|shelf| shelf.number);
        let part = |place: &Place| {
            let entries = shelves.get(place.shelf).map(Shelf::entries).unwrap_or_default();
            entries.get(place.start..).and_then(|rest| rest.get(..place.len)).unwrap_or_default()
        };
        let sorted = gathered(&places.iter().map(part).collect::<Vec<_>>());
        shelves.into_par_iter().for_each(drop);
        sorted
    }
}

impl Shelf {
    fn entries(&self) -> &[Entry] {
        <[Entry]>::ref_from_bytes(&self.bytes).unwrap_or_default()
    }

    fn entries_mut(&mut self) -> &mut [Entry] {
        <[Entry]>::mut_from_bytes(&mut self.bytes).unwrap_or_default()
    }
}

/// Entries in order.
#[derive(Debug)]
pub(crate) struct Sorted(PageBuf);

impl Deref for Sorted {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        <[Entry]>::ref_from_bytes(&self.0).unwrap_or_default()
    }
}

/// All entries of sorted parts in one array.
fn gathered(parts: &[&[Entry]]) -> Result<Sorted> {
    let bounds = bounds(parts);
    let cuts: Vec<Vec<usize>> = parts.par_iter().map(|part| cuts(part, &bounds)).collect();
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = PageBuf::zeroed(total * size_of::<Entry>())?;
    let mut rest = <[Entry]>::mut_from_bytes(&mut bytes).unwrap_or_default();
    let mut ranges = Vec::with_capacity(bounds.len() + 1);
    for range in 0..=bounds.len() {
        let pieces: Vec<&[Entry]> =
            parts.iter().zip(&cuts).filter_map(|(part, cuts)| piece(part, cuts, range)).collect();
        let (mine, behind) = rest.split_at_mut(pieces.iter().map(|piece| piece.len()).sum());
        ranges.push((mine, pieces));
        rest = behind;
    }
    ranges.into_par_iter().for_each(|(range, pieces)| gather(range, &pieces));
    Ok(Sorted(bytes))
}

/// The first keys of all ranges but the first.
fn bounds(parts: &[&[Entry]]) -> Vec<Entry> {
    let mut samples: Vec<Entry> =
        parts.iter().flat_map(|part| part.iter().step_by(SAMPLE)).copied().collect();
    sort(&mut samples);
    let mut bounds: Vec<Entry> =
        samples.iter().skip(SAMPLES).step_by(SAMPLES).map(|sample| Entry::first_of(sample.key())).collect();
    bounds.dedup();
    bounds
}

/// Where in a sorted part each range but the first begins, and its end.
fn cuts(part: &[Entry], bounds: &[Entry]) -> Vec<usize> {
    let mut cuts = Vec::with_capacity(bounds.len() + 1);
    cut(part, 0, bounds, &mut cuts);
    cuts.push(part.len());
    cuts
}

/// Looks for the middle bound first: most ranges have nothing of a part.
fn cut(part: &[Entry], before: usize, bounds: &[Entry], cuts: &mut Vec<usize>) {
    let (low, rest) = bounds.split_at(bounds.len() / 2);
    match rest.split_first() {
        _ if part.is_empty() => cuts.extend(bounds.iter().map(|_| before)),
        None => {}
        Some((bound, high)) => {
            let (below, above) = part.split_at(part.partition_point(|entry| entry < bound));
            cut(below, before, low, cuts);
            cuts.push(before + below.len());
            cut(above, before + below.len(), high, cuts);
        }
    }
}

/// What a part has of a range.
fn piece<'a>(part: &'a [Entry], cuts: &[usize], range: usize) -> Option<&'a [Entry]> {
    let begin = range.checked_sub(1).and_then(|before| cuts.get(before)).copied().unwrap_or(0);
    part.get(begin..*cuts.get(range)?).filter(|piece| !piece.is_empty())
}

/// Fills a range with its pieces, in order.
fn gather(range: &mut [Entry], pieces: &[&[Entry]]) {
    let mut rest = &mut *range;
    for piece in pieces {
        let Some((mine, behind)) = rest.split_at_mut_checked(piece.len()) else { break };
        mine.copy_from_slice(piece);
        rest = behind;
    }
    sort(range);
}

fn sort(entries: &mut [Entry]) {
    if !entries.is_sorted() {
        // Entries that are equal are the same: but only the stable sort makes use of runs.
        entries.sort();
    }
}

/// Of neighbours with the same key keeps the last.
fn keep_last(entries: &mut Vec<Entry>) {
    entries.dedup_by(|next, kept| {
        let same = next.has_key_of(kept);
        if same {
            *kept = *next;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Key> {
        let offset = prop_oneof![4 => 0..40_u64, 1 => any::<u64>()];
        (prop_oneof![4 => 0..9_u64, 1 => any::<u64>()], any::<u8>(), offset)
            .prop_map(|(object, kind, offset)| Key::new(object, kind, offset))
    }

    fn sorted(parts: Vec<Vec<Entry>>) -> Sorted {
        let shelves = Shelves::default();
        let places: Vec<Place> = parts.into_iter().map(|part| shelves.put(part).unwrap()).collect();
        shelves.sorted(&places).unwrap()
    }

    /// What is left of entries when only the last of each key counts.
    fn last_of_each(entries: &[Entry]) -> Vec<Entry> {
        let mut entries = entries.to_vec();
        keep_last(&mut entries);
        entries
    }

    proptest! {
        #[test]
        fn an_entry_is_its_key_and_position_and_compares_like_them(
            (a, b) in (key(), key()),
            (at, other) in (0..1_u64 << 56, 0..1_u64 << 56),
        ) {
            let (one, two) = (Entry::new(a, Lsn(at)), Entry::new(b, Lsn(other)));
            prop_assert_eq!((one.key(), one.position()), (a, Lsn(at)));
            prop_assert_eq!(one.cmp(&two), (a, at).cmp(&(b, other)));
            prop_assert_eq!(one.has_key_of(&two), a == b);
            prop_assert!(Entry::first_of(a) <= one && one <= Entry::last_of(a));
        }

        #[test]
        fn parts_of_any_lengths_are_sorted_as_one(
            seed: u64,
            lengths in prop::collection::vec(prop_oneof![0..9_usize, 0..9000_usize], 0..12),
            spread in prop_oneof![Just(3_u64), Just(5000), Just(u64::MAX)],
            runs in prop_oneof![Just(1_u64), Just(50), Just(5000)],
        ) {
            let mut state = seed;
            let mut random = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 20
            };
            let mut position = 0;
            let mut base = 0;
            let parts: Vec<Vec<Entry>> = lengths.iter().map(|&length| (0..length).map(|_| {
                position += 1;
                base = if random() % runs == 0 { random() % spread } else { base + random() % 3 };
                Entry::new(Key::new(base / 7, (base % 3) as u8, base % 7), Lsn(position))
            }).collect()).collect();
            let mut expected = parts.concat();
            expected.sort_unstable();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1 + (seed % 3) as usize).build().unwrap();
            let found = pool.install(|| sorted(parts));
            prop_assert!(found.is_sorted());
            prop_assert_eq!(last_of_each(&found), last_of_each(&expected));
        }
    }

    #[test]
    fn a_key_written_all_the_time_takes_no_more_than_an_entry_a_part() {
        let parts = (0..20_u64).map(|part| {
            (0..5000).map(|each| Entry::new(Key::new(7, 1, each % 2), Lsn(part * 5000 + each))).collect()
        });
        let found = sorted(parts.collect());
        assert_eq!(found.len(), 40);
        assert_eq!(
            last_of_each(&found).iter().map(Entry::position).collect::<Vec<_>>(),
            [Lsn(99998), Lsn(99999)]
        );
    }
}
