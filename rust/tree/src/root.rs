//! A root: one whole state of the tree.

use std::sync::{Arc, OnceLock};

use vexfs_format::NodePtr;

use crate::node::Node;

/// How much there is under a root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeCounts {
    /// Nodes, leaves among them.
    pub nodes: u64,
    /// Leaves.
    pub leaves: u64,
    /// Items.
    pub items: u64,
    /// Blocks of values kept out of line.
    pub out_of_line_blocks: u64,
}

/// A state of the tree. Once it was used it holds its uppermost nodes in memory; a clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Root {
    ptr: Option<NodePtr>,
    counts: TreeCounts,
    pub(crate) top: Arc<OnceLock<Arc<Node>>>,
}

impl Root {
    /// The root at `ptr` (none: the empty tree) with these counts, as a checkpoint's descriptor has them.
    #[must_use]
    pub fn new(ptr: Option<NodePtr>, counts: TreeCounts) -> Self {
        Self { ptr, counts, top: Arc::default() }
    }

    /// The tree without an item.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The pointer to the root node; none for the empty tree.
    #[must_use]
    pub const fn ptr(&self) -> Option<NodePtr> {
        self.ptr
    }

    /// How much there is under it.
    #[must_use]
    pub const fn counts(&self) -> TreeCounts {
        self.counts
    }
}

impl TreeCounts {
    /// These counts after a change; a damaged image's wrong counts stay wrong, but never wrap.
    pub(crate) const fn changed(&self, gained: &Self, lost: &Self) -> Self {
        const fn one(was: u64, gained: u64, lost: u64) -> u64 {
            was.saturating_add(gained).saturating_sub(lost)
        }
        Self {
            nodes: one(self.nodes, gained.nodes, lost.nodes),
            leaves: one(self.leaves, gained.leaves, lost.leaves),
            items: one(self.items, gained.items, lost.items),
            out_of_line_blocks: one(
                self.out_of_line_blocks,
                gained.out_of_line_blocks,
                lost.out_of_line_blocks,
            ),
        }
    }
}

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        self.ptr == other.ptr && self.counts == other.counts
    }
}

impl Eq for Root {}
