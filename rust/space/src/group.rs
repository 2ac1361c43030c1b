//! One group's blocks in memory.
//!
//! A bit of [`Busy`] is set while its block is in use by the committed state, reserved by a transaction, or freed
//! but not yet reusable. Invariants: the counts in [`Hint`] are those of the bits; `Hint::largest` and the
//! [`Lowest`] positions are bounds, never too small a run nor too high a position, so that a search may trust
//! them to skip; the atomic copy of the hint is that of the last change.

use core::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::bits::{BITS, Bitset, UNIT, WORD, Words};
use crate::request::{Request, Strategy};
use crate::search::{self, Need};

/// What can be known of a group without its lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    /// Free blocks.
    pub free: u16,
    /// Units wholly free.
    pub units: u16,
    /// No free run is longer.
    pub largest: u16,
}

impl Hint {
    /// Free blocks that are pieces of broken units.
    pub const fn pieces(self) -> u32 {
        (self.free as u32).saturating_sub(self.units as u32 * UNIT)
    }

    const fn pack(self) -> u64 {
        self.free as u64 | (self.units as u64) << 16 | (self.largest as u64) << 32
    }

    #[allow(clippy::cast_possible_truncation, reason = "each field is taken from its own 16 bits")]
    const fn unpack(packed: u64) -> Self {
        Self { free: packed as u16, units: (packed >> 16) as u16, largest: (packed >> 32) as u16 }
    }
}

/// A loaded group. Groups of other threads never share its cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Group {
    hint: AtomicU64,
    busy: Mutex<Busy>,
}

impl Group {
    pub fn new(bits: Bitset, base: u64) -> Self {
        let busy = Busy::new(bits, base);
        Self { hint: AtomicU64::new(busy.hint.pack()), busy: Mutex::new(busy) }
    }

    pub fn hint(&self) -> Hint {
        Hint::unpack(self.hint.load(Ordering::Relaxed))
    }

    pub fn lock(&self) -> Locked<'_> {
        Locked { hint: &self.hint, busy: self.busy.lock() }
    }

    pub fn try_lock(&self) -> Option<Locked<'_>> {
        Some(Locked { hint: &self.hint, busy: self.busy.try_lock()? })
    }
}

/// A group under its lock; publishes the hint when the lock is given back.
pub(crate) struct Locked<'a> {
    hint: &'a AtomicU64,
    busy: MutexGuard<'a, Busy>,
}

impl core::ops::Deref for Locked<'_> {
    type Target = Busy;

    fn deref(&self) -> &Busy {
        &self.busy
    }
}

impl core::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Busy {
        &mut self.busy
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.hint.store(self.busy.hint.pack(), Ordering::Relaxed);
    }
}

/// The bits and what is known of them.
#[derive(Debug)]
pub(crate) struct Busy {
    bits: Bitset,
    base: u64,
    hint: Hint,
    lowest: Lowest,
}

impl Busy {
    #[allow(clippy::cast_possible_truncation, reason = "a group has fewer than 65536 blocks")]
    pub fn new(bits: Bitset, base: u64) -> Self {
        let largest = search::largest(&bits, &Need { len: 1, align: 1, base }).map_or(0, |(_, len)| len);
        let hint = Hint {
            free: (BITS - bits.count()) as u16,
            units: bits.count_free_units() as u16,
            largest: largest as u16,
        };
        Self { bits, base, hint, lowest: Lowest::default() }
    }

    pub const fn bits(&self) -> &Bitset {
        &self.bits
    }

    pub const fn hint(&self) -> Hint {
        self.hint
    }

    /// A run for the request: of `max` blocks, or of half of that right at the goal.
    pub fn find(&mut self, request: &Request, goal: Option<u32>) -> Option<(u32, u32)> {
        let need = Need { len: request.max, align: request.align, base: self.base };
        let found = match (request.strategy, goal) {
            (Strategy::Buddy, _) => search::buddy(&self.bits, &need),
            (strategy, Some(goal)) => {
                if let Some(len) = self.at_goal(request, &need, goal) {
                    return Some((goal, len));
                }
                match strategy {
                    Strategy::BestFit => search::best_fit(&self.bits, &need),
                    _ => search::next_area(&self.bits, goal, &need).or_else(|| self.lowest(&need)),
                }
            }
            (Strategy::BestFit, None) => search::best_fit(&self.bits, &need),
            (_, None) => self.lowest(&need),
        };
        if found.is_none() && request.align == 1 && request.strategy != Strategy::Buddy {
            self.no_run_of(request.max);
        }
        found.map(|start| (start, request.max))
    }

    /// The longest run of at least `min` blocks, cut to `max`.
    pub fn find_longest(&mut self, min: u32, max: u32, align: u32) -> Option<(u32, u32)> {
        let longest = search::largest(&self.bits, &Need { len: min, align, base: self.base });
        if align == 1 {
            self.no_run_of(longest.map_or(min, |(_, len)| len + 1));
        }
        longest.map(|(start, len)| (start, len.min(max)))
    }

    /// A run of `min` blocks or more that breaks no unit, from the goal on if there is one.
    pub fn find_pieces(&self, request: &Request, goal: Option<u32>) -> Option<(u32, u32)> {
        let view = self.bits.broken_units();
        let buddy = request.strategy == Strategy::Buddy;
        let align = if buddy { request.align.max(request.min) } else { request.align };
        let need = Need { len: request.min, align, base: self.base };
        let from_goal = goal.and_then(|goal| search::next_area(&view, goal, &need));
        let start = from_goal.or_else(|| search::next_area(&view, 0, &need))?;
        let most = if buddy { request.min } else { request.max };
        Some((start, (view.next_used(start) - start).min(most)))
    }

    /// How many of `len` blocks from `start` can be taken if only `units` more units may be broken.
    pub fn breaking_at_most(&self, start: u32, len: u32, units: u32) -> u32 {
        let mut left = units;
        let mut at = start;
        while at < start + len {
            let end = (at / UNIT + 1) * UNIT;
            match (self.bits.free_units(at, 1), left) {
                (0, _) => {}
                (_, 0) => return at - start,
                _ => left -= 1,
            }
            at = end;
        }
        len
    }

    /// Marks free blocks as busy; `units` of their units were whole.
    #[allow(clippy::cast_possible_truncation, reason = "a group has fewer than 65536 blocks")]
    pub fn take(&mut self, start: u32, len: u32, units: u32) {
        debug_assert!(self.bits.is_free(start, len) && self.bits.free_units(start, len) == units);
        self.bits.set(start, len);
        self.hint.free -= len as u16;
        self.hint.units -= units as u16;
    }

    /// Marks busy blocks as free; says how many units have become whole.
    #[allow(clippy::cast_possible_truncation, reason = "a group has fewer than 65536 blocks")]
    pub fn give(&mut self, start: u32, len: u32) -> u32 {
        debug_assert!(self.bits.next_free(start) >= start + len);
        let first = self.bits.free_before(start);
        let merged = self.bits.next_used(start + len) - first;
        self.bits.clear(start, len);
        let units = self.bits.free_units(start, len);
        self.hint.free += len as u16;
        self.hint.units += units as u16;
        self.hint.largest = self.hint.largest.max(merged as u16);
        self.lowest.freed(first, merged);
        units
    }

    /// First fit without a goal: skips what earlier searches have seen.
    fn lowest(&mut self, need: &Need) -> Option<u32> {
        let from = self.lowest.from(need);
        let found = search::next_area(&self.bits, from, need);
        if found != Some(from) {
            self.lowest.learn(need, found.unwrap_or(BITS));
        }
        found
    }

    fn at_goal(&self, request: &Request, need: &Need, goal: u32) -> Option<u32> {
        if need.aligned(goal) != goal || self.bits.get(goal) {
            return None;
        }
        let len = (self.bits.next_used(goal) - goal).min(request.max);
        (len >= request.min.max(request.max.div_ceil(2))).then_some(len)
    }

    #[allow(clippy::cast_possible_truncation, reason = "a group has fewer than 65536 blocks")]
    fn no_run_of(&mut self, len: u32) {
        self.hint.largest = self.hint.largest.min((len - 1) as u16);
    }
}

const SHORT: usize = WORD as usize + 1;
const CLASSES: usize = SHORT + 9;

/// For each length of run the lowest position at which one can begin. Lengths up to a word have their own
/// place, longer ones share one by powers of two; place 0 is that of whole units.
#[derive(Debug)]
struct Lowest([u16; CLASSES]);

impl Default for Lowest {
    fn default() -> Self {
        Self([0; CLASSES])
    }
}

impl Lowest {
    /// Where a search for this run can begin.
    fn from(&self, need: &Need) -> u32 {
        let place = |index: usize| self.0.get(index).copied().map_or(0, u32::from);
        let by_len = place(class_below(need.len));
        if is_unit(need) { by_len.max(place(0)) } else { by_len }
    }

    /// Nothing for this run was found in front of `found`.
    #[allow(clippy::cast_possible_truncation, reason = "a group has fewer than 65536 blocks")]
    fn learn(&mut self, need: &Need, found: u32) {
        let found = found as u16;
        if need.align == 1 {
            let longer = self.0.get_mut(class_above(need.len)..).unwrap_or_default();
            longer.iter_mut().for_each(|place| *place = (*place).max(found));
        } else if is_unit(need) {
            self.0.iter_mut().take(1).for_each(|place| *place = (*place).max(found));
        }
    }

    /// There is a free run of `len` at `start` now.
    #[allow(clippy::cast_possible_truncation, reason = "a group has fewer than 65536 blocks")]
    fn freed(&mut self, start: u32, len: u32) {
        let start = start as u16;
        let shorter = self.0.get_mut(..=class_below(len)).unwrap_or_default();
        shorter.iter_mut().for_each(|place| *place = (*place).min(start));
    }
}

const fn is_unit(need: &Need) -> bool {
    need.len == UNIT && need.align == UNIT
}

/// The last place whose bound holds for a run of `len`.
const fn class_below(len: u32) -> usize {
    if len <= WORD { len as usize } else { SHORT - 1 + (len.ilog2() - WORD.ilog2()) as usize }
}

/// The first place whose runs are all at least that long.
const fn class_above(len: u32) -> usize {
    if len <= WORD {
        len as usize
    } else {
        SHORT - 1 + (len.next_power_of_two().ilog2() - WORD.ilog2()) as usize
    }
}
