//! The bits of one group: 32256 blocks or inode numbers; a set bit is in use.
//!
//! Invariant of every reader: what lies beyond the end is in use, so that no search needs a special case for
//! the end. Everything works a word (64 bits) at a time.

use vexfs_format::bitmap::BITMAP_WORDS;
use vexfs_format::{GROUP_BLOCKS, NODE_BLOCKS};

/// Bits in a group's bitmap.
pub const BITS: u32 = GROUP_BLOCKS;
/// Blocks in a unit: what a tree node takes, aligned to its size.
pub const UNIT: u32 = NODE_BLOCKS;

pub(crate) const WORD: u32 = u64::BITS;
pub(crate) const WORDS: u32 = BITS / WORD;

/// The lowest bit of each nibble. A nibble is a unit's bits.
const NIBBLES: u64 = 0x1111_1111_1111_1111;
const _: () = assert!(UNIT == 4 && BITS.is_multiple_of(WORD));

/// A group's bits as the searches read them.
pub trait Words {
    /// Word `index`; all in use beyond the end.
    fn word(&self, index: u32) -> u64;

    /// The first set bit at or behind `from`; at least [`BITS`] if there is none.
    fn next_used(&self, from: u32) -> u32 {
        next(from, |index| self.word(index))
    }

    /// The first clear bit at or behind `from`; at least [`BITS`] if there is none.
    fn next_free(&self, from: u32) -> u32 {
        next(from, |index| !self.word(index))
    }

    /// Whether none of `len` bits from `start` is set.
    fn is_free(&self, start: u32, len: u32) -> bool {
        self.next_used(start) >= start.saturating_add(len)
    }

    /// Where the free bits that end in front of `index` begin (`index` itself if there are none).
    fn free_before(&self, index: u32) -> u32 {
        let mut at = index.min(BITS);
        while at > 0 {
            let word = (at - 1) / WORD;
            let bits = at - word * WORD;
            let free = (self.word(word) << (WORD - bits)).leading_zeros().min(bits);
            at -= free;
            if free < bits {
                break;
            }
        }
        at
    }
}

/// A group's bitmap in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitset(vexfs_format::Bits);

impl core::fmt::Debug for Bitset {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Bitset({} of {BITS} in use)", self.count())
    }
}

impl Default for Bitset {
    fn default() -> Self {
        Self::new()
    }
}

impl From<vexfs_format::Bits> for Bitset {
    fn from(words: vexfs_format::Bits) -> Self {
        Self(words)
    }
}

impl Words for Bitset {
    fn word(&self, index: u32) -> u64 {
        self.0.get(index as usize).copied().unwrap_or(u64::MAX)
    }
}

impl Bitset {
    /// All free.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; BITMAP_WORDS])
    }

    /// The words as they go to a slot.
    #[must_use]
    pub const fn words(&self) -> &vexfs_format::Bits {
        &self.0
    }

    /// How many bits are set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// How many units are wholly free.
    #[must_use]
    pub fn count_free_units(&self) -> u32 {
        self.0.iter().map(|word| free_nibbles(*word).count_ones()).sum()
    }

    /// Whether bit `index` is in use.
    #[must_use]
    pub fn get(&self, index: u32) -> bool {
        (self.word(index / WORD) >> (index % WORD)) & 1 == 1
    }

    /// Sets `len` bits from `start`; what lies beyond the end is left out.
    pub fn set(&mut self, start: u32, len: u32) {
        self.edit(start, len, |word, mask| *word |= mask);
    }

    /// Clears `len` bits from `start`; what lies beyond the end is left out.
    pub fn clear(&mut self, start: u32, len: u32) {
        self.edit(start, len, |word, mask| *word &= !mask);
    }

    /// The free runs, each as start and length, in order.
    pub fn free_runs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        runs(|at| self.next_free(at), |at| self.next_used(at))
    }

    /// The runs in use, each as start and length, in order.
    pub fn used_runs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        runs(|at| self.next_used(at), |at| self.next_free(at))
    }

    /// The bits that are set here and not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= !other);
        rest
    }

    /// How many units that `len` bits from `start` touch are wholly free.
    #[must_use]
    pub fn free_units(&self, start: u32, len: u32) -> u32 {
        if len == 0 {
            return 0;
        }
        let from = start / UNIT * UNIT;
        let to = start.saturating_add(len).next_multiple_of(UNIT);
        masks(from, to - from).map(|(word, mask)| (free_nibbles(self.word(word)) & mask).count_ones()).sum()
    }

    /// The same bits seen with every wholly free unit in use: what is free are the pieces of broken units.
    pub(crate) const fn broken_units(&self) -> BrokenUnits<'_> {
        BrokenUnits(self)
    }

    fn edit(&mut self, start: u32, len: u32, change: impl Fn(&mut u64, u64)) {
        for (index, mask) in masks(start, len) {
            if let Some(word) = self.0.get_mut(index as usize) {
                change(word, mask);
            }
        }
    }
}

/// See [`Bitset::broken_units`].
pub(crate) struct BrokenUnits<'a>(&'a Bitset);

impl Words for BrokenUnits<'_> {
    fn word(&self, index: u32) -> u64 {
        let word = self.0.word(index);
        word | (free_nibbles(word) * 0xf)
    }
}

/// The lowest bit of each nibble of a word that is wholly free.
const fn free_nibbles(word: u64) -> u64 {
    !(word | (word >> 1) | (word >> 2) | (word >> 3)) & NIBBLES
}

/// The first bit at or behind `from` that is set in `wanted`.
fn next(from: u32, wanted: impl Fn(u32) -> u64) -> u32 {
    let mut index = from / WORD;
    let mut found = wanted(index) & (u64::MAX << (from % WORD));
    while found == 0 {
        index += 1;
        if index >= WORDS {
            return BITS.max(from);
        }
        found = wanted(index);
    }
    index * WORD + found.trailing_zeros()
}

/// The words that `len` bits from `start` touch, each with the mask of those bits.
fn masks(start: u32, len: u32) -> impl Iterator<Item = (u32, u64)> {
    let end = start.saturating_add(len).min(BITS);
    (start / WORD..end.div_ceil(WORD)).map(move |index| {
        let from = start.saturating_sub(index * WORD);
        let to = (end - index * WORD).min(WORD);
        (index, (u64::MAX << from) & (u64::MAX >> (WORD - to)))
    })
}

fn runs(begin: impl Fn(u32) -> u32, end: impl Fn(u32) -> u32) -> impl Iterator<Item = (u32, u32)> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let start = begin(at);
        if start >= BITS {
            return None;
        }
        at = end(start).min(BITS);
        Some((start, at - start))
    })
}
