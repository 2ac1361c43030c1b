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
    /// The run between two places, if it is long.
    fn between(start: u32, end: u32) -> Option<Self> {
        (end >= start + LONG).then(|| Self { start: start as u16, len: (end - start) as u16 })
    }

    fn end(self) -> u32 {
        u32::from(self.start) + u32::from(self.len)
    }

    /// The first place in the run, at or behind `from`, that satisfies the need.
    fn place(self, from: u32, need: &Need) -> Option<u32> {
        if u32::from(self.len) < need.len {
            return None;
        }
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
            runs.0.extend(Run::between(start, from));
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
        let Some(run) = self.0.get_mut(index).filter(|run| u32::from(run.start) <= start) else { return };
        match (Run::between(run.start.into(), start), Run::between(start + len, run.end())) {
            (Some(left), Some(right)) => {
                *run = right;
                self.0.insert(index, left);
            }
            (Some(rest), None) | (None, Some(rest)) => *run = rest,
            (None, None) => {
                self.0.remove(index);
            }
        }
    }

    /// A free run has come about, of which parts may have been free before.
    pub fn freed(&mut self, start: u32, len: u32) {
        let Some(run) = Run::between(start, start + len) else { return };
        let first = self.first_behind(start);
        let parts = self.0.get(first..).unwrap_or_default();
        match parts.iter().take_while(|part| u32::from(part.start) < start + len).count() {
            0 => self.0.insert(first, run),
            count => {
                self.0.drain(first + 1..first + count);
                self.0.iter_mut().skip(first).take(1).for_each(|part| *part = run);
            }
        }
    }

    /// The first run that ends behind `from`.
    fn first_behind(&self, from: u32) -> usize {
        self.0.partition_point(|run| run.end() <= from)
    }
}
