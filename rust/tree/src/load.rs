//! From a pointer to a checked node, and from a slot to a checked value.

use std::borrow::Cow;
use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::node::{NodeView, TREE_NODE};
use vexfs_format::{BlockRun, Key, NodePtr, OutOfLine};

use crate::error::{Corruption, Error, Result};
use crate::node::{Child, Node, Span};
use crate::value::Value;

/// Reads a node from the device and checks all of it, also against what its parent says.
pub(crate) fn node(device: &dyn Device, volume: u64, child: &Child) -> Result<Arc<Node>> {
    let Child { ptr, span } = child;
    let corrupt = |reason| corrupt_node(ptr, span, reason);
    if !on_device(device, ptr.run()) {
        return Err(corrupt(TREE_NODE.bad("block", ptr.block.0)));
    }
    let mut node = Node::blank();
    Node::edit(&mut node, |bytes| {
        device.read_at(&mut bytes[..], ptr.block.byte_offset())?;
        NodeView::check(bytes, volume, ptr).map_err(corrupt).map(|_| ())
    })
    .unwrap_or(Ok(()))?;
    Node::describe(&mut node, *ptr);
    check_span(&node, span)?;
    Ok(node)
}

/// Checks that a node has the keys that its parent says.
#[inline]
pub(crate) fn check_span(node: &Node, span: &Span) -> Result<()> {
    if span.holds(node) {
        return Ok(());
    }
    let wrong = if span.low.is_some_and(|low| low != node.first()) { node.first() } else { node.last() };
    let reason = TREE_NODE.bad("a key that its parent does not expect, at object", wrong.object);
    Err(corrupt_node(node.ptr(), span, reason))
}

/// Reads a value that has blocks of its own, and checks it.
pub(crate) fn value(device: &dyn Device, key: Key, ptr: &OutOfLine) -> Result<Arc<[u8]>> {
    let corrupt = |reason| {
        let level = None;
        let corruption = Corruption { block: ptr.block, level, low: key, high: key.successor(), reason };
        Error::Corrupt(Box::new(corruption))
    };
    if !on_device(device, ptr.run()) {
        return Err(corrupt(TREE_NODE.bad("value block", ptr.block.0)));
    }
    // The length was checked to be at most 64 KiB.
    let mut bytes = vec![0; usize::try_from(ptr.len).unwrap_or_default()];
    device.read_at(&mut bytes, ptr.block.byte_offset())?;
    let (found, expected) = (crc32c::crc32c(&bytes), ptr.crc);
    if found != expected {
        let (what, address) = ("value", ptr.block.0);
        return Err(corrupt(vexfs_format::Error::BadChecksum { what, address, found, expected }));
    }
    Ok(bytes.into())
}

/// The value of item `index` of a leaf, and its key.
#[inline]
pub(crate) fn item(
    device: &dyn Device,
    leaf: Cow<'_, Arc<Node>>,
    index: usize,
) -> Result<Option<(Key, Value)>> {
    let Some(slot) = leaf.item(index) else { return Ok(None) };
    let key = slot.key.into();
    if slot.flags == 0 {
        let (start, len) = (slot.offset.get(), slot.len.get());
        return Ok(Some((key, Value::in_node(leaf.into_owned(), start, len))));
    }
    match leaf.out_of_line(slot) {
        Some(ptr) => value(device, key, &ptr).map(|bytes| Some((key, Value::own(bytes)))),
        None => {
            let reason = TREE_NODE.bad("slot flags", slot.flags.into());
            Err(corrupt_node(leaf.ptr(), &Span::default(), reason))
        }
    }
}

/// The error of a subtree that cannot be used.
pub(crate) fn corrupt_node(ptr: &NodePtr, span: &Span, reason: vexfs_format::Error) -> Error {
    let low = span.low.unwrap_or(Key::MIN);
    let (block, level, high) = (ptr.block, Some(ptr.level), span.high);
    Error::Corrupt(Box::new(Corruption { block, level, low, high, reason }))
}

fn on_device(device: &dyn Device, run: BlockRun) -> bool {
    run.start.0.checked_mul(vexfs_format::BLOCK_SIZE as u64).is_some()
        && run.end().checked_mul(vexfs_format::BLOCK_SIZE as u64).is_some_and(|end| end <= device.len())
}
