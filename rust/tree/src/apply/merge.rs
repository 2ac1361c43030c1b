//! The pass itself: down to the leaves that the batch touches, and up again with what they became.

use std::iter::Peekable;
use std::sync::Arc;

use vexfs_format::node::{LeafSlot, MAX_INLINE, MAX_VALUE, NodeWriter, OUT_OF_LINE};
use vexfs_format::pointer::RawOutOfLine;
use vexfs_format::{BLOCK_SIZE, BlockRun, Key, NODE_BLOCKS, NodePtr, OutOfLine, Seq};
use zerocopy::IntoBytes;

use super::part::{ChildPart, Items};
use super::pending::{End, Pending};
use super::queue::{Queue, Target};
use super::{Applied, Change};
use crate::alloc::{NodeAlloc, exactly};
use crate::error::{Error, Result};
use crate::node::{Child, Node, Span};
use crate::reader::Reader;
use crate::root::{Root, TreeCounts};

/// How many neighbours a run of leaves may take in only to be better filled.
pub(crate) const MOST_TAKEN: usize = 2;

/// The changes still to come, checked to ascend.
struct Batch<'a, V> {
    rest: Peekable<&'a mut dyn Iterator<Item = (Key, Change<V>)>>,
    last: Option<Key>,
}

impl<V> Batch<'_, V> {
    /// Whether a key below `high` comes next.
    fn touches(&mut self, high: Option<Key>) -> bool {
        self.rest.peek().is_some_and(|(key, _)| high.is_none_or(|high| *key < high))
    }

    /// The next change, if its key is below `high`.
    fn next_below(&mut self, high: Option<Key>) -> Result<Option<(Key, Change<V>)>> {
        let Some((key, change)) = self.rest.next_if(|(key, _)| high.is_none_or(|high| *key < high)) else {
            return Ok(None);
        };
        match self.last.replace(key) {
            Some(last) if last >= key => Err(Error::Unsorted { key }),
            _ => Ok(Some((key, change))),
        }
    }
}

pub(super) struct Merge<'a> {
    reader: &'a Reader,
    birth: Seq,
    alloc: &'a mut dyn NodeAlloc,
    items: Pending<Items>,
    /// By level: `children[0]` will be nodes of level 1.
    children: Vec<Pending<ChildPart>>,
    queue: Queue,
    freed: Vec<(BlockRun, Seq)>,
    gained: TreeCounts,
    lost: TreeCounts,
}

impl<'a> Merge<'a> {
    pub(super) fn new(reader: &'a Reader, birth: Seq, alloc: &'a mut dyn NodeAlloc) -> Self {
        let (gained, lost) = Default::default();
        let (items, children) = (Pending::new(), Vec::new());
        let (queue, freed) = (Queue::new(), Vec::new());
        Self { reader, birth, alloc, items, children, queue, freed, gained, lost }
    }

    pub(super) fn run<V: AsRef<[u8]>>(
        mut self,
        root: &Root,
        batch: &mut dyn Iterator<Item = (Key, Change<V>)>,
    ) -> Result<Applied> {
        let mut batch = Batch { rest: batch.peekable(), last: None };
        match root.ptr() {
            _ if !batch.touches(None) => {
                return Ok(Applied { root: root.clone(), freed: Vec::new(), written: 0 });
            }
            Some(ptr) => {
                let top = Arc::clone(self.reader.top(root, ptr)?);
                self.visit(&top, &Child { ptr, span: Span::default() }, &mut batch)?;
            }
            None => self.insert_all(None, &mut batch)?,
        }
        let ptr = self.finish()?;
        let counts = root.counts().changed(&self.gained, &self.lost);
        Ok(Applied { root: Root::new(ptr, counts), freed: self.freed, written: self.gained.nodes })
    }

    /// Merges the changes below the end of a node's keys into it.
    fn visit<V: AsRef<[u8]>>(
        &mut self,
        node: &Arc<Node>,
        at: &Child,
        batch: &mut Batch<'_, V>,
    ) -> Result<()> {
        if node.is_leaf() {
            return self.visit_leaf(node, at, batch);
        }
        self.free_node(&at.ptr);
        for index in 0..node.count() {
            let Some(child) = node.child(index, &at.span) else { continue };
            if batch.touches(child.span.high) {
                let below = self.reader.child_once(node, index, &child)?;
                self.visit(&below, &child, batch)?;
            } else {
                self.pass(&child)?;
            }
        }
        Ok(())
    }

    fn visit_leaf<V: AsRef<[u8]>>(
        &mut self,
        leaf: &Arc<Node>,
        at: &Child,
        batch: &mut Batch<'_, V>,
    ) -> Result<()> {
        // How many of the leaf's items have gone on; none until a change is found that has an effect.
        let mut done = None;
        while let Some((key, change)) = batch.next_below(at.span.high)? {
            let (index, found) = leaf.search(key);
            if !found && matches!(change, Change::Delete) {
                continue;
            }
            if done.is_none() {
                self.free_node(&at.ptr);
            }
            self.keep_items(leaf, done.unwrap_or(0), index)?;
            if found {
                self.free_item(leaf, index);
            }
            done = Some(if found { index + 1 } else { index });
            if let Change::Put(value) = change {
                self.put(key, value.as_ref())?;
            }
        }
        match done {
            Some(done) => self.keep_items(leaf, done, leaf.count()),
            None => self.pass(at),
        }
    }

    fn insert_all<V: AsRef<[u8]>>(&mut self, high: Option<Key>, batch: &mut Batch<'_, V>) -> Result<()> {
        while let Some((key, change)) = batch.next_below(high)? {
            if let Change::Put(value) = change {
                self.put(key, value.as_ref())?;
            }
        }
        Ok(())
    }

    /// Lets a subtree that no change touches follow: as it is, or opened if a run before it needs more.
    fn pass(&mut self, at: &Child) -> Result<()> {
        let level = usize::from(at.ptr.level);
        for below in 0..=level {
            if self.wants_more(below, level) {
                return self.open(at);
            }
            self.end(below, End::Inner)?;
        }
        let key = at.span.low.unwrap_or_default();
        self.push_child(level, ChildPart { key, target: Target::Written(at.ptr) }, false)
    }

    /// Takes in the entries of a node that no change touches.
    fn open(&mut self, at: &Child) -> Result<()> {
        let node = self.reader.fetch_once(at, None)?;
        self.free_node(&at.ptr);
        if node.is_leaf() {
            self.items.taken += 1;
            return self.keep_items(&node, 0, node.count());
        }
        for index in 0..node.count() {
            if let Some(child) = node.child(index, &at.span) {
                self.pass(&child)?;
            }
        }
        Ok(())
    }

    /// Whether the run at `level` must not or should not end before an untouched node of level `next`.
    fn wants_more(&self, level: usize, next: usize) -> bool {
        match level.checked_sub(1) {
            None => {
                let fill = next == 0 && self.items.taken < MOST_TAKEN;
                self.items.is_underfull() || (fill && self.items.is_loose())
            }
            Some(index) => self.children.get(index).is_some_and(Pending::is_underfull),
        }
    }

    /// Ends the run at `level`.
    fn end(&mut self, level: usize, end: End) -> Result<()> {
        match level.checked_sub(1) {
            None => {
                while let Some(items) = self.items.end(end) {
                    self.make_leaf(&items)?;
                }
            }
            Some(index) => {
                while let Some(children) = self.children.get_mut(index).and_then(|run| run.end(end)) {
                    self.make_node(level, &children)?;
                }
            }
        }
        Ok(())
    }

    /// Ends all runs. Returns the pointer to the root.
    fn finish(&mut self) -> Result<Option<NodePtr>> {
        self.end(0, End::Edge)?;
        let mut level = 1;
        while level <= self.children.len() {
            // The one entry of the uppermost level is the root.
            let above = self.children.get(level..).unwrap_or_default();
            if above.iter().all(Pending::is_empty)
                && let Some(entry) = self.children.get(level - 1).and_then(Pending::only)
            {
                let target = entry.target;
                return self.finish_root(target).map(Some);
            }
            self.end(level, End::Edge)?;
            level += 1;
        }
        Ok(None)
    }

    /// Writes what is left in the queue. A root with one child gives way to it.
    fn finish_root(&mut self, target: Target) -> Result<NodePtr> {
        let written = self.queue.write(self.reader, self.alloc)?;
        let mut ptr = match target {
            Target::Written(ptr) => ptr,
            Target::Queued(index) => {
                let what = "the root was not written";
                return written.get(index).copied().ok_or(Error::Internal { what });
            }
        };
        while ptr.level > 0 {
            let at = Child { ptr, span: Span::default() };
            let node = self.reader.fetch_once(&at, None)?;
            let Some(child) = node.child(0, &at.span).filter(|_| node.count() == 1) else { break };
            self.free_node(&ptr);
            ptr = child.ptr;
        }
        Ok(ptr)
    }

    /// Adds a value: in its leaf, or in blocks of its own.
    fn put(&mut self, key: Key, value: &[u8]) -> Result<()> {
        self.gained.items += 1;
        let (flags, value) = if value.len() <= MAX_INLINE {
            (0, value.into())
        } else {
            let ptr = self.write_value(key, value)?;
            (OUT_OF_LINE, RawOutOfLine::from(ptr).as_bytes().into())
        };
        self.push_items(Items::New { key, flags, value }, true)
    }

    fn write_value(&mut self, key: Key, value: &[u8]) -> Result<OutOfLine> {
        let Some(len) = u32::try_from(value.len()).ok().filter(|_| value.len() <= MAX_VALUE) else {
            return Err(Error::TooLarge { key, len: value.len() });
        };
        let blocks = len.div_ceil(BLOCK_SIZE as u32);
        // Aligned so that it breaks no more units of four blocks than it must.
        let align = blocks.next_power_of_two().min(NODE_BLOCKS);
        let run = exactly(self.alloc, blocks, align)?;
        let zeros = [0; BLOCK_SIZE];
        let tail = zeros.get(..blocks as usize * BLOCK_SIZE - value.len()).unwrap_or_default();
        self.reader.device.write_all_at(&[value, tail], run.start.byte_offset())?;
        self.gained.out_of_line_blocks += u64::from(blocks);
        Ok(OutOfLine { block: run.start, birth: self.birth, len, crc: crc32c::crc32c(value) })
    }

    /// Lets items of an old leaf go on.
    fn keep_items(&mut self, leaf: &Arc<Node>, from: usize, to: usize) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        self.push_items(Items::Old { leaf: Arc::clone(leaf), from, to }, false)
    }

    fn push_items(&mut self, items: Items, new: bool) -> Result<()> {
        self.items.push(items, new);
        while let Some(full) = self.items.cut_full() {
            self.make_leaf(&full)?;
        }
        Ok(())
    }

    /// Adds a child of level `level` to the run that becomes its parents.
    fn push_child(&mut self, level: usize, child: ChildPart, new: bool) -> Result<()> {
        while self.children.len() <= level {
            self.children.push(Pending::new());
        }
        if let Some(run) = self.children.get_mut(level) {
            run.push(child, new);
        }
        while let Some(full) = self.children.get_mut(level).and_then(Pending::cut_full) {
            self.make_node(level + 1, &full)?;
        }
        Ok(())
    }

    fn make_leaf(&mut self, parts: &[Items]) -> Result<()> {
        let mut node = Node::blank();
        let made = Node::edit(&mut node, |bytes| {
            let mut writer = NodeWriter::new(bytes, 0);
            let fits = parts.iter().all(|part| part.write(&mut writer));
            writer.finish(self.birth);
            fits
        });
        if made != Some(true) {
            return Err(Error::Internal { what: "its items do not fit" });
        }
        self.gained.leaves += 1;
        let target = self.queue.push(node, Vec::new());
        self.made(0, parts.first().and_then(Items::key), target)
    }

    fn make_node(&mut self, level: usize, children: &[ChildPart]) -> Result<()> {
        let mut node = Node::blank();
        let mut gaps = Vec::new();
        let made = Node::edit(&mut node, |bytes| {
            let mut writer = NodeWriter::new(bytes, u8::try_from(level).unwrap_or(u8::MAX));
            let fits = children.iter().enumerate().all(|(slot, child)| match child.target {
                Target::Written(ptr) => writer.child(child.key, Some(ptr)),
                Target::Queued(index) => {
                    gaps.push((slot, index));
                    writer.child(child.key, None)
                }
            });
            writer.finish(self.birth);
            fits
        });
        if made != Some(true) {
            return Err(Error::Internal { what: "its children do not fit" });
        }
        let target = self.queue.push(node, gaps);
        self.made(level, children.first().map(|child| child.key), target)
    }

    /// Hands a new node on to the level above it, and writes the queue when it is full.
    fn made(&mut self, level: usize, key: Option<Key>, target: Target) -> Result<()> {
        self.gained.nodes += 1;
        self.push_child(level, ChildPart { key: key.unwrap_or_default(), target }, true)?;
        if !self.queue.is_full() {
            return Ok(());
        }
        let written = self.queue.write(self.reader, self.alloc)?;
        for child in self.children.iter_mut().flat_map(Pending::parts_mut) {
            if let Target::Queued(index) = child.target
                && let Some(ptr) = written.get(index)
            {
                child.target = Target::Written(*ptr);
            }
        }
        Ok(())
    }

    fn free_node(&mut self, ptr: &NodePtr) {
        self.lost.nodes += 1;
        self.lost.leaves += u64::from(ptr.level == 0);
        self.free(ptr.run(), ptr.birth);
        self.reader.cache.remove(ptr);
    }

    fn free_item(&mut self, leaf: &Node, index: usize) {
        self.lost.items += 1;
        let out_of_line = |slot: &LeafSlot| leaf.out_of_line(slot);
        if let Some(ptr) = leaf.item(index).and_then(out_of_line) {
            self.lost.out_of_line_blocks += u64::from(ptr.run().len);
            self.free(ptr.run(), ptr.birth);
        }
    }

    fn free(&mut self, run: BlockRun, birth: Seq) {
        match self.freed.last_mut() {
            Some((last, born))
                if *born == birth && last.end() == run.start.0 && last.len < u32::MAX - run.len =>
            {
                last.len += run.len;
            }
            _ => self.freed.push((run, birth)),
        }
    }
}
