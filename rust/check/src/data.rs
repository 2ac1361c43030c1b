//! Pass 11: every block of every file against its checksum.

use rayon::prelude::*;
use vexfs_format::{BLOCK_SIZE, Extent, Inode, Key, MAX_FILE_BYTES, kinds};
use vexfs_store::{Read, Store, View};

use crate::finding::{DATA_DAMAGED, DATA_NOT_ZERO};
use crate::report::Location;
use crate::stream;
use crate::volume::Volume;

/// Reads all data of the newest state; returns how many blocks were compared. `parts` are where the keys are
/// parted for the threads.
pub(crate) fn run(volume: &Volume, store: &Store, parts: &[Key]) -> u64 {
    let ends = parts.iter().skip(1).map(|key| key.predecessor().unwrap_or(Key::MIN)).chain([Key::MAX]);
    let ranges: Vec<(Key, Key)> = parts.iter().copied().zip(ends).collect();
    ranges.par_iter().map(|(from, to)| part(volume, store, *from, *to)).sum()
}

fn part(volume: &Volume, store: &Store, from: Key, to: Key) -> u64 {
    let view = &store.view();
    let mut verified = 0;
    let mut size: Option<(u64, u64)> = None;
    stream::items(volume, view, from, to, |key, value| {
        if key.kind != kinds::EXTENT {
            return;
        }
        let Some(extent) = Extent::parse(key.offset, value).ok().filter(|extent| extent.crcs.is_some())
        else {
            return;
        };
        let end = match size {
            Some((object, size)) if object == key.object => size,
            _ => size.insert((key.object, size_of_file(view, key.object))).1,
        };
        // What the log carries need not be in its place.
        let read = |into: &mut [u8]| store.read_blocks(extent.run.start, into).is_ok();
        if let Some(bytes) = verify(volume, key, &extent, None, read) {
            verified += u64::from(extent.run.len);
            check_end(volume, key, &extent, &bytes, end);
        }
    });
    verified
}

/// The length of a file; that of the longest if it is not known.
fn size_of_file(view: &View, object: u64) -> u64 {
    let value = view.get(Key::new(object, kinds::INODE, 0)).ok().flatten();
    value.and_then(|value| Inode::parse(&value).ok()).map_or(MAX_FILE_BYTES, |inode| inode.size)
}

/// Compares an extent's blocks, as `read` has them, with their checksums; gives the bytes. `checkpoint`: the past
/// state that it is of.
pub(crate) fn verify(
    volume: &Volume,
    key: Key,
    extent: &Extent<'_>,
    checkpoint: Option<u64>,
    read: impl FnOnce(&mut [u8]) -> bool,
) -> Option<Vec<u8>> {
    if !volume.geometry.holds(extent.run) || extent.crcs.is_none() {
        return None;
    }
    // At most 1 MiB, as the extent was parsed.
    let mut bytes = vec![0; extent.run.bytes() as usize];
    if !read(&mut bytes) {
        return None;
    }
    volume.meter.add(extent.run.len.into());
    for (index, block) in (0_u32..).zip(bytes.chunks(BLOCK_SIZE)) {
        let (found, expected) = (crc32c::crc32c(block), extent.crc(index).unwrap_or(0));
        if found != expected {
            let at = extent.run.start.0 + u64::from(index);
            let offset = key.offset + u64::from(index) * BLOCK_SIZE as u64;
            let object = key.object;
            let message = format!(
                "block {at} holds byte {offset} of inode {object} and has checksum {found:#010x}, not {expected:#010x}"
            );
            let here = Location { checkpoint, ..Location::at(object, offset).in_block(at) };
            volume.ledger.add(&DATA_DAMAGED, here, message);
        }
    }
    Some(bytes)
}

/// What lies behind the end of the file in its last block is zero.
fn check_end(volume: &Volume, key: Key, extent: &Extent<'_>, bytes: &[u8], size: u64) {
    let Some(within) = size.checked_sub(key.offset).and_then(|within| usize::try_from(within).ok()) else {
        return;
    };
    let behind = within..within.next_multiple_of(BLOCK_SIZE);
    if bytes.get(behind).is_some_and(|rest| rest.iter().any(|byte| *byte != 0)) {
        let block = extent.run.start.0 + (within / BLOCK_SIZE) as u64;
        let message =
            format!("inode {}: block {block} is not zero behind the end of the file at {size}", key.object);
        volume.ledger.add(&DATA_NOT_ZERO, Location::at(key.object, size).in_block(block), message);
    }
}
