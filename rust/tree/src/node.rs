//! A node in memory: its checked bytes, and what makes a search in them cheap.
//!
//! A search first counts through [`HINTS`] evenly spaced keys, each cut down to the 64 bits in which the keys of
//! this node differ, in four cache lines and without a branch, then through the few slots between two hints.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use vexfs_format::node::{ChildSlot, LeafSlot, NodeBytes, NodeView};
use vexfs_format::{BlockNo, Key, NODE_SIZE, NodePtr, OutOfLine, Seq};

use crate::cache::{Pin, Place};

/// How many keys of a node are looked at first.
const HINTS: usize = 32;
/// Hints in a line of a processor's cache.
const LINE: usize = 8;

/// A node whose bytes were checked. One piece of memory, what a search looks at first at its head.
#[repr(C)]
pub(crate) struct Node {
    ptr: NodePtr,
    first: Key,
    last: Key,
    cut: Cut,
    count: usize,
    /// Somebody used it since the cache last asked.
    touched: AtomicBool,
    hints: [u64; HINTS],
    /// The children that are held in memory as long as this node is; only for children that are not leaves.
    held: Box<[OnceLock<Held>]>,
    /// Where in the cache the children were last found; only for leaves.
    places: Box<[Place]>,
    bytes: NodeBytes,
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
    /// A node of zero bytes, to be filled with [`Node::edit`] and then described.
    pub(crate) fn blank() -> Arc<Self> {
        Arc::new(Self {
            ptr: NodePtr { block: BlockNo(0), birth: Seq(0), crc: 0, level: 0 },
            first: Key::MIN,
            last: Key::MIN,
            cut: Cut::between(Key::MIN, Key::MIN),
            count: 0,
            touched: AtomicBool::new(false),
            hints: [0; HINTS],
            held: Box::default(),
            places: Box::default(),
            bytes: [0; NODE_SIZE],
        })
    }

    /// Changes the bytes of a new node. Does nothing, and returns `None`, once somebody else has it too.
    pub(crate) fn edit<R>(new: &mut Arc<Self>, edit: impl FnOnce(&mut NodeBytes) -> R) -> Option<R> {
        Arc::get_mut(new).map(|node| edit(&mut node.bytes))
    }

    /// Ends the making of a node, whose bytes were checked or are right by themselves, and which `ptr` points to.
    pub(crate) fn describe(new: &mut Arc<Self>, ptr: NodePtr) {
        if let Some(node) = Arc::get_mut(new) {
            node.note(ptr);
        }
    }

    fn note(&mut self, ptr: NodePtr) {
        let view = NodeView::trust(&self.bytes);
        let count = view.count();
        let key = |index| key_at(&view, index);
        let (first, last) = (key(0), key(count.saturating_sub(1)));
        let cut = Cut::between(first, last);
        let mut hints = [0; HINTS];
        for (number, hint) in hints.iter_mut().enumerate() {
            *hint = cut.of(key(hint_place(number, count)));
        }
        (self.ptr, self.first, self.last) = (ptr, first, last);
        (self.cut, self.count, self.hints) = (cut, count, hints);
        match ptr.level {
            0 => {}
            1 => self.places = (0..count).map(|_| Place::unknown()).collect(),
            _ => self.held = (0..count).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(crate) const fn ptr(&self) -> &NodePtr {
        &self.ptr
    }

    pub(crate) const fn is_leaf(&self) -> bool {
        self.ptr.level == 0
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    pub(crate) const fn first(&self) -> Key {
        self.first
    }

    pub(crate) const fn last(&self) -> Key {
        self.last
    }

    /// Notes that it is in use.
    #[inline]
    pub(crate) fn touch(&self) {
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since this was last asked.
    pub(crate) fn untouch(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) const fn view(&self) -> NodeView<'_> {
        NodeView::known(&self.bytes, self.ptr.level, self.count)
    }

    /// The leaf's item `index`.
    #[inline]
    pub(crate) fn item(&self, index: usize) -> Option<&LeafSlot> {
        self.view().items().get(index)
    }

    /// The bytes that the items `from..to` of a leaf take.
    pub(crate) fn weight(&self, from: usize, to: usize) -> usize {
        let heap = |index: usize| match index.checked_sub(1) {
            Some(before) => self.item(before).map_or(0, |slot| slot.offset.get().into()),
            None => NODE_SIZE,
        };
        to.saturating_sub(from) * size_of::<LeafSlot>() + heap(from).saturating_sub(heap(to))
    }

    /// The value's blocks, if it has blocks of its own.
    pub(crate) fn out_of_line(&self, slot: &LeafSlot) -> Option<OutOfLine> {
        self.view().out_of_line(slot)
    }

    pub(crate) const fn bytes(&self) -> &NodeBytes {
        &self.bytes
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

    /// Where in the cache child `index` was last found.
    #[inline]
    pub(crate) fn place(&self, index: usize) -> Option<&Place> {
        self.places.get(index)
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

    /// How many hints are below `cut`: first by the last of each line of memory but one, which are fetched at the same
    /// time, then within a line.
    #[inline]
    fn hints_below(&self, cut: u64) -> usize {
        let below = |hints: &[u64; LINE]| hints.iter().map(|hint| usize::from(*hint < cut)).sum::<usize>();
        let (lines, _) = self.hints.as_chunks::<LINE>();
        let [ends @ .., _] = lines else { return 0 };
        let line = ends.iter().map(|[.., last]| usize::from(*last < cut)).sum::<usize>();
        line * LINE + lines.get(line).map_or(0, below)
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
        let below = self.hints_below(cut);
        let equal = self.hints.iter().skip(below).take_while(|hint| **hint == cut).count();
        // Keys up to the last hint below are below; keys from the first hint above on are above.
        let mut low = below.checked_sub(1).map_or(0, |hint| hint_place(hint, slots.len()) + 1);
        let above = below + equal;
        let mut high = if above < HINTS { hint_place(above, slots.len()) } else { slots.len() };
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use vexfs_format::node::{NodeWriter, place};

    use super::*;

    fn leaf(keys: &BTreeSet<Key>) -> Arc<Node> {
        let mut node = Node::blank();
        let ptr = Node::edit(&mut node, |bytes| {
            let mut writer = NodeWriter::new(bytes, 0);
            for key in keys {
                assert!(writer.item(*key, 0, &key.offset.to_le_bytes()));
            }
            writer.finish(Seq(1));
            place(bytes, 1, BlockNo(4))
        });
        Node::describe(&mut node, ptr.unwrap());
        node
    }

    /// Keys that differ in few or many bits, anywhere.
    fn keys() -> impl Strategy<Value = BTreeSet<Key>> {
        let part = || {
            prop_oneof![Just(0u64), Just(u64::MAX), 0u64..4, any::<u64>(), (0u64..64).prop_map(|n| 1 << n)]
        };
        let key = (part(), prop_oneof![Just(1u8), any::<u8>()], part());
        let some = prop::collection::btree_set(key.prop_map(|(o, k, f)| Key::new(o, k, f)), 1..300);
        let near = (part(), part(), 1u64..200, 1u64..300).prop_map(|(object, from, step, count)| {
            (0..count).map(|n| Key::new(object, 5, from.wrapping_add(n * step))).collect()
        });
        prop_oneof![some, near]
    }

    proptest! {
        #[test]
        fn a_search_finds_what_a_linear_one_finds(keys in keys(), others in keys()) {
            let node = leaf(&keys);
            for key in keys.iter().chain(&others) {
                let below = keys.iter().take_while(|other| *other < key).count();
                prop_assert_eq!(node.search(*key), (below, keys.contains(key)));
            }
        }
    }
}
