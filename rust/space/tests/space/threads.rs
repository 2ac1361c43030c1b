//! Many threads on one volume.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst};

use vexfs_format::{BlockNo, BlockRun, CheckpointId, Ino};
use vexfs_space::{Class, Delta, Request, Space, Strategy};

use crate::common::{GROUP, Numbers, fresh};

/// Owners of all blocks: a second owner at the same time is an error.
struct Owners(Vec<AtomicU8>);

impl Owners {
    fn take(&self, run: BlockRun) {
        for block in run.start.0..run.end() {
            assert_eq!(self.0[block as usize].swap(1, SeqCst), 0, "block {block} has two owners");
        }
    }

    fn give(&self, run: BlockRun) {
        for block in run.start.0..run.end() {
            assert_eq!(self.0[block as usize].swap(0, SeqCst), 1);
        }
    }
}

fn request(numbers: &mut Numbers) -> Request {
    let strategies =
        [Strategy::FirstFit, Strategy::BestFit, Strategy::Aligned, Strategy::Buddy, Strategy::NextZero];
    let min = 1 + numbers.below(8) as u32;
    Request {
        min,
        max: min + numbers.below(60) as u32,
        align: 1 << numbers.below(4),
        strategy: strategies[numbers.below(5) as usize],
        goal: (numbers.below(3) == 0).then(|| BlockNo(numbers.below(3 * GROUP))),
        class: if numbers.below(4) == 0 { Class::Meta } else { Class::Data },
    }
}

#[test]
fn no_block_and_no_inode_ever_has_two_owners() {
    const BLOCKS: u64 = 3 * GROUP + 500;
    let (_, space) = fresh(BLOCKS);
    let (blocks, inodes) = (space.free_blocks(), space.free_inodes());
    let owners = Owners((0..BLOCKS).map(|_| AtomicU8::new(0)).collect());
    let numbers_taken = Owners((0..4 * GROUP).map(|_| AtomicU8::new(0)).collect());
    let work = |seed: u64| {
        let mut numbers = Numbers(seed);
        let mut held: Vec<BlockRun> = Vec::new();
        let mut inodes: Vec<Ino> = Vec::new();
        for _ in 0..6000 {
            if numbers.below(100) < 60 {
                match space.alloc(&request(&mut numbers)) {
                    Ok(run) => {
                        owners.take(run);
                        held.push(run);
                    }
                    Err(error) => assert!(matches!(error.code(), "no_space" | "fragmentation"), "{error}"),
                }
                let ino = space.alloc_inode(None, numbers.below(2) == 0).unwrap();
                numbers_taken.take(BlockRun::new(ino.0, 1));
                inodes.push(ino);
            } else if !held.is_empty() {
                let run = held.swap_remove(numbers.below(held.len() as u64) as usize);
                owners.give(run);
                space.release(run).unwrap();
                let ino = inodes.swap_remove(numbers.below(inodes.len() as u64) as usize);
                numbers_taken.give(BlockRun::new(ino.0, 1));
                space.release_inode(ino).unwrap();
            }
        }
        for run in held {
            owners.give(run);
            space.release(run).unwrap();
        }
        for ino in inodes {
            numbers_taken.give(BlockRun::new(ino.0, 1));
            space.release_inode(ino).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for seed in 0..6 {
            let work = &work;
            scope.spawn(move || work(seed));
        }
    });
    assert_eq!((space.free_blocks(), space.free_inodes()), (blocks, inodes));
    let stats = space.stats();
    assert_eq!(stats.data.blocks + stats.meta.blocks, stats.freed_blocks);
    assert_eq!(stats.inode_allocations, stats.inode_frees);
}

#[test]
fn data_never_breaks_the_floor_while_metadata_and_removals_come_and_go() {
    const UNITS: u64 = 3000;
    let (_, space) = fresh(2 * GROUP);
    let all = space.free_units();
    space.set_unit_floor(all - UNITS);
    let below = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let fill = |seed: u64| {
        let mut numbers = Numbers(seed);
        let mut held: Vec<BlockRun> = Vec::new();
        for _ in 0..30_000 {
            let max = 1 + numbers.below(40) as u32;
            match space.alloc(&Request::data(1, max)) {
                Ok(run) => held.push(run),
                Err(error) => {
                    assert_eq!(error.code(), "no_space");
                    for run in held.drain(..held.len() / 2) {
                        space.release(run).unwrap();
                    }
                }
            }
        }
        held
    };
    // Only data allocates, so the units that are free can never be fewer than the floor.
    let watch = || {
        while !done.load(SeqCst) {
            if space.free_units() < space.unit_floor() {
                below.fetch_add(1, SeqCst);
            }
        }
    };
    std::thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || fill(seed))).collect();
        let held: Vec<BlockRun> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        done.store(true, SeqCst);
        watcher.join().unwrap();
        let used: u64 = held.iter().map(|run| u64::from(run.len)).sum();
        assert!(space.free_units() >= space.unit_floor(), "{used} blocks used");
        // What the floor kept is there for metadata, to the last unit.
        let kept = space.unit_floor();
        (0..kept).for_each(|_| assert!(space.alloc(&Request::meta(4, 4)).is_ok()));
    });
    assert!(all >= space.free_units());
}

#[test]
fn an_admission_is_kept_against_all_threads() {
    let (_, space) = fresh(GROUP);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for seed in 0..3_u64 {
            let (space, admitted) = (&space, &admitted);
            scope.spawn(move || {
                let mut numbers = Numbers(seed);
                while space.alloc(&Request::data(1, 1 + numbers.below(64) as u32)).is_ok() {}
            });
            scope.spawn(move || {
                for _ in 0..500 {
                    if space.raise_unit_floor(3) {
                        admitted.fetch_add(3, SeqCst);
                    }
                }
            });
        }
    });
    let admitted = admitted.load(SeqCst);
    assert_eq!(space.unit_floor(), admitted);
    assert!(space.free_units() >= admitted);
    (0..admitted).for_each(|_| assert!(space.alloc(&Request::meta(4, 4)).is_ok()));
    space.lower_unit_floor(admitted + 1);
    assert_eq!(space.unit_floor(), 0);
}

#[test]
fn checkpoints_and_allocations_run_at_the_same_time() {
    let (device, space) = fresh(3 * GROUP);
    let done = AtomicBool::new(false);
    let work = |seed: u64, space: &Space| {
        let mut numbers = Numbers(seed);
        let mut held = Vec::new();
        while !done.load(SeqCst) {
            held.extend(space.alloc(&request(&mut numbers)).ok());
            if held.len() > 100 {
                held.drain(..).for_each(|run| space.release(run).unwrap());
            }
        }
        held
    };
    let (mut kept, mut state) = (Vec::new(), None);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|seed| {
                let (work, space) = (&work, &space);
                scope.spawn(move || work(seed, space))
            })
            .collect();
        for id in 1..60 {
            let set: Vec<BlockRun> = (0..10).map(|_| space.alloc(&Request::meta(4, 4)).unwrap()).collect();
            let clear: Vec<BlockRun> = if id % 2 == 0 { kept.drain(..5).collect() } else { Vec::new() };
            let delta = Delta { set: set.clone(), clear: clear.clone(), ..Delta::default() };
            let written = space.write_checkpoint(CheckpointId(id), &delta).unwrap();
            if id % 7 == 0 {
                space.abandon_checkpoint();
                set.into_iter().for_each(|run| space.release(run).unwrap());
                kept.splice(0..0, clear);
            } else {
                space.checkpoint_durable();
                clear.into_iter().for_each(|run| space.release(run).unwrap());
                kept.extend(set);
                state = Some(written);
            }
        }
        done.store(true, SeqCst);
        for thread in threads {
            thread.join().unwrap().into_iter().for_each(|run| space.release(run).unwrap());
        }
    });
    let reopened = crate::common::open(&device, space.geometry(), state.unwrap()).unwrap();
    assert_eq!(reopened.free_blocks(), space.free_blocks());
    kept.iter().for_each(|run| assert!(reopened.is_busy(run.start).unwrap()));
}
