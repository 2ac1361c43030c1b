//! A node of the tree: 16 KiB, aligned to its size. A leaf holds items, an interior node holds children.
//!
//! Slots grow up from behind the header, in strictly ascending order of their keys. A leaf's values lie at the
//! other end in the same order downwards, without a gap: the first ends where the node ends, each next one ends
//! where the one before begins. A child's slot carries the lowest key of its subtree. The checksum of a node is
//! in the pointer to it, so the one in its stamp is zero.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::pointer::{NodePtr, OutOfLine, RawOutOfLine};
use crate::record;
use crate::stamp::{Stamp, Structure};
pub use crate::types::MAX_VALUE;
use crate::types::{BlockNo, Key, NODE_BLOCKS, NODE_SIZE, RawKey, Seq};

/// What marks a tree node.
pub const TREE_NODE: Structure = Structure::new("tree node", *b"VexT", 1);

/// The bytes of a node.
pub type NodeBytes = [u8; NODE_SIZE];

/// Bytes of a node behind its header: what its slots and values may fill.
pub const NODE_ROOM: usize = NODE_SIZE - size_of::<NodeHeader>();
/// The longest value that lies in its leaf; longer ones have blocks of their own.
pub const MAX_INLINE: usize = 2048;
/// The greatest height of a node above the leaves.
pub const MAX_LEVEL: u8 = 15;

record! {
    /// The head of a tree node.
    pub struct NodeHeader: 64 {
        /// Magic "VexT"; address = the node's first block; its checksum is zero.
        0 stamp: Stamp,
        /// The sequence of the checkpoint that wrote the node.
        32 birth: U64,
        /// The height above the leaves; 0 in a leaf.
        40 level: u8,
        /// Zero.
        41 flags: u8,
        /// How many slots follow.
        42 count: U16,
        /// Where the values begin; the node's size in an interior node.
        44 heap: U16,
        /// Zero.
        46 reserved: [u8; 18],
    }
}

record! {
    /// An item of a leaf.
    pub struct LeafSlot: 22 {
        /// The item's key.
        0 key: RawKey,
        /// Bit 0: the value is a pointer to blocks of its own.
        17 flags: u8,
        /// Where in the node the value begins.
        18 offset: U16,
        /// How many bytes it has there.
        20 len: U16,
    }
}

record! {
    /// A child of an interior node. Its level is one less than the node's.
    pub struct ChildSlot: 37 {
        /// The lowest key in the child's subtree.
        0 key: RawKey,
        /// The child's first block.
        17 block: U64,
        /// The sequence of the checkpoint that wrote the child.
        25 birth: U64,
        /// CRC32C of the child's 16 KiB.
        33 crc: U32,
    }
}

/// Flag of a leaf slot: the value in the leaf is a [`RawOutOfLine`].
pub const OUT_OF_LINE: u8 = 1;

/// The most children that a node has.
pub const MAX_CHILDREN: usize = NODE_ROOM / size_of::<ChildSlot>();

/// A typed look at a node's bytes. [`NodeView::check`] makes one that holds every rule of the format;
/// [`NodeView::trust`] is for bytes that were checked before, and never panics whatever they hold.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    bytes: &'a NodeBytes,
    level: u8,
    count: usize,
}

impl<'a> NodeView<'a> {
    /// Checks the bytes that were read for `ptr`: checksum, stamp, header, order of the keys, place of every value.
    pub fn check(bytes: &'a NodeBytes, volume: u64, ptr: &NodePtr) -> Result<Self> {
        let found = crc32c::crc32c(bytes);
        if found != ptr.crc {
            // Tell what else the bytes are, if they are another whole structure; else they are damaged.
            TREE_NODE.check_unsummed(bytes, volume, ptr.block.0)?;
            let (what, address, expected) = (TREE_NODE.name, ptr.block.0, ptr.crc);
            return Err(Error::BadChecksum { what, address, found, expected });
        }
        TREE_NODE.check_unsummed(bytes, volume, ptr.block.0)?;
        let view = Self::trust(bytes);
        view.check_header(ptr)?;
        if view.level == 0 {
            view.check_leaf()?
        } else {
            view.check_children()?
        }
        Ok(view)
    }

    /// The view of bytes that [`NodeView::check`] accepted or [`NodeWriter`] made.
    #[must_use]
    pub fn trust(bytes: &'a NodeBytes) -> Self {
        match NodeHeader::ref_from_prefix(bytes) {
            Ok((header, _)) => Self { bytes, level: header.level, count: header.count.get().into() },
            Err(_) => Self { bytes, level: 0, count: 0 },
        }
    }

    /// As [`NodeView::trust`], where level and count are known already.
    #[must_use]
    #[inline]
    pub const fn known(bytes: &'a NodeBytes, level: u8, count: usize) -> Self {
        Self { bytes, level, count }
    }

    /// The height above the leaves.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// How many slots there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The slots of a leaf.
    #[must_use]
    #[inline]
    pub fn items(&self) -> &'a [LeafSlot] {
        slots(self.bytes, self.count)
    }

    /// The slots of an interior node.
    #[must_use]
    #[inline]
    pub fn children(&self) -> &'a [ChildSlot] {
        slots(self.bytes, self.count)
    }

    /// The bytes that a leaf holds for an item.
    #[must_use]
    #[inline]
    pub fn value(&self, slot: &LeafSlot) -> &'a [u8] {
        let start = usize::from(slot.offset.get());
        self.bytes.get(start..start + usize::from(slot.len.get())).unwrap_or_default()
    }

    fn check_header(&self, ptr: &NodePtr) -> Result<()> {
        let (header, _) =
            NodeHeader::ref_from_prefix(self.bytes).map_err(|_| TREE_NODE.bad("size", NODE_SIZE as u64))?;
        let bad = |field, value| Err(TREE_NODE.bad(field, value));
        if header.birth.get() != ptr.birth.0 {
            return bad("birth", header.birth.get());
        }
        if self.level != ptr.level || self.level > MAX_LEVEL {
            return bad("level", self.level.into());
        }
        if header.flags != 0 {
            return bad("flags", header.flags.into());
        }
        let slot = if self.level == 0 { size_of::<LeafSlot>() } else { size_of::<ChildSlot>() };
        if self.count == 0 || self.count > NODE_ROOM / slot {
            return bad("count", self.count as u64);
        }
        Ok(())
    }

    fn check_leaf(&self) -> Result<()> {
        let bad = |field, value: usize| Err(TREE_NODE.bad(field, value as u64));
        let mut heap = NODE_SIZE;
        let mut before = None;
        for slot in self.items() {
            check_order(&mut before, slot.key)?;
            let (offset, len) = (usize::from(slot.offset.get()), usize::from(slot.len.get()));
            if offset + len != heap {
                return bad("value offset", offset);
            }
            heap = offset;
            match slot.flags {
                0 if len <= MAX_INLINE => {}
                OUT_OF_LINE if self.out_of_line(slot).is_some() => {}
                0 | OUT_OF_LINE => return bad("value length", len),
                flags => return bad("slot flags", flags.into()),
            }
        }
        let end = size_of::<NodeHeader>() + self.count * size_of::<LeafSlot>();
        if heap < end || Ok(heap) != self.heap() {
            return bad("heap", heap);
        }
        Ok(())
    }

    fn check_children(&self) -> Result<()> {
        let birth = NodeHeader::ref_from_prefix(self.bytes).map_or(0, |(header, _)| header.birth.get());
        let mut before = None;
        for slot in self.children() {
            check_order(&mut before, slot.key)?;
            let block = slot.block.get();
            if block == 0 || !block.is_multiple_of(NODE_BLOCKS.into()) {
                return Err(TREE_NODE.bad("child", block));
            }
            if slot.birth.get() > birth {
                return Err(TREE_NODE.bad("child's birth", slot.birth.get()));
            }
        }
        match self.heap()? {
            NODE_SIZE => Ok(()),
            heap => Err(TREE_NODE.bad("heap", heap as u64)),
        }
    }

    fn heap(&self) -> Result<usize> {
        NodeHeader::ref_from_prefix(self.bytes)
            .map(|(header, _)| header.heap.get().into())
            .map_err(|_| TREE_NODE.bad("size", NODE_SIZE as u64))
    }

    /// The pointer to the blocks of an item's value; `None` if the value lies in the leaf.
    #[must_use]
    pub fn out_of_line(&self, slot: &LeafSlot) -> Option<OutOfLine> {
        if slot.flags & OUT_OF_LINE == 0 {
            return None;
        }
        let ptr = OutOfLine::from(RawOutOfLine::read_from_bytes(self.value(slot)).ok()?);
        let length = usize::try_from(ptr.len).ok()?;
        (ptr.block.0 != 0 && length > MAX_INLINE && length <= MAX_VALUE).then_some(ptr)
    }
}

impl ChildSlot {
    /// The pointer to the child, which is at `level`.
    #[must_use]
    #[inline]
    pub fn ptr(&self, level: u8) -> NodePtr {
        NodePtr { block: self.block.into(), birth: self.birth.into(), crc: self.crc.get(), level }
    }
}

fn slots<S>(bytes: &NodeBytes, count: usize) -> &[S]
where
    S: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned,
{
    let behind = bytes.get(size_of::<NodeHeader>()..).unwrap_or_default();
    <[S]>::ref_from_prefix_with_elems(behind, count).map_or(&[], |(slots, _)| slots)
}

fn check_order(before: &mut Option<Key>, key: RawKey) -> Result<()> {
    let key = Key::from(key);
    match before.replace(key) {
        Some(before) if before >= key => Err(TREE_NODE.bad("key order, at object", key.object)),
        _ => Ok(()),
    }
}

/// Fills the bytes of a new node, slot by slot in ascending order.
#[derive(Debug)]
pub struct NodeWriter<'a> {
    bytes: &'a mut NodeBytes,
    level: u8,
    count: u16,
    heap: usize,
}

impl<'a> NodeWriter<'a> {
    /// Begins a node of this level in `bytes`, which are zero.
    pub fn new(bytes: &'a mut NodeBytes, level: u8) -> Self {
        Self { bytes, level, count: 0, heap: NODE_SIZE }
    }

    /// Adds an item to a leaf: its value, or with `flags` [`OUT_OF_LINE`] the pointer to it. False if it does
    /// not fit.
    #[must_use]
    pub fn item(&mut self, key: Key, flags: u8, value: &[u8]) -> bool {
        let start = size_of::<NodeHeader>() + usize::from(self.count) * size_of::<LeafSlot>();
        let end = start + size_of::<LeafSlot>();
        let Some(heap) = self.heap.checked_sub(value.len()).filter(|heap| end <= *heap) else {
            return false;
        };
        let (Ok(offset), Ok(len)) = (u16::try_from(heap), u16::try_from(value.len())) else {
            return false;
        };
        let slot = LeafSlot { key: key.into(), flags, offset: U16::new(offset), len: U16::new(len) };
        self.put(start, slot.as_bytes());
        self.put(heap, value);
        self.heap = heap;
        self.count += 1;
        true
    }

    /// Adds the items `from..to` of another leaf. False if they do not fit, or are not there.
    #[must_use]
    pub fn copy_items(&mut self, leaf: &NodeView<'_>, from: usize, to: usize) -> bool {
        let Some(slots) = leaf.items().get(from..to) else { return false };
        let Some(last) = slots.last() else { return true };
        let low = usize::from(last.offset.get());
        let high = match from.checked_sub(1).and_then(|before| leaf.items().get(before)) {
            Some(before) => usize::from(before.offset.get()),
            None => NODE_SIZE,
        };
        let Some(values) = leaf.bytes.get(low..high) else { return false };
        let start = size_of::<NodeHeader>() + usize::from(self.count) * size_of::<LeafSlot>();
        let end = start + size_of_val(slots);
        let Some(heap) = self.heap.checked_sub(values.len()).filter(|heap| end <= *heap) else {
            return false;
        };
        self.put(heap, values);
        if let Some(to) = self.bytes.get_mut(start..end)
            && let Ok(to) = <[LeafSlot]>::mut_from_bytes(to)
        {
            // All values move by the same distance.
            for (to, slot) in to.iter_mut().zip(slots) {
                let offset = usize::from(slot.offset.get()).wrapping_sub(low).wrapping_add(heap);
                *to = LeafSlot { offset: U16::new(offset as u16), ..*slot };
            }
        }
        self.heap = heap;
        self.count += slots.len() as u16;
        true
    }

    /// Adds a child to an interior node, whose pointer may still be unknown (see [`set_child`]). False if it
    /// does not fit.
    #[must_use]
    pub fn child(&mut self, key: Key, ptr: Option<NodePtr>) -> bool {
        let index = usize::from(self.count);
        if index >= MAX_CHILDREN {
            return false;
        }
        let (block, birth, crc) = ptr.map_or((BlockNo(0), Seq(0), 0), |p| (p.block, p.birth, p.crc));
        let slot =
            ChildSlot { key: key.into(), block: block.to_le(), birth: birth.to_le(), crc: U32::new(crc) };
        self.put(size_of::<NodeHeader>() + index * size_of::<ChildSlot>(), slot.as_bytes());
        self.count += 1;
        true
    }

    /// Ends the node: all but its place is fixed now, see [`place`].
    pub fn finish(self, birth: Seq) {
        let Self { bytes, level, count, heap } = self;
        if let Ok((header, _)) = NodeHeader::mut_from_prefix(bytes) {
            header.birth = birth.to_le();
            header.level = level;
            header.count = U16::new(count);
            header.heap = U16::new(u16::try_from(heap).unwrap_or_default());
        }
    }

    fn put(&mut self, start: usize, from: &[u8]) {
        if let Some(to) = self.bytes.get_mut(start..start + from.len()) {
            to.copy_from_slice(from);
        }
    }
}

/// Fills in the pointer of child `index` in a node that was finished without it.
pub fn set_child(bytes: &mut NodeBytes, index: usize, ptr: &NodePtr) {
    let start = size_of::<NodeHeader>() + index * size_of::<ChildSlot>();
    let slot = bytes.get_mut(start..start + size_of::<ChildSlot>());
    if let Some(slot) = slot.and_then(|slot| ChildSlot::mut_from_bytes(slot).ok()) {
        slot.block = ptr.block.to_le();
        slot.birth = ptr.birth.to_le();
        slot.crc = U32::new(ptr.crc);
    }
}

/// Gives a finished node its place: stamps it and returns the pointer to it.
pub fn place(bytes: &mut NodeBytes, volume: u64, block: BlockNo) -> NodePtr {
    let (mut birth, mut level) = (Seq(0), 0);
    if let Ok((header, _)) = NodeHeader::mut_from_prefix(bytes) {
        header.stamp = TREE_NODE.stamp(0, volume, block.0);
        birth = header.birth.into();
        level = header.level;
    }
    NodePtr { block, birth, crc: crc32c::crc32c(bytes), level }
}
