//! Going over everything under a root, for checks and for rebuilding what is derived from the tree. Every node is
//! read from the device again and checked; beside a bad one the walk goes on.

use std::borrow::Cow;
use std::sync::Arc;

use vexfs_format::{Key, NodePtr, OutOfLine};

use crate::load;
use crate::node::{Child, Node, Span};
use crate::reader::Reader;
use crate::root::{Root, TreeCounts};

/// Sees what a walk finds.
pub trait Visitor {
    /// Whether to go into the subtree at `ptr`: not again, say, into one that another root shares.
    fn enter(&mut self, ptr: &NodePtr) -> bool {
        let _ = ptr;
        true
    }

    /// A good node with `count` slots, before what is in it.
    fn node(&mut self, ptr: &NodePtr, count: usize) {
        let _ = (ptr, count);
    }

    /// A value that has blocks of its own, before it is read.
    fn out_of_line(&mut self, key: Key, ptr: &OutOfLine) {
        let _ = (key, ptr);
    }

    /// An item whose value is good, in order.
    fn item(&mut self, key: Key, value: &[u8]) {
        let _ = (key, value);
    }

    /// A node or value that is damaged or cannot be read; nothing below it was seen.
    fn bad(&mut self, error: crate::Error);
}

/// What a walk reads.
#[derive(Clone, Copy, Debug)]
pub struct WalkOptions {
    /// Values that have blocks of their own are read and checked too; otherwise only their place is reported.
    pub values: bool,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self { values: true }
    }
}

/// A part of the tree that is still to be walked.
#[derive(Clone, Copy, Debug)]
pub struct Subtree(Child);

impl Subtree {
    /// The pointer to its uppermost node.
    #[must_use]
    pub const fn ptr(&self) -> NodePtr {
        self.0.ptr
    }

    /// The lowest key that it may have.
    #[must_use]
    pub fn low(&self) -> Key {
        self.0.span.low.unwrap_or(Key::MIN)
    }

    /// The first key behind those that it may have; `None` if there is none.
    #[must_use]
    pub const fn high(&self) -> Option<Key> {
        self.0.span.high
    }
}

impl Reader {
    /// Walks everything under a root, in order. Returns what was found to be good and was entered.
    pub fn walk(&self, root: &Root, options: WalkOptions, visitor: &mut dyn Visitor) -> TreeCounts {
        let mut counts = TreeCounts::default();
        if let Some(ptr) = root.ptr() {
            self.walk_child(&Child { ptr, span: Span::default() }, options, visitor, &mut counts);
        }
        counts
    }

    /// Walks one of the parts that [`Reader::subtrees`] gave.
    pub fn walk_subtree(
        &self,
        subtree: &Subtree,
        options: WalkOptions,
        visitor: &mut dyn Visitor,
    ) -> TreeCounts {
        let mut counts = TreeCounts::default();
        self.walk_child(&subtree.0, options, visitor, &mut counts);
        counts
    }

    /// Splits a tree into parts, in order, that may be walked at the same time: at least `parts` of them unless
    /// all are leaves. The nodes above them are walked now.
    pub fn subtrees(
        &self,
        root: &Root,
        parts: usize,
        visitor: &mut dyn Visitor,
    ) -> (Vec<Subtree>, TreeCounts) {
        let mut counts = TreeCounts::default();
        let mut subtrees: Vec<Subtree> =
            root.ptr().map(|ptr| Subtree(Child { ptr, span: Span::default() })).into_iter().collect();
        while subtrees.len() < parts && subtrees.iter().any(|subtree| subtree.0.ptr.level > 0) {
            let level = subtrees.first().map_or(0, |subtree| subtree.0.ptr.level);
            let mut below = Vec::new();
            for Subtree(child) in subtrees {
                debug_assert_eq!(child.ptr.level, level, "all parts have the same height");
                if let Some(node) = self.walk_node(&child, visitor, &mut counts) {
                    below.extend((0..node.count()).filter_map(|i| node.child(i, &child.span)).map(Subtree));
                }
            }
            subtrees = below;
        }
        (subtrees, counts)
    }

    fn walk_child(
        &self,
        at: &Child,
        options: WalkOptions,
        visitor: &mut dyn Visitor,
        counts: &mut TreeCounts,
    ) {
        let Some(node) = self.walk_node(at, visitor, counts) else { return };
        if node.is_leaf() {
            return self.walk_items(&node, options, visitor, counts);
        }
        for index in 0..node.count() {
            if let Some(child) = node.child(index, &at.span) {
                self.walk_child(&child, options, visitor, counts);
            }
        }
    }

    fn walk_node(&self, at: &Child, visitor: &mut dyn Visitor, counts: &mut TreeCounts) -> Option<Arc<Node>> {
        if !visitor.enter(&at.ptr) {
            return None;
        }
        let node = self.load(at).map_err(|error| visitor.bad(error)).ok()?;
        counts.nodes += 1;
        counts.leaves += u64::from(node.is_leaf());
        visitor.node(&at.ptr, node.count());
        Some(node)
    }

    fn walk_items(
        &self,
        leaf: &Arc<Node>,
        options: WalkOptions,
        visitor: &mut dyn Visitor,
        counts: &mut TreeCounts,
    ) {
        for index in 0..leaf.count() {
            let Some(slot) = leaf.item(index) else { break };
            let key = slot.key.into();
            if let Some(ptr) = leaf.out_of_line(slot) {
                visitor.out_of_line(key, &ptr);
                counts.out_of_line_blocks += u64::from(ptr.run().len);
                if !options.values {
                    counts.items += 1;
                    continue;
                }
            }
            match load::item(&*self.device, Cow::Borrowed(leaf), index) {
                Ok(item) => {
                    counts.items += 1;
                    item.iter().for_each(|(key, value)| visitor.item(*key, value));
                }
                Err(error) => visitor.bad(error),
            }
        }
    }
}
