//! The bytes of a device in memory: a sparse, persistent tree of blocks.
//!
//! A clone costs nothing and shares every block; a write copies only what it changes. So a crash machine can make
//! thousands of states from one image, and an image of 16 TiB costs what was written to it.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use vexfs_format::BLOCK_SIZE;

const BITS: u32 = 6;
const FANOUT: usize = 1 << BITS;
const MASK: u64 = FANOUT as u64 - 1;

type Block = [u8; BLOCK_SIZE];

static ZERO: Block = [0; BLOCK_SIZE];

/// A part of the tree. At height 0 a part is a block; at height `h` it spans `64^h` blocks. `Empty` is all zeros.
#[derive(Clone, Default)]
enum Node {
    #[default]
    Empty,
    Leaf(Arc<Block>),
    Inner(Arc<[Node; FANOUT]>),
}

/// A device's bytes at one moment.
#[derive(Clone)]
pub struct Image {
    root: Node,
    height: u32,
    len: u64,
}

impl Image {
    /// `len` zeros.
    #[must_use]
    pub fn new(len: u64) -> Self {
        let blocks = len.div_ceil(BLOCK_SIZE as u64);
        let mut height = 0;
        while BITS * height < u64::BITS && blocks.saturating_sub(1) >> (BITS * height) > 0 {
            height += 1;
        }
        Self { root: Node::Empty, height, len }
    }

    /// An image that holds `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut image = Self::new(bytes.len() as u64);
        image.write(bytes, 0);
        image
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies bytes from `offset` into `buf`; behind the end they are zero.
    pub fn read(&self, buf: &mut [u8], offset: u64) {
        for (index, within, start, len) in pieces(offset, buf.len()) {
            if let (Some(to), Some(from)) =
                (buf.get_mut(start..start + len), self.block(index).get(within..within + len))
            {
                to.copy_from_slice(from);
            }
        }
    }

    /// Replaces bytes from `offset`; what lies behind the end is dropped.
    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        let room = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        for (index, within, start, len) in pieces(offset, bytes.len()) {
            let Some(from) = bytes.get(start..start + len) else { continue };
            let slot = slot(&mut self.root, self.height, index);
            if let (Ok(whole), false) = (<&Block>::try_from(from), matches!(slot, Node::Leaf(_))) {
                *slot = Node::Leaf(Arc::new(*whole));
            } else if let Some(to) = block_mut(slot).get_mut(within..within + len) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Makes a range zero; whole blocks of it no longer use memory.
    pub fn zero(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.len);
        let block = BLOCK_SIZE as u64;
        // Behind the end there is nothing to keep.
        let (first, last) = (offset.div_ceil(block), if end == self.len { u64::MAX } else { end / block });
        if first < last {
            drop_blocks(&mut self.root, self.height, 0, first, last);
        }
        let edges =
            [(offset, end.min(first.saturating_mul(block))), (last.saturating_mul(block).max(offset), end)];
        for (from, to) in edges {
            if let Some(bytes) = usize::try_from(to.saturating_sub(from)).ok().and_then(|n| ZERO.get(..n)) {
                self.write(bytes, from);
            }
        }
    }

    /// All bytes. Meant for small images.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(0)];
        self.read(&mut bytes, 0);
        bytes
    }

    /// The numbers of the blocks in which two images differ, ascending; cheap when they have a common ancestor.
    #[must_use]
    pub fn differing_blocks(&self, other: &Self) -> Vec<u64> {
        let mut found = Vec::new();
        let height = self.height.max(other.height);
        let lift = |image: &Self| {
            let mut root = image.root.clone();
            for _ in image.height..height {
                let mut children = empty_children();
                if let Some(first) = Arc::get_mut(&mut children).and_then(|c| c.first_mut()) {
                    *first = root;
                }
                root = Node::Inner(children);
            }
            root
        };
        differences(&lift(self), &lift(other), height, 0, &mut found);
        found
    }

    /// Writes the image to a new file, to look at it with other tools. Zero blocks become holes.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        let mut file = std::fs::File::create(path)?;
        file.set_len(self.len)?;
        for index in self.differing_blocks(&Self::new(self.len)) {
            let offset = index.saturating_mul(BLOCK_SIZE as u64);
            let len = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(BLOCK_SIZE).min(BLOCK_SIZE);
            file.write_all_at(self.block(index).get(..len).unwrap_or_default(), offset)?;
        }
        file.flush()
    }

    fn block(&self, index: u64) -> &Block {
        let mut node = &self.root;
        for level in (0..=self.height).rev() {
            match node {
                Node::Empty => return &ZERO,
                Node::Leaf(block) => return block,
                Node::Inner(children) => match children.get(child_index(index, level)) {
                    Some(child) => node = child,
                    None => return &ZERO,
                },
            }
        }
        match node {
            Node::Leaf(block) => block,
            _ => &ZERO,
        }
    }
}

impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.differing_blocks(other).is_empty()
    }
}

impl Eq for Image {}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({} bytes)", self.len)
    }
}

/// Cuts `[offset, offset + len)` at block borders: (block, place in it, place in the buffer, length).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset.checked_add(done as u64)?;
        let within = (at % BLOCK_SIZE as u64) as usize;
        let piece = (BLOCK_SIZE - within).min(len - done);
        let start = done;
        done += piece;
        (piece > 0).then_some((at / BLOCK_SIZE as u64, within, start, piece))
    })
}

/// Which child of a node of this height leads to the block.
fn child_index(index: u64, height: u32) -> usize {
    ((index >> (BITS * height.saturating_sub(1))) & MASK) as usize
}

fn empty_children() -> Arc<[Node; FANOUT]> {
    Arc::new(std::array::from_fn(|_| Node::Empty))
}

/// The place of a block in the tree, no longer shared with another image.
#[allow(clippy::indexing_slicing, reason = "a child index is masked to the fan-out")]
fn slot(mut node: &mut Node, height: u32, index: u64) -> &mut Node {
    for level in (1..=height).rev() {
        if !matches!(node, Node::Inner(_)) {
            *node = Node::Inner(empty_children());
        }
        match node {
            Node::Inner(children) => node = &mut Arc::make_mut(children)[child_index(index, level)],
            Node::Empty | Node::Leaf(_) => unreachable!("it has just been made an inner node"),
        }
    }
    node
}

fn block_mut(slot: &mut Node) -> &mut Block {
    if !matches!(slot, Node::Leaf(_)) {
        *slot = Node::Leaf(Arc::new(ZERO));
    }
    match slot {
        Node::Leaf(block) => Arc::make_mut(block),
        Node::Empty | Node::Inner(_) => unreachable!("it has just been made a leaf"),
    }
}

/// Empties the blocks `first..last` of a part that begins at block `base`.
fn drop_blocks(node: &mut Node, height: u32, base: u64, first: u64, last: u64) {
    let span = |h: u32| 1_u64.checked_shl(BITS * h).unwrap_or(u64::MAX);
    let end = base.saturating_add(span(height));
    if end <= first || last <= base {
        return;
    }
    if first <= base && end <= last {
        *node = Node::Empty;
    } else if let Node::Inner(children) = node {
        for (i, child) in Arc::make_mut(children).iter_mut().enumerate() {
            let start = base.saturating_add((i as u64).saturating_mul(span(height - 1)));
            drop_blocks(child, height - 1, start, first, last);
        }
    }
}

/// Collects the blocks that differ between two parts of the same height that begin at block `base`.
fn differences(a: &Node, b: &Node, height: u32, base: u64, found: &mut Vec<u64>) {
    match (a, b) {
        (Node::Empty, Node::Empty) => {}
        (Node::Inner(x), Node::Inner(y)) if Arc::ptr_eq(x, y) => {}
        (Node::Leaf(x), Node::Leaf(y)) if Arc::ptr_eq(x, y) => {}
        (Node::Inner(_), _) | (_, Node::Inner(_)) => {
            for i in 0..FANOUT {
                let start = base + ((i as u64) << (BITS * (height - 1)));
                differences(child(a, i), child(b, i), height - 1, start, found);
            }
        }
        _ => {
            if bytes(a) != bytes(b) {
                found.push(base);
            }
        }
    }
}

fn child(node: &Node, i: usize) -> &Node {
    match node {
        Node::Inner(children) => children.get(i).unwrap_or(&Node::Empty),
        Node::Empty | Node::Leaf(_) => &Node::Empty,
    }
}

fn bytes(node: &Node) -> &Block {
    match node {
        Node::Leaf(block) => block,
        Node::Empty | Node::Inner(_) => &ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_image_and_its_old_clones_hold_what_a_vector_would(
            len in 1_u64..1_200_000,
            steps in prop::collection::vec((0_u64..1_200_000, 1_usize..20_000, any::<u8>(), 0_u8..4), 1..40),
        ) {
            let mut image = Image::new(len);
            let mut model = vec![0_u8; len as usize];
            let mut old = Vec::new();
            for (offset, size, byte, kind) in steps {
                let offset = offset % len;
                let end = (offset as usize + size).min(model.len());
                match kind {
                    0 => {
                        image.zero(offset, size as u64);
                        model[offset as usize..end].fill(0);
                    }
                    1 => old.push((image.clone(), model.clone())),
                    _ => {
                        image.write(&vec![byte; size], offset);
                        model[offset as usize..end].fill(byte);
                    }
                }
            }
            prop_assert_eq!(&image.to_vec(), &model);
            for (image_then, model_then) in old {
                prop_assert_eq!(&image_then.to_vec(), &model_then);
                let differing: Vec<u64> = model
                    .chunks(BLOCK_SIZE)
                    .zip(model_then.chunks(BLOCK_SIZE))
                    .enumerate()
                    .filter(|(_, (a, b))| a != b)
                    .map(|(i, _)| i as u64)
                    .collect();
                prop_assert_eq!(image.differing_blocks(&image_then), differing);
            }
        }
    }

    #[test]
    fn the_largest_volume_is_an_image_that_costs_what_was_written() {
        let len = 16_u64 << 40;
        let mut image = Image::new(len);
        image.write(b"first", 0);
        image.write(b"last", len - 4);
        image.write(b"beyond", len);
        let mut buf = [0; 4];
        image.read(&mut buf, len - 4);
        assert_eq!(&buf, b"last");
        assert_eq!(image.differing_blocks(&Image::new(len)), [0, (len >> 12) - 1]);
        image.zero(0, len);
        assert!(matches!(image.root, Node::Empty));
        assert_eq!(image, Image::new(len));
    }

    #[test]
    fn a_saved_image_is_the_same_file() {
        let path = tempfile::tempdir().unwrap();
        let path = path.path().join("image");
        let mut image = Image::new(1_000_001);
        image.write(b"middle", 500_000);
        image.write(b"z", 1_000_000);
        image.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), image.to_vec());
    }
}
