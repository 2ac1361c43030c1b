//! Giving free space back to the host.

use vexfs_format::{BLOCK_SIZE, BlockRun, Geometry};

use crate::bits::Words;
use crate::error::{Error, Result};
use crate::release::pieces;
use crate::space::Space;

/// The most that is taken out of circulation at once: 16 MiB.
const STEP: u32 = 4096;

impl Space {
    /// Punches holes where `run` is free, in pieces of at least `shortest` blocks; says how many bytes went back
    /// to the host. Each piece is reserved while it is being punched, so nothing can be written there meanwhile,
    /// and none is taken from the units that the floor keeps. Meant for runs released after a checkpoint; static
    /// metadata and blocks in use are passed over.
    pub fn trim(&self, run: BlockRun, shortest: u32) -> Result<u64> {
        if run.end() > self.geometry.block_count {
            return Err(Error::InvalidRun { run });
        }
        let mut bytes = 0;
        for (group, start, len) in pieces(run) {
            let mut at = start;
            while at < start + len {
                let (from, free) = self.reserve_free(group, at, start + len, shortest)?;
                at = from + free;
                if free > 0 {
                    let hole = BlockRun::new(Geometry::group_start(group).0 + u64::from(from), free);
                    let punched = self.device.discard(hole.start.byte_offset(), hole.bytes());
                    let units = self.group(group)?.lock().give(from, free);
                    self.units.give(self.lanes.mine(), units);
                    self.lanes.mine().unmarked(free);
                    punched?;
                    bytes += u64::from(free) * BLOCK_SIZE as u64;
                }
            }
        }
        Ok(bytes)
    }

    /// Reserves the first free run of `shortest` or more in `at..end` of a group, cut to a step: where it begins
    /// and its length, or `end` and 0.
    fn reserve_free(&self, group: u32, mut at: u32, end: u32, shortest: u32) -> Result<(u32, u32)> {
        let lane = self.lanes.mine();
        let mut busy = self.group(group)?.lock();
        loop {
            at = busy.bits().next_free(at);
            if at >= end {
                return Ok((end, 0));
            }
            let len = (busy.bits().next_used(at).min(end) - at).min(STEP);
            let units = busy.bits().free_units(at, len);
            if len >= shortest.max(1) {
                let granted = self.units.take(&self.lanes, lane, units);
                if granted == units {
                    busy.take(at, len, units);
                    lane.marked(len);
                    return Ok((at, len));
                }
                self.units.give(lane, granted);
            }
            at += len;
        }
    }
}
