//! The promise: after a crash anywhere the store is exactly the result of a prefix of its commits, and that prefix
//! contains everything whose durable commit had returned.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, missing_docs)]

mod faults;
mod workload;

use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;
use vexfs_device::Device;
use vexfs_device::sim::{Fault, Injection, Op, Sampling, SimDevice};
use vexfs_format::{BLOCK_SIZE, BlockNo, BlockRun};
use vexfs_store::{Durability, Isolation, Mode, Options, Read, RecoveryWatch, Request, Store};

use workload::*;

#[test]
fn every_write_prefix_recovers_to_a_prefix_of_commits() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let history = run(&sim, seed(1), 200);
    assert!(history.models.len() > 100);
    let (mut prefixes, mut carried) = (Vec::new(), 0);
    for (state, image) in sim.trace().prefixes() {
        prefixes.push(check(&image, &history, state.acknowledged, &state));
        if state.cut % 10 == 0 {
            let device = SimDevice::from_image(image).read_only();
            let store = Store::open(Arc::new(device), Options { mode: Mode::Read, ..options() }).unwrap();
            carried += store.recovery().carried_blocks;
        }
    }
    assert!(prefixes.is_sorted(), "a later crash never loses more");
    assert!(prefixes.len() > 100);
    assert!(carried > 0, "nothing was carried");
}

#[test]
fn any_subset_of_unflushed_writes_recovers_to_a_prefix_of_commits() {
    for number in 2..5 {
        let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
        let history = run(&sim, seed(number), 60);
        let trace = sim.trace();
        for (state, image) in trace.subsets(Sampling { exhaustive: 4, samples: 6, seed: seed(number) }) {
            check(&image, &history, state.acknowledged, &state);
        }
        for (state, image) in trace.tears(Sampling { exhaustive: 4, samples: 3, seed: seed(number) }) {
            check(&image, &history, state.acknowledged, &state);
        }
    }
}

#[test]
fn recovery_may_crash_at_each_of_its_writes() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let history = run(&sim, seed(9), 80);
    let trace = sim.trace();
    let lossy = trace.subsets(Sampling { exhaustive: 0, samples: 1, seed: 9 });
    let states: Vec<_> = trace.prefixes().step_by(9).chain(lossy.step_by(3)).collect();
    for (state, image) in &states {
        let prefix = check(image, &history, state.acknowledged, state);
        let again = Arc::new(SimDevice::from_image(image.clone()));
        let store = Store::open(Arc::clone(&again) as _, options()).unwrap();
        store.checkpoint(Default::default()).unwrap();
        std::mem::forget(store);
        for (second, image) in again.trace().prefixes() {
            let found = check(&image, &history, state.acknowledged, &(state, &second));
            assert_eq!(found, prefix, "recovering after a crash of recovery gives the same");
        }
        for (second, image) in again.trace().subsets(Sampling { exhaustive: 3, samples: 3, seed: 7 }) {
            let found = check(&image, &history, state.acknowledged, &(state, &second));
            assert_eq!(found, prefix, "whatever of it was lost");
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_workers() {
    let sim = Arc::new(SimDevice::from_image(formatted(128 << 20)));
    let mut work = Work::open(&sim, options(), History::of(vec![Model::new()]), seed(11)).unwrap();
    // All of it is in the log, in several parts.
    work.checkpoints = false;
    let history = work.go(600);
    let trace = sim.trace();
    let tears = trace.tears(Sampling { exhaustive: 0, samples: 1, seed: seed(12) });
    let states = trace.prefixes().step_by(149).chain(tears.step_by(211)).chain(trace.prefixes().last());
    for (state, image) in states {
        let open = |workers| {
            let device = SimDevice::from_image(image.clone()).read_only();
            let options =
                Options { workers: Some(workers), parallel_bytes: 0, mode: Mode::Read, ..options() };
            let store = Store::open(Arc::new(device), options).unwrap();
            let report = store.recovery();
            let counts = (report.frames, report.transactions, report.operations, report.bytes);
            (content(&store), counts, report.cut.clone())
        };
        let (one, counts, cut) = open(1);
        assert_eq!(one, history.models[counter(&one)], "{state}");
        for workers in [2, 16] {
            let found = open(workers);
            assert!(found.0 == one, "{state}: {workers} workers find something else");
            assert_eq!((found.1, &found.2), (counts, &cut), "{state}, {workers} workers");
        }
        assert!(state.cut < trace.events().len() || counts.3 > 2 << 20, "{counts:?}");
    }
}

#[test]
fn recovery_tells_how_far_it_has_come_and_ends_when_nobody_wants_it() {
    let sim = Arc::new(SimDevice::from_image(formatted(64 << 20)));
    let mut work = Work::open(&sim, options(), History::of(vec![Model::new()]), seed(21)).unwrap();
    work.checkpoints = false;
    work.go(200);
    let image = sim.trace().prefixes().last().unwrap().1;
    let open = |patience: usize| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let watch = RecoveryWatch::new(move |progress| {
            let mut told = heard.lock();
            told.push(progress);
            if told.len() <= patience { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let device = Arc::new(SimDevice::from_image(image.clone()));
        let store = Store::open(Arc::clone(&device) as _, Options { watch: Some(watch), ..options() });
        let written = device.trace().prefixes().count() > 1;
        let told = std::mem::take(&mut *told.lock());
        (store, told, written)
    };
    let (store, told, _) = open(usize::MAX);
    let report = store.unwrap().recovery().clone();
    let last = told.last().unwrap();
    assert_eq!((last.phase, last.operations), ("sort", report.operations));
    assert!(last.bytes > 0 && last.bytes <= report.bytes);
    assert!(told.is_sorted_by_key(|progress| progress.operations));
    for patience in 0..told.len() {
        let (store, heard, written) = open(patience);
        assert_eq!(store.unwrap_err().code(), "cancelled");
        assert_eq!((heard.len(), written), (patience + 1, false), "and nothing was written");
    }
}

#[test]
fn a_crash_of_what_goes_on_behind_a_crash_recovers_to_a_prefix_too() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let first = run(&sim, seed(21), 120);
    let states: Vec<_> = sim.trace().prefixes().collect();
    for (state, image) in states.iter().step_by(29) {
        let prefix = check(image, &first, state.acknowledged, state);
        let again = Arc::new(SimDevice::from_image(image.clone()));
        let models = first.models[..=prefix].to_vec();
        let second = go_on(&again, History::of(models), seed(state.acknowledged as u64), 12);
        for (late, image) in again.trace().subsets(Sampling { exhaustive: 3, samples: 2, seed: 4 }) {
            check(&image, &second, late.acknowledged, &(state, &late));
        }
    }
}

/// Freed blocks are given back to the host only when no crash needs them any more.
#[test]
fn discarding_freed_blocks_loses_nothing() {
    for keeps in [false, true] {
        let sim = SimDevice::from_image(formatted(3 << 20));
        let sim = Arc::new(if keeps { sim.discard_keeps() } else { sim });
        let options = Options { discard: true, retain: 1, ..options() };
        let work = Work::open(&sim, options.clone(), History::of(vec![Model::new()]), seed(41)).unwrap();
        let history = work.go(150);
        assert!(sim.counts().discards > 20, "{}", sim.counts().discards);
        let trace = sim.trace();
        let sampling = Sampling { exhaustive: 3, samples: 4, seed: seed(42) };
        for (state, image) in trace.prefixes().step_by(3).chain(trace.subsets(sampling).step_by(3)) {
            check(&image, &history, state.acknowledged, &state);
        }
        // A host that refuses costs nothing but room on the host.
        sim.inject(Injection::new(Op::Discard, Fault::Io).lasting());
        let last = Store::open(Arc::clone(&sim) as _, options.clone()).unwrap();
        let prefix = counter(&content(&last));
        drop(last);
        let before = sim.struck();
        let again = History::of(history.models[..=prefix].to_vec());
        let again = Work::open(&sim, options, again, seed(43)).unwrap();
        let store = again.store.clone();
        let models = again.go(60).models;
        assert_eq!(content(&store), *models.last().unwrap());
        while store.checkpoint(Default::default()).unwrap() {}
        assert!(sim.struck() > before);
        assert_eq!(store.stats().deferred_blocks, 0);
    }
}

/// The transaction that finds the log full sees what was recovered, which lies in the log.
#[test]
fn a_commit_makes_room_in_a_log_full_of_what_was_recovered() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    let first = store.newest_checkpoint().id;
    let put = |store: &Store, number: u64| {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        tx.put(key(1), vec![number as u8; 2000]);
        tx.commit(Durability::Durable).unwrap();
    };
    let room = |store: &Store| store.journal_stats().unwrap().capacity - store.journal_stats().unwrap().used;
    let mut number = 0;
    while room(&store) > 48 << 10 {
        number += 1;
        put(&store, number);
    }
    assert_eq!(store.newest_checkpoint().id, first, "all of it is in the log");
    std::mem::forget(store);
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    assert_eq!(store.recovery().transactions, number);
    (number..number + 50).for_each(|number| put(&store, number));
    assert!(store.newest_checkpoint().id > first);
}

/// Commits `blocks` blocks of `fill` under `key(0)`; returns their run.
fn commit_blocks(store: &Store, blocks: u32, fill: u8, durability: Durability) -> BlockRun {
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    let mut place = tx.reserve(&Request::data(blocks, blocks)).unwrap();
    let bytes = vec![fill; blocks as usize * BLOCK_SIZE];
    let sums = vec![crc32c::crc32c(&bytes[..BLOCK_SIZE]); blocks as usize];
    let run = tx.write_blocks(&mut place, &bytes, &sums).unwrap();
    tx.put(key(run.start.0), block_value(run, tx.seq(), fill));
    tx.commit(durability).unwrap();
    run
}

#[test]
fn little_data_goes_with_the_log_and_much_is_flushed() {
    let sim = Arc::new(SimDevice::from_image(formatted(64 << 20)));
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    let cost = |blocks, durability| {
        let before = sim.counts();
        commit_blocks(&store, blocks, 1, durability);
        let after = sim.counts();
        (after.durable_writes - before.durable_writes, after.flushes - before.flushes)
    };
    assert_eq!(cost(1, Durability::Durable), (1, 0));
    assert_eq!(cost(16, Durability::Durable), (1, 0));
    assert_eq!(cost(17, Durability::Durable), (0, 1));
    assert_eq!(cost(1, Durability::Durable), (1, 0), "all before is durable");
    assert_eq!(cost(1, Durability::Visible), (0, 0));
    assert_eq!(cost(1, Durability::Durable), (0, 1), "the frame names the data of another transaction too");
    assert_eq!(cost(1, Durability::Durable), (1, 0));
}

#[test]
fn what_lies_in_the_place_of_carried_blocks_does_not_matter_before_a_checkpoint() {
    let sim = Arc::new(SimDevice::from_image(formatted(16 << 20)));
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    let runs = [(1, 3), (2, 4), (3, 1), (2, 5)]
        .map(|(blocks, fill)| commit_blocks(&store, blocks, fill, Durability::Durable));
    let found = content(&store);
    std::mem::forget(store);
    let zeros = [0; 3 * BLOCK_SIZE];
    runs.iter()
        .for_each(|run| sim.write_at(&zeros[..run.bytes() as usize], run.start.byte_offset()).unwrap());
    let options = |mode| Options { mode, ..options() };
    let reader = Store::open(Arc::clone(&sim) as _, options(Mode::Read)).unwrap();
    assert_eq!((content(&reader), reader.recovery().carried_blocks), (found.clone(), 8));
    // A read that begins and ends within runs, and goes over what is not carried.
    let (first, last) = (runs.iter().map(|run| run.start.0).min(), runs.iter().map(|run| run.end()).max());
    let (first, last) = (first.unwrap(), last.unwrap());
    let mut all = vec![0; (last + 2 - first) as usize * BLOCK_SIZE];
    reader.read_blocks(BlockNo(first), &mut all).unwrap();
    for skip in 1..all.len() / BLOCK_SIZE - 2 {
        let mut part = vec![0; all.len() - (skip + 2) * BLOCK_SIZE];
        reader.read_blocks(BlockNo(first + skip as u64), &mut part).unwrap();
        assert_eq!(part, all[skip * BLOCK_SIZE..][..part.len()]);
    }
    drop(reader);
    sim.restart();
    let store = Store::open(Arc::clone(&sim) as _, options(Mode::Write)).unwrap();
    assert_eq!(content(&store), found);
    store.checkpoint(Default::default()).unwrap();
    assert_eq!(content(&store), found);
    std::mem::forget(store);
    for (state, image) in sim.trace().subsets(Sampling { exhaustive: 6, samples: 20, seed: 1 }) {
        let crashed = Store::open(Arc::new(SimDevice::from_image(image)), options(Mode::Read)).unwrap();
        assert_eq!(content(&crashed), found, "{state}");
    }
    let beside = Store::open(Arc::clone(&sim) as _, options(Mode::Beside)).unwrap();
    assert_eq!(content(&beside), found, "the checkpoint alone has all of it");
}

#[test]
fn data_that_is_not_what_was_written_is_not_committed_durably() {
    let sim = Arc::new(SimDevice::from_image(formatted(16 << 20)));
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    let free = store.space_status().free_blocks;
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    let mut place = tx.reserve(&Request::data(1, 1)).unwrap();
    tx.write_blocks(&mut place, &[1; BLOCK_SIZE], &[0]).unwrap();
    assert_eq!(tx.commit(Durability::Durable).unwrap_err().code(), "corrupt");
    assert_eq!(store.space_status().free_blocks, free);
}
