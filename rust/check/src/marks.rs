//! One bit for each block or inode number of a volume, set from any thread.
//!
//! Memory is used only for groups in which something is marked. Numbers behind the volume's last group are
//! nobody's: marking them does nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use vexfs_format::bitmap::BITMAP_WORDS;
use vexfs_format::{Bits, BlockNo, BlockRun, Geometry};

type Page = [AtomicU64; BITMAP_WORDS];

/// See the head of the file.
pub(crate) struct Marks {
    groups: Box<[OnceLock<Box<Page>>]>,
}

/// A word of a group's bits, and which of its bits a run has.
struct Piece {
    group: u32,
    word: usize,
    mask: u64,
}

impl Piece {
    /// The numbers of these bits.
    fn numbers(&self, mut bits: u64) -> impl Iterator<Item = u64> {
        let base = Geometry::group_start(self.group).0 + self.word as u64 * 64;
        std::iter::from_fn(move || {
            let bit = (bits != 0).then(|| bits.trailing_zeros())?;
            bits &= bits - 1;
            Some(base + u64::from(bit))
        })
    }
}

impl Marks {
    /// No marks, for so many groups.
    pub fn new(groups: u32) -> Self {
        Self { groups: (0..groups).map(|_| OnceLock::new()).collect() }
    }

    /// Marks the run, and calls `again` for each that was marked before.
    pub fn set(&self, run: BlockRun, mut again: impl FnMut(u64)) {
        for piece in pieces(run) {
            let Some(word) = self.page(piece.group).and_then(|page| page.get(piece.word)) else { continue };
            let before = word.fetch_or(piece.mask, Relaxed);
            piece.numbers(before & piece.mask).for_each(&mut again);
        }
    }

    /// Marks one; says whether it was marked before.
    pub fn set_one(&self, number: u64) -> bool {
        let mut before = false;
        self.set(BlockRun { start: BlockNo(number), len: 1 }, |_| before = true);
        before
    }

    /// Calls `each` for those of the run that are marked.
    pub fn marked_in(&self, run: BlockRun, mut each: impl FnMut(u64)) {
        for piece in pieces(run) {
            let page = self.groups.get(piece.group as usize).and_then(OnceLock::get);
            let bits = page.and_then(|page| page.get(piece.word)).map_or(0, |word| word.load(Relaxed));
            piece.numbers(bits & piece.mask).for_each(&mut each);
        }
    }

    /// Whether it is marked.
    pub fn has(&self, number: u64) -> bool {
        let mut marked = false;
        self.marked_in(BlockRun { start: BlockNo(number), len: 1 }, |_| marked = true);
        marked
    }

    /// The bits of a group; `None` if none is set.
    pub fn group(&self, group: u32) -> Option<Bits> {
        let page = self.groups.get(group as usize)?.get()?;
        let mut bits = [0; BITMAP_WORDS];
        bits.iter_mut().zip(page.iter()).for_each(|(bits, word)| *bits = word.load(Relaxed));
        Some(bits)
    }

    /// The groups that have marks.
    pub fn touched(&self) -> impl Iterator<Item = u32> + '_ {
        (0_u32..).zip(&self.groups).filter(|(_, page)| page.get().is_some()).map(|(group, _)| group)
    }

    /// Marks all that `other` has.
    pub fn absorb(&self, other: &Self) {
        for group in other.touched() {
            let (Some(to), Some(from)) = (self.page(group), other.group(group)) else { continue };
            to.iter().zip(from).for_each(|(word, bits)| {
                word.fetch_or(bits, Relaxed);
            });
        }
    }

    fn page(&self, group: u32) -> Option<&Page> {
        let page = self.groups.get(group as usize)?;
        Some(page.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU64::new(0)))))
    }
}

fn pieces(run: BlockRun) -> impl Iterator<Item = Piece> {
    let (mut at, end) = (run.start.0, run.end());
    std::iter::from_fn(move || {
        if at >= end || at / u64::from(vexfs_format::GROUP_BLOCKS) > u64::from(u32::MAX) {
            return None;
        }
        // A group is whole words, so a word never belongs to two groups.
        let (group, index) = Geometry::locate(BlockNo(at));
        let (word, shift) = (index as usize / 64, index % 64);
        let bits = u64::from(64 - shift).min(end - at);
        at += bits;
        Some(Piece { group, word, mask: (u64::MAX >> (64 - bits)) << shift })
    })
}

/// Bits that are set in any of them.
pub(crate) fn union<'a>(parts: impl IntoIterator<Item = &'a Bits>) -> Bits {
    let mut all = [0; BITMAP_WORDS];
    for part in parts {
        all.iter_mut().zip(part).for_each(|(all, part)| *all |= part);
    }
    all
}

/// Bits that are set in the first and not in the second, as runs of numbers: first and how many.
pub(crate) fn missing(group: u32, from: &Bits, in_other: &Bits) -> Vec<(u64, u64)> {
    let base = Geometry::group_start(group).0;
    let rest = vexfs_space::Bitset::from(*from).minus(&vexfs_space::Bitset::from(*in_other));
    rest.used_runs().map(|(start, len)| (base + u64::from(start), u64::from(len))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_over_two_groups_is_marked_once_and_told_the_second_time() {
        let marks = Marks::new(2);
        let run = BlockRun::new(32_256 - 70, 140);
        let mut again = Vec::new();
        marks.set(run, |block| again.push(block));
        assert!(again.is_empty());
        assert!(marks.has(32_255) && marks.has(32_256) && !marks.has(32_256 + 70) && !marks.has(32_256 - 71));
        marks.set(BlockRun::new(32_254, 3), |block| again.push(block));
        assert_eq!(again, [32_254, 32_255, 32_256]);
        let (first, second) = (marks.group(0).unwrap(), marks.group(1).unwrap());
        assert_eq!(missing(0, &first, &[0; BITMAP_WORDS]), [(32_256 - 70, 70)]);
        assert_eq!(missing(1, &second, &[0; BITMAP_WORDS]), [(32_256, 70)]);
    }

    #[test]
    fn numbers_that_the_volume_does_not_have_are_nobodys() {
        let marks = Marks::new(1);
        marks.set(BlockRun::new(u64::MAX - 3, 10), |_| ());
        marks.set(BlockRun::new(40_000, 10), |_| ());
        assert!(!marks.has(40_000) && !marks.has(u64::MAX));
        assert_eq!(marks.touched().count(), 0);
    }
}
