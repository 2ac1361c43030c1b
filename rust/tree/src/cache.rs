//! The nodes kept in memory, within a budget of bytes.
//!
//! Nodes are found by block and birth. Nodes above the leaves are held by their parents besides, so that a
//! look-up goes down by plain pointers and asks the cache for the leaf only; a quarter of the budget bounds that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use vexfs_format::{BlockNo, NODE_SIZE, NodePtr, Seq};

use crate::node::Node;

/// Bytes that a node takes in memory: its own, and what stands around it.
const NODE_COST: u64 = NODE_SIZE as u64 + 512;

/// Nodes in memory, shared by every reader of a volume.
pub struct NodeCache {
    nodes: Cache<(BlockNo, Seq), Arc<Node>, Cost>,
    budget: u64,
    held: Arc<AtomicU64>,
    loads: AtomicU64,
}

/// What a [`NodeCache`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// The most bytes it keeps.
    pub budget_bytes: u64,
    /// Bytes it keeps now.
    pub used_bytes: u64,
    /// Bytes of nodes that are held by their parents.
    pub held_bytes: u64,
    /// How many nodes were read from the device.
    pub loads: u64,
}

/// What a held node counts for; given back when dropped.
pub(crate) struct Pin(Arc<AtomicU64>);

#[derive(Clone)]
struct Cost;

impl Weighter<(BlockNo, Seq), Arc<Node>> for Cost {
    fn weight(&self, _: &(BlockNo, Seq), _: &Arc<Node>) -> u64 {
        NODE_COST
    }
}

impl NodeCache {
    /// A cache that keeps up to about this many bytes.
    #[must_use]
    pub fn new(budget_bytes: u64) -> Self {
        let items = usize::try_from(budget_bytes / NODE_COST).unwrap_or(usize::MAX).max(1);
        let nodes = Cache::with_weighter(items, budget_bytes.max(NODE_COST), Cost);
        Self { nodes, budget: budget_bytes, held: Arc::default(), loads: AtomicU64::new(0) }
    }

    /// What it does.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            budget_bytes: self.budget,
            used_bytes: self.nodes.weight(),
            held_bytes: self.held.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
        }
    }

    /// Forgets every node that nobody holds.
    pub fn clear(&self) {
        self.nodes.clear();
    }

    /// The node that the pointer names, checksum included.
    #[inline]
    pub(crate) fn get(&self, ptr: &NodePtr) -> Option<Arc<Node>> {
        self.nodes.get(&(ptr.block, ptr.birth)).filter(|node| node.ptr() == *ptr)
    }

    pub(crate) fn insert(&self, node: Arc<Node>) {
        let ptr = node.ptr();
        self.nodes.insert((ptr.block, ptr.birth), node);
    }

    pub(crate) fn note_load(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }

    /// Room for one more node to be held by its parent.
    pub(crate) fn pin(&self) -> Option<Pin> {
        let before = self.held.fetch_add(NODE_COST, Ordering::Relaxed);
        let pin = Pin(Arc::clone(&self.held));
        (before < self.budget / 4).then_some(pin)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.fetch_sub(NODE_COST, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for NodeCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stats().fmt(f)
    }
}
