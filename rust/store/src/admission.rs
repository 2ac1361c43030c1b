//! Admission: a commit is let in only if the checkpoint that will carry it is sure to find its blocks.
//!
//! The bound: what the tree can grow by under all that the memtables hold, in free aligned units of 16 KiB, plus
//! the reserve. Data may not break the units below that bound (the allocator's floor). What only gives space back
//! may use the reserve, so a full volume can always be emptied.

use std::sync::atomic::Ordering;
use std::time::Duration;

use vexfs_format::BlockRun;
use vexfs_space::{Error as SpaceError, Request};
use vexfs_tree::{Root, TreeCounts};

use crate::checkpoint::Kind;
use crate::commit::Commits;
use crate::reservation::Reservation;
use crate::state::State;
use crate::store::{Inner, Writer};
use crate::{Error, Result};

/// What a set of changes can add to the tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Growth {
    /// Keys, each counted as often as it is written.
    pub keys: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Runs given up, which lists have to remember.
    pub frees: u64,
}

/// What a commit lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Log,
    Space,
    Memory,
}

/// Units for the lists that every checkpoint writes, whatever changed: a bucket for each retained checkpoint, the
/// chain of buckets, and the table, all in single blocks.
fn fixed_units(data_blocks: u64) -> u64 {
    (crate::checkpoint::retained_at_most(data_blocks) as u64 + 8).div_ceil(4)
}
/// Freed runs that one unit of lists is sure to hold.
const FREES_PER_UNIT: u64 = 400;
/// How often a commit that found no room tries again.
const ATTEMPTS: u32 = 200;
/// A run that is shorter than wanted by this factor scatters a file,
const POOR: u32 = 8;
/// and if more than this part of the volume waits to be free, a checkpoint may spare it that.
const WORTH_A_CHECKPOINT: u64 = 32;
const PAUSE: Duration = Duration::from_millis(10);

impl Growth {
    pub(crate) fn add(&mut self, value_bytes: u64) {
        self.keys += 1;
        self.bytes += value_bytes;
    }

    pub(crate) fn add_frees(&mut self, frees: usize) {
        self.frees += frees as u64;
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            keys: self.keys + other.keys,
            bytes: self.bytes + other.bytes,
            frees: self.frees + other.frees,
        }
    }

    fn units(self, root: &Root, fixed: u64) -> u64 {
        if self.keys == 0 && self.frees == 0 {
            return 0;
        }
        vexfs_tree::growth_bound(root, self.keys, self.bytes) + self.frees.div_ceil(FREES_PER_UNIT) + fixed
    }
}

/// Units that the checkpoints of the frozen and of the active memtable may need together.
fn units_needed(root: &Root, frozen: Growth, active: Growth, fixed: u64) -> u64 {
    let first = frozen.units(root, fixed);
    let counts = root.counts();
    let grown = TreeCounts { leaves: counts.leaves + first, nodes: counts.nodes + first, ..counts };
    let grown = Root::new(root.ptr(), grown);
    first + active.units(&grown, fixed)
}

impl Inner {
    /// Lets a commit in that adds `growth`, and moves the allocator's floor. Called under the commit lock.
    pub(crate) fn admit(
        &self,
        writer: &Writer,
        commits: &mut Commits,
        state: &State,
        growth: Growth,
        removal: bool,
    ) -> Result<(), Room> {
        if state.frozen.is_some() && state.active.bytes() > self.options.memtable_bytes.saturating_mul(2) {
            return Err(Room::Memory);
        }
        let fixed = fixed_units(self.geometry.data_blocks());
        let active = commits.active_growth.plus(growth);
        let needed = units_needed(&state.root, commits.frozen_growth, active, fixed);
        let floor = needed + u64::from(self.geometry.reserve_units);
        let rise = floor.saturating_sub(commits.floor);
        let admitted = if removal {
            writer.space.set_unit_floor(floor.max(commits.floor));
            writer.space.free_units() >= needed
        } else {
            writer.space.raise_unit_floor(rise)
        };
        if !admitted {
            writer.space.set_unit_floor(commits.floor);
            return Err(Room::Space);
        }
        commits.floor = commits.floor.max(floor);
        commits.active_growth = commits.active_growth.plus(growth);
        Ok(())
    }

    /// Sets the floor to what the memtables need now, after a freeze or a checkpoint. Called under the commit lock.
    pub(crate) fn refit_floor(&self, writer: &Writer, commits: &mut Commits, root: &Root) {
        let fixed = fixed_units(self.geometry.data_blocks());
        let needed = units_needed(root, commits.frozen_growth, commits.active_growth, fixed);
        commits.floor = needed + u64::from(self.geometry.reserve_units);
        writer.space.set_unit_floor(commits.floor);
    }

    /// Makes room, or says that there is none. `attempts`: how often this commit was here before.
    pub(crate) fn make_room(&self, room: Room, attempts: u32) -> Result<()> {
        let progress = self.checkpoint(Kind::Emergency)? | self.reclaim()?;
        match room {
            _ if attempts > ATTEMPTS => Err(match room {
                Room::Space => Error::NoSpace,
                Room::Log | Room::Memory => Error::Stalled,
            }),
            Room::Space if !progress && attempts > 0 && !self.drop_retained()? => Err(Error::NoSpace),
            Room::Log | Room::Memory if !progress => {
                std::thread::sleep(PAUSE);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes blocks from the allocator; before "no space" is said, checkpoints run and the old ones are dropped.
    pub(crate) fn reserve(self: &std::sync::Arc<Self>, request: &Request) -> Result<Reservation> {
        let writer = self.writer()?;
        let mut attempts = 0;
        loop {
            match writer.space.alloc(request) {
                Ok(run) if attempts == 0 && self.is_poor(writer, request, run) => {
                    self.unreserve(run);
                    self.free_what_waits()?;
                }
                Ok(run) => return Ok(Reservation::new(std::sync::Arc::clone(self), run)),
                Err(SpaceError::NoSpace { .. } | SpaceError::Fragmentation { .. }) => {
                    self.make_room(Room::Space, attempts)?;
                }
                Err(error) => return Err(error.into()),
            }
            attempts += 1;
        }
    }

    /// Whether a run is so much shorter than wanted that what waits to be free is worth a checkpoint.
    fn is_poor(&self, writer: &Writer, request: &Request, run: BlockRun) -> bool {
        let waiting = || writer.freed_blocks.load(Ordering::Relaxed) + writer.deferred.blocks();
        run.len < request.max / POOR && waiting() > self.geometry.data_blocks() / WORTH_A_CHECKPOINT
    }

    fn free_what_waits(&self) -> Result<()> {
        match self.checkpoint(Kind::Emergency).and_then(|_| self.reclaim()) {
            // Then the short run has to do.
            Ok(_) | Err(Error::NoSpace) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns freed blocks that nobody can reach any more to the allocator; says whether there were any.
    pub(crate) fn reclaim(&self) -> Result<bool> {
        let writer = self.writer()?;
        if let Some((id, lsn)) = writer.pinned.take_released() {
            writer.log.set_durable_checkpoint(id, lsn);
        }
        let runs = writer.deferred.take_reusable(self.readers.oldest());
        for run in &runs {
            if self.options.discard
                && let Err(error) = self.device.discard(run.start.byte_offset(), run.bytes())
            {
                // The blocks are free all the same: the host only keeps room that it could have had.
                tracing::warn!(%error, "freed blocks were not given back to the host");
            }
            writer.space.release(*run).map_err(|error| self.fail(&error))?;
            self.stats.reclaimed_blocks.fetch_add(run.len.into(), Ordering::Relaxed);
        }
        Ok(!runs.is_empty())
    }
}
