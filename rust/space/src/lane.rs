//! Lanes: what each thread keeps to itself so that threads need not meet.
//!
//! A thread takes the next lane of a space when it first allocates there; more threads than lanes share them.
//! A lane remembers in which group each kind of allocation goes on, and counts. Invariant: a total is the sum
//! over all lanes and may be read at any time; it is exact while nobody allocates.

use core::cell::Cell;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use vexfs_format::BlockNo;

use crate::request::{Class, Request};

/// How many threads can allocate without sharing a lane.
pub(crate) const LANES: usize = 16;
/// Spaces of which a thread remembers its lane.
const REMEMBERED: usize = 4;

/// Numbers the spaces of this process.
static SPACES: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static MINE: Cell<[(u64, usize); REMEMBERED]> = const { Cell::new([(0, 0); REMEMBERED]) };
}

/// What goes on in a group of its own: small pieces fill holes where large runs would no longer fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Small,
    Large,
    Meta,
    Inode,
}

impl Stream {
    const COUNT: usize = 4;
    /// The longest run that counts as small.
    const SMALL: u32 = 16;

    pub const fn of(request: &Request) -> Self {
        match (request.class, request.max) {
            (Class::Meta, _) => Self::Meta,
            (_, ..=Self::SMALL) => Self::Small,
            _ => Self::Large,
        }
    }
}

/// What one lane counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    classes: [ClassCounters; Class::COUNT],
    pub frees: AtomicU64,
    pub freed_blocks: AtomicU64,
    pub inode_allocations: AtomicU64,
    pub inode_frees: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct ClassCounters {
    pub allocations: AtomicU64,
    pub blocks: AtomicU64,
}

impl Counters {
    pub const fn of(&self, class: Class) -> &ClassCounters {
        let [data, vector, meta] = &self.classes;
        match class {
            Class::Data => data,
            Class::Vector => vector,
            Class::Meta => meta,
        }
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lane {
    /// Where each stream goes on.
    homes: [AtomicU32; Stream::COUNT],
    /// The block behind the last [`crate::Strategy::NextZero`].
    cursor: AtomicU64,
    /// Blocks given back less blocks taken.
    pub free_blocks: AtomicI64,
    /// Inodes given back less inodes taken.
    pub free_inodes: AtomicI64,
    /// See [`crate::units`].
    pub credit: AtomicI64,
    pub counters: Counters,
}

impl Lane {
    pub fn home(&self, stream: Stream) -> u32 {
        self.homes.get(stream as usize).map_or(0, |home| home.load(Relaxed))
    }

    pub fn move_home(&self, stream: Stream, group: u32) {
        if let Some(home) = self.homes.get(stream as usize)
            && home.load(Relaxed) != group
        {
            home.store(group, Relaxed);
        }
    }

    pub fn cursor(&self) -> BlockNo {
        BlockNo(self.cursor.load(Relaxed))
    }

    pub fn move_cursor(&self, block: u64) {
        self.cursor.store(block, Relaxed);
    }

    /// Blocks that are in use without having been allocated here.
    pub fn marked(&self, blocks: u32) {
        self.free_blocks.fetch_sub(blocks.into(), Relaxed);
    }

    /// The same undone.
    pub fn unmarked(&self, blocks: u32) {
        self.free_blocks.fetch_add(blocks.into(), Relaxed);
    }

    pub fn took(&self, class: Class, blocks: u32) {
        self.free_blocks.fetch_sub(blocks.into(), Relaxed);
        let counters = self.counters.of(class);
        counters.allocations.fetch_add(1, Relaxed);
        counters.blocks.fetch_add(blocks.into(), Relaxed);
    }

    pub fn gave(&self, blocks: u32) {
        self.free_blocks.fetch_add(blocks.into(), Relaxed);
        self.counters.frees.fetch_add(1, Relaxed);
        self.counters.freed_blocks.fetch_add(blocks.into(), Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Lanes {
    space: u64,
    next: AtomicUsize,
    lanes: [Lane; LANES],
}

impl Lanes {
    /// Lanes over so many groups, which begin far apart: 0, 1/2, 1/4, 3/4, ...
    pub fn new(groups: u32) -> Self {
        let lanes: [Lane; LANES] = Default::default();
        for (lane, part) in lanes.iter().zip(0_u32..) {
            let part = part.reverse_bits() >> (u32::BITS - LANES.ilog2());
            let group = u64::from(groups) * u64::from(part) / LANES as u64;
            for home in &lane.homes {
                home.store(u32::try_from(group).unwrap_or(0), Relaxed);
            }
            lane.cursor.store(group * u64::from(crate::bits::BITS), Relaxed);
        }
        Self { space: SPACES.fetch_add(1, Relaxed), next: AtomicUsize::new(0), lanes }
    }

    /// This thread's lane.
    pub fn mine(&self) -> &Lane {
        let [first, ..] = &self.lanes;
        self.lanes.get(self.number()).unwrap_or(first)
    }

    pub fn all(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    fn number(&self) -> usize {
        let mut known = MINE.get();
        if let Some((_, lane)) = known.iter().find(|(space, _)| *space == self.space) {
            return *lane;
        }
        let lane = self.next.fetch_add(1, Relaxed) % LANES;
        known.rotate_right(1);
        if let Some(first) = known.first_mut() {
            *first = (self.space, lane);
        }
        MINE.set(known);
        lane
    }
}
