//! What a checkpoint writes, and what is there after a crash.

use std::sync::Arc;

use vexfs_device::sim::{Fault, Injection, Op, Sampling};
use vexfs_device::{Device, SimDevice};
use vexfs_format::{BitmapKind, BlockRun, CheckpointId, Geometry, Ino};
use vexfs_space::{Delta, Difference, Request, Space, TableState, Usage, Wrong};

use crate::common::{GROUP, Numbers, VOLUME, format, fresh, open};

fn delta(set: &[BlockRun], clear: &[BlockRun]) -> Delta {
    Delta { set: set.to_vec(), clear: clear.to_vec(), ..Delta::default() }
}

/// All bitmaps that a table names, as used runs.
fn disk(
    device: &Arc<SimDevice>,
    geometry: &Geometry,
    state: TableState,
) -> vexfs_space::Result<Vec<(u32, u32)>> {
    let space = open(device, geometry, state)?;
    let mut all = Vec::new();
    for group in 0..geometry.group_count {
        for kind in [BitmapKind::Block, BitmapKind::Inode] {
            all.extend(space.disk_bits(kind, group)?.used_runs());
        }
    }
    Ok(all)
}

#[test]
fn the_last_checkpoint_survives_every_crash_of_the_next() {
    let (device, geometry, mut state) = format(2 * GROUP + 700);
    let space = open(&device, &geometry, state).unwrap();
    let mut numbers = Numbers(3);
    let mut kept: Vec<BlockRun> = Vec::new();
    for id in 1..12 {
        let set: Vec<BlockRun> =
            (0..20).map(|_| space.alloc(&Request::data(1, 1 + numbers.below(900) as u32)).unwrap()).collect();
        let ino = space.alloc_inode(None, false).unwrap();
        let clear = kept.split_off(kept.len().saturating_sub(numbers.below(15) as usize));
        let delta = Delta { inode_set: vec![ino], ..delta(&set, &clear) };
        let before = disk(&device, &geometry, state).unwrap();
        device.restart();
        let next = space.write_checkpoint(CheckpointId(id), &delta).unwrap();
        let trace = device.trace();
        let sampling = Sampling::default();
        let states = trace.prefixes().chain(trace.subsets(sampling)).chain(trace.tears(sampling));
        for (crash, image) in states.take(300) {
            let crashed = Arc::new(SimDevice::from_image(image));
            let found = disk(&crashed, &geometry, state).unwrap_or_else(|error| panic!("{crash:?}: {error}"));
            assert_eq!(found, before, "{crash:?}");
        }
        device.flush().unwrap();
        let after = disk(&device, &geometry, next).unwrap();
        assert_ne!(after, before);
        space.checkpoint_durable();
        state = next;
        kept.extend(set);
        for run in clear {
            space.release(run).unwrap();
        }
    }
}

#[test]
fn an_attempt_that_fails_anywhere_leaves_the_next_one_whole() {
    for failing in 0..9 {
        let (device, geometry, state) = format(3 * GROUP);
        let space = open(&device, &geometry, state).unwrap();
        let runs: Vec<BlockRun> = (0..3)
            .map(|group| {
                let goal = Geometry::group_start(group);
                space.alloc(&Request::data(5, 5).near(vexfs_format::BlockNo(goal.0 + 9000))).unwrap()
            })
            .collect();
        let first = space.write_checkpoint(CheckpointId(1), &delta(&runs[..1], &[])).unwrap();
        space.checkpoint_durable();
        let before = disk(&device, &geometry, first).unwrap();
        let free = space.free_blocks();
        device.inject(Injection::new(Op::Write, Fault::Io).after(failing));
        let next = delta(&runs[1..], &runs[..1]);
        let attempt = space.write_checkpoint(CheckpointId(2), &next);
        device.heal();
        assert_eq!(attempt.is_err(), failing < 4, "three slots and a table block are written");
        if attempt.is_ok() {
            space.abandon_checkpoint();
        }
        assert_eq!(disk(&device, &geometry, first).unwrap(), before);
        assert_eq!(space.free_blocks(), free);
        let second = space.write_checkpoint(CheckpointId(2), &next).unwrap();
        space.checkpoint_durable();
        let space = open(&device, &geometry, second).unwrap();
        assert!(!space.disk_bits(BitmapKind::Block, 0).unwrap().get(9000));
        assert!(space.disk_bits(BitmapKind::Block, 2).unwrap().get(9000));
    }
}

#[test]
fn a_second_checkpoint_waits_for_the_end_of_the_first() {
    let (_, space) = fresh(GROUP);
    space.write_checkpoint(CheckpointId(1), &Delta::default()).unwrap();
    let error = space.write_checkpoint(CheckpointId(2), &Delta::default()).unwrap_err();
    assert_eq!(error.code(), "checkpoint_pending");
    space.abandon_checkpoint();
    space.write_checkpoint(CheckpointId(2), &Delta::default()).unwrap();
    space.checkpoint_durable();
    space.checkpoint_durable();
    space.write_checkpoint(CheckpointId(3), &Delta::default()).unwrap();
}

#[test]
fn only_changed_blocks_of_the_table_are_written() {
    let groups = 127 * 3;
    let (device, geometry, state) = format(groups * GROUP);
    assert_eq!(geometry.table[0].len, 4);
    let space = open(&device, &geometry, state).unwrap();
    let mut id = 0;
    let mut written = |groups: &[u32], durable: bool| {
        let set: Vec<BlockRun> = groups
            .iter()
            .map(|group| {
                let middle = vexfs_format::BlockNo(Geometry::group_start(*group).0 + GROUP / 2);
                space.alloc(&Request::data(1, 1).near(middle)).unwrap()
            })
            .collect();
        let before = device.counts().bytes_written;
        id += 1;
        space.write_checkpoint(CheckpointId(id), &delta(&set, &[])).unwrap();
        if durable {
            space.checkpoint_durable()
        } else {
            space.abandon_checkpoint()
        }
        (device.counts().bytes_written - before) / 4096 - groups.len() as u64
    };
    assert_eq!(written(&[5, 300], true), 4, "of side B nothing is known at first");
    assert_eq!(written(&[6], true), 2, "side A was read: it lacks what the last one changed");
    assert_eq!(written(&[7], true), 1, "and side B what this one did: the same block");
    assert_eq!(written(&[300], true), 2, "side A lacks block 0");
    assert_eq!(written(&[], true), 1, "side B lacks block 2");
    assert_eq!(written(&[], true), 0, "both sides are the same now");
    assert_eq!(written(&[130], false), 1, "an attempt that comes to nothing");
    assert_eq!(written(&[300], true), 2, "leaves a block of this side unknown");
    assert_eq!(written(&[], true), 1, "and the other side as it was");
}

#[test]
fn a_volume_of_16_tib_opens_by_its_table_alone() {
    let (device, geometry, state) = format(1 << 32);
    let before = device.counts();
    let space = open(&device, &geometry, state).unwrap();
    assert_eq!(device.counts().reads - before.reads, u64::from(geometry.table[0].len));
    assert_eq!(space.free_blocks(), geometry.data_blocks());
    let run = space.alloc(&Request::data(1, 1 << 20)).unwrap();
    let ino = space.alloc_inode(Some(Ino(GROUP * 133_000)), false).unwrap();
    assert_eq!(ino.0, GROUP * 133_000);
    let delta = Delta { inode_set: vec![ino], ..delta(&[run], &[]) };
    let state = space.write_checkpoint(CheckpointId(1), &delta).unwrap();
    space.checkpoint_durable();
    let space = open(&device, &geometry, state).unwrap();
    assert_eq!(space.free_blocks(), geometry.data_blocks() - u64::from(run.len));
    assert!(space.is_inode_busy(ino).unwrap() && space.is_busy(run.start).unwrap());
}

#[test]
fn blocks_that_a_checkpoint_clears_stay_busy_until_they_are_released() {
    let (device, geometry, state) = format(GROUP);
    let space = open(&device, &geometry, state).unwrap();
    let run = space.alloc(&Request::data(64, 64)).unwrap();
    let first = space.write_checkpoint(CheckpointId(1), &delta(&[run], &[])).unwrap();
    // Opened afresh: the group is not in memory when the checkpoint clears the bits.
    let space = open(&device, &geometry, first).unwrap();
    let free = space.free_blocks();
    space.write_checkpoint(CheckpointId(2), &delta(&[], &[run])).unwrap();
    space.checkpoint_durable();
    assert!(space.is_busy(run.start).unwrap());
    assert_eq!(space.free_blocks(), free);
    space.release(run).unwrap();
    assert_eq!(space.free_blocks(), free + 64);
}

#[test]
fn a_delta_that_does_not_fit_the_bits_is_refused_and_changes_nothing() {
    let (device, geometry, state) = format(2 * GROUP);
    let space = open(&device, &geometry, state).unwrap();
    let run = space.alloc(&Request::data(8, 8)).unwrap();
    let code = |delta: &Delta| space.write_checkpoint(CheckpointId(1), delta).unwrap_err().code();
    assert_eq!(code(&delta(&[run, run], &[])), "bitmap_corrupt");
    assert_eq!(code(&delta(&[], &[run])), "bitmap_corrupt");
    assert_eq!(code(&delta(&[BlockRun::new(0, 1)], &[])), "invalid_run");
    assert_eq!(code(&delta(&[], &[BlockRun::new(2 * GROUP - 1, 2)])), "invalid_run");
    assert_eq!(code(&Delta { inode_clear: vec![Ino(77)], ..Delta::default() }), "bitmap_corrupt");
    assert_eq!(code(&Delta { inode_set: vec![Ino(1)], ..Delta::default() }), "invalid_inode");
    assert_eq!(code(&Delta { inode_set: vec![Ino(2 * GROUP)], ..Delta::default() }), "invalid_inode");
    let state = space.write_checkpoint(CheckpointId(1), &delta(&[run], &[])).unwrap();
    assert_eq!(open(&device, &geometry, state).unwrap().free_blocks(), space.free_blocks());
}

#[test]
fn what_comes_and_goes_within_a_checkpoint_leaves_no_trace() {
    let (device, geometry, state) = format(GROUP);
    let space = open(&device, &geometry, state).unwrap();
    let run = space.alloc(&Request::data(8, 8)).unwrap();
    let ino = space.alloc_inode(None, false).unwrap();
    let delta = Delta { set: vec![run], clear: vec![run], inode_set: vec![ino], inode_clear: vec![ino] };
    let state = space.write_checkpoint(CheckpointId(1), &delta).unwrap();
    assert_eq!(state.free_blocks, geometry.data_blocks());
    assert!(!open(&device, &geometry, state).unwrap().is_inode_busy(ino).unwrap());
}

/// A volume with some runs and inodes in use, and the same as a walk would find it.
fn in_use() -> (Arc<SimDevice>, Geometry, TableState, Space, Usage, Vec<BlockRun>) {
    let (device, geometry, state) = format(3 * GROUP);
    let space = open(&device, &geometry, state).unwrap();
    let runs: Vec<BlockRun> = (1..200).map(|len| space.alloc(&Request::data(len, len)).unwrap()).collect();
    let inodes: Vec<Ino> = (0..50).map(|_| space.alloc_inode(None, false).unwrap()).collect();
    let mut usage = Usage::new(&geometry);
    runs.iter().for_each(|run| usage.add(*run).unwrap());
    inodes.iter().for_each(|ino| usage.add_inode(*ino).unwrap());
    let delta = Delta { inode_set: inodes, ..delta(&runs, &[]) };
    let state = {
        let _ = state;
        space.write_checkpoint(CheckpointId(1), &delta).unwrap()
    };
    space.checkpoint_durable();
    (device, geometry, state, space, usage, runs)
}

fn differences(space: &Space, usage: &Usage) -> Vec<Difference> {
    let groups = 0..space.group_count();
    let kinds = [BitmapKind::Block, BitmapKind::Inode];
    groups.flat_map(|group| kinds.map(|kind| space.compare(usage, kind, group).unwrap()).concat()).collect()
}

#[test]
fn a_comparison_finds_leaked_and_unprotected_blocks_and_inodes() {
    let (_, geometry, _, space, usage, runs) = in_use();
    assert_eq!(differences(&space, &usage), []);
    let mut other = Usage::new(&geometry);
    runs[1..].iter().for_each(|run| other.add(*run).unwrap());
    let extra = BlockRun::new(2 * GROUP + 10, 20);
    other.add(extra).unwrap();
    for ino in 17..66 {
        other.add_inode(Ino(ino)).unwrap();
    }
    other.add_inode(Ino(GROUP + 5)).unwrap();
    let block = BitmapKind::Block;
    let inode = BitmapKind::Inode;
    let expected = [
        Difference { kind: block, first: runs[0].start.0, len: runs[0].len, wrong: Wrong::Leaked },
        Difference { kind: block, first: extra.start.0, len: 20, wrong: Wrong::Unprotected },
        Difference { kind: inode, first: 16, len: 1, wrong: Wrong::Leaked },
        Difference { kind: inode, first: GROUP + 5, len: 1, wrong: Wrong::Unprotected },
    ];
    let mut found = differences(&space, &other);
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn two_owners_of_a_block_or_inode_are_found_but_may_be_shared_knowingly() {
    let (.., mut usage, runs) = in_use();
    let last = runs[runs.len() - 1];
    let overlapping = BlockRun::new(last.start.0 - 1, 10);
    let error = usage.add(overlapping).unwrap_err();
    assert_eq!(error.code(), "already_used");
    assert!(
        error.to_string().contains(&last.start.0.to_string())
            || runs.iter().any(|run| run.end() == last.start.0)
    );
    usage.share(overlapping).unwrap();
    assert_eq!(usage.add_inode(Ino(16)).unwrap_err().code(), "already_used");
    usage.share_inode(Ino(16)).unwrap();
    assert_eq!(usage.add(BlockRun::new(1, 1)).unwrap_err().code(), "invalid_run");
    assert_eq!(usage.add(BlockRun::new(u64::MAX, 1)).unwrap_err().code(), "invalid_run");
    assert_eq!(usage.add_inode(Ino(3)).unwrap_err().code(), "invalid_inode");
}

#[test]
fn bitmaps_rebuilt_from_a_walk_are_those_of_the_checkpoint_and_leave_it_alone() {
    let (device, geometry, state, _, usage, _) = in_use();
    let before = disk(&device, &geometry, state).unwrap();
    for live in [Some((state.side, state.crc)), Some((state.side, !state.crc)), None] {
        let image = Arc::new(SimDevice::from_image(device.image()));
        let rebuilt = Space::rebuild(&*image, &usage, VOLUME, CheckpointId(9), live).unwrap();
        assert_eq!(disk(&image, &geometry, rebuilt).unwrap(), before);
        if live == Some((state.side, state.crc)) {
            assert_eq!(
                disk(&image, &geometry, state).unwrap(),
                before,
                "the table that it replaces still holds"
            );
        }
        assert_eq!((rebuilt.free_blocks, rebuilt.free_inodes), (state.free_blocks, state.free_inodes));
    }
}
