//! The parts that flow into leaves and into the nodes above them.

use std::sync::Arc;

use vexfs_format::Key;
use vexfs_format::node::{ChildSlot, LeafSlot, NodeWriter};

use super::pending::Part;
use super::queue::Target;
use crate::node::Node;

/// Bytes that a child takes in its parent.
pub(crate) const CHILD_WEIGHT: usize = size_of::<ChildSlot>();
/// Bytes that an item takes besides its value.
pub(crate) const ITEM_WEIGHT: usize = size_of::<LeafSlot>();

/// Items on their way to a new leaf.
pub(crate) enum Items {
    /// The items `from..to` of an old leaf.
    Old { leaf: Arc<Node>, from: usize, to: usize },
    /// A new item.
    New { key: Key, flags: u8, value: Box<[u8]> },
}

/// A child on its way to a new node.
pub(crate) struct ChildPart {
    pub(crate) key: Key,
    pub(crate) target: Target,
}

impl Items {
    /// The first key.
    pub(crate) fn key(&self) -> Option<Key> {
        match self {
            Self::Old { leaf, from, .. } => leaf.item(*from).map(|slot| slot.key.into()),
            Self::New { key, .. } => Some(*key),
        }
    }

    /// Adds the items to a leaf; false if they do not fit.
    pub(crate) fn write(&self, writer: &mut NodeWriter<'_>) -> bool {
        match self {
            Self::Old { leaf, from, to } => writer.copy_items(&leaf.view(), *from, *to),
            Self::New { key, flags, value } => writer.item(*key, *flags, value),
        }
    }
}

impl Part for Items {
    fn count(&self) -> usize {
        match self {
            Self::Old { from, to, .. } => to - from,
            Self::New { .. } => 1,
        }
    }

    fn weight(&self, count: usize) -> usize {
        match self {
            Self::Old { leaf, from, .. } => leaf.weight(*from, from + count),
            Self::New { value, .. } => count * (ITEM_WEIGHT + value.len()),
        }
    }

    fn split(&mut self, count: usize) -> Self {
        match self {
            Self::Old { leaf, from, .. } => {
                let (first, middle) = (*from, *from + count);
                *from = middle;
                Self::Old { leaf: Arc::clone(leaf), from: first, to: middle }
            }
            // One item is never split.
            Self::New { key, flags, value } => {
                Self::New { key: *key, flags: *flags, value: std::mem::take(value) }
            }
        }
    }
}

impl Part for ChildPart {
    fn count(&self) -> usize {
        1
    }

    fn weight(&self, count: usize) -> usize {
        count * CHILD_WEIGHT
    }

    fn split(&mut self, _: usize) -> Self {
        // One child is never split.
        Self { ..*self }
    }
}
