//! How many blocks a batch may need, before it is applied. Admission relies on it: what was let in is sure to
//! find its blocks.
//!
//! The bound counts units of four blocks, which is a node. It holds for every batch of at most `keys` changes whose
//! values weigh at most `bytes` ([`weight`]), on every tree that `apply` made. Why:
//!
//! **Leaves.** A *run* is what flows into new leaves between two untouched subtrees. While it grows, leaves are cut
//! off that cannot take the next item, so each has more than `D` = room less the heaviest item. The rest becomes one
//! leaf, or two if it is more than a leaf's room, which is more than `D`. So a run of `B` bytes becomes at most
//! `B / D + 1` leaves. The bytes are those inserted, at most `keys * ITEM_WEIGHT + bytes`, and those of old leaves,
//! each at most its room: the touched ones, at most one a key; and per run those taken in from behind it, which are
//! at most `MOST_TAKEN`, and before them less than `LEAST` bytes of others (a run takes in what follows only while it
//! has less than that, or while it has taken fewer than `MOST_TAKEN`). They are no more than all old leaves. Every
//! run has a touched leaf, and an untouched one between it and the next: so there are at most `keys`, and at most
//! `(leaves + 1) / 2`.
//!
//! **Nodes of level k** come of runs in the same way, but all children weigh the same: a run of `E` children becomes
//! at most `E / MAX_CHILDREN + 1` nodes. Its children are the new nodes below, and those of old nodes of level k that
//! were opened: visited ones, at most one a key; and for each run of a level `j <= k` at most one, since behind a run
//! that is too short lies a node that suffices (all but the last of a level have `LEAST` bytes). Every run has a
//! visited node of its level, so there are at most `keys`. None of these are more than there are nodes of the level:
//! one, for the level of the root; at most `1 + n / LEAST_CHILDREN` above `n` nodes.
//!
//! **Above the old root** the same holds with nothing opened and one run, until a level has one node.
//!
//! All of this grows with the number of leaves and the height, so a bound on these will do: that is how batches that
//! follow each other are bounded.
//!
//! **Values out of line** are aligned so that a value of `b` blocks breaks at most `b / 4` units, rounded up; their
//! weight is the leaf space of as many nodes, and of the pointer.

use vexfs_format::NODE_SIZE;
use vexfs_format::node::{MAX_CHILDREN, MAX_INLINE, NODE_ROOM};
use vexfs_format::pointer::RawOutOfLine;

use crate::apply::{CHILD_WEIGHT, HEAVIEST, ITEM_WEIGHT, LEAST, MOST_TAKEN};
use crate::root::Root;

/// A leaf that is cut off has more bytes than this.
const D: u64 = (NODE_ROOM - HEAVIEST) as u64;
/// A node that is not the last of its level has at least this many children.
const LEAST_CHILDREN: u64 = LEAST.div_ceil(CHILD_WEIGHT) as u64;

/// What a value of this length counts for in [`growth_bound`].
#[must_use]
pub const fn weight(value_len: usize) -> u64 {
    if value_len <= MAX_INLINE {
        return value_len as u64;
    }
    size_of::<RawOutOfLine>() as u64 + (value_len as u64).div_ceil(NODE_SIZE as u64).saturating_mul(D)
}

/// What the bound depends on.
#[derive(Clone, Copy)]
struct Shape {
    /// At most so many leaves.
    leaves: u64,
    /// The root is at most so many levels above them.
    height: u64,
}

/// The most units of 16 KiB (aligned, four blocks) that [`Reader::apply`](crate::Reader::apply) allocates for a batch
/// of at most `keys` changes, the [`weight`]s of whose values sum up to at most `bytes`.
#[must_use]
pub fn growth_bound(root: &Root, keys: u64, bytes: u64) -> u64 {
    growth_bound_in_turn(root, &[(keys, bytes)])
}

/// As [`growth_bound`], for several batches (their keys and bytes) of which each is applied to what the one before
/// made, and nothing that they free is used again in between.
#[must_use]
pub fn growth_bound_in_turn(root: &Root, batches: &[(u64, u64)]) -> u64 {
    let mut shape =
        Shape { leaves: root.counts().leaves, height: root.ptr().map_or(0, |ptr| u64::from(ptr.level)) };
    batches.iter().fold(0, |total, (keys, bytes)| total.saturating_add(shape.grow(*keys, *bytes)))
}

impl Shape {
    /// What a batch allocates at most; afterwards this is the shape that it makes at most.
    fn grow(&mut self, keys: u64, bytes: u64) -> u64 {
        if keys == 0 {
            return 0;
        }
        let room = NODE_ROOM as u64;
        let runs = keys.min(self.leaves / 2 + 1);
        let touched = keys.saturating_mul(room);
        let taken = runs.saturating_mul(MOST_TAKEN as u64 * room + LEAST as u64);
        let kept = touched.saturating_add(taken).min(self.leaves.saturating_mul(room));
        let inserted = keys.saturating_mul(ITEM_WEIGHT as u64).saturating_add(bytes);
        let mut nodes = (kept.saturating_add(inserted) / D).saturating_add(runs);
        let mut total = nodes;

        let fanout = MAX_CHILDREN as u64;
        let mut there = self.leaves;
        self.leaves = self.leaves.saturating_add(nodes);
        for level in 1..=self.height {
            there = if level == self.height { 1 } else { there / LEAST_CHILDREN + 1 };
            let opened = keys.saturating_mul(level + 2).min(there);
            nodes = (nodes / fanout).saturating_add(opened).saturating_add(keys.min(there));
            total = total.saturating_add(nodes);
        }
        while nodes > 1 {
            nodes = nodes / fanout + 1;
            total = total.saturating_add(nodes);
            self.height += 1;
        }
        total
    }
}
