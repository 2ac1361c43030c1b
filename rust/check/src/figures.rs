//! What the newest checkpoint says about space: its groups, and the checkpoints that are kept besides it. Shown as it
//! lies on the device, and checked no further than reading needs.

use serde_json::{Value, json};
use vexfs_device::Device;
use vexfs_format::chain::Link;
use vexfs_format::group::{self, GroupEntry};
use vexfs_format::{BlockRun, Descriptor, Geometry, Retained, Superblock};

use crate::Result;
use crate::show::{block_at, newest_descriptor, not_there};

fn newest(device: &dyn Device, superblock: &Superblock) -> Result<(Geometry, Descriptor)> {
    let geometry = superblock.geometry().map_err(vexfs_store::Error::from)?;
    let newest = newest_descriptor(device, superblock.volume(), &geometry)?;
    let lost = || vexfs_store::Error::NoCheckpoint { reason: "no descriptor in the ring is whole".into() };
    Ok((geometry, newest.ok_or_else(lost)?))
}

/// The groups, or one of them.
pub(crate) fn groups(device: &dyn Device, superblock: &Superblock, number: Option<u64>) -> Result<Value> {
    let (geometry, newest) = newest(device, superblock)?;
    let mut found = Vec::new();
    for index in 0..geometry.group_count.div_ceil(vexfs_format::geometry::TABLE_ENTRIES) {
        let block = group::block_of(&geometry, newest.table_side, index);
        let bytes = block_at(device, block)?;
        match group::parse_block(&geometry, superblock.volume(), newest.table_side, index, &bytes) {
            Ok(entries) => {
                let numbered = group::groups_of(&geometry, index).zip(entries);
                found.extend(numbered.map(|(number, entry)| described(&geometry, number, &entry)));
            }
            Err(error) => found.push(json!({ "table_block": block.0, "damaged": error.to_string() })),
        }
    }
    let Some(number) = number else { return Ok(Value::Array(found)) };
    let of_number = found.into_iter().find(|found| found.get("group").is_some_and(|group| *group == number));
    of_number.ok_or_else(|| {
        not_there(format!("group {number} to be read: the volume has {}", geometry.group_count))
    })
}

fn described(geometry: &Geometry, number: u32, entry: &GroupEntry) -> Value {
    let scattered = entry.free_blocks.saturating_sub(entry.largest_run);
    json!({
        "group": number,
        "blocks": geometry.group_len(number),
        "free_blocks": entry.free_blocks,
        "free_units": entry.free_units,
        "free_inodes": entry.free_inodes,
        "longest_free_run": entry.largest_run,
        "fragmentation": f64::from(scattered) / f64::from(entry.free_blocks.max(1)),
    })
}

/// The checkpoints that are kept besides the newest.
pub(crate) fn retained(device: &dyn Device, superblock: &Superblock) -> Result<Value> {
    let (geometry, newest) = newest(device, superblock)?;
    let (mut found, mut next) = (Vec::new(), newest.retention);
    // Ends: every link checks that there is one block fewer behind it.
    while let Some(ptr) = next {
        if !geometry.holds(BlockRun { start: ptr.block, len: 1 }) {
            found.push(json!({ "block": ptr.block.0, "damaged": "it lies outside the area for data" }));
            break;
        }
        match Link::<Retained>::parse(&block_at(device, ptr.block)?, superblock.volume(), ptr) {
            Ok(Link { entries, next: behind }) => {
                found.extend(entries.iter().map(kept));
                next = behind;
            }
            Err(error) => {
                found.push(json!({ "block": ptr.block.0, "damaged": error.to_string() }));
                break;
            }
        }
    }
    Ok(Value::Array(found))
}

fn kept(entry: &Retained) -> Value {
    json!({
        "id": entry.id.0,
        "time_ns": entry.time_ns,
        "seq": entry.seq.0,
        "lsn": entry.lsn.0,
        "nodes": entry.nodes,
        "items": entry.items,
        "inodes": entry.inodes,
        "snapshot": entry.snapshot,
    })
}
