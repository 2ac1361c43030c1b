//! Pass 7: the group table, the bitmaps that it names, and both against what has an owner.

use rayon::prelude::*;
use vexfs_format::bitmap::Bitmap;
use vexfs_format::group::{block_of, groups_of, parse_block};
use vexfs_format::{BitmapKind, Bits, Descriptor, Error as FormatError, GroupEntry};
use vexfs_space::{BITS, Bitset};

use crate::finding::{
    BITMAP_DAMAGED, BITMAP_MISCOUNTED, BLOCK_LEAKED, BLOCK_UNPROTECTED, COUNTS_WRONG, INODE_LEAKED,
    INODE_UNPROTECTED, STATIC_FREE, TABLE_DAMAGED, TABLE_WRONG,
};
use crate::marks::{missing, union};
use crate::report::Location;
use crate::tree::Claims;
use crate::volume::Volume;

/// Checks table and bitmaps.
pub(crate) fn run(volume: &Volume, newest: &Descriptor, claims: &Claims) {
    let table = read_table(volume, newest);
    if let Some(entries) = table.iter().copied().collect::<Option<Vec<_>>>() {
        compare_totals(volume, newest, &entries);
    }
    let groups: Vec<(u32, GroupEntry)> =
        (0..).zip(table).filter_map(|(group, entry)| Some((group, entry?))).collect();
    groups.par_iter().for_each(|(group, entry)| {
        volume.meter.add(1);
        if !volume.meter.is_cancelled() {
            check_group(volume, claims, *group, entry);
        }
    });
}

/// The entries of the live side; `None` for those that cannot be read.
fn read_table(volume: &Volume, newest: &Descriptor) -> Vec<Option<GroupEntry>> {
    let geometry = &volume.geometry;
    let side = newest.table_side;
    let (mut entries, mut sum, mut whole) = (Vec::new(), 0, true);
    for index in 0..geometry.table[0].len {
        let block = block_of(geometry, side, index);
        let bytes = volume.read(block);
        sum = crc32c::crc32c_append(sum, &bytes);
        match parse_block(geometry, volume.bits(), side, index, &bytes) {
            Ok(parsed) => entries.extend(parsed.into_iter().map(Some)),
            Err(error) => {
                whole = false;
                volume.ledger.add(&TABLE_DAMAGED, Location::block(block.0), error.to_string());
                entries.extend(groups_of(geometry, index).map(|_| None));
            }
        }
    }
    if whole && sum != newest.table_crc {
        let block = geometry.table.get(usize::from(side)).map_or(0, |side| side.start.0);
        let expected = newest.table_crc;
        let message = format!(
            "group table: its checksum is {sum:#010x}, the descriptor says {expected:#010x}; a part of it is stale"
        );
        volume.ledger.add(&TABLE_DAMAGED, Location::block(block), message);
        return vec![None; entries.len()];
    }
    entries
}

fn compare_totals(volume: &Volume, newest: &Descriptor, entries: &[GroupEntry]) {
    let total =
        |count: fn(&GroupEntry) -> u16| entries.iter().map(|entry| u64::from(count(entry))).sum::<u64>();
    let pairs = [
        ("free blocks", newest.counts.free_blocks, total(|entry| entry.free_blocks)),
        ("free inodes", newest.counts.free_inodes, total(|entry| entry.free_inodes)),
    ];
    for (what, said, found) in pairs.into_iter().filter(|(_, said, found)| said != found) {
        let message = format!("checkpoint {} counts {said} {what}, the group table {found}", newest.id);
        volume.ledger.add(&COUNTS_WRONG, Location::default().of_checkpoint(newest.id.0), message);
    }
}

fn check_group(volume: &Volume, claims: &Claims, group: u32, entry: &GroupEntry) {
    for kind in [BitmapKind::Block, BitmapKind::Inode] {
        let owned = match kind {
            BitmapKind::Block => {
                let parts = [claims.data.group(group), claims.meta.group(group), claims.kept.group(group)];
                parts.iter().any(Option::is_some).then(|| union(parts.iter().flatten()))
            }
            BitmapKind::Inode => claims.inodes.group(group),
        };
        // Neither written nor used: it is what it was at birth.
        if owned.is_none()
            && entry.slot(kind).is_none()
            && *entry == GroupEntry::at_birth(&volume.geometry, group)
        {
            continue;
        }
        let birth = *Bitmap::at_birth(&volume.geometry, kind, group).bits;
        if let Some(bits) = read_bitmap(volume, group, kind, entry, &birth) {
            compare(volume, kind, group, &bits, &union([&birth].into_iter().chain(&owned)));
        }
    }
}

/// The bits of the slot that the table names, if they are what it says.
fn read_bitmap(
    volume: &Volume,
    group: u32,
    kind: BitmapKind,
    entry: &GroupEntry,
    birth: &Bits,
) -> Option<Bits> {
    let Some(live) = entry.slot(kind) else {
        check_entry(volume, group, kind, entry, birth);
        return Some(*birth);
    };
    let block = volume.geometry.slot(group, kind, live.side);
    match Bitmap::parse(&volume.read(block), volume.bits(), block, kind, group, live.crc) {
        Ok(bitmap) => {
            check_entry(volume, group, kind, entry, &bitmap.bits);
            Some(*bitmap.bits)
        }
        Err(error @ FormatError::BadValue { field: "count of set bits", .. }) => {
            volume.ledger.add(
                &BITMAP_MISCOUNTED,
                Location::block(block.0),
                format!("group {group}: {error}"),
            );
            None
        }
        Err(error) => {
            volume.ledger.add(&BITMAP_DAMAGED, Location::block(block.0), format!("group {group}: {error}"));
            None
        }
    }
}

/// Compares what the table counts of a bitmap with its bits.
fn check_entry(volume: &Volume, group: u32, kind: BitmapKind, entry: &GroupEntry, bits: &Bits) {
    let bits = Bitset::from(*bits);
    let free = BITS - bits.count();
    let longest = bits.free_runs().map(|(_, len)| len).max().unwrap_or(0);
    let pairs = match kind {
        BitmapKind::Block => vec![
            ("free blocks", u32::from(entry.free_blocks), free),
            ("blocks in its longest free run", entry.largest_run.into(), longest),
            ("free units", entry.free_units.into(), bits.count_free_units()),
        ],
        BitmapKind::Inode => vec![("free inodes", entry.free_inodes.into(), free)],
    };
    for (what, said, found) in pairs.into_iter().filter(|(_, said, found)| said != found) {
        let message =
            format!("the group table says that group {group} has {said} {what}, its bitmap says {found}");
        let start = vexfs_format::Geometry::group_start(group).0;
        volume.ledger.add(&TABLE_WRONG, Location::block(start), message);
    }
}

fn compare(volume: &Volume, kind: BitmapKind, group: u32, bits: &Bits, expected: &Bits) {
    let birth = *Bitmap::at_birth(&volume.geometry, kind, group).bits;
    let (what, place): (_, fn(u64, u64) -> Location) = match kind {
        BitmapKind::Block => ("blocks", Location::blocks),
        BitmapKind::Inode => ("inode numbers", Location::inodes),
    };
    for (first, count) in missing(group, &birth, bits) {
        let message = format!("{count} {what} from {first} on are marked as free, and never are");
        volume.ledger.add(&STATIC_FREE, place(first, count), message);
    }
    let (leaked, unprotected) = match kind {
        BitmapKind::Block => (&BLOCK_LEAKED, &BLOCK_UNPROTECTED),
        BitmapKind::Inode => (&INODE_LEAKED, &INODE_UNPROTECTED),
    };
    for (first, count) in missing(group, expected, &union([bits, &birth])) {
        let message = format!("{count} {what} from {first} on are in use and marked as free");
        volume.ledger.add(unprotected, place(first, count), message);
    }
    if !volume.knows_owners() {
        return;
    }
    for (first, count) in missing(group, bits, expected) {
        let message = format!("{count} {what} from {first} on are marked as used, and nobody has them");
        volume.ledger.add(leaked, place(first, count), message);
    }
}
