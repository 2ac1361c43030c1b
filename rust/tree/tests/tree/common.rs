//! A small volume for the tests: a device, an allocator that counts, and checks of a whole tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vexfs_device::{Device, MemoryDevice};
use vexfs_format::node::{ChildSlot, LeafSlot, NODE_ROOM, NodeView};
use vexfs_format::{BLOCK_SIZE, BlockRun, Key, NODE_SIZE, NodePtr, OutOfLine, Seq};
use vexfs_tree::{
    AllocError, Applied, Change, Error, NodeAlloc, NodeCache, Reader, Root, TreeCounts, Visitor, WalkOptions,
};

pub const VOLUME: u64 = 0x1122_3344_5566_7788;

pub type Model = BTreeMap<Key, Vec<u8>>;
pub type Batch = BTreeMap<Key, Option<Vec<u8>>>;

/// Which blocks are in use; counts units of four blocks that were wholly free when it first broke them.
#[derive(Clone, Debug)]
pub struct Blocks {
    used: Vec<bool>,
    /// Where the next search begins.
    next: usize,
    /// The longest run it gives: makes a volume look fragmented.
    pub longest: u32,
    /// What it handed out since [`Blocks::begin`].
    pub handed: Vec<BlockRun>,
    /// How many more units it may break; then there is no space.
    pub units_left: u64,
    pub units_broken: u64,
}

impl Blocks {
    pub fn new(blocks: usize) -> Self {
        let mut used = vec![false; blocks];
        used[..64].fill(true);
        Self { used, next: 64, longest: 256, handed: Vec::new(), units_left: u64::MAX, units_broken: 0 }
    }

    pub fn begin(&mut self) {
        self.handed.clear();
        self.units_broken = 0;
        self.units_left = u64::MAX;
    }

    pub fn release(&mut self, run: BlockRun) {
        for block in run.start.0..run.end() {
            let used = &mut self.used[usize::try_from(block).unwrap()];
            assert!(*used, "block {block} is freed twice");
            *used = false;
        }
    }

    pub fn used(&self) -> BTreeSet<u64> {
        (64..self.used.len() as u64).filter(|block| self.used[*block as usize]).collect()
    }

    fn is_free(&self, start: usize, len: usize) -> bool {
        self.used.get(start..start + len).is_some_and(|run| run.iter().all(|used| !used))
    }
}

impl NodeAlloc for Blocks {
    fn alloc(&mut self, min: u32, max: u32, align: u32) -> Result<BlockRun, AllocError> {
        assert!(min > 0 && min == max && align.is_power_of_two());
        if min > self.longest.max(16) {
            return Err(AllocError::NoSpace);
        }
        let (len, align) = (min as usize, align as usize);
        let places = (self.next.next_multiple_of(align)..self.used.len()).step_by(align);
        let again = (0..self.next).step_by(align);
        for start in places.chain(again) {
            if !self.is_free(start, len) {
                continue;
            }
            let units = start / 4..(start + len).div_ceil(4);
            let broken = units.filter(|unit| self.used[unit * 4..unit * 4 + 4] == [false; 4]).count() as u64;
            self.units_left = self.units_left.checked_sub(broken).ok_or(AllocError::NoSpace)?;
            self.units_broken += broken;
            self.used[start..start + len].fill(true);
            self.next = start + len;
            let run = BlockRun::new(start as u64, min);
            self.handed.push(run);
            return Ok(run);
        }
        Err(AllocError::NoSpace)
    }
}

/// A volume with a tree, and a model of what is in it.
pub struct Volume {
    pub device: Arc<dyn Device>,
    pub reader: Reader,
    pub blocks: Blocks,
    pub root: Root,
    pub model: Model,
    pub seq: u64,
}

impl Volume {
    pub fn new(bytes: u64) -> Self {
        Self::on(Arc::new(MemoryDevice::new(bytes)), 8 << 20)
    }

    pub fn on(device: Arc<dyn Device>, cache: u64) -> Self {
        let blocks = Blocks::new((device.len() / BLOCK_SIZE as u64) as usize);
        let reader = Reader::new(Arc::clone(&device), Arc::new(NodeCache::new(cache)), VOLUME);
        Self { device, reader, blocks, root: Root::empty(), model: Model::new(), seq: 0 }
    }

    /// A reader of the same device that has nothing in memory, and the root as a descriptor would give it.
    pub fn reopened(&self) -> (Reader, Root) {
        let reader = Reader::new(Arc::clone(&self.device), Arc::new(NodeCache::new(1 << 20)), VOLUME);
        (reader, Root::new(self.root.ptr(), self.root.counts()))
    }

    pub fn try_apply(&mut self, batch: &Batch) -> Result<Applied, Error> {
        self.seq += 1;
        self.blocks.begin();
        apply(&self.reader, &self.root, batch, Seq(self.seq), &mut self.blocks)
    }

    /// Applies to the tree and the model. Returns the old root and what it alone holds: the caller releases it.
    pub fn apply(&mut self, batch: &Batch) -> (Root, Vec<(BlockRun, Seq)>) {
        let applied = self.try_apply(batch).unwrap();
        apply_model(&mut self.model, batch);
        let old = std::mem::replace(&mut self.root, applied.root);
        (old, applied.freed)
    }

    /// Applies, and gives back at once what the old root held.
    pub fn apply_over(&mut self, batch: &Batch) {
        let (_, freed) = self.apply(batch);
        self.release(&freed);
    }

    pub fn release(&mut self, freed: &[(BlockRun, Seq)]) {
        for (run, _) in freed {
            self.blocks.release(*run);
        }
    }

    /// Checks the whole tree: contents, invariants, counts, and that exactly its blocks are in use.
    pub fn check(&self) -> Seen {
        let seen = check(&self.reader, &self.root, &self.model);
        assert_eq!(seen.blocks(), self.blocks.used(), "the blocks in use are those of the tree");
        seen
    }
}

pub fn apply(
    reader: &Reader,
    root: &Root,
    batch: &Batch,
    birth: Seq,
    alloc: &mut dyn NodeAlloc,
) -> Result<Applied, Error> {
    let mut changes = batch.iter().map(|(key, value)| {
        let change = value.as_ref().map_or(Change::Delete, Change::Put);
        (*key, change)
    });
    reader.apply(root, &mut changes, birth, alloc)
}

pub fn apply_model(model: &mut Model, batch: &Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => model.insert(*key, value.clone()),
            None => model.remove(key),
        };
    }
}

/// What a walk found.
#[derive(Default)]
pub struct Seen {
    pub nodes: Vec<(NodePtr, usize)>,
    pub values: Vec<OutOfLine>,
    pub items: Model,
    pub bad: Vec<Error>,
}

impl Visitor for Seen {
    fn node(&mut self, ptr: &NodePtr, count: usize) {
        self.nodes.push((*ptr, count));
    }

    fn out_of_line(&mut self, _: Key, ptr: &OutOfLine) {
        self.values.push(*ptr);
    }

    fn item(&mut self, key: Key, value: &[u8]) {
        assert!(self.items.last_key_value().is_none_or(|(last, _)| *last < key), "items come in order");
        self.items.insert(key, value.to_vec());
    }

    fn bad(&mut self, error: Error) {
        self.bad.push(error);
    }
}

impl Seen {
    pub fn blocks(&self) -> BTreeSet<u64> {
        let nodes = self.nodes.iter().map(|(ptr, _)| ptr.run());
        let runs = nodes.chain(self.values.iter().map(OutOfLine::run));
        let mut blocks = BTreeSet::new();
        for block in runs.flat_map(|run| run.start.0..run.end()) {
            assert!(blocks.insert(block), "block {block} is used twice");
        }
        blocks
    }
}

/// Checks what is under a root against a model, and the invariants that `apply` keeps.
pub fn check(reader: &Reader, root: &Root, model: &Model) -> Seen {
    let mut seen = Seen::default();
    let counts = reader.walk(root, WalkOptions::default(), &mut seen);
    assert!(seen.bad.is_empty(), "{:?}", seen.bad);
    assert!(seen.items == *model, "the items are those of the model");
    assert_eq!(counts, root.counts(), "the counts are true");
    let out_of_line = seen.values.iter().map(|ptr| u64::from(ptr.run().len)).sum();
    let leaves = seen.nodes.iter().filter(|(ptr, _)| ptr.level == 0).count() as u64;
    let (nodes, items) = (seen.nodes.len() as u64, model.len() as u64);
    assert_eq!(counts, TreeCounts { nodes, leaves, items, out_of_line_blocks: out_of_line });
    if let Some(top) = root.ptr() {
        assert!(top.level == 0 || seen.nodes[0].1 > 1, "a root has more than one child");
        for level in 0..=top.level {
            let mut fills: Vec<f64> =
                seen.nodes.iter().filter(|n| n.0.level == level).map(|n| fill(reader, &n.0)).collect();
            fills.pop();
            assert!(fills.iter().all(|fill| *fill >= 0.25), "only the last node of a level may be underfull");
        }
    }
    seen
}

/// Which part of a node's room is used.
pub fn fill(reader: &Reader, ptr: &NodePtr) -> f64 {
    let bytes = node_bytes(reader, ptr);
    let view = NodeView::check(&bytes, VOLUME, ptr).unwrap();
    let used = match view.level() {
        0 => view.items().iter().map(|slot| size_of::<LeafSlot>() + view.value(slot).len()).sum(),
        _ => view.count() * size_of::<ChildSlot>(),
    };
    used as f64 / NODE_ROOM as f64
}

/// The mean fill of the leaves.
pub fn leaf_fill(reader: &Reader, seen: &Seen) -> f64 {
    let fills: Vec<f64> = seen.nodes.iter().filter(|n| n.0.level == 0).map(|n| fill(reader, &n.0)).collect();
    fills.iter().sum::<f64>() / fills.len() as f64
}

pub fn node_bytes(reader: &Reader, ptr: &NodePtr) -> Box<[u8; NODE_SIZE]> {
    let mut bytes = Box::new([0; NODE_SIZE]);
    reader.device().read_at(&mut bytes[..], ptr.block.byte_offset()).unwrap();
    bytes
}

/// A value of this length that is not like others.
pub fn value(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(len)
    .collect()
}

/// A small generator of numbers, the same on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// How many cases a model test tries; `PROPTEST_CASES` says otherwise, for campaigns.
pub fn cases(usual: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
