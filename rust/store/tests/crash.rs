//! The promise: after a crash anywhere the store is exactly the result of a prefix of its commits, and that prefix
//! contains everything whose durable commit had returned.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vexfs_device::sim::{Sampling, SimDevice};
use vexfs_device::{Device, Image};
use vexfs_format::{BLOCK_SIZE, BlockRun, Key, Seq, kinds};
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
                let blocks = 1 + random.below(5) as u32;
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
    let store = Store::open(Arc::clone(sim) as _, options()).unwrap();
    let mut random = Random(seed);
    let mut history = History { models: vec![Model::new()], acknowledged: vec![(0, 0)] };
    for number in 1..=transactions {
        let mut model = history.models.last().unwrap().clone();
        let Some(tx) = change(&store, &mut random, &mut model, number) else { break };
        let durable = random.below(3) == 0;
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
                store.checkpoint(Default::default()).unwrap();
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

/// Opens a crashed image and checks the promise; returns which prefix it is.
fn check(image: &Image, history: &History, acknowledged: usize, what: &dyn std::fmt::Debug) -> usize {
    let store = Store::open(Arc::new(SimDevice::from_image(image.clone())), options())
        .unwrap_or_else(|error| panic!("{what:?}: {error}"));
    let found = content(&store);
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
    let states: Vec<_> = sim.trace().prefixes().collect();
    for (state, image) in states.iter().step_by(7) {
        let prefix = check(image, &history, state.acknowledged, state);
        let again = Arc::new(SimDevice::from_image(image.clone()));
        let store = Store::open(Arc::clone(&again) as _, options()).unwrap();
        store.checkpoint(Default::default()).unwrap();
        std::mem::forget(store);
        for (second, image) in again.trace().prefixes() {
            let found = check(&image, &history, state.acknowledged, &(state, &second));
            assert_eq!(found, prefix, "recovering after a crash of recovery gives the same");
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
