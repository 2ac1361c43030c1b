//! One structure of a volume, as it lies on the device, for whoever works on the format.
//!
//! Nothing is repaired, followed or believed: what does not parse is shown as the reason why.

use std::sync::Arc;

use serde_json::{Value, json};
use vexfs_device::Device;
use vexfs_format::geometry::RING_SLOTS;
use vexfs_format::node::{NodeBytes, NodeHeader, NodeView};
use vexfs_format::{
    BLOCK_SIZE, Block, BlockNo, CheckpointId, Descriptor, Geometry, Inode, Key, NODE_SIZE, NodePtr, Seq,
    Stamp, Superblock, bitmap, checkpoint, frame, group, kinds, node, superblock,
};
use vexfs_journal::{Position, Region, ScanFrom, ScanOptions};
use vexfs_store::{Mode, Options, Read, Store};
use zerocopy::FromBytes;

use crate::{Error, Result, figures};

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// All copies of the superblock.
    Superblock,
    /// A checkpoint's descriptor, or every one in the ring.
    Checkpoint(Option<u64>),
    /// The frames behind the newest checkpoint, or what is in the one at a log position.
    Journal(Option<u64>),
    /// An inode and its items, in the state that opening the volume recovers.
    Inode(u64),
    /// The tree node at a block.
    Node(u64),
    /// What a block is and holds.
    Block(u64),
    /// The free space of one group, or of every one.
    Group(Option<u64>),
    /// The checkpoints that are kept besides the newest.
    Retained,
}

/// Shows a structure of the volume on `device`.
///
/// # Errors
/// There is no volume, or the device cannot be read.
pub fn show(device: &Arc<dyn Device>, what: What) -> Result<Value> {
    let copies = vexfs_store::superblock::read(&**device)?;
    let superblock = copies.superblock;
    if let What::Node(block) | What::Block(block) = what
        && block >= superblock.block_count
    {
        return Err(not_there(format!("block {block}: the volume has {}", superblock.block_count)));
    }
    match what {
        What::Superblock => superblocks(&**device, &superblock),
        What::Checkpoint(number) => checkpoints(&**device, &superblock, number),
        What::Journal(lsn) => journal(&**device, &superblock, lsn),
        What::Inode(ino) => inode(device, ino),
        What::Node(block) => tree_node(&**device, &superblock, BlockNo(block)),
        What::Group(number) => figures::groups(&**device, &superblock, number),
        What::Retained => figures::retained(&**device, &superblock),
        What::Block(block) => one_block(&**device, &superblock, BlockNo(block)),
    }
}

pub(crate) fn not_there(what: String) -> Error {
    Error::NotThere { what }
}

pub(crate) fn block_at(device: &dyn Device, block: BlockNo) -> Result<Block> {
    let mut bytes = [0; BLOCK_SIZE];
    device.read_at(&mut bytes, block.byte_offset())?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key(key: Key) -> Value {
    let kind = kinds::ALL.iter().find(|(number, ..)| *number == key.kind);
    let kind = kind.map_or_else(|| format!("{:#04x}", key.kind), |(_, name, _)| name.to_lowercase());
    json!({ "object": key.object, "kind": kind, "offset": key.offset })
}

fn pointer(pointer: &NodePtr) -> Value {
    json!({ "block": pointer.block.0, "level": pointer.level, "birth": pointer.birth.0, "crc": pointer.crc })
}

fn superblocks(device: &dyn Device, superblock: &Superblock) -> Result<Value> {
    let geometry = superblock.geometry().map_err(vexfs_store::Error::from)?;
    let mut copies = Vec::new();
    for block in &geometry.superblocks {
        copies.push(match Superblock::parse(&block_at(device, *block)?, *block) {
            Err(error) => json!({ "block": block.0, "damaged": error.to_string() }),
            Ok(copy) => json!({
                "block": block.0,
                "revision": copy.revision,
                "uuid": hex(&copy.uuid),
                "label": copy.label.as_str(),
                "block_count": copy.block_count,
                "journal_blocks": copy.journal_blocks,
                "reserve_units": copy.reserve_units,
                "created_ns": copy.created_ns,
                "compat": copy.features.compat,
                "ro_compat": copy.features.ro_compat,
                "incompat": copy.features.incompat,
            }),
        });
    }
    Ok(Value::Array(copies))
}

fn checkpoints(device: &dyn Device, superblock: &Superblock, number: Option<u64>) -> Result<Value> {
    let geometry = superblock.geometry().map_err(vexfs_store::Error::from)?;
    let slots = match number {
        Some(number) => number..number.saturating_add(1),
        None => 0..u64::from(RING_SLOTS),
    };
    let mut found = Vec::new();
    for slot in slots {
        for block in geometry.descriptor_blocks(CheckpointId(slot)) {
            let bytes = block_at(device, block)?;
            if bytes != [0; BLOCK_SIZE] {
                found.push(descriptor(&bytes, superblock.volume(), block));
            }
        }
    }
    if let Some(number) = number {
        // A later checkpoint may lie in its place.
        found.retain(|found| found.get("id").is_none_or(|id| *id == number));
        if found.is_empty() {
            return Err(not_there(format!("checkpoint {number} in the ring: show them without a number")));
        }
    }
    Ok(Value::Array(found))
}

fn descriptor(bytes: &Block, volume: u64, block: BlockNo) -> Value {
    match Descriptor::parse(bytes, volume, block) {
        Err(error) => json!({ "block": block.0, "damaged": error.to_string() }),
        Ok(found) => json!({
            "block": block.0,
            "id": found.id.0,
            "kind": format!("{:?}", found.kind).to_lowercase(),
            "time_ns": found.time_ns,
            "seq": found.seq.0,
            "lsn": found.lsn.0,
            "epoch": found.epoch,
            "chain_crc": found.chain_crc,
            "root": found.root.as_ref().map(pointer),
            "table_side": found.table_side,
            "table_crc": found.table_crc,
            "retention_block": found.retention.map(|retention| retention.block.0),
            "inodes": found.counts.inodes,
            "nodes": found.counts.nodes,
            "items": found.counts.items,
            "free_blocks": found.counts.free_blocks,
            "free_inodes": found.counts.free_inodes,
            "unique_high": found.unique_high,
        }),
    }
}

/// The newest descriptor that is whole.
pub(crate) fn newest_descriptor(
    device: &dyn Device,
    volume: u64,
    geometry: &Geometry,
) -> Result<Option<Descriptor>> {
    let mut newest: Option<Descriptor> = None;
    for slot in 0..u64::from(RING_SLOTS) {
        for block in geometry.descriptor_blocks(CheckpointId(slot)) {
            if let Ok(found) = Descriptor::parse(&block_at(device, block)?, volume, block)
                && newest.is_none_or(|newest| found.id > newest.id)
            {
                newest = Some(found);
            }
        }
    }
    Ok(newest)
}

fn journal(device: &dyn Device, superblock: &Superblock, lsn: Option<u64>) -> Result<Value> {
    let geometry = superblock.geometry().map_err(vexfs_store::Error::from)?;
    let volume = superblock.volume();
    let newest = newest_descriptor(device, volume, &geometry)?;
    let Some(newest) = newest else {
        return Ok(json!({ "damaged": "no checkpoint's descriptor can be read" }));
    };
    let region = Region { offset: geometry.journal.start.byte_offset(), bytes: geometry.journal.bytes() };
    let position = Position { lsn: newest.lsn, crc: newest.chain_crc, epoch: newest.epoch };
    let from = ScanFrom { volume, position, checkpoint: newest.id };
    let scanned = vexfs_journal::scan(device, region, from, &ScanOptions::default(), |records, record| {
        let wanted = lsn == Some(record.frame.lsn.0);
        if wanted {
            Vec::push(records, record_of(record));
        }
    });
    let scan = scanned.map_err(vexfs_store::Error::from)?;
    if lsn.is_some() {
        return Ok(Value::Array(scan.parts.into_iter().flatten().collect()));
    }
    let frames: Vec<Value> = scan.frames.iter().map(frame_of).collect();
    Ok(json!({
        "checkpoint": newest.id.0,
        "from_lsn": newest.lsn.0,
        "end_lsn": scan.end.lsn.0,
        "known_durable_lsn": scan.known_durable.0,
        "ending": format!("{:?}", scan.ending),
        "frames": frames,
    }))
}

fn frame_of(frame: &frame::Frame) -> Value {
    json!({
        "lsn": frame.lsn.0,
        "length": frame.length,
        "payload": frame.payload,
        "records": frame.records,
        "flags": frame.flags,
        "epoch": frame.epoch,
        "first_seq": frame.first_seq.0,
        "durable_lsn": frame.durable_lsn.0,
        "checkpoint": frame.checkpoint.0,
        "crc": frame.crc,
        "previous_crc": frame.previous_crc,
    })
}

fn record_of(record: &vexfs_journal::Record<'_>) -> Value {
    let view = &record.view;
    let ops = view.ops().map(|op| json!({ "key": key(op.key), "bytes": op.value.map(<[u8]>::len) }));
    let sets = view.sets().map(|set| json!({ "block": set.run.start.0, "count": set.run.len }));
    let carried = record.carried().map(|(at, run)| {
        json!({ "block": run.run.start.0, "count": run.run.len, "lsn": at.0, "whole": run.is_whole() })
    });
    let frees = view
        .frees()
        .map(|free| json!({ "block": free.run.start.0, "count": free.run.len, "birth": free.birth.0 }));
    json!({
        "lsn": record.position.0,
        "seq": view.seq().0,
        "ops": ops.collect::<Vec<_>>(),
        "sets": sets.collect::<Vec<_>>(),
        "carried": carried.collect::<Vec<_>>(),
        "frees": frees.collect::<Vec<_>>(),
        "inodes_set": view.inode_sets().map(|ino| ino.0).collect::<Vec<_>>(),
        "inodes_freed": view.inode_frees().map(|ino| ino.0).collect::<Vec<_>>(),
    })
}

fn inode(device: &Arc<dyn Device>, ino: u64) -> Result<Value> {
    let options = Options { mode: Mode::Read, background: false, ..Options::default() };
    let store = Store::open(Arc::clone(device), options)?;
    let view = store.view();
    let record = match view.get(Key::new(ino, kinds::INODE, 0))?.map(|value| Inode::parse(&value)) {
        None => json!({ "missing": format!("there is no inode {ino}") }),
        Some(Err(error)) => json!({ "damaged": error.to_string() }),
        Some(Ok(inode)) => json!({
            "type": format!("{:?}", inode.file_type).to_lowercase(),
            "permissions": format!("{:04o}", inode.permissions),
            "nlink": inode.nlink,
            "uid": inode.uid,
            "gid": inode.gid,
            "size": inode.size,
            "blocks": inode.blocks,
            "generation": inode.generation,
            "version": inode.version,
            "parent_or_rdev": inode.parent_or_rdev,
            "subdirs": inode.subdirs,
            "flags": inode.flags,
            "atime_ns": inode.atime_ns,
            "mtime_ns": inode.mtime_ns,
            "ctime_ns": inode.ctime_ns,
            "btime_ns": inode.btime_ns,
        }),
    };
    let mut items = Vec::new();
    for item in view.range(Key::new(ino, 0, 0), Key::new(ino, u8::MAX, u64::MAX)) {
        let (at, value) = item?;
        items.push(json!({ "key": key(at), "bytes": value.len() }));
    }
    if items.is_empty() {
        return Err(not_there(format!("inode {ino}")));
    }
    Ok(json!({ "inode": ino, "record": record, "items": items }))
}

fn tree_node(device: &dyn Device, superblock: &Superblock, block: BlockNo) -> Result<Value> {
    let mut bytes: Box<NodeBytes> = Box::new([0; NODE_SIZE]);
    device.read_at(&mut *bytes, block.byte_offset())?;
    let (level, birth) = NodeHeader::ref_from_prefix(&*bytes)
        .map_or((0, Seq(0)), |(header, _)| (header.level, Seq(header.birth.get())));
    // The checksum lives in the pointer, which is not known here: the rest of the rules is checked.
    let believed = NodePtr { block, birth, crc: crc32c::crc32c(&*bytes), level };
    let view = match NodeView::check(&bytes, superblock.volume(), &believed) {
        Ok(view) => view,
        Err(error) => return Ok(json!({ "block": block.0, "damaged": error.to_string() })),
    };
    let items = view.items().iter().map(|slot| {
        let out_of_line = view
            .out_of_line(slot)
            .map(|value| json!({ "block": value.block.0, "bytes": value.len, "birth": value.birth.0 }));
        json!({ "key": key(slot.key.into()), "bytes": slot.len.get(), "out_of_line": out_of_line })
    });
    let children = view.children().iter().map(
        |slot| json!({ "key": key(slot.key.into()), "block": slot.block.get(), "birth": slot.birth.get() }),
    );
    let (name, slots): (_, Vec<Value>) = match view.level() {
        0 => ("items", items.collect()),
        _ => ("children", children.collect()),
    };
    Ok(json!({ "block": block.0, "level": level, "birth": birth.0, "count": view.count(), name: slots }))
}

fn one_block(device: &dyn Device, superblock: &Superblock, block: BlockNo) -> Result<Value> {
    let geometry = superblock.geometry().map_err(vexfs_store::Error::from)?;
    let bytes = block_at(device, block)?;
    let area = geometry.areas().into_iter().find(|(_, run)| (run.start.0..run.end()).contains(&block.0));
    let known = [
        superblock::SUPERBLOCK,
        checkpoint::DESCRIPTOR,
        bitmap::BITMAP,
        group::GROUP_TABLE,
        node::TREE_NODE,
        frame::FRAME,
    ];
    let stamp = Stamp::ref_from_prefix(&bytes).ok().map(|(stamp, _)| stamp);
    let structure = stamp.and_then(|stamp| known.iter().find(|known| known.magic == stamp.magic.get()));
    let stamp = structure.and(stamp).map(|stamp| {
        json!({
            "version": stamp.version.get(),
            "kind": stamp.kind.get(),
            "volume": stamp.volume.get(),
            "address": stamp.address.get(),
            "crc": stamp.crc.get(),
        })
    });
    let lines = bytes.chunks(32).take(16).map(hex).collect::<Vec<_>>();
    Ok(json!({
        "block": block.0,
        "area": area.map_or("data", |(name, _)| name),
        "structure": structure.map(|structure| structure.name),
        "stamp": stamp,
        "crc32c": crc32c::crc32c(&bytes),
        "zero": bytes == [0; BLOCK_SIZE],
        "first_bytes": lines,
    }))
}
