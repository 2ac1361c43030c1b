//! The nodes kept in memory, within a budget of bytes.
//!
//! All nodes weigh the same, so the budget is a number of places. Every place holds a node; a parent remembers the
//! place in which it last found a child, so a hit is a look at one place and a comparison, whoever looks. Only when
//! the node is no longer there is its place looked up by block and birth. What to drop is decided by a hand that goes
//! round the places and takes the first node that nobody used since it last came by.
//!
//! What is only written does not displace what is read: a new node takes the place of one that it replaces, or one of
//! the first [`WRITTEN`] bytes. So a large import fills memory no further than that.
//!
//! Nodes above the leaves are besides held by their parents, so that a look-up goes down to the last step by plain
//! pointers; a quarter of the budget bounds that.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use vexfs_format::{NODE_SIZE, NodePtr};

use crate::node::Node;

/// Bytes that a node takes in memory: its own, and what stands around it.
const NODE_COST: u64 = NODE_SIZE as u64 + 640;
/// Bytes up to which nodes are kept because they were written.
const WRITTEN: u64 = 64 << 20;
/// How many parts the table of places has, each with a lock.
const SHARDS: usize = 16;

/// Nodes in memory, shared by every reader of a volume.
pub struct NodeCache {
    places: Box<[Mutex<Option<Arc<Node>>>]>,
    /// Places without a node.
    empty: Mutex<Vec<u32>>,
    hand: AtomicUsize,
    /// Nodes that lost their place because they were replaced, and whose successors have none yet.
    replaced: AtomicUsize,
    /// The place of each node, by block and birth. It may lag behind: the node in the place says what it is.
    table: [Mutex<HashMap<(u64, u64), u32>>; SHARDS],
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

/// Where a node was last found; shared by all that look for it.
#[derive(Debug)]
pub(crate) struct Place(AtomicU32);

/// What a held node counts for; given back when dropped.
pub(crate) struct Pin(Arc<AtomicU64>);

impl NodeCache {
    /// A cache that keeps up to about this many bytes.
    #[must_use]
    pub fn new(budget_bytes: u64) -> Self {
        let count = u32::try_from(budget_bytes / NODE_COST).unwrap_or(u32::MAX - 1).max(1);
        Self {
            places: (0..count).map(|_| Mutex::new(None)).collect(),
            empty: Mutex::new((0..count).rev().collect()),
            hand: AtomicUsize::new(0),
            replaced: AtomicUsize::new(0),
            table: std::array::from_fn(|_| Mutex::default()),
            budget: budget_bytes,
            held: Arc::default(),
            loads: AtomicU64::new(0),
        }
    }

    /// What it does.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            budget_bytes: self.budget,
            used_bytes: self.used_bytes(),
            held_bytes: self.held.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
        }
    }

    /// Forgets every node that nobody holds.
    pub fn clear(&self) {
        for shard in &self.table {
            for (_, place) in shard.lock().drain() {
                self.take(place, |_| true);
            }
        }
    }

    /// The node that the pointer names, checksum included; `near` is where its parent last found it.
    #[inline]
    pub(crate) fn get(&self, ptr: &NodePtr, near: Option<&Place>) -> Option<Arc<Node>> {
        if let Some(near) = near
            && let Some(node) = self.look(near.0.load(Ordering::Relaxed), ptr)
        {
            return Some(node);
        }
        let place = *self.shard(ptr).lock().get(&id(ptr))?;
        let node = self.look(place, ptr)?;
        if let Some(near) = near {
            near.0.store(place, Ordering::Relaxed);
        }
        Some(node)
    }

    #[inline]
    fn look(&self, place: u32, ptr: &NodePtr) -> Option<Arc<Node>> {
        let place = self.places.get(place as usize)?.lock();
        let node = place.as_ref().filter(|node| node.ptr() == ptr)?;
        node.touch();
        Some(Arc::clone(node))
    }

    fn used_bytes(&self) -> u64 {
        (self.places.len() - self.empty.lock().len()) as u64 * NODE_COST
    }

    /// Keeps a node that was just written, if it comes in the place of another or few are kept.
    pub(crate) fn insert_written(&self, node: Arc<Node>) {
        let replaces = |count: usize| count.checked_sub(1);
        let replaced = self.replaced.fetch_update(Ordering::Relaxed, Ordering::Relaxed, replaces).is_ok();
        if replaced || self.used_bytes() < WRITTEN {
            self.insert(node);
        }
    }

    /// Keeps a node, in place of another if the budget is used up.
    pub(crate) fn insert(&self, node: Arc<Node>) {
        let ptr = *node.ptr();
        let free = self.empty.lock().pop();
        let (place, old) = match free {
            Some(place) => (place, self.put(place, node)),
            None => self.replace(node),
        };
        if let Some(old) = old {
            self.forget(old.ptr(), place);
        }
        if let Some(before) = self.shard(&ptr).lock().insert(id(&ptr), place) {
            // Another thread has loaded it too: one copy is enough.
            self.take(before, |other| before != place && *other.ptr() == ptr);
        }
    }

    /// Makes room for what comes in the place of a node that a new root no longer has. Whoever still reads an
    /// older root loads it again.
    pub(crate) fn remove(&self, ptr: &NodePtr) {
        let place = self.shard(ptr).lock().remove(&id(ptr));
        if place.is_some_and(|place| self.take(place, |node| node.ptr() == ptr)) {
            self.replaced.fetch_add(1, Ordering::Relaxed);
        }
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

    /// Puts the node where the hand finds one that is not in use. Returns the place, and what was there.
    fn replace(&self, node: Arc<Node>) -> (u32, Option<Arc<Node>>) {
        let mut steps = 2 * self.places.len();
        loop {
            let number = self.hand.fetch_add(1, Ordering::Relaxed) % self.places.len();
            let Some(mut place) = self.places.get(number).and_then(Mutex::try_lock) else { continue };
            steps = steps.saturating_sub(1);
            // After two rounds everything is in use all the time: any will do. An empty place is somebody's who
            // took it from the list, or will be on the list.
            match place.as_ref() {
                Some(old) if old.untouch() && steps > 0 => {}
                None if steps > 0 => {}
                _ => {
                    let old = place.replace(node);
                    return (u32::try_from(number).unwrap_or(u32::MAX), old);
                }
            }
        }
    }

    fn put(&self, place: u32, node: Arc<Node>) -> Option<Arc<Node>> {
        self.places.get(place as usize)?.lock().replace(node)
    }

    /// Empties a place if the node in it is the one; says whether it was.
    fn take(&self, place: u32, is_it: impl FnOnce(&Node) -> bool) -> bool {
        let Some(slot) = self.places.get(place as usize) else { return false };
        let old = {
            let mut slot = slot.lock();
            if !slot.as_ref().is_some_and(|node| is_it(node)) {
                return false;
            }
            slot.take()
        };
        self.empty.lock().push(place);
        drop(old);
        true
    }

    /// Forgets that a node was in a place.
    fn forget(&self, ptr: &NodePtr, place: u32) {
        let mut shard = self.shard(ptr).lock();
        if shard.get(&id(ptr)) == Some(&place) {
            shard.remove(&id(ptr));
        }
    }

    fn shard(&self, ptr: &NodePtr) -> &Mutex<HashMap<(u64, u64), u32>> {
        // Neighbours lie in different shards.
        let number = (ptr.block.0 / u64::from(vexfs_format::NODE_BLOCKS)) as usize % SHARDS;
        let [first, ..] = &self.table;
        self.table.get(number).unwrap_or(first)
    }
}

const fn id(ptr: &NodePtr) -> (u64, u64) {
    (ptr.block.0, ptr.birth.0)
}

impl Place {
    /// No place.
    pub(crate) const fn unknown() -> Self {
        Self(AtomicU32::new(u32::MAX))
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
