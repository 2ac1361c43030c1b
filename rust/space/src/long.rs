//! The long free runs of a group, so that large requests are answered without looking at its bits.

use crate::bits::{BITS, WORD, Words};
use crate::search::{self, Need};

/// From this length on a run is long.
pub(crate) const LONG: u32 = WORD;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u16,
    len: u16,
}

impl Run {
    fn end(self) -> u32 {
        u32::from(self.start) + u32::from(self.len)
    }

    /// The first place in the run, at or behind `from`, that satisfies the need.
    fn place(self, from: u32, need: &Need) -> Option<u32> {
        let first = need.aligned(from.max(self.start.into()));
        (first.saturating_add(need.len) <= self.end()).then_some(first)
    }
}

/// Invariant: exactly the free runs of at least [`LONG`] bits, in ascending order, each as long as it gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LongRuns(Vec<Run>);

impl LongRuns {
    /// Those of a bitmap.
    pub fn of(bits: &impl Words) -> Self {
        let mut runs = Self::default();
        let mut from = 0;
        while let Some(start) = search::next_area(bits, from, &Need { len: LONG, align: 1, base: 0 }) {
            from = bits.next_used(start).min(BITS);
            runs.insert(runs.0.len(), start, from);
        }
        runs
    }

    /// The first place at or behind `from` for a long run.
    pub fn next(&self, from: u32, need: &Need) -> Option<u32> {
        let behind = self.0.get(self.first_behind(from)..).unwrap_or_default();
        behind.iter().find_map(|run| run.place(from, need))
    }

    /// The place for a long run in the shortest one that will do; the first of equals.
    pub fn best_fit(&self, need: &Need) -> Option<u32> {
        let suitable = self.0.iter().filter_map(|run| Some((run.len, run.place(0, need)?)));
        suitable.min_by_key(|(len, _)| *len).map(|(_, place)| place)
    }

    /// The length of the longest.
    pub fn longest(&self) -> Option<u32> {
        self.0.iter().map(|run| run.len.into()).max()
    }

    /// Bits that were free are in use.
    pub fn taken(&mut self, start: u32, len: u32) {
        let index = self.first_behind(start);
        if let Some(run) = self.0.get(index).copied().filter(|run| u32::from(run.start) <= start) {
            self.0.remove(index);
            self.insert(index, start + len, run.end());
            self.insert(index, run.start.into(), start);
        }
    }

    /// A free run has come about, of which parts may have been free before.
    pub fn freed(&mut self, start: u32, len: u32) {
        if len < LONG {
            return;
        }
        let first = self.first_behind(start);
        let parts = self.0.get(first..).unwrap_or_default();
        let last = first + parts.iter().take_while(|run| u32::from(run.start) < start + len).count();
        self.0.drain(first..last);
        self.insert(first, start, start + len);
    }

    /// The first run that ends behind `from`.
    fn first_behind(&self, from: u32) -> usize {
        self.0.partition_point(|run| run.end() <= from)
    }

    fn insert(&mut self, index: usize, start: u32, end: u32) {
        if end >= start + LONG {
            self.0.insert(index, Run { start: start as u16, len: (end - start) as u16 });
        }
    }
}
