//! New nodes that wait to be written. A node's place and checksum are known when it is written, so a parent in
//! the queue has gaps for the children before it; they are filled when the whole queue gets its places.

use std::sync::Arc;

use vexfs_format::node::{place, set_child};
use vexfs_format::{BlockNo, BlockRun, NODE_BLOCKS, NODE_SIZE, NodePtr};

use crate::alloc::{NodeAlloc, exactly};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::reader::Reader;

/// How many nodes are written at once.
const LENGTH: usize = 64;

/// A child of a new node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// It is written.
    Written(NodePtr),
    /// It is in the queue, at this place.
    Queued(usize),
}

pub(crate) struct Queue {
    nodes: Vec<Queued>,
    /// The longest run of nodes that there may be room for.
    longest: usize,
}

struct Queued {
    node: Arc<Node>,
    /// Slots whose child is in the queue: slot number, place in the queue.
    gaps: Vec<(usize, usize)>,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new(), longest: LENGTH }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.nodes.len() >= LENGTH
    }

    /// Adds a finished node; children in the queue are before it. Returns its place.
    pub(crate) fn push(&mut self, node: Arc<Node>, gaps: Vec<(usize, usize)>) -> Target {
        self.nodes.push(Queued { node, gaps });
        Target::Queued(self.nodes.len() - 1)
    }

    /// A run for as many of the nodes as can be.
    fn allocate(&mut self, nodes: usize, alloc: &mut dyn NodeAlloc) -> Result<(BlockRun, usize)> {
        let mut count = nodes.min(self.longest);
        loop {
            let blocks = u32::try_from(count).unwrap_or(1).saturating_mul(NODE_BLOCKS);
            match exactly(alloc, blocks, NODE_BLOCKS) {
                Ok(run) => return Ok((run, count)),
                Err(Error::NoSpace { .. }) if count > 1 => count = count.div_ceil(2),
                Err(error) => return Err(error),
            }
            self.longest = count;
        }
    }

    /// Writes all nodes, and keeps them in the cache. Returns the pointers to them, by place.
    pub(crate) fn write(&mut self, reader: &Reader, alloc: &mut dyn NodeAlloc) -> Result<Vec<NodePtr>> {
        let mut ptrs: Vec<NodePtr> = Vec::with_capacity(self.nodes.len());
        let mut nodes = std::mem::take(&mut self.nodes).into_iter();
        while nodes.len() > 0 {
            let (run, count) = self.allocate(nodes.len(), alloc)?;
            let mut placed = Vec::with_capacity(count);
            for (Queued { mut node, gaps }, index) in nodes.by_ref().take(count).zip(0u64..) {
                let block = BlockNo(run.start.0 + index * u64::from(NODE_BLOCKS));
                let ptr = Node::edit(&mut node, |bytes| {
                    for (slot, child) in gaps {
                        if let Some(ptr) = ptrs.get(child) {
                            set_child(bytes, slot, ptr);
                        }
                    }
                    place(bytes, reader.volume, block)
                });
                if let Some(ptr) = ptr {
                    Node::describe(&mut node, ptr);
                }
                ptrs.push(*node.ptr());
                placed.push(node);
            }
            let parts: Vec<&[u8]> = placed.iter().map(|node| &node.bytes()[..]).collect();
            let offset = run.start.byte_offset();
            reader.device.write_all_at(&parts, offset)?;
            reader.device.start_writeback(offset, parts.len() as u64 * NODE_SIZE as u64);
            for node in placed {
                reader.cache.insert_written(node);
            }
        }
        Ok(ptrs)
    }
}
