//! Where allocations go, and what a full or odd volume does.

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::{BlockNo, BlockRun, Geometry, Ino};
use vexfs_space::{Class, Request, Space, Strategy, UNIT};

use crate::common::{GROUP, format, fresh, geometry};

#[test]
fn consecutive_small_files_lie_side_by_side() {
    let (_, space) = fresh(2 * GROUP);
    let runs: Vec<BlockRun> = (0..1000).map(|i| space.alloc(&Request::data(1, 1 + i % 3)).unwrap()).collect();
    assert!(runs.windows(2).all(|pair| pair[0].end() == pair[1].start.0));
}

#[test]
fn a_file_that_grows_at_its_goal_stays_in_one_piece() {
    let (_, space) = fresh(2 * GROUP);
    let mut end = space.alloc(&Request::data(16, 16)).unwrap().end();
    let other = Request::data(16, 16).near(BlockNo(20_000));
    for _ in 0..50 {
        let more = space.alloc(&Request::data(1, 16).near(BlockNo(end))).unwrap();
        assert_eq!(more.start.0, end);
        end = more.end();
        space.alloc(&other).unwrap();
    }
}

#[test]
fn half_a_run_at_the_goal_is_better_than_a_whole_one_elsewhere_but_less_is_not() {
    let (_, space) = fresh(GROUP);
    let wall = |at: u64| space.mark_busy(BlockRun::new(at, 1)).unwrap();
    wall(10_050);
    let near = space.alloc(&Request::data(1, 100).near(BlockNo(10_000))).unwrap();
    assert_eq!((near.start.0, near.len), (10_000, 50));
    wall(12_040);
    let far = space.alloc(&Request::data(1, 100).near(BlockNo(12_000))).unwrap();
    assert_eq!((far.start.0, far.len), (12_041, 100));
}

#[test]
fn best_fit_takes_the_shortest_run_that_is_long_enough() {
    let (_, space) = fresh(GROUP);
    for (start, len) in [(10_000, 500), (11_000, 80), (12_000, 70), (13_000, 60)] {
        space.mark_busy(BlockRun::new(start, 1)).unwrap();
        space.mark_busy(BlockRun::new(start + 1 + len, 1)).unwrap();
    }
    // What lies between is longer than any of the four.
    let run = space.alloc(&Request::data(65, 65).by(Strategy::BestFit)).unwrap();
    assert_eq!(run.start.0, 12_001);
}

#[test]
fn next_zero_goes_on_behind_its_last_and_round_at_the_end() {
    let (_, space) = fresh(GROUP);
    let next = Request::data(4, 4).by(Strategy::NextZero);
    let first = space.alloc(&next).unwrap();
    let second = space.alloc(&next).unwrap();
    space.release(first).unwrap();
    let third = space.alloc(&next).unwrap();
    assert_eq!((second.start.0, third.start.0), (first.end(), second.end()));
    let mut last = third;
    let again = loop {
        let run = space.alloc(&next).unwrap();
        if run.start < last.start {
            break run;
        }
        last = run;
    };
    assert_eq!(again.start, first.start);
}

#[test]
fn buddies_leave_larger_buddies_whole() {
    let (_, space) = fresh(GROUP);
    space.alloc_many(&Request::data(1, 4000), space.free_blocks()).unwrap();
    let (large, small) = (BlockRun::new(10_240, 128), BlockRun::new(12_288, 64));
    space.release(large).unwrap();
    space.release(small).unwrap();
    let buddy = |len| space.alloc(&Request::data(len, len).by(Strategy::Buddy)).unwrap();
    for len in [8, 8, 16, 32] {
        let run = buddy(len);
        assert!(run.start >= small.start && run.end() <= small.end(), "the smaller one is used up first");
        assert!(run.start.0.is_multiple_of(len.into()));
    }
    assert_eq!(buddy(64), BlockRun::new(10_240, 64));
}

#[test]
fn a_volume_can_be_filled_to_the_last_block_and_emptied_again() {
    for blocks in [512, GROUP, 2 * GROUP + 77, 4 * GROUP + 130] {
        let (_, space) = fresh(blocks);
        let all = space.free_blocks();
        let mut held = Vec::new();
        let error = loop {
            match space.alloc(&Request::data(1, 1000)) {
                Ok(run) => held.push(run),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), "no_space");
        assert_eq!((space.free_blocks(), space.free_units()), (0, 0));
        assert_eq!(held.iter().map(|run| u64::from(run.len)).sum::<u64>(), all);
        assert_eq!(space.alloc(&Request::meta(1, 1)).unwrap_err().code(), "no_space");
        held.into_iter().for_each(|run| space.release(run).unwrap());
        assert_eq!(space.free_blocks(), all);
        assert_eq!(
            space
                .alloc_many(&Request::data(1, 5000), all)
                .unwrap()
                .iter()
                .map(|r| u64::from(r.len))
                .sum::<u64>(),
            all
        );
    }
}

#[test]
fn all_inodes_can_be_taken_and_no_more() {
    let (_, space) = fresh(512);
    for expected in 16..GROUP {
        assert_eq!(space.alloc_inode(None, expected % 5 == 0).unwrap(), Ino(expected));
    }
    assert_eq!(space.alloc_inode(None, false).unwrap_err().code(), "no_inodes");
    space.release_inode(Ino(1000)).unwrap();
    assert_eq!(space.alloc_inode(Some(Ino(1)), false).unwrap(), Ino(1000));
    assert_eq!(space.release_inode(Ino(15)).unwrap_err().code(), "invalid_inode");
    assert_eq!(space.mark_inode(Ino(1000)).unwrap_err().code(), "already_used");
}

#[test]
fn directories_leave_room_for_their_files() {
    let (_, space) = fresh(2 * GROUP);
    let root = Ino(1);
    (0..GROUP / 2).for_each(|_| assert!(space.alloc_inode(Some(root), false).unwrap().0 < GROUP));
    assert!(space.alloc_inode(Some(root), true).unwrap().0 >= GROUP);
    assert!(space.alloc_inode(Some(root), false).unwrap().0 < GROUP);
}

#[test]
fn scattered_free_space_is_called_fragmentation() {
    let (_, space) = fresh(512);
    let runs = space.alloc_many(&Request::data(1, 1), space.free_blocks()).unwrap();
    let pieces: Vec<BlockRun> = runs.iter().copied().filter(|run| run.start.0 % 8 < 5).collect();
    pieces.iter().for_each(|run| space.release(*run).unwrap());
    let error = space.alloc(&Request::data(6, 9)).unwrap_err();
    assert_eq!(error.code(), "fragmentation");
    assert!(error.to_string().contains("the longest has 5"), "{error}");
    assert_eq!(space.alloc(&Request::data(3, 9)).unwrap().len, 5);
    assert_eq!(space.alloc(&Request::data(2, 2).by(Strategy::Buddy)).unwrap().len, 2);
    assert_eq!(space.alloc(&Request { align: 3, ..Request::data(1, 1) }).unwrap_err().code(), "alignment");
    let score = space.group_stats(0).unwrap().fragmentation;
    assert!((0.9..1.0).contains(&score), "{score}");
}

#[test]
fn small_data_prefers_broken_units_when_whole_ones_are_scarce() {
    let (_, space) = fresh(512);
    let first = space.alloc(&Request::data(8, 8)).unwrap();
    space.release(BlockRun::new(first.start.0 + 1, 1)).unwrap();
    let (units, blocks) = (space.free_units(), space.free_blocks());
    let near = Request::data(1, 1).near(BlockNo(first.end() + 100));
    for _ in 0..blocks - units * u64::from(UNIT) {
        space.alloc(&near).unwrap();
        assert_eq!(space.free_units(), units);
    }
    assert!(space.is_busy(BlockNo(first.start.0 + 1)).unwrap());
    space.alloc(&near).unwrap();
    assert_eq!(space.free_units(), units - 1);
}

#[test]
fn at_the_floor_data_gets_every_broken_piece_and_metadata_every_unit() {
    let (_, space) = fresh(2 * GROUP);
    // Every fourth unit is broken: one of its blocks in use.
    let data = space.alloc_many(&Request::data(1, 4000), space.free_blocks()).unwrap();
    let mut whole = 0_u64;
    for run in data {
        for block in run.start.0..run.end() {
            if block % 16 != 3 {
                space.release(BlockRun::new(block, 1)).unwrap();
            }
        }
    }
    let (blocks, units) = (space.free_blocks(), space.free_units());
    space.set_unit_floor(units);
    let mut pieces = 0_u64;
    while let Ok(run) = space.alloc(&Request::data(1, 64)) {
        pieces += u64::from(run.len);
        assert_eq!(space.free_units(), units, "a piece is no part of a whole unit");
    }
    assert_eq!(pieces, blocks - units * u64::from(UNIT));
    assert_eq!(
        space.alloc(&Request { class: Class::Vector, ..Request::data(1, 1) }).unwrap_err().code(),
        "no_space"
    );
    while space.alloc(&Request::meta(4, 4)).is_ok() {
        whole += 1;
    }
    assert_eq!((whole, space.free_blocks()), (units, 0));
}

#[test]
fn static_metadata_and_what_lies_behind_the_end_is_never_given_away() {
    let blocks = 4 * GROUP + 200;
    let (_, space) = fresh(blocks);
    let geometry = geometry(blocks);
    assert_eq!(space.free_blocks(), geometry.data_blocks());
    for run in geometry.static_runs() {
        assert!(space.is_busy(run.start).unwrap());
        assert_eq!(space.release(run).unwrap_err().code(), "invalid_run");
        assert_eq!(space.mark_busy(run).unwrap_err().code(), "invalid_run");
    }
    assert_eq!(space.is_busy(BlockNo(blocks)).unwrap_err().code(), "invalid_run");
    assert_eq!(space.release(BlockRun::new(u64::MAX - 1, 7)).unwrap_err().code(), "invalid_run");
    assert_eq!(space.release(BlockRun::new(9000, 0)).unwrap_err().code(), "invalid_run");
    assert_eq!(space.group_stats(5).unwrap_err().code(), "invalid_group");
    let beyond = Request::data(1, 1).near(BlockNo(u64::MAX));
    assert!(geometry.holds(space.alloc(&beyond).unwrap()));
}

#[test]
fn a_release_may_span_allocations_and_groups_and_is_all_or_nothing() {
    let (_, space) = fresh(3 * GROUP);
    let around = BlockRun::new(GROUP - 10, 20);
    space.mark_busy(around).unwrap();
    assert_eq!(space.mark_busy(BlockRun::new(GROUP + 5, 100)).unwrap_err().code(), "already_used");
    assert!(!space.is_busy(BlockNo(GROUP + 50)).unwrap());
    let error = space.release(BlockRun::new(GROUP - 10, 21)).unwrap_err();
    assert_eq!(error.code(), "double_free");
    assert!(error.to_string().contains(&format!("block {} is freed twice", GROUP + 10)), "{error}");
    assert!(space.is_busy(BlockNo(GROUP - 10)).unwrap());
    let free = space.free_blocks();
    space.release(BlockRun::new(GROUP - 3, 6)).unwrap();
    assert_eq!(space.free_blocks(), free + 6);
    assert!(!space.is_busy(BlockNo(GROUP)).unwrap() && space.is_busy(BlockNo(GROUP + 3)).unwrap());
}

#[test]
fn recovery_marks_many_runs_as_it_marks_one() {
    let (_, one) = fresh(3 * GROUP);
    let (_, all) = fresh(3 * GROUP);
    let runs: Vec<BlockRun> = (0..3000_u64)
        .map(|i| BlockRun::new(9000 + i * 29, 1 + (i % 29) as u32))
        .filter(|run| run.end() < 3 * GROUP - 65)
        .collect();
    let inodes: Vec<Ino> = (0..3000).map(|i| Ino(16 + i * 31)).collect();
    runs.iter().for_each(|run| one.mark_busy(*run).unwrap());
    inodes.iter().for_each(|ino| one.mark_inode(*ino).unwrap());
    all.mark_all_busy(runs.iter().copied()).unwrap();
    all.mark_all_inodes(inodes.iter().copied()).unwrap();
    for space in [&one, &all] {
        assert_eq!(space.free_inodes(), 3 * GROUP - 16 - 3000);
        runs.iter().for_each(|run| assert!(space.is_busy(run.start).unwrap()));
    }
    assert_eq!((one.free_blocks(), one.free_units()), (all.free_blocks(), all.free_units()));
    assert_eq!(all.mark_all_busy([BlockRun::new(9000, 1)]).unwrap_err().code(), "already_used");
    assert_eq!(all.mark_all_inodes([Ino(16)]).unwrap_err().code(), "already_used");
    assert_eq!(all.mark_all_busy([BlockRun::new(1, 1)]).unwrap_err().code(), "invalid_run");
}

#[test]
fn counters_say_what_was_done() {
    let (_, space) = fresh(GROUP);
    let run = space.alloc(&Request::data(8, 8)).unwrap();
    space.alloc(&Request { class: Class::Vector, ..Request::data(16, 16) }).unwrap();
    space.alloc(&Request::meta(4, 4)).unwrap();
    space.release(BlockRun::new(run.start.0, 3)).unwrap();
    let ino = space.alloc_inode(None, false).unwrap();
    space.release_inode(ino).unwrap();
    let stats = space.stats();
    assert_eq!((stats.data.allocations, stats.data.blocks, stats.data.bytes()), (1, 8, 8 * 4096));
    assert_eq!((stats.vector.allocations, stats.vector.blocks), (1, 16));
    assert_eq!((stats.meta.allocations, stats.meta.blocks), (1, 4));
    assert_eq!((stats.frees, stats.freed_blocks), (1, 3));
    assert_eq!((stats.inode_allocations, stats.inode_frees), (1, 1));
    assert_eq!(stats.free_blocks, space.free_blocks());
    let group = space.group_stats(0).unwrap();
    assert_eq!((u64::from(group.free_blocks), u64::from(group.blocks)), (space.free_blocks(), GROUP));
}

#[test]
fn trimming_punches_only_what_is_free_and_keeps_the_floor() {
    let (device, geometry, state) = format(GROUP);
    let space = crate::common::open(&device, &geometry, state).unwrap();
    let run = space.alloc(&Request::data(100, 100)).unwrap();
    let bytes = [7; 100 * 4096];
    device.write_at(&bytes, run.start.byte_offset()).unwrap();
    space.release(BlockRun::new(run.start.0 + 10, 50)).unwrap();
    space.release(BlockRun::new(run.start.0 + 70, 2)).unwrap();
    let (blocks, units) = (space.free_blocks(), space.free_units());
    assert_eq!(space.trim(run, 4).unwrap(), 50 * 4096);
    assert_eq!((space.free_blocks(), space.free_units()), (blocks, units));
    let mut back = vec![0; bytes.len()];
    device.read_at(&mut back, run.start.byte_offset()).unwrap();
    for (index, block) in back.chunks(4096).enumerate() {
        let expected = if (10..60).contains(&index) { 0 } else { 7 };
        assert!(block.iter().all(|byte| *byte == expected), "block {index}");
    }
    space.set_unit_floor(units);
    assert_eq!(
        space.trim(run, 4).unwrap(),
        0,
        "what is being punched is out of reach, so the floor comes first"
    );
}

#[test]
fn one_thread_always_allocates_in_the_same_way() {
    let places = || {
        let (_, space) = fresh(4 * GROUP);
        let one: Vec<BlockRun> =
            (0..500).map(|i| space.alloc(&Request::data(1, 1 + i % 40)).unwrap()).collect();
        (one, space.alloc_inode(None, true).unwrap())
    };
    let here = places();
    assert_eq!(std::thread::spawn(places).join().unwrap(), here);
    assert_eq!(places(), here);
}

#[test]
fn a_space_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Space>();
    shared::<Arc<dyn Device>>();
    shared::<Geometry>();
}
