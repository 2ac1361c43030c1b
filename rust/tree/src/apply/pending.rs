//! What of one level is not yet in a node: up to two nodes' worth.
//!
//! While more comes, full nodes are cut off the front. When the run ends, the rest becomes one node or two: in
//! equal parts, so that both have room for later changes, or, where keys are being appended, the first one full.

use std::collections::VecDeque;

use vexfs_format::node::{LeafSlot, MAX_INLINE, NODE_ROOM};

/// The most that one slot and its value weigh.
pub(crate) const HEAVIEST: usize = MAX_INLINE + size_of::<LeafSlot>();
/// A run that outgrows this is cut. Below it, two nodes can always take it in nearly equal parts.
const LONGEST: usize = 2 * NODE_ROOM - HEAVIEST;
/// A node below this is underfull.
pub(crate) const LEAST: usize = NODE_ROOM / 4;

/// What flows into nodes: one slot, or several that come from one old node.
pub(crate) trait Part: Sized {
    /// How many slots.
    fn count(&self) -> usize;
    /// Bytes that the first `count` of its slots take in a node, values included.
    fn weight(&self, count: usize) -> usize;
    /// Takes off the first `count` slots, fewer than there are.
    fn split(&mut self, count: usize) -> Self;

    /// How many slots from the front weigh no more than `room`.
    fn fitting(&self, room: usize) -> usize {
        let (mut fit, mut too_many) = (0, self.count() + 1);
        while fit + 1 < too_many {
            let middle = fit + (too_many - fit) / 2;
            if self.weight(middle) <= room {
                fit = middle;
            } else {
                too_many = middle;
            }
        }
        fit
    }
}

/// Where a run ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Before a subtree that stays as it is.
    Inner,
    /// At the end of the tree.
    Edge,
}

pub(crate) struct Pending<P> {
    parts: VecDeque<P>,
    bytes: usize,
    /// The last part is new: keys are being appended.
    appended: bool,
    /// How many neighbours this run took in to fill its nodes better.
    pub(crate) taken: usize,
}

impl<P: Part> Pending<P> {
    pub(crate) const fn new() -> Self {
        Self { parts: VecDeque::new(), bytes: 0, appended: false, taken: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(crate) fn parts_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.parts.iter_mut()
    }

    /// The part, if it is the only one.
    pub(crate) fn only(&self) -> Option<&P> {
        self.parts.front().filter(|_| self.parts.len() == 1)
    }

    /// Adds a part. If the run has become too long for it, [`Pending::cut_full`] is next.
    pub(crate) fn push(&mut self, part: P, new: bool) {
        self.bytes += part.weight(part.count());
        self.parts.push_back(part);
        self.appended = new;
    }

    /// The parts of a full node, if the run has become too long.
    #[must_use]
    pub(crate) fn cut_full(&mut self) -> Option<Vec<P>> {
        (self.bytes > LONGEST).then(|| self.cut(NODE_ROOM))
    }

    /// Whether the run would end in an underfull node.
    pub(crate) fn is_underfull(&self) -> bool {
        !self.is_empty() && self.bytes < LEAST
    }

    /// Whether its nodes would be badly filled if it ended here.
    pub(crate) fn is_loose(&self) -> bool {
        !self.is_empty() && !self.appended && self.bytes * 4 < self.bytes.div_ceil(NODE_ROOM) * NODE_ROOM * 3
    }

    /// Ends the run: the parts of its next node, until there is none.
    #[must_use]
    pub(crate) fn end(&mut self, end: End) -> Option<Vec<P>> {
        if self.is_empty() {
            self.taken = 0;
            return None;
        }
        let most = match (self.bytes > NODE_ROOM, self.appended, end) {
            (false, ..) | (true, true, End::Edge) => NODE_ROOM,
            (true, true, End::Inner) => NODE_ROOM.min(self.bytes - LEAST),
            (true, false, _) => self.half(),
        };
        Some(self.cut(most))
    }

    /// What to cut at for two nearly equal nodes.
    fn half(&self) -> usize {
        let mut left = 0;
        for part in &self.parts {
            let fit = part.fitting(self.bytes / 2 - left);
            left += part.weight(fit);
            if fit < part.count() {
                break;
            }
        }
        // With a heavy slot in the middle, it must go to the left for the right to fit.
        if self.bytes - left <= NODE_ROOM { self.bytes / 2 } else { self.bytes.midpoint(HEAVIEST) }
    }

    /// Takes slots that weigh up to `most` from the front.
    fn cut(&mut self, most: usize) -> Vec<P> {
        let (mut cut, mut weight) = (Vec::new(), 0);
        while let Some(mut part) = self.parts.pop_front() {
            let fit = part.fitting(most - weight);
            weight += part.weight(fit);
            if fit == part.count() {
                cut.push(part);
                continue;
            }
            if fit > 0 {
                cut.push(part.split(fit));
            }
            self.parts.push_front(part);
            break;
        }
        self.bytes -= weight;
        cut
    }
}
