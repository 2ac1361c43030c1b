//! From an old root and a sorted batch of changes to a new root: one pass over the nodes that the batch touches.
//!
//! Items flow in key order into a pending run per level ([`pending`]); a run is cut into full nodes while it
//! grows, and ended where an untouched subtree follows. Ended nodes wait in a queue ([`queue`]), children before
//! their parents, which is written with one large write when it is full: so memory is bounded whatever the batch,
//! and the nodes of a batch lie side by side in key order. What the new tree no longer uses is reported as freed.
//!
//! Invariants of every tree made here:
//! - a child's slot carries the lowest key of its subtree, exactly;
//! - every node but the last of its level is at least a quarter full ([`merge`] opens the subtree behind a run
//!   that would end below that, and takes in what it needs);
//! - ascending appends leave full nodes.

mod merge;
mod part;
mod pending;
mod queue;

use vexfs_format::{BlockRun, Key, Seq};

use crate::alloc::NodeAlloc;
use crate::error::Result;
use crate::reader::Reader;
use crate::root::Root;

pub(crate) use merge::MOST_TAKEN;
pub(crate) use part::{CHILD_WEIGHT, ITEM_WEIGHT};
pub(crate) use pending::{HEAVIEST, LEAST};

/// What happens to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<V> {
    /// It gets this value.
    Put(V),
    /// It is removed; if it is not there, nothing happens.
    Delete,
}

/// What [`Reader::apply`] made.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The new root. Its nodes are written, but not yet flushed.
    pub root: Root,
    /// Blocks that the old root uses and the new one does not, each with the birth of what lay there.
    pub freed: Vec<(BlockRun, Seq)>,
    /// How many nodes were written.
    pub written: u64,
}

impl Reader {
    /// Applies a batch, sorted by key in strictly ascending order, to a root. The new nodes get `birth`, which no
    /// node of another attempt may have had.
    ///
    /// The old root is not touched. On an error no new root exists, and everything that `alloc` handed out may
    /// be taken back.
    pub fn apply<V: AsRef<[u8]>>(
        &self,
        root: &Root,
        batch: &mut dyn Iterator<Item = (Key, Change<V>)>,
        birth: Seq,
        alloc: &mut dyn NodeAlloc,
    ) -> Result<Applied> {
        merge::Merge::new(self, birth, alloc).run(root, batch)
    }
}
