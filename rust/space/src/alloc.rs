//! Allocating a run of blocks.
//!
//! The order of the search: a run of full length near the goal (or where this thread's stream of such requests
//! goes on), then of full length anywhere, then of half, a quarter, ... down to `min`. Data that may break no more
//! units gets the pieces of broken ones. A group that another thread holds is passed over at first.

use vexfs_format::{BlockNo, BlockRun, Geometry};

use crate::bits::UNIT;
use crate::error::{Error, Result};
use crate::group::{Hint, Locked};
use crate::lane::{Lane, Stream};
use crate::request::{Request, Strategy};
use crate::space::Space;

impl Space {
    /// Reserves a run of `min..=max` blocks until it is released. The run never crosses a group's end.
    ///
    /// Fails with `no_space` when there are too few free blocks (for data: without breaking the last free
    /// units), with `fragmentation` when there are enough but not in one run of `min`.
    pub fn alloc(&self, request: &Request) -> Result<BlockRun> {
        let request = request.checked()?;
        let search = Search::new(self, request);
        match search.run()? {
            Some(run) => Ok(run),
            None => Err(self.refusal(&request)),
        }
    }

    /// Reserves `blocks` blocks in as few runs as there are: all of them or, on an error, none. Each run is at
    /// least `request.min` blocks long, except for a last one that is all that was left to ask for.
    pub fn alloc_many(&self, request: &Request, blocks: u64) -> Result<Vec<BlockRun>> {
        let mut runs: Vec<BlockRun> = Vec::new();
        let mut left = blocks;
        let mut next = *request;
        while left > 0 {
            let most = u32::try_from(left).unwrap_or(u32::MAX);
            next.max = request.max.min(most);
            next.min = request.min.min(most);
            match self.alloc(&next) {
                Ok(run) => {
                    left = left.saturating_sub(run.len.into());
                    next.goal = Some(BlockNo(run.end()));
                    runs.push(run);
                }
                Err(error) => {
                    for run in runs {
                        self.release(run)?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(runs)
    }

    fn refusal(&self, request: &Request) -> Error {
        let (mut pieces, mut largest) = (0_u64, 0);
        for hint in (0..self.geometry.group_count).map(|group| self.hint(group)) {
            pieces += u64::from(hint.pieces());
            largest = largest.max(u32::from(hint.largest));
        }
        let free = self.free_blocks();
        let kept = request.class.respects_floor()
            && (request.align == 1 && largest >= request.min
                || pieces + self.units.headroom(&self.lanes) * u64::from(UNIT) < request.min.into());
        if kept || free < request.min.into() {
            return Error::NoSpace { wanted: request.min, free };
        }
        Error::Fragmentation { wanted: request.min, align: request.align, largest }
    }
}

/// One request on its way through the groups.
struct Search<'a> {
    space: &'a Space,
    lane: &'a Lane,
    stream: Stream,
    request: Request,
    /// Group and index of the goal.
    goal: Option<(u32, u32)>,
}

/// What became of a run that was found.
enum Claim {
    Taken(BlockRun),
    /// The floor keeps the units that it would have broken.
    Kept,
}

impl<'a> Search<'a> {
    fn new(space: &'a Space, request: Request) -> Self {
        let lane = space.lanes.mine();
        let goal = match request.strategy {
            Strategy::NextZero => request.goal.or_else(|| Some(lane.cursor())),
            _ => request.goal,
        };
        let inside = |block: &BlockNo| block.0 < space.geometry.block_count;
        let goal = goal.filter(inside).map(Geometry::locate);
        Self { space, lane, stream: Stream::of(&request), request, goal }
    }

    fn run(&self) -> Result<Option<BlockRun>> {
        let floored = self.request.class.respects_floor();
        if floored
            && self.stream == Stream::Small
            && self.space.units.is_scarce()
            && let Some(run) = self.pieces()?
        {
            return Ok(Some(run));
        }
        let mut len = self.request.max;
        loop {
            if let Some(run) = self.of_length(len)? {
                return Ok(Some(run));
            }
            if len == self.request.min {
                break;
            }
            len = (len / 2).max(self.request.min);
        }
        if floored { self.pieces() } else { Ok(None) }
    }

    /// A run of `len` blocks or more.
    fn of_length(&self, len: u32) -> Result<Option<BlockRun>> {
        let whole_units = if self.request.align >= UNIT { len / UNIT } else { 0 };
        let fits = |hint: Hint| u32::from(hint.largest) >= len && u32::from(hint.units) >= whole_units;
        let mut passed_over = false;
        for patient in [false, true] {
            for group in self.ring() {
                let near = self.is_goal(group) && !patient;
                if !(near || fits(self.space.hint(group))) {
                    continue;
                }
                let loaded = self.space.group(group)?;
                let locked = if near || patient { Some(loaded.lock()) } else { loaded.try_lock() };
                let Some(mut busy) = locked else {
                    passed_over = true;
                    continue;
                };
                if let Some(found) = busy.find(&self.request, len, self.goal_in(group)) {
                    return Ok(self.claim(group, &mut busy, found).into());
                }
            }
            if !passed_over {
                break;
            }
        }
        Ok(None)
    }

    /// A run that breaks no unit.
    fn pieces(&self) -> Result<Option<BlockRun>> {
        for group in self.ring() {
            if self.space.hint(group).pieces() < self.request.min {
                continue;
            }
            let mut busy = self.space.group(group)?.lock();
            if let Some(found) = busy.find_pieces(&self.request, self.goal_in(group)) {
                return Ok(self.claim(group, &mut busy, found).into());
            }
        }
        Ok(None)
    }

    /// Takes the run that was found, or as much of it as the floor allows.
    fn claim(&self, group: u32, busy: &mut Locked<'_>, (start, mut len): (u32, u32)) -> Claim {
        let space = self.space;
        let mut units = busy.bits().free_units(start, len);
        if self.request.class.respects_floor() {
            let granted = space.units.take(&space.lanes, self.lane, units);
            if granted < units {
                len = self.usable(busy.breaking_at_most(start, len, granted));
                units = busy.bits().free_units(start, len);
                space.units.give(self.lane, granted - units);
            }
            if len == 0 {
                return Claim::Kept;
            }
        } else {
            space.units.take_anyway(&space.lanes, units);
        }
        busy.take(start, len, units);
        self.lane.took(self.request.class, len);
        let run = BlockRun { start: BlockNo(Geometry::group_start(group).0 + u64::from(start)), len };
        if self.request.strategy == Strategy::NextZero {
            self.lane.move_cursor(run.end());
        } else if self.goal.is_none() {
            self.lane.move_home(self.stream, group);
        }
        Claim::Taken(run)
    }

    /// What of a shortened run is of use: 0 if it is too short.
    fn usable(&self, len: u32) -> u32 {
        match (len < self.request.min, self.request.strategy) {
            (true, _) => 0,
            (false, Strategy::Buddy) => 1 << len.ilog2(),
            (false, _) => len,
        }
    }

    fn ring(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.goal.map_or_else(|| self.lane.home(self.stream), |(group, _)| group);
        self.space.ring(first)
    }

    fn is_goal(&self, group: u32) -> bool {
        self.goal_in(group).is_some()
    }

    fn goal_in(&self, group: u32) -> Option<u32> {
        self.goal.filter(|(goal, _)| *goal == group).map(|(_, index)| index)
    }
}

impl From<Claim> for Option<BlockRun> {
    fn from(claim: Claim) -> Self {
        match claim {
            Claim::Taken(run) => Some(run),
            Claim::Kept => None,
        }
    }
}
