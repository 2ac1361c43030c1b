//! One group's blocks in memory.
//!
//! A bit of [`Busy`] is set while its block is in use by the committed state, reserved by a transaction, or freed
//! but not yet reusable. Invariants: the counts in [`Hint`] and the [`LongRuns`] are those of the bits;
//! `Hint::largest` and the [`Lowest`] positions are bounds, never too small a run nor too high a position, so that a
//! search may trust them to skip; the atomic copy of the hint is that of the last change.

use core::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::bits::{BITS, Bitset, UNIT, Words};
use crate::long::{LONG, LongRuns};
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
    /// A group that begins at block `base` and has no free run longer than `largest`.
    pub fn new(bits: Bitset, base: u64, largest: u16) -> Self {
        let busy = Busy::new(bits, base, largest);
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
    long: LongRuns,
    lowest: Lowest,
    /// Where the search for buddies goes on.
    buddy: u32,
}

impl Busy {
    pub fn new(bits: Bitset, base: u64, largest: u16) -> Self {
        let free = (BITS - bits.count()) as u16;
        let hint = Hint { free, units: bits.count_free_units() as u16, largest };
        Self { long: LongRuns::of(&bits), bits, base, hint, lowest: Lowest::default(), buddy: 0 }
    }

    pub const fn bits(&self) -> &Bitset {
        &self.bits
    }

    pub const fn hint(&self) -> Hint {
        self.hint
    }

    /// A run of `len` blocks for the request, or as much more of `max` as there happens to be in its place. Right at
    /// the goal half of `max` will do.
    pub fn find(&mut self, request: &Request, len: u32, goal: Option<u32>) -> Option<(u32, u32)> {
        let need = Need { len, align: request.align, base: self.base };
        if request.strategy == Strategy::Buddy {
            let start = search::buddy(&self.bits, self.buddy, &need)?;
            self.buddy = start;
            return Some((start, len));
        }
        let half = request.max.div_ceil(2).clamp(request.min, len);
        let start = match goal.filter(|goal| self.is_free_at(*goal, &Need { len: half, ..need })) {
            Some(goal) => Some(goal),
            None if request.strategy == Strategy::BestFit => self.best_fit(&need),
            None => goal.and_then(|goal| self.next(goal, &need)).or_else(|| self.lowest(&need)),
        };
        if start.is_none() && request.align == 1 {
            self.hint.largest = self.hint.largest.min((len - 1) as u16);
        }
        let start = start?;
        Some((start, (self.bits.next_used(start) - start).min(request.max)))
    }

    /// The longest free run.
    pub fn longest(&mut self) -> u32 {
        let short =
            || search::largest(&self.bits, &Need { len: 1, align: 1, base: 0 }).map_or(0, |(_, len)| len);
        let len = self.long.longest().unwrap_or_else(short);
        self.hint.largest = len as u16;
        len
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
    pub fn take(&mut self, start: u32, len: u32, units: u32) {
        debug_assert!(self.bits.is_free(start, len) && self.bits.free_units(start, len) == units);
        self.bits.set(start, len);
        self.long.taken(start, len);
        self.hint.free -= len as u16;
        self.hint.units -= units as u16;
    }

    /// Marks busy blocks as free; says how many units have become whole.
    pub fn give(&mut self, start: u32, len: u32) -> u32 {
        debug_assert!(self.bits.next_free(start) >= start + len);
        let first = self.bits.free_before(start);
        let merged = self.bits.next_used(start + len) - first;
        self.bits.clear(start, len);
        let units = self.bits.free_units(start, len);
        self.hint.free += len as u16;
        self.hint.units += units as u16;
        self.hint.largest = self.hint.largest.max(merged as u16);
        self.long.freed(first, merged);
        self.lowest.freed(first, merged);
        units
    }

    /// The first place at or behind `from`.
    fn next(&self, from: u32, need: &Need) -> Option<u32> {
        if need.len < LONG { search::next_area(&self.bits, from, need) } else { self.long.next(from, need) }
    }

    fn best_fit(&mut self, need: &Need) -> Option<u32> {
        if need.len >= LONG {
            return self.long.best_fit(need);
        }
        self.lowest(need).and_then(|first| search::best_fit(&self.bits, first, need))
    }

    /// The first place of all; skips what earlier searches have seen.
    fn lowest(&mut self, need: &Need) -> Option<u32> {
        let from = self.lowest.from(need);
        let found = self.next(from, need);
        if found != Some(from) {
            self.lowest.learn(need, found.unwrap_or(BITS));
        }
        found
    }

    fn is_free_at(&self, index: u32, need: &Need) -> bool {
        need.aligned(index) == index && self.bits.is_free(index, need.len)
    }
}

/// For each length of a short run the lowest position at which one can begin. Place 0 is that of whole units.
#[derive(Debug)]
struct Lowest([u16; LONG as usize]);

impl Default for Lowest {
    fn default() -> Self {
        Self([0; LONG as usize])
    }
}

impl Lowest {
    /// Where a search for this run can begin.
    fn from(&self, need: &Need) -> u32 {
        let place = |index: u32| self.0.get(index as usize).copied().map_or(0, u32::from);
        if is_unit(need) { place(need.len).max(place(0)) } else { place(need.len) }
    }

    /// Nothing for this run was found in front of `found`.
    fn learn(&mut self, need: &Need, found: u32) {
        let places = match need.align {
            1 => self.0.get_mut(need.len as usize..),
            _ if is_unit(need) => self.0.get_mut(..1),
            _ => None,
        };
        places.unwrap_or_default().iter_mut().for_each(|place| *place = (*place).max(found as u16));
    }

    /// There is a free run of `len` at `start` now.
    fn freed(&mut self, start: u32, len: u32) {
        let shorter = self.0.iter_mut().take(len as usize + 1);
        shorter.for_each(|place| *place = (*place).min(start as u16));
    }
}

const fn is_unit(need: &Need) -> bool {
    need.len == UNIT && need.align == UNIT
}

#[cfg(test)]
mod tests;
