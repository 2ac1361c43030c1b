//! The account of log space. Invariant: whatever is reserved or queued can be written, each record in a frame of
//! its own, with the pad that the end of the log may force, and a mark behind it, without touching a byte that
//! the newest durable checkpoint still needs:
//!
//! `used + reserved + queued + mark + pad <= capacity`
//!
//! `[tail, tail + capacity)` holds the end of the log once, so at most one pad is written before the tail moves,
//! and it is shorter than the frame that did not fit. A record costs no more in a frame with others than alone.

use std::collections::BTreeMap;

use vexfs_format::frame::{FRAME_HEADER, LONG_FRAME, frame_bytes};
use vexfs_format::{BLOCK_SIZE, Lsn};

use crate::error::{Error, Result};
use crate::position::Region;

/// Bytes of a mark.
pub(crate) const MARK_BYTES: u64 = BLOCK_SIZE as u64;

/// No frame is longer, however large the log: its length has 32 bits.
const FRAME_LIMIT: u64 = 1 << 31;

/// What a frame with so many bytes of records takes, with the block that announces it if it is long.
pub(crate) const fn frame_cost(payload: u64) -> u64 {
    match frame_bytes(payload) {
        long if long > LONG_FRAME => long.saturating_add(BLOCK_SIZE as u64),
        length => length,
    }
}

/// Who asks for log space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Everybody.
    Ordinary,
    /// What must go on so that space comes back: may use the part of the log that is kept for it.
    Maintenance,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    region: Region,
    /// Where the next frame goes once every round taken is written.
    head: Lsn,
    /// The first byte that is still needed.
    tail: Lsn,
    /// What the records reserved and not yet queued cost, each alone.
    reserved: u64,
    /// What the frames queued cost.
    queued: u64,
    /// Frames longer than `frame_max` that are reserved or queued, by length.
    large: BTreeMap<u64, u32>,
    /// No frame of more than one record is longer.
    frame_max: u64,
    /// Kept for maintenance.
    kept: u64,
}

impl Room {
    pub(crate) const fn new(region: Region, head: Lsn, tail: Lsn, frame_max: u64, kept: u64) -> Self {
        Self { region, head, tail, reserved: 0, queued: 0, large: BTreeMap::new(), frame_max, kept }
    }

    /// The most bytes that a record may have: with its frame, a quarter of the log.
    pub(crate) const fn record_max(region: Region) -> u64 {
        let quarter = region.bytes / 4 / BLOCK_SIZE as u64 * BLOCK_SIZE as u64;
        let cost_max = if quarter < FRAME_LIMIT { quarter } else { FRAME_LIMIT };
        let announcement = if cost_max > LONG_FRAME { BLOCK_SIZE } else { 0 };
        cost_max.saturating_sub(announcement as u64).saturating_sub(FRAME_HEADER as u64)
    }

    /// Log that cannot be overwritten.
    pub(crate) const fn used(&self) -> u64 {
        self.head.0.saturating_sub(self.tail.0)
    }

    /// Log that is used or will be by what is queued.
    pub(crate) const fn used_or_queued(&self) -> u64 {
        self.used().saturating_add(self.queued)
    }

    /// Promises room for a record of `bytes` bytes; what it costs is to be given to [`Room::release`] or
    /// [`Room::queue`].
    pub(crate) fn reserve(&mut self, bytes: u64, class: Class) -> Result<u64> {
        let limit = Self::record_max(self.region);
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        let cost = frame_cost(bytes);
        let kept = if class == Class::Ordinary { self.kept } else { 0 };
        let free = self.free(cost, kept);
        if cost > free {
            let room = free.saturating_sub(FRAME_HEADER as u64).min(limit);
            return Err(Error::Full { needed: cost, room });
        }
        self.reserved = self.reserved.saturating_add(cost);
        self.count_large(cost);
        Ok(cost)
    }

    /// Bytes that a frame of `cost` more bytes could take.
    fn free(&self, cost: u64, kept: u64) -> u64 {
        let longest = self.large.last_key_value().map_or(0, |(&length, _)| length);
        let longest = longest.max(cost).max(self.frame_max).max(self.kept);
        let pending =
            self.reserved.saturating_add(self.queued).saturating_add(MARK_BYTES).saturating_add(kept);
        let rest = self.region.rest(self.head);
        let wraps = pending.saturating_add(cost) > rest;
        let pad = if wraps { rest.min(longest.saturating_sub(BLOCK_SIZE as u64)) } else { 0 };
        self.region.bytes.saturating_sub(self.used()).saturating_sub(pending).saturating_sub(pad)
    }

    /// Gives back what was reserved and will not be used.
    pub(crate) fn release(&mut self, cost: u64) {
        self.reserved = self.reserved.saturating_sub(cost);
        self.forget_large(cost);
    }

    /// Turns a reservation into queued bytes: `added` of them, at most `cost`.
    pub(crate) fn queue(&mut self, cost: u64, added: u64) {
        self.reserved = self.reserved.saturating_sub(cost);
        self.queued = self.queued.saturating_add(added);
        if added != cost {
            self.forget_large(cost);
            self.count_large(added);
        }
    }

    /// Gives a queued frame its place: the pad before it (0: none), or `None` if there is no room for it, which
    /// the invariant rules out.
    pub(crate) fn place(&mut self, length: u64) -> Option<u64> {
        let rest = self.region.rest(self.head);
        let pad = if length > rest { rest } else { 0 };
        let head = self.head.0.checked_add(pad)?.checked_add(length)?;
        self.queued = self.queued.saturating_sub(length);
        self.forget_large(length);
        if head > self.tail.0.checked_add(self.region.bytes)? {
            return None;
        }
        self.head = Lsn(head);
        Some(pad)
    }

    /// Whether a mark may lie at the head.
    pub(crate) fn fits_mark(&self) -> bool {
        self.used().saturating_add(MARK_BYTES) <= self.region.bytes
    }

    /// Log before `lsn` is not needed any more.
    pub(crate) fn set_tail(&mut self, lsn: Lsn) {
        self.tail = lsn.min(self.head).max(self.tail);
    }

    fn count_large(&mut self, length: u64) {
        if length > self.frame_max {
            let count = self.large.entry(length).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn forget_large(&mut self, length: u64) {
        if let Some(count) = self.large.get_mut(&length) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.large.remove(&length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// Reserves so many bytes, so many times or until the log is full.
        Reserve(u64, usize, Class),
        Drop(usize),
        /// Queues so many reservations, the first of them with fewer bytes.
        Queue(usize, u64),
        Write,
        Checkpoint,
    }

    /// Lengths of records in a small log.
    fn small() -> impl Strategy<Value = u64> + Clone {
        prop_oneof![2 => 1..300_u64, 4 => 1800..4000_u64, 2 => 1..9000_u64, 1 => 1..70_000_u64]
    }

    /// Lengths of records in a large log: some need a frame that has to be announced, some just do not.
    fn large() -> impl Strategy<Value = u64> + Clone {
        let edge = LONG_FRAME - 3 * BLOCK_SIZE as u64..LONG_FRAME + 2 * BLOCK_SIZE as u64;
        prop_oneof![2 => 1..300_000_u64, 2 => edge, 2 => LONG_FRAME..5 * LONG_FRAME]
    }

    fn steps(bytes: impl Strategy<Value = u64> + Clone) -> impl Strategy<Value = Vec<Step>> {
        let times = prop_oneof![3 => Just(1), 1 => 1..100_usize];
        let class = prop_oneof![4 => Just(Class::Ordinary), 1 => Just(Class::Maintenance)];
        let less = prop_oneof![3 => Just(0), 1 => any::<u64>()];
        let step = prop_oneof![
            6 => (bytes, times.clone(), class).prop_map(|(bytes, times, class)| Step::Reserve(bytes, times, class)),
            1 => any::<usize>().prop_map(Step::Drop),
            4 => (times, less).prop_map(|(times, less)| Step::Queue(times, less)),
            2 => Just(Step::Write),
            1 => Just(Step::Checkpoint),
        ];
        prop::collection::vec(step, 1..100)
    }

    /// An account with what was reserved and queued in it.
    struct Model {
        room: Room,
        held: Vec<(u64, u64)>,
        frames: Vec<u64>,
    }

    impl Model {
        fn reserve(&mut self, bytes: u64, class: Class) -> bool {
            match self.room.reserve(bytes, class) {
                Ok(cost) => {
                    self.held.push((bytes, cost));
                    return true;
                }
                Err(Error::Full { needed, room }) => assert!(room == 0 || frame_bytes(room) < needed),
                Err(Error::TooLarge { limit, .. }) => assert!(bytes > limit),
                Err(error) => panic!("{error}"),
            }
            false
        }

        fn queue(&mut self, less: u64) {
            let Some((bytes, cost)) = self.held.pop() else { return };
            let bytes = bytes - less % bytes;
            match self.frames.last_mut() {
                Some(payload) if frame_bytes(*payload + bytes) <= self.room.frame_max => {
                    let before = frame_bytes(*payload);
                    *payload += bytes;
                    self.room.queue(cost, frame_bytes(*payload) - before);
                }
                _ => {
                    self.frames.push(bytes);
                    self.room.queue(cost, frame_cost(bytes));
                }
            }
        }

        fn write(&mut self) {
            for payload in self.frames.drain(..) {
                let length = frame_cost(payload);
                assert!(self.room.place(length).is_some(), "no room for a frame of {payload} bytes");
                let begin = Lsn(self.room.head.0 - length);
                assert!(self.room.region.rest(begin) >= length, "a frame straddles the end");
            }
            assert!(self.room.fits_mark(), "no room for a mark");
        }
    }

    /// Does all steps; then what is still held is queued, and written.
    fn run(region: Region, frame_max: u64, kept: u64, steps: Vec<Step>) {
        let room = Room::new(region, Lsn(0), Lsn(0), frame_max, kept);
        let mut model = Model { room, held: Vec::new(), frames: Vec::new() };
        for step in steps {
            match step {
                Step::Reserve(bytes, times, class) => {
                    (0..times).all(|_| model.reserve(bytes, class));
                }
                Step::Drop(which) if !model.held.is_empty() => {
                    let (_, cost) = model.held.swap_remove(which % model.held.len());
                    model.room.release(cost);
                }
                Step::Drop(_) => {}
                Step::Queue(times, less) => {
                    model.queue(less);
                    (1..times).for_each(|_| model.queue(0));
                }
                Step::Write => model.write(),
                Step::Checkpoint => {
                    let head = model.room.head;
                    model.room.set_tail(head);
                }
            }
        }
        (0..model.held.len()).for_each(|_| model.queue(0));
        model.write();
        assert_eq!((model.room.reserved, model.room.queued, model.room.large.len()), (0, 0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn whatever_was_reserved_can_be_written_and_a_mark_behind_it(
            blocks in 32..80_u64,
            keeps: bool,
            steps in steps(small()),
        ) {
            let region = Region::new(0, blocks * 4096);
            let frame_max = (region.bytes / 16 / 4096 * 4096).max(8192);
            run(region, frame_max, if keeps { frame_max } else { 0 }, steps);
        }

        #[test]
        fn so_can_frames_that_have_to_be_announced(
            blocks in 14_000..40_000_u64,
            keeps: bool,
            steps in steps(large()),
        ) {
            let region = Region::new(0, blocks * 4096);
            let frame_max = (region.bytes / 16 / 4096 * 4096).min(LONG_FRAME);
            run(region, frame_max, if keeps { frame_max } else { 0 }, steps);
        }
    }

    #[test]
    fn an_empty_log_grants_the_largest_record_wherever_it_stands() {
        for blocks in [32, 64, 100, 1024] {
            let region = Region::new(0, blocks * 4096);
            for head in (0..2 * region.bytes).step_by(4096) {
                let mut room = Room::new(region, Lsn(head), Lsn(head), region.bytes / 16, region.bytes / 16);
                room.reserve(Room::record_max(region), Class::Ordinary).unwrap();
            }
        }
    }

    #[test]
    fn what_is_kept_for_maintenance_can_be_had_when_the_log_is_full() {
        let region = Region::new(0, 64 * 4096);
        for head in (0..region.bytes).step_by(4096) {
            let kept = 4 * 4096;
            let mut room = Room::new(region, Lsn(head), Lsn(head), 8192, kept);
            while room.reserve(100, Class::Ordinary).is_ok() {}
            room.reserve(kept - FRAME_HEADER as u64, Class::Maintenance).unwrap();
        }
    }
}
