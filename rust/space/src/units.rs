//! The account of whole units: aligned runs of four free blocks, of which the last ones are kept for tree nodes.
//!
//! Invariant: *headroom + credits + floor = whole units free*, or less while some are on their way. A credit is what
//! a lane has set aside of its own gains, or borrowed from headroom while that was plentiful, so that threads need
//! not meet here at every allocation; none is ever negative. Data takes from its credit or from headroom, and what
//! it took counts only if headroom is seen not to be negative afterwards: then the floor is whole at that moment.
//! Whoever finds headroom short calls all credits in.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};

use crate::lane::{LANES, Lane, Lanes};

/// Units in a credit.
const CREDIT: i64 = 64;
/// Headroom from which on credits are given.
const PLENTY: i64 = CREDIT * 2 * LANES as i64;

/// Headroom below which small data should go to units that are broken already.
const SCARCE: i64 = 1024;

#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Units {
    headroom: AtomicI64,
    floor: AtomicU64,
}

impl Units {
    pub fn new(free: u64) -> Self {
        Self { headroom: AtomicI64::new(signed(free)), floor: AtomicU64::new(0) }
    }

    /// Whole units free. Exact while nobody allocates.
    pub fn free(&self, lanes: &Lanes) -> u64 {
        let credits: i64 = lanes.all().map(|lane| lane.credit.load(SeqCst)).sum();
        let sum = self.headroom.load(SeqCst) + credits + signed(self.floor.load(SeqCst));
        u64::try_from(sum).unwrap_or(0)
    }

    pub fn floor(&self) -> u64 {
        self.floor.load(SeqCst)
    }

    pub fn is_scarce(&self) -> bool {
        self.headroom.load(SeqCst) < SCARCE
    }

    /// How many units data may break. Exact while nobody allocates.
    pub fn headroom(&self, lanes: &Lanes) -> u64 {
        self.free(lanes).saturating_sub(self.floor())
    }

    /// Takes `wanted` units for data, or as many as the floor leaves.
    pub fn take(&self, lanes: &Lanes, lane: &Lane, wanted: u32) -> u32 {
        if wanted == 0 {
            return 0;
        }
        let units = i64::from(wanted);
        let enough = |headroom: i64| (headroom >= units).then(|| headroom - units);
        if self.take_credit(lane, units) {
            return wanted;
        }
        if self.headroom.fetch_update(SeqCst, SeqCst, enough).is_ok() {
            return wanted;
        }
        self.call_credits_in(lanes);
        let rest = |headroom: i64| (headroom > 0).then(|| headroom - units.min(headroom));
        match self.headroom.fetch_update(SeqCst, SeqCst, rest) {
            Ok(headroom) => u32::try_from(units.min(headroom)).unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// Takes units for whoever may have them all.
    pub fn take_anyway(&self, lanes: &Lanes, units: u32) {
        let units = i64::from(units);
        if units > 0 && self.headroom.fetch_sub(units, SeqCst) < units {
            self.call_credits_in(lanes);
        }
    }

    /// Units have become whole again, or were taken in vain. They stay with the lane while there are plenty.
    pub fn give(&self, lane: &Lane, units: u32) {
        if units == 0 {
            return;
        }
        let mut units = i64::from(units);
        if self.headroom.load(SeqCst) >= PLENTY {
            if lane.credit.fetch_add(units, SeqCst) < 2 * CREDIT {
                return;
            }
            units = lane.credit.swap(0, SeqCst);
        }
        self.headroom.fetch_add(units, SeqCst);
    }

    /// Sets the floor, whatever there is.
    pub fn set_floor(&self, lanes: &Lanes, floor: u64) {
        let old = self.floor.swap(floor, SeqCst);
        let headroom = self.headroom.fetch_add(signed(old) - signed(floor), SeqCst);
        if headroom + signed(old) - signed(floor) < 0 {
            self.call_credits_in(lanes);
        }
    }

    /// Raises the floor if so many more units can be kept.
    pub fn raise_floor(&self, lanes: &Lanes, by: u64) -> bool {
        let units = signed(by);
        let enough = |headroom: i64| (headroom >= units).then(|| headroom - units);
        let kept = self.headroom.fetch_update(SeqCst, SeqCst, enough).is_ok() || {
            self.call_credits_in(lanes);
            self.headroom.fetch_update(SeqCst, SeqCst, enough).is_ok()
        };
        if kept {
            self.floor.fetch_add(by, SeqCst);
        }
        kept
    }

    /// Lowers the floor; not below zero.
    pub fn lower_floor(&self, by: u64) {
        let lower = |floor: u64| Some(floor.saturating_sub(by));
        let old = self.floor.fetch_update(SeqCst, SeqCst, lower).unwrap_or_default();
        self.headroom.fetch_add(signed(old.min(by)), SeqCst);
    }

    /// From the lane's credit, renewed while headroom is plentiful.
    fn take_credit(&self, lane: &Lane, units: i64) -> bool {
        let enough = |credit: i64| (credit >= units).then(|| credit - units);
        if lane.credit.fetch_update(SeqCst, SeqCst, enough).is_ok() {
            // With headroom below zero the floor has risen over what this lane had set aside.
            let kept = self.headroom.load(SeqCst) >= 0;
            if !kept {
                self.headroom.fetch_add(units, SeqCst);
            }
            return kept;
        }
        let plenty = |headroom: i64| (headroom >= PLENTY + units).then(|| headroom - units - CREDIT);
        let renewed = self.headroom.fetch_update(SeqCst, SeqCst, plenty).is_ok();
        if renewed {
            lane.credit.fetch_add(CREDIT, SeqCst);
        }
        renewed
    }

    fn call_credits_in(&self, lanes: &Lanes) {
        let credits: i64 = lanes.all().map(|lane| lane.credit.swap(0, SeqCst)).sum();
        if credits != 0 {
            self.headroom.fetch_add(credits, SeqCst);
        }
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX / 4)
}
