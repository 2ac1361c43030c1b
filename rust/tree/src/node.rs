//! A node in memory: its checked bytes, and what makes a search in them cheap.
//!
//! A search first counts through [`HINTS`] evenly spaced keys, each cut down to the 64 bits in which the keys of
//! this node differ, in four cache lines and without a branch; then it looks at the few slots between two hints.

use std::fmt;
use std::sync::{Arc, OnceLock};

use vexfs_format::node::{ChildSlot, LeafSlot, NodeBytes, NodeView};
use vexfs_format::{Key, NodePtr, OutOfLine};

use crate::cache::Pin;

/// How many keys of a node are looked at first.
const HINTS: usize = 32;

/// A node whose bytes were checked.
pub(crate) struct Node {
    ptr: NodePtr,
    first: Key,
    last: Key,
    cut: Cut,
    hints: [u64; HINTS],
    bytes: Box<NodeBytes>,
    /// The children that are held in memory as long as this node is; only for children that are not leaves.
    held: Box<[OnceLock<Held>]>,
}

/// A child held by its parent, and its share of the budget for that.
pub(crate) struct Held {
    pub(crate) node: Arc<Node>,
    pub(crate) _pin: Pin,
}

/// One child of an interior node: where it is, and which keys it may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) ptr: NodePtr,
    pub(crate) span: Span,
}

/// The keys that a subtree may have, as its parent says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    /// Its lowest key, exactly; `None` if the parent does not know (a root).
    pub(crate) low: Option<Key>,
    /// All its keys are below this one.
    pub(crate) high: Option<Key>,
}

impl Span {
    /// Whether a node with these outermost keys may be here.
    #[inline]
    pub(crate) fn holds(&self, node: &Node) -> bool {
        self.low.is_none_or(|low| low == node.first) && self.high.is_none_or(|high| node.last < high)
    }
}

impl Node {
    /// A node of bytes that were checked or have just been made.
    pub(crate) fn new(ptr: NodePtr, bytes: Box<NodeBytes>) -> Self {
        let view = NodeView::trust(&bytes);
        let end = view.count().saturating_sub(1);
        let key = |index| key_at(&view, index);
        let (first, last) = (key(0), key(end));
        let cut = Cut::between(first, last);
        let mut hints = [0; HINTS];
        for (number, hint) in hints.iter_mut().enumerate() {
            *hint = cut.of(key(hint_place(number, view.count())));
        }
        let children = if ptr.level > 1 { view.count() } else { 0 };
        let held = (0..children).map(|_| OnceLock::new()).collect();
        Self { ptr, first, last, cut, hints, bytes, held }
    }

    pub(crate) const fn ptr(&self) -> NodePtr {
        self.ptr
    }

    pub(crate) const fn is_leaf(&self) -> bool {
        self.ptr.level == 0
    }

    pub(crate) fn count(&self) -> usize {
        self.view().count()
    }

    pub(crate) const fn first(&self) -> Key {
        self.first
    }

    pub(crate) const fn last(&self) -> Key {
        self.last
    }

    pub(crate) fn view(&self) -> NodeView<'_> {
        NodeView::trust(&self.bytes)
    }

    /// The leaf's item `index`.
    #[inline]
    pub(crate) fn item(&self, index: usize) -> Option<&LeafSlot> {
        self.view().items().get(index)
    }

    /// The value's blocks, if it has blocks of its own.
    pub(crate) fn out_of_line(&self, slot: &LeafSlot) -> Option<OutOfLine> {
        self.view().out_of_line(slot)
    }

    #[inline]
    pub(crate) fn bytes_at(&self, start: u16, len: u16) -> &[u8] {
        let start = usize::from(start);
        self.bytes.get(start..start + usize::from(len)).unwrap_or_default()
    }

    /// The child `index` of an interior node that may itself have the keys of `span`.
    #[inline]
    pub(crate) fn child(&self, index: usize, span: &Span) -> Option<Child> {
        let slots = self.view().children();
        let slot = slots.get(index)?;
        let high = slots.get(index + 1).map(|next| next.key.into()).or(span.high);
        let ptr = slot.ptr(self.ptr.level.saturating_sub(1));
        Some(Child { ptr, span: Span { low: Some(slot.key.into()), high } })
    }

    /// Where child `index` is held while this node is, if it may be.
    #[inline]
    pub(crate) fn held(&self, index: usize) -> Option<&OnceLock<Held>> {
        self.held.get(index)
    }

    /// How many of the node's keys are below `key`, and whether the next one is `key`.
    #[inline]
    pub(crate) fn search(&self, key: Key) -> (usize, bool) {
        if self.is_leaf() {
            self.search_in(self.view().items(), key)
        } else {
            self.search_in(self.view().children(), key)
        }
    }

    /// The child in whose keys `key` lies; `None` if it is below all of them.
    #[inline]
    pub(crate) fn child_index(&self, key: Key) -> Option<usize> {
        match self.search_in(self.view().children(), key) {
            (index, true) => Some(index),
            (index, false) => index.checked_sub(1),
        }
    }

    #[inline]
    fn search_in<S: Slot>(&self, slots: &[S], key: Key) -> (usize, bool) {
        if key < self.first {
            return (0, false);
        }
        if key > self.last {
            return (slots.len(), false);
        }
        let cut = self.cut.of(key);
        let below = self.hints.iter().map(|hint| usize::from(*hint < cut)).sum::<usize>();
        let not_above = self.hints.iter().map(|hint| usize::from(*hint <= cut)).sum::<usize>();
        // Keys up to the last hint below are below; keys from the first hint above on are above.
        let mut low = below.checked_sub(1).map_or(0, |hint| hint_place(hint, slots.len()) + 1);
        let mut high = if not_above < HINTS { hint_place(not_above, slots.len()) } else { slots.len() };
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(slot) = slots.get(middle) else { break };
            match slot.key().cmp(&key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return (middle, true),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        (low, false)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ptr, first, last, .. } = self;
        f.debug_struct("Node").field("ptr", ptr).field("first", first).field("last", last).finish()
    }
}

/// Which slot hint `number` is the key of.
#[inline]
const fn hint_place(number: usize, count: usize) -> usize {
    number * count / HINTS
}

fn key_at(view: &NodeView<'_>, index: usize) -> Key {
    let key = if view.level() == 0 {
        view.items().get(index).map(Slot::key)
    } else {
        view.children().get(index).map(Slot::key)
    };
    key.unwrap_or_default()
}

/// A slot with a key.
trait Slot {
    fn key(&self) -> Key;
}

impl Slot for LeafSlot {
    #[inline]
    fn key(&self) -> Key {
        self.key.into()
    }
}

impl Slot for ChildSlot {
    #[inline]
    fn key(&self) -> Key {
        self.key.into()
    }
}

/// Cuts keys down to 64 bits without changing their order (different keys may become equal): leaves out the
/// leading bits that all keys of a node share.
#[derive(Clone, Copy)]
struct Cut {
    /// All keys have the same object, which is left out whole.
    one_object: bool,
    shift: u32,
}

impl Cut {
    fn between(first: Key, last: Key) -> Self {
        let mut cut = Self { one_object: first.object == last.object, shift: 0 };
        cut.shift = (cut.wide(first) ^ cut.wide(last)).leading_zeros().min(127);
        cut
    }

    #[inline]
    const fn wide(&self, key: Key) -> u128 {
        if self.one_object {
            (key.kind as u128) << 120 | (key.offset as u128) << 56
        } else {
            (key.object as u128) << 64 | (key.kind as u128) << 56 | (key.offset >> 8) as u128
        }
    }

    /// The key, which lies between the two that the cut was made for, in 64 bits.
    #[inline]
    const fn of(&self, key: Key) -> u64 {
        ((self.wide(key) << self.shift) >> 64) as u64
    }
}
