//! The promise: after a crash anywhere the store is exactly the result of a prefix of its commits, and that prefix
//! contains everything whose durable commit had returned.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vexfs_device::sim::{Sampling, SimDevice};
use vexfs_device::{Device, Image};
use vexfs_format::{BLOCK_SIZE, BlockNo, BlockRun, Key, Seq, kinds};
use vexfs_store::{Durability, FormatOptions, Isolation, Mode, Options, Read, Request, Store, Tx};

type Model = BTreeMap<u64, Vec<u8>>;

const COUNTER: u64 = u64::MAX;

fn options() -> Options {
    Options { background: false, workers: Some(1), ..Options::default() }
}

fn key(offset: u64) -> Key {
    Key::new(100, kinds::INODE, offset)
}

fn formatted(bytes: u64) -> Image {
    let sim = Arc::new(SimDevice::new(bytes));
    let device: Arc<dyn Device> = Arc::clone(&sim) as _;
    let options = FormatOptions {
        uuid: Some([7; 16]),
        hash_seed: Some([1; 16]),
        created_ns: Some(1),
        ..FormatOptions::default()
    };
    Store::mkfs(Arc::clone(&device), &options).unwrap();
    sim.image()
}

/// A small generator, so that a run is its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What a run left: the model after each commit, and from which trace position on each had been acknowledged.
struct History {
    models: Vec<Model>,
    /// (trace position, commits acknowledged durable by then).
    acknowledged: Vec<(usize, usize)>,
}

/// A value that names data blocks: start, length, birth; the blocks all hold `fill`.
fn block_value(run: BlockRun, birth: Seq, fill: u8) -> Vec<u8> {
    [&run.start.0.to_le_bytes()[..], &run.len.to_le_bytes(), &birth.0.to_le_bytes(), &[fill]].concat()
}

fn parse_block_value(value: &[u8]) -> Option<(BlockRun, Seq, u8)> {
    (value.len() == 21).then(|| {
        let start = u64::from_le_bytes(value[..8].try_into().unwrap());
        let len = u32::from_le_bytes(value[8..12].try_into().unwrap());
        let birth = u64::from_le_bytes(value[12..20].try_into().unwrap());
        (BlockRun::new(start, len), Seq(birth), value[20])
    })
}

fn free_blocks_of(tx: &mut Tx, model: &Model, offset: u64) {
    if let Some((run, birth, _)) = model.get(&offset).and_then(|value| parse_block_value(value)) {
        tx.free(run, birth);
    }
}

/// One transaction of one to four changes; the counter makes the prefix visible.
fn change(store: &Store, random: &mut Random, model: &mut Model, number: u64) -> Option<Tx> {
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    for _ in 0..=random.below(3) {
        let offset = random.below(40);
        free_blocks_of(&mut tx, model, offset);
        match random.below(10) {
            0..=1 => {
                tx.delete(key(offset));
                model.remove(&offset);
            }
            2..=3 => {
                let blocks = [1, 1, 2, 3, 5][random.below(5) as usize];
                let fill = number as u8;
                let bytes = vec![fill; blocks as usize * BLOCK_SIZE];
                let sums = vec![crc32c::crc32c(&bytes[..BLOCK_SIZE]); blocks as usize];
                let mut place = tx.reserve(&Request::data(blocks, blocks)).ok()?;
                let run = tx.write_blocks(&mut place, &bytes, &sums).unwrap();
                let value = block_value(run, tx.seq(), fill);
                tx.put(key(offset), value.clone());
                model.insert(offset, value);
            }
            4 => {
                let value = vec![number as u8; 2100 + random.below(4000) as usize];
                tx.put(key(offset), value.clone());
                model.insert(offset, value);
            }
            _ => {
                let value = vec![number as u8; 30 + random.below(200) as usize];
                tx.put(key(offset), value.clone());
                model.insert(offset, value);
            }
        }
    }
    tx.put(key(COUNTER), number.to_le_bytes().to_vec());
    model.insert(COUNTER, number.to_le_bytes().to_vec());
    Some(tx)
}

fn run(sim: &Arc<SimDevice>, seed: u64, transactions: u64) -> History {
    let begin = History { models: vec![Model::new()], acknowledged: vec![(0, 0)] };
    go_on(sim, begin, seed, transactions)
}

/// Writes blocks that come to nothing: others will have them.
fn write_in_vain(store: &Store) {
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    if let Ok(mut place) = tx.reserve(&Request::data(3, 3)) {
        let bytes = [0xee; 3 * BLOCK_SIZE];
        tx.write_blocks(&mut place, &bytes, &[crc32c::crc32c(&bytes[..BLOCK_SIZE]); 3]).unwrap();
    }
}

/// More transactions on what a run left, whose last model is what the device holds.
fn go_on(sim: &Arc<SimDevice>, mut history: History, seed: u64, transactions: u64) -> History {
    let store = Store::open(Arc::clone(sim) as _, options()).unwrap();
    let mut random = Random(seed);
    let before = history.models.len() as u64;
    for number in before..before + transactions {
        if random.below(6) == 0 {
            write_in_vain(&store);
        }
        let mut model = history.models.last().unwrap().clone();
        let Some(tx) = change(&store, &mut random, &mut model, number) else { break };
        let durable = random.below(2) == 0;
        tx.commit(if durable { Durability::Durable } else { Durability::Visible }).unwrap();
        history.models.push(model);
        let mut acknowledge = |durable| {
            if durable {
                history.acknowledged.push((sim.position(), history.models.len() - 1));
            }
        };
        acknowledge(durable);
        match random.below(25) {
            0 => {
                // The first after a crash holds what was recovered, and no more.
                while store.checkpoint(Default::default()).unwrap() {}
                acknowledge(true);
            }
            1 => {
                store.sync().unwrap();
                acknowledge(true);
            }
            _ => {}
        }
    }
    std::mem::forget(store);
    history
}

/// Everything in the store, with the content of data blocks checked on the way.
fn content(store: &Store) -> Model {
    let view = store.view();
    let mut found = Model::new();
    for item in view.range(key(0), key(u64::MAX)) {
        let (at, value) = item.unwrap();
        if let Some((run, _, fill)) = parse_block_value(&value) {
            let mut bytes = vec![0; run.bytes() as usize];
            store.read_blocks(run.start, &mut bytes).unwrap();
            assert!(bytes.iter().all(|byte| *byte == fill), "blocks of {at:?} hold something else");
        }
        found.insert(at.offset, value.to_vec());
    }
    found
}

/// Opens a crashed image, to read, to write, and once what was recovered is in a checkpoint, and checks the promise;
/// returns which prefix it is.
fn check(image: &Image, history: &History, acknowledged: usize, what: &dyn std::fmt::Debug) -> usize {
    let open = |mode| {
        let device = SimDevice::from_image(image.clone());
        let device = if mode == Mode::Read { device.read_only() } else { device };
        Store::open(Arc::new(device), Options { mode, ..options() })
            .unwrap_or_else(|error| panic!("{what:?}: {error}"))
    };
    let found = content(&open(Mode::Read));
    let store = open(Mode::Write);
    assert_eq!(found, content(&store), "{what:?}: a reader sees something else");
    store.checkpoint(Default::default()).unwrap();
    assert_eq!(found, content(&store), "{what:?}: the checkpoint holds something else");
    let prefix =
        found.get(&COUNTER).map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap())) as usize;
    assert_eq!(found, history.models[prefix], "{what:?}: not the state after commit {prefix}");
    let must = history.acknowledged.iter().rfind(|(position, _)| *position <= acknowledged).unwrap().1;
    assert!(prefix >= must, "{what:?}: commit {must} had been acknowledged, {prefix} is what is there");
    prefix
}

#[test]
fn every_write_prefix_recovers_to_a_prefix_of_commits() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let history = run(&sim, 1, 200);
    assert!(history.models.len() > 150);
    let mut prefixes = Vec::new();
    for (state, image) in sim.trace().prefixes() {
        prefixes.push(check(&image, &history, state.acknowledged, &state));
    }
    assert!(prefixes.is_sorted(), "a later crash never loses more");
    assert!(prefixes.len() > 200);
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    assert!(store.recovery().carried_blocks > 0, "nothing was carried");
}

#[test]
fn any_subset_of_unflushed_writes_recovers_to_a_prefix_of_commits() {
    for seed in 2..5 {
        let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
        let history = run(&sim, seed, 60);
        let trace = sim.trace();
        for (state, image) in trace.subsets(Sampling { exhaustive: 4, samples: 6, seed }) {
            check(&image, &history, state.acknowledged, &state);
        }
        for (state, image) in trace.tears(Sampling { exhaustive: 4, samples: 3, seed }) {
            check(&image, &history, state.acknowledged, &state);
        }
    }
}

#[test]
fn recovery_may_crash_at_each_of_its_writes() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let history = run(&sim, 9, 80);
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
    let sim = Arc::new(SimDevice::from_image(formatted(64 << 20)));
    let history = run(&sim, 11, 1500);
    let image = sim.image();
    let open = |workers| {
        let options = Options { workers: Some(workers), mode: Mode::Read, ..options() };
        content(&Store::open(Arc::new(SimDevice::from_image(image.clone())), options).unwrap())
    };
    let one = open(1);
    let found = u64::from_le_bytes(one[&COUNTER][..].try_into().unwrap()) as usize;
    assert_eq!(one, history.models[found]);
    assert!(found >= history.acknowledged.last().unwrap().1 && found > 1000);
    assert!(one == open(2) && one == open(16));
}

#[test]
fn a_crash_of_what_goes_on_behind_a_crash_recovers_to_a_prefix_too() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let first = run(&sim, 21, 120);
    let states: Vec<_> = sim.trace().prefixes().collect();
    for (state, image) in states.iter().step_by(29) {
        let prefix = check(image, &first, state.acknowledged, state);
        let again = Arc::new(SimDevice::from_image(image.clone()));
        let models = first.models[..=prefix].to_vec();
        let second = History { models, acknowledged: vec![(0, prefix)] };
        let second = go_on(&again, second, state.acknowledged as u64, 12);
        for (late, image) in again.trace().subsets(Sampling { exhaustive: 3, samples: 2, seed: 4 }) {
            check(&image, &second, late.acknowledged, &(state, &late));
        }
    }
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
