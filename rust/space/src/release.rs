//! Giving blocks back, and recovery's claim to blocks that the log says are in use.

use smallvec::SmallVec;
use vexfs_format::{BlockNo, BlockRun, Geometry};

use crate::bits::{BITS, Words};
use crate::error::{Error, Result};
use crate::group::{Busy, Locked};
use crate::space::Space;

impl Space {
    /// Gives blocks back: a reservation undone, or a free that is reusable now. Any part of any allocation may be
    /// given back, also of several that lie side by side; all of the run or, if some of it is free already,
    /// nothing.
    pub fn release(&self, run: BlockRun) -> Result<()> {
        let free = |busy: &Busy, start| busy.bits().next_free(start);
        let error = |block| Error::DoubleFree { run, block };
        let lane = self.lanes.mine();
        self.change(run, free, error, |busy, start, len| self.units.give(lane, busy.give(start, len)))?;
        lane.gave(run.len);
        Ok(())
    }

    /// Recovery: these blocks are in use by the committed state, though no bitmap on the device says so yet. All
    /// of the run or, if some of it is in use already, nothing.
    pub fn mark_busy(&self, run: BlockRun) -> Result<()> {
        let used = |busy: &Busy, start| busy.bits().next_used(start);
        let error = |block| Error::AlreadyUsed { run, block };
        self.change(run, used, error, |busy, start, len| {
            let units = busy.bits().free_units(start, len);
            self.units.take_anyway(&self.lanes, units);
            busy.take(start, len, units);
        })?;
        self.lanes.mine().marked(run.len);
        Ok(())
    }

    /// As [`Space::mark_busy`] for many runs, fastest when those of a group follow each other. Stops at the first
    /// block that has another owner. Threads may share the work, each with groups of its own.
    pub fn mark_all_busy(&self, runs: impl IntoIterator<Item = BlockRun>) -> Result<()> {
        let lane = self.lanes.mine();
        let mut held: Option<(u32, Locked<'_>)> = None;
        for run in runs {
            if !self.geometry.holds(run) {
                return Err(Error::InvalidRun { run });
            }
            for (group, start, len) in pieces(run) {
                if held.as_ref().is_none_or(|(last, _)| *last != group) {
                    held = None;
                }
                let (_, busy) = match &mut held {
                    Some(held) => held,
                    None => held.insert((group, self.group(group)?.lock())),
                };
                let used = busy.bits().next_used(start);
                if used < start + len {
                    let block = Geometry::group_start(group).0 + u64::from(used);
                    return Err(Error::AlreadyUsed { run, block });
                }
                let units = busy.bits().free_units(start, len);
                self.units.take_anyway(&self.lanes, units);
                busy.take(start, len, units);
                lane.marked(len);
            }
        }
        Ok(())
    }

    /// Whether the block is in use, reserved, or not yet reusable.
    pub fn is_busy(&self, block: BlockNo) -> Result<bool> {
        let (group, index) = Geometry::locate(block);
        if block.0 >= self.geometry.block_count {
            return Err(Error::InvalidRun { run: BlockRun { start: block, len: 1 } });
        }
        Ok(self.group(group)?.lock().bits().get(index))
    }

    /// Locks the groups of a run in ascending order, looks in each for the first block that forbids the change,
    /// and makes the change if there is none.
    fn change(
        &self,
        run: BlockRun,
        first_stray: impl Fn(&Busy, u32) -> u32,
        error: impl Fn(u64) -> Error,
        apply: impl Fn(&mut Busy, u32, u32),
    ) -> Result<()> {
        if !self.geometry.holds(run) {
            return Err(Error::InvalidRun { run });
        }
        let mut parts: SmallVec<[(Locked<'_>, u32, u32); 1]> = SmallVec::new();
        for (group, start, len) in pieces(run) {
            let locked = self.group(group)?.lock();
            let stray = first_stray(&locked, start);
            if stray < start + len {
                return Err(error(Geometry::group_start(group).0 + u64::from(stray)));
            }
            parts.push((locked, start, len));
        }
        for (mut busy, start, len) in parts {
            apply(&mut busy, start, len);
        }
        Ok(())
    }
}

/// The parts of a run by group: group, first index there, length.
pub(crate) fn pieces(run: BlockRun) -> impl Iterator<Item = (u32, u32, u32)> {
    let mut at = run.start.0;
    let mut left = run.len;
    core::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let (group, start) = Geometry::locate(BlockNo(at));
        let len = left.min(BITS - start);
        at += u64::from(len);
        left -= len;
        Some((group, start, len))
    })
}
