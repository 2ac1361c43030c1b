//! The items of one level that are not yet in a node: up to two nodes' worth.
//!
//! While more comes, full nodes are cut off the front. When the run ends, the rest becomes one node or two: in
//! equal parts, so that both have room for later changes, or, where keys are being appended, the first one full.

use std::collections::VecDeque;

use vexfs_format::Key;
use vexfs_format::node::{ChildSlot, LeafSlot, MAX_INLINE, NODE_ROOM};

/// The most that one item weighs.
pub(crate) const HEAVIEST: usize = MAX_INLINE + size_of::<LeafSlot>();
/// A run that outgrows this is cut. Below it, two nodes can always take it in nearly equal parts.
const LONGEST: usize = 2 * NODE_ROOM - HEAVIEST;
/// A node below this is underfull.
pub(crate) const LEAST: usize = NODE_ROOM / 4;

/// What a node consists of.
pub(crate) trait Entry {
    /// Its key.
    fn key(&self) -> Key;
    /// Bytes that it takes in the node.
    fn weight(&self) -> usize;
}

/// Where a run ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Before a subtree that stays as it is.
    Inner,
    /// At the end of the tree.
    Edge,
}

pub(crate) struct Pending<E> {
    entries: VecDeque<E>,
    bytes: usize,
    /// How many entries from the front fit in one node, and their bytes.
    head: usize,
    head_bytes: usize,
    /// The last entry is new: keys are being appended.
    appended: bool,
    /// How many neighbours this run took in to fill its nodes better.
    pub(crate) taken: usize,
}

impl<E: Entry> Pending<E> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, head: 0, head_bytes: 0, appended: false, taken: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut E> {
        self.entries.iter_mut()
    }

    /// The entry, if it is the only one.
    pub(crate) fn only(&self) -> Option<&E> {
        self.entries.front().filter(|_| self.entries.len() == 1)
    }

    /// Adds an entry. Returns the entries of a full node if the run has become too long.
    #[must_use]
    pub(crate) fn push(&mut self, entry: E, new: bool) -> Option<Vec<E>> {
        let weight = entry.weight();
        if self.head == self.entries.len() && self.head_bytes + weight <= NODE_ROOM {
            self.head += 1;
            self.head_bytes += weight;
        }
        self.bytes += weight;
        self.entries.push_back(entry);
        self.appended = new;
        (self.bytes > LONGEST).then(|| self.cut(self.head))
    }

    /// Whether the run would end in an underfull node.
    pub(crate) fn is_underfull(&self) -> bool {
        !self.is_empty() && self.bytes < LEAST
    }

    /// Whether its nodes would be badly filled if it ended here.
    pub(crate) fn is_loose(&self) -> bool {
        !self.is_empty() && !self.appended && self.bytes * 4 < self.bytes.div_ceil(NODE_ROOM) * NODE_ROOM * 3
    }

    /// Ends the run: the entries of its next node, until there is none.
    #[must_use]
    pub(crate) fn end(&mut self, end: End) -> Option<Vec<E>> {
        if self.is_empty() {
            self.taken = 0;
            return None;
        }
        let count = match (self.bytes > NODE_ROOM, self.appended, end) {
            (false, ..) => self.entries.len(),
            (true, true, End::Edge) => self.head,
            (true, true, End::Inner) => self.most_but(LEAST),
            (true, false, _) => self.half(),
        };
        Some(self.cut(count))
    }

    /// How many entries make up half of the bytes, as nearly as can be.
    fn half(&self) -> usize {
        let (mut first, mut count) = (0, 0);
        for entry in &self.entries {
            let with = first + entry.weight();
            // Stop where one more would make the greater part greater.
            if with.max(self.bytes - with) >= first.max(self.bytes - first) {
                break;
            }
            first = with;
            count += 1;
        }
        count
    }

    /// How many entries fit in one node, if `rest` bytes are to be left.
    fn most_but(&self, rest: usize) -> usize {
        let (mut left, mut count) = (self.bytes - self.head_bytes, self.head);
        for entry in self.entries.range(..self.head).rev() {
            if left >= rest {
                break;
            }
            left += entry.weight();
            count -= 1;
        }
        count
    }

    fn cut(&mut self, count: usize) -> Vec<E> {
        let cut: Vec<E> = self.entries.drain(..count).collect();
        self.bytes -= cut.iter().map(Entry::weight).sum::<usize>();
        (self.head, self.head_bytes) = (0, 0);
        for entry in &self.entries {
            if self.head_bytes + entry.weight() > NODE_ROOM {
                break;
            }
            self.head += 1;
            self.head_bytes += entry.weight();
        }
        cut
    }
}

/// Bytes that a child takes in its parent.
pub(crate) const CHILD_WEIGHT: usize = size_of::<ChildSlot>();
/// Bytes that an item takes besides its value.
pub(crate) const ITEM_WEIGHT: usize = size_of::<LeafSlot>();
