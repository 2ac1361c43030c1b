//! Pass 5: the newest tree, every node and value of it, and which blocks and inode numbers it owns.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;
use vexfs_format::{
    BlockNo, BlockRun, Descriptor, Error as FormatError, Extent, Key, NodePtr, OutOfLine, kinds,
};
use vexfs_tree::{Corruption, Error as TreeError, Reader, Root, Subtree, TreeCounts, Visitor, WalkOptions};

use crate::finding::{
    COUNTS_WRONG, Kind, NODE_DAMAGED, NODE_IMPOSSIBLE, NODE_MISPLACED, POINTER_OUTSIDE, VALUE_DAMAGED,
};
use crate::marks::Marks;
use crate::report::Location;
use crate::volume::Volume;

/// How many blocks with two owners are remembered.
const DOUBLES: usize = 10_000;

/// Who owns what at the newest checkpoint, and what only past states own.
pub(crate) struct Claims {
    /// Blocks of files.
    pub data: Marks,
    /// Nodes, values out of line, and chains.
    pub meta: Marks,
    /// Blocks that only retained checkpoints need.
    pub kept: Marks,
    /// Inode numbers.
    pub inodes: Marks,
    /// Every node that a tree has, good or not.
    nodes: Mutex<HashMap<BlockNo, NodePtr>>,
    doubles: Mutex<BTreeSet<u64>>,
}

impl Claims {
    pub fn new(volume: &Volume) -> Self {
        let marks = || Marks::new(volume.geometry.group_count);
        Self {
            data: marks(),
            meta: marks(),
            kept: marks(),
            inodes: marks(),
            nodes: Mutex::default(),
            doubles: Mutex::default(),
        }
    }

    /// Blocks that nobody else may have, which hold no data of files.
    pub fn claim_meta(&self, run: BlockRun) {
        self.meta.set(run, |block| self.double(block));
        self.data.marked_in(run, |block| self.double(block));
    }

    /// Blocks of a file, which nobody else may have.
    pub fn claim_data(&self, run: BlockRun) {
        self.data.set(run, |block| self.double(block));
        self.meta.marked_in(run, |block| self.double(block));
    }

    /// A block has two owners.
    pub fn double(&self, block: u64) {
        let mut doubles = self.doubles.lock();
        if doubles.len() < DOUBLES {
            doubles.insert(block);
        }
    }

    /// The blocks with two owners.
    pub fn doubles(&self) -> BTreeSet<u64> {
        self.doubles.lock().clone()
    }

    /// Whether a newer tree has this very node.
    pub fn knows(&self, ptr: &NodePtr) -> bool {
        self.nodes.lock().get(&ptr.block) == Some(ptr)
    }

    /// Whether a node lies in one of these blocks.
    pub fn has_node_in(&self, run: BlockRun) -> bool {
        let unit = u64::from(vexfs_format::NODE_BLOCKS);
        let nodes = self.nodes.lock();
        (run.start.0 / unit..=run.end().saturating_sub(1) / unit)
            .any(|unit_no| nodes.contains_key(&BlockNo(unit_no * unit)))
    }

    /// A tree has this node.
    pub fn note_node(&self, ptr: &NodePtr) {
        self.nodes.lock().insert(ptr.block, *ptr);
    }
}

/// What the walk of the newest tree tells the passes behind it.
pub(crate) struct Walked {
    pub counts: TreeCounts,
    /// Where the tree can be parted so that each part is about as much work; the first begins at the first key.
    pub parts: Vec<Key>,
}

/// Walks the tree of the newest checkpoint.
pub(crate) fn run(volume: &Volume, reader: &Reader, newest: &Descriptor, claims: &Claims) -> Walked {
    let root = Root::new(newest.root, TreeCounts::default());
    let inodes = AtomicU64::new(0);
    let visitor = || Newest { volume, claims, inodes: &inodes };
    let (subtrees, mut counts) = reader.subtrees(&root, volume.options.threads() * 8, &mut visitor());
    let walk = |subtree: &Subtree| reader.walk_subtree(subtree, WalkOptions::default(), &mut visitor());
    for part in subtrees.par_iter().map(walk).collect::<Vec<_>>() {
        counts.nodes += part.nodes;
        counts.leaves += part.leaves;
        counts.items += part.items;
        counts.out_of_line_blocks += part.out_of_line_blocks;
    }
    if volume.lost.is_empty() && volume.knows_owners() {
        compare_counts(volume, newest, counts, inodes.load(Ordering::Relaxed));
    }
    let parts = [Key::MIN].into_iter().chain(subtrees.iter().skip(1).map(Subtree::low)).collect();
    Walked { counts, parts }
}

fn compare_counts(volume: &Volume, newest: &Descriptor, found: TreeCounts, inodes: u64) {
    let said = &newest.counts;
    let pairs = [
        ("nodes", said.nodes, found.nodes),
        ("leaves", said.leaves, found.leaves),
        ("items", said.items, found.items),
        ("blocks of values out of line", said.out_of_line_blocks, found.out_of_line_blocks),
        ("inodes", said.inodes, inodes),
    ];
    for (what, said, found) in pairs.into_iter().filter(|(_, said, found)| said != found) {
        let message = format!("checkpoint {} counts {said} {what}, there are {found}", newest.id);
        volume.ledger.add(&COUNTS_WRONG, Location::default().of_checkpoint(newest.id.0), message);
    }
}

struct Newest<'a> {
    volume: &'a Volume,
    claims: &'a Claims,
    inodes: &'a AtomicU64,
}

impl Visitor for Newest<'_> {
    fn enter(&mut self, ptr: &NodePtr) -> bool {
        self.volume.meter.add(1);
        if self.volume.meter.is_cancelled() {
            return false;
        }
        if self.volume.geometry.holds(ptr.run()) {
            self.claims.claim_meta(ptr.run());
            self.claims.note_node(ptr);
        }
        true
    }

    fn out_of_line(&mut self, key: Key, ptr: &OutOfLine) {
        if self.volume.geometry.holds(ptr.run()) {
            self.claims.claim_meta(ptr.run());
            return;
        }
        let message = format!(
            "a value of object {} is said to lie in block {}, outside the area for data",
            key.object, ptr.block
        );
        self.volume.ledger.add(&POINTER_OUTSIDE, Location::block(ptr.block.0), message);
    }

    fn item(&mut self, key: Key, value: &[u8]) {
        match key.kind {
            kinds::INODE if self.volume.is_inode(key.object) && key.offset == 0 => {
                self.inodes.fetch_add(1, Ordering::Relaxed);
                self.claims.inodes.set_one(key.object);
            }
            kinds::EXTENT => match Extent::parse(key.offset, value) {
                Ok(extent) if self.volume.geometry.holds(extent.run) => self.claims.claim_data(extent.run),
                // The pass over the items says what is wrong with it.
                _ => self.volume.owners_unknown(),
            },
            _ => {}
        }
    }

    fn bad(&mut self, error: TreeError) {
        damaged(self.volume, &error);
    }
}

/// Says what is wrong with a part of the newest tree, and that nothing is known of it.
pub(crate) fn damaged(volume: &Volume, error: &TreeError) {
    volume.owners_unknown();
    match error {
        TreeError::Corrupt(corruption) => {
            volume.lost.add(corruption.low, corruption.high);
            let kind = kind_of(volume, corruption);
            volume.ledger.add(kind, location_of(corruption), corruption.to_string());
        }
        other => {
            volume.lost.add(Key::MIN, None);
            volume.ledger.add(&NODE_DAMAGED, Location::default(), other.to_string());
        }
    }
}

/// Where a corruption is; an out-of-line value's owner is known too.
pub(crate) fn location_of(corruption: &Corruption) -> Location {
    let here = Location::block(corruption.block.0);
    match corruption.level {
        None => Location { inode: Some(corruption.low.object), ..here },
        Some(_) => here,
    }
}

fn kind_of(volume: &Volume, corruption: &Corruption) -> &'static Kind {
    let len = if corruption.level.is_some() { vexfs_format::NODE_BLOCKS } else { 1 };
    if !volume.geometry.holds(BlockRun { start: corruption.block, len }) {
        return &POINTER_OUTSIDE;
    }
    match (&corruption.reason, corruption.level) {
        (_, None) => &VALUE_DAMAGED,
        (FormatError::BadChecksum { .. }, _) => &NODE_DAMAGED,
        (FormatError::BadValue { .. }, _) => &NODE_IMPOSSIBLE,
        _ => &NODE_MISPLACED,
    }
}
