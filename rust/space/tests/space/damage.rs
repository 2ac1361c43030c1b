//! Damage on the device ends in an error that names it, never in a wrong allocation.

use std::sync::Arc;

use vexfs_device::sim::{Damage, Fault, Injection, Op};
use vexfs_device::{Device, SimDevice};
use vexfs_format::bitmap::Bitmap;
use vexfs_format::{BitmapKind, BlockRun, CheckpointId, Geometry, Ino, group};
use vexfs_space::{Delta, Error, Request, TableState};

use crate::common::{GROUP, VOLUME, format, open};

/// A volume of two groups with both bitmaps of both groups written twice, so that slot 1 of each is live.
fn written_twice() -> (Arc<SimDevice>, Geometry, TableState) {
    let (device, geometry, mut state) = format(2 * GROUP);
    let space = open(&device, &geometry, state).unwrap();
    for id in 1..=2 {
        let near = |group: u64| Request::data(100, 100).near(vexfs_format::BlockNo(group * GROUP + 9999));
        let set = vec![space.alloc(&near(0)).unwrap(), space.alloc(&near(1)).unwrap()];
        let ino = |group: u64| space.alloc_inode(Some(Ino(group * GROUP)), false).unwrap();
        let delta = Delta { set, inode_set: vec![ino(0), ino(1)], ..Delta::default() };
        state = space.write_checkpoint(CheckpointId(id), &delta).unwrap();
        space.checkpoint_durable();
    }
    (device, geometry, state)
}

#[test]
fn every_flipped_bit_of_a_live_slot_is_seen_and_the_error_names_group_and_slot() {
    let (device, geometry, state) = written_twice();
    for (kind, group) in [(BitmapKind::Block, 0), (BitmapKind::Block, 1), (BitmapKind::Inode, 1)] {
        let place = geometry.slot(group, kind, 1);
        for bit in (0..4096 * 8).step_by(101) {
            let image = Arc::new(SimDevice::from_image(device.image()));
            image.damage(place.byte_offset(), Damage::BitFlip { bit });
            let space = open(&image, &geometry, state).unwrap();
            match space.disk_bits(kind, group).unwrap_err() {
                Error::BitmapCorrupt { group: g, kind: k, slot, block, .. } => {
                    assert_eq!((g, k, slot, block), (group, kind, 1, place.0));
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_damaged_group_refuses_to_allocate_and_the_others_go_on() {
    let (device, geometry, state) = written_twice();
    device.damage(geometry.slot(1, BitmapKind::Block, 1).byte_offset(), Damage::Zeroed { len: 4096 });
    device.damage(geometry.slot(1, BitmapKind::Inode, 1).byte_offset(), Damage::Zeroed { len: 4096 });
    let space = open(&device, &geometry, state).unwrap();
    space.alloc(&Request::data(1, 8)).unwrap();
    space.alloc_inode(Some(Ino(20)), false).unwrap();
    let there = Request::data(1, 8).near(vexfs_format::BlockNo(GROUP + 1));
    assert_eq!(space.alloc(&there).unwrap_err().code(), "bitmap_corrupt");
    assert_eq!(space.alloc_inode(Some(Ino(GROUP)), false).unwrap_err().code(), "bitmap_corrupt");
    assert_eq!(space.release(BlockRun::new(GROUP + 9999, 1)).unwrap_err().code(), "bitmap_corrupt");
    let clear = Delta { clear: vec![BlockRun::new(GROUP + 9999, 1)], ..Delta::default() };
    let message = space.write_checkpoint(CheckpointId(3), &clear).unwrap_err().to_string();
    assert!(message.contains("block bitmap of group 1 is corrupt (slot 1"), "{message}");
}

#[test]
fn an_older_bitmap_in_the_live_slot_is_stale() {
    let (device, geometry, state) = written_twice();
    let (old, live) = (geometry.slot(0, BitmapKind::Block, 0), geometry.slot(0, BitmapKind::Block, 1));
    let mut bytes = [0; 4096];
    device.read_at(&mut bytes, old.byte_offset()).unwrap();
    let space = open(&device, &geometry, state).unwrap();
    let set = vec![space.alloc(&Request::data(1, 1).near(vexfs_format::BlockNo(20_000))).unwrap()];
    let delta = Delta { set, ..Delta::default() };
    let next = space.write_checkpoint(CheckpointId(3), &delta).unwrap();
    device.write_at(&bytes, old.byte_offset()).unwrap();
    let reason =
        open(&device, &geometry, next).unwrap().disk_bits(BitmapKind::Block, 0).unwrap_err().to_string();
    assert!(reason.contains("stale") && reason.contains("slot 0"), "{reason}");
    assert!(open(&device, &geometry, state).unwrap().disk_bits(BitmapKind::Block, 0).is_ok());
    let _ = live;
}

#[test]
fn every_flipped_bit_of_the_live_table_is_seen_at_opening() {
    let (device, geometry, state) = written_twice();
    let place = geometry.table[usize::from(state.side)].start;
    for bit in (0..4096 * 8).step_by(37) {
        let image = Arc::new(SimDevice::from_image(device.image()));
        image.damage(place.byte_offset(), Damage::BitFlip { bit });
        match open(&image, &geometry, state).unwrap_err() {
            Error::TableCorrupt { side, block, .. } => assert_eq!((side, block), (state.side, place.0)),
            other => panic!("{other}"),
        }
    }
    assert!(open(&device, &geometry, state).is_ok());
    let other = TableState { crc: state.crc ^ 1, ..state };
    assert_eq!(open(&device, &geometry, other).unwrap_err().code(), "table_corrupt");
    let neither = TableState { side: 2, ..state };
    assert_eq!(open(&device, &geometry, neither).unwrap_err().code(), "table_corrupt");
}

/// Writes a table block of side A that is whole, but says what the change makes of its first entry.
fn forge(
    device: &SimDevice,
    geometry: &Geometry,
    change: impl Fn(&mut vexfs_format::GroupEntry),
) -> TableState {
    let mut bytes = [0; 4096];
    let place = group::block_of(geometry, 0, 0);
    device.read_at(&mut bytes, place.byte_offset()).unwrap();
    let mut entries = group::parse_block(geometry, VOLUME, 0, 0, &bytes).unwrap();
    change(&mut entries[0]);
    let block = group::encode_block(geometry, VOLUME, 0, 0, CheckpointId(2), &entries);
    device.write_at(&block, place.byte_offset()).unwrap();
    TableState { side: 0, crc: crc32c::crc32c(&block), free_blocks: 0, free_inodes: 0 }
}

#[test]
fn a_table_that_counts_otherwise_than_the_bits_is_not_believed() {
    let changes: [fn(&mut vexfs_format::GroupEntry); 3] =
        [|entry| entry.free_blocks += 1, |entry| entry.largest_run -= 1, |entry| entry.free_units -= 1];
    for change in changes {
        let (device, geometry, state) = written_twice();
        assert_eq!(state.side, 0);
        let state = forge(&device, &geometry, change);
        let space = open(&device, &geometry, state).unwrap();
        assert_eq!(space.disk_bits(BitmapKind::Block, 0).unwrap_err().code(), "bitmap_corrupt");
        assert!(space.disk_bits(BitmapKind::Block, 1).is_ok());
    }
    let (device, geometry, _) = written_twice();
    let state = forge(&device, &geometry, |entry| entry.free_inodes += 1);
    let space = open(&device, &geometry, state).unwrap();
    assert_eq!(space.disk_bits(BitmapKind::Inode, 0).unwrap_err().code(), "bitmap_corrupt");
}

#[test]
fn a_bitmap_that_gives_away_static_metadata_is_not_believed() {
    let (device, geometry, _) = written_twice();
    let mut bits = Bitmap::at_birth(&geometry, BitmapKind::Block, 0);
    bits.bits[0] &= !1;
    let place = geometry.slot(0, BitmapKind::Block, 0);
    let (block, crc) = bits.encode(VOLUME, place);
    device.write_at(&block, place.byte_offset()).unwrap();
    let state = forge(&device, &geometry, |entry| {
        entry.block = Some(vexfs_format::LiveSlot { side: 0, crc });
    });
    let space = open(&device, &geometry, state).unwrap();
    let message = space.disk_bits(BitmapKind::Block, 0).unwrap_err().to_string();
    assert!(message.contains("never free"), "{message}");
    assert_eq!(space.is_busy(vexfs_format::BlockNo(0)).unwrap_err().code(), "bitmap_corrupt");
}

#[test]
fn an_error_of_the_device_is_passed_on_and_passes() {
    let (device, geometry, state) = written_twice();
    let space = open(&device, &geometry, state).unwrap();
    device.inject(Injection::new(Op::Read, Fault::Io));
    assert_eq!(space.alloc(&Request::data(1, 1)).unwrap_err().code(), "io");
    space.alloc(&Request::data(1, 1)).unwrap();
    device.inject(Injection::new(Op::Read, Fault::Io));
    assert_eq!(open(&device, &geometry, state).unwrap_err().code(), "io");
}
