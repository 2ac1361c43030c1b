//! What goes on by itself: commits become durable, checkpoints are made when something presses, and what fails there
//! is not kept quiet. And what is forgotten: a transaction that is open for too long.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use vexfs_device::sim::{Fault, Injection, Op, Sampling, SimDevice};
use vexfs_format::{Key, kinds};
use vexfs_store::{Durability, Error, FormatOptions, Isolation, Mode, Options, Read, Request, Store};

const HOUR: Duration = Duration::from_secs(3600);

/// Nothing happens by itself, unless a test asks for it.
fn options() -> Options {
    Options { commit_interval: HOUR, checkpoint_interval: HOUR, workers: Some(1), ..Options::default() }
}

fn formatted() -> Arc<SimDevice> {
    let sim = Arc::new(SimDevice::new(16 << 20));
    let options = FormatOptions { journal_bytes: Some(512 << 10), ..FormatOptions::default() };
    Store::mkfs(Arc::clone(&sim) as _, &options).unwrap();
    sim.restart();
    sim
}

fn open(sim: &Arc<SimDevice>, options: Options) -> Store {
    Store::open(Arc::clone(sim) as _, options).unwrap()
}

fn key(offset: u64) -> Key {
    Key::new(100, kinds::INODE, offset)
}

fn put(store: &Store, offset: u64, len: usize) {
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    tx.put(key(offset), vec![offset as u8; len]);
    tx.commit(Durability::Visible).unwrap();
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: it did not come by itself");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the key is there if the power fails now and everything that is not durable is lost.
fn survives(sim: &SimDevice, offset: u64) -> bool {
    let trace = sim.trace();
    let worst = trace.subsets(Sampling { exhaustive: 0, samples: 2, seed: 0 });
    let now = worst.filter(|(state, _)| state.acknowledged == trace.events().len());
    let lost = now.max_by_key(|(state, _)| state.lost.len()).unwrap().1;
    let options = Options { mode: Mode::Read, background: false, ..Options::default() };
    let crashed = open(&Arc::new(SimDevice::from_image(lost).read_only()), options);
    crashed.view().get(key(offset)).unwrap().is_some()
}

#[test]
fn a_visible_commit_becomes_durable_by_itself_within_the_interval() {
    let sim = formatted();
    let store = open(&sim, Options { commit_interval: Duration::from_millis(10), ..options() });
    put(&store, 1, 100);
    wait_until("group commit", || survives(&sim, 1));
    std::mem::forget(store);

    let sim = formatted();
    let store = open(&sim, options());
    put(&store, 1, 100);
    std::thread::sleep(Duration::from_millis(60));
    assert!(!survives(&sim, 1), "nobody had asked for it");
    store.sync().unwrap();
    assert!(survives(&sim, 1));
}

#[test]
fn a_checkpoint_comes_after_its_interval_if_there_is_anything_new() {
    let sim = formatted();
    let store = open(&sim, Options { checkpoint_interval: Duration::from_millis(30), ..options() });
    let first = store.newest_checkpoint().id;
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(store.newest_checkpoint().id, first, "there was nothing to do");
    put(&store, 1, 100);
    wait_until("checkpoint", || store.newest_checkpoint().id > first);
    let second = store.newest_checkpoint().id;
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(store.newest_checkpoint().id, second);
}

#[test]
fn a_full_memtable_brings_a_checkpoint() {
    let sim = formatted();
    let store = open(&sim, Options { memtable_bytes: 32 << 10, ..options() });
    let first = store.newest_checkpoint().id;
    put(&store, 1, 100);
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(store.newest_checkpoint().id, first, "not yet");
    (2..40).for_each(|at| put(&store, at, 1000));
    wait_until("checkpoint", || store.newest_checkpoint().id > first);
    wait_until("the memtable", || store.stats().memtable_bytes < 32 << 10);
}

#[test]
fn half_a_log_brings_a_checkpoint() {
    let sim = formatted();
    let store = open(&sim, options());
    let first = store.newest_checkpoint().id;
    let capacity = store.journal_stats().unwrap().capacity;
    assert_eq!(capacity, 512 << 10);
    // The same key again and again: the memtable stays small, the log does not.
    let mut times = 0;
    while store.journal_stats().unwrap().used <= capacity / 2 {
        assert_eq!(store.newest_checkpoint().id, first, "not before half of the log is in use");
        put(&store, 1, 2000);
        store.sync().unwrap();
        times += 1;
        assert!(times < 1000);
    }
    wait_until("checkpoint", || store.newest_checkpoint().id > first);
    wait_until("the log", || store.journal_stats().unwrap().used < capacity / 8);
}

#[test]
fn what_fails_in_the_background_makes_the_volume_read_only() {
    let sim = formatted();
    let store = open(&sim, Options { commit_interval: Duration::from_millis(10), ..options() });
    put(&store, 1, 100);
    store.sync().unwrap();
    sim.inject(Injection::new(Op::Any, Fault::Io).lasting());
    put(&store, 2, 100);
    wait_until("the failure", || !store.is_writable());
    sim.heal();
    assert_eq!(store.begin(Isolation::Snapshot).unwrap_err().code(), "failed");
    assert!(store.view().get(key(2)).unwrap().is_some(), "what was visible can be read");
    assert_eq!(store.close().unwrap_err().code(), "failed");
    drop(store);
    let store = open(&sim, options());
    assert!(store.view().get(key(1)).unwrap().is_some());
}

#[test]
fn a_checkpoint_that_finds_no_room_on_the_host_is_made_later() {
    let sim = formatted();
    let store = open(&sim, Options { checkpoint_interval: Duration::from_millis(10), ..options() });
    let first = store.newest_checkpoint().id;
    sim.inject(Injection::new(Op::Write, Fault::NoSpace).within(data_area(&store)).lasting());
    put(&store, 1, 100);
    wait_until("an attempt", || sim.struck() > 0);
    put(&store, 2, 100);
    assert_eq!(store.newest_checkpoint().id, first);
    sim.heal();
    wait_until("checkpoint", || store.newest_checkpoint().id > first && store.stats().memtable_bytes == 0);
    assert!(store.is_writable());
}

/// The bytes behind the log: a checkpoint writes there, the log does not.
fn data_area(store: &Store) -> std::ops::Range<u64> {
    let end = store.geometry().journal.end() * vexfs_format::BLOCK_SIZE as u64;
    end..u64::MAX
}

#[test]
fn a_transaction_older_than_what_is_kept_for_validation_is_too_old() {
    let sim = formatted();
    let options = || Options { memtable_bytes: 4 << 10, background: false, ..options() };
    let store = open(&sim, options());
    let begin = || store.begin(Isolation::Snapshot).unwrap();
    let (mut old, mut reader, mut young) = (begin(), begin(), None);
    old.put(key(1000), b"of long ago".to_vec());
    for round in 0..6 {
        (0..5).for_each(|at| put(&store, round * 10 + at, 1000));
        store.checkpoint(Default::default()).unwrap();
        if round == 5 {
            young = Some(begin());
        }
    }
    assert!(reader.get(key(0)).unwrap().is_none(), "it still reads its moment");
    assert!(reader.is_empty() && reader.range(key(0), key(99)).next().is_none());
    assert!(matches!(old.commit(Durability::Visible), Err(Error::TooOld)));
    reader.put(key(1000), b"of long ago too".to_vec());
    assert!(matches!(reader.commit(Durability::Visible), Err(Error::TooOld)));
    let mut young = young.unwrap();
    young.put(key(1000), b"of now".to_vec());
    young.commit(Durability::Visible).unwrap();
    assert_eq!(store.view().get(key(1000)).unwrap().unwrap()[..], *b"of now");
}

#[test]
fn a_large_run_is_not_scattered_while_much_of_the_volume_waits_to_be_free() {
    let store = open(&formatted(), Options { background: false, retain: 0, ..options() });
    let reserve = |blocks| store.reserve(&Request::data(1, blocks)).map_err(|error| error.code());
    let (mut placed, mut single) = (Vec::new(), Vec::new());
    for number in 0..200 {
        let mut blocks = reserve(8).unwrap();
        single.push(reserve(1).unwrap());
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        let len = blocks.run().len;
        placed.push((tx.place(&mut blocks, len, None).unwrap(), tx.seq()));
        tx.put(key(number), vec![1; 8]);
        tx.commit(Durability::Visible).unwrap();
    }
    let mut rest = Vec::new();
    while let Ok(blocks) = reserve(4096) {
        rest.push(blocks);
    }
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    tx.set_removal(true);
    placed.into_iter().for_each(|(run, birth)| tx.free(run, birth));
    tx.commit(Durability::Visible).unwrap();
    // What is free at once lies a block here and a block there; with what a checkpoint frees it is one run.
    drop(single);
    let found = reserve(512).unwrap().run().len;
    assert!(found >= 512, "{found}");
}
