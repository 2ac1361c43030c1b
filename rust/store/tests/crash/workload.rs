//! Transactions drawn from a seed, the model beside them, and how a crashed image is held against it.

use std::collections::BTreeMap;
use std::sync::Arc;

use vexfs_device::sim::SimDevice;
use vexfs_device::{Device, Image};
use vexfs_format::{BLOCK_SIZE, BlockRun, Key, Seq, kinds};
use vexfs_store::{
    Durability, Error, FormatOptions, Isolation, Mode, Options, Read, Request, Result, Store, Tx,
};

pub type Model = BTreeMap<u64, Vec<u8>>;

const COUNTER: u64 = u64::MAX;

pub fn options() -> Options {
    Options { background: false, workers: Some(1), ..Options::default() }
}

pub fn key(offset: u64) -> Key {
    Key::new(100, kinds::INODE, offset)
}

pub fn formatted(bytes: u64) -> Image {
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
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// The seed of the run that has the number `own`; `VEXFS_SEED` gives others than those of every day.
pub fn seed(own: u64) -> u64 {
    let given = std::env::var("VEXFS_SEED").map_or(0, |text| text.parse().expect("VEXFS_SEED is a number"));
    own ^ u64::wrapping_mul(given, 0xd134_2543_de82_ef95)
}

/// What a run left: the model after each commit, and from which trace position on each had been acknowledged.
#[derive(Clone)]
pub struct History {
    pub models: Vec<Model>,
    /// (trace position, commits acknowledged durable by then).
    pub acknowledged: Vec<(usize, usize)>,
}

impl History {
    /// What has this model at first, durably.
    pub fn of(models: Vec<Model>) -> Self {
        let durable = models.len() - 1;
        Self { models, acknowledged: vec![(0, durable)] }
    }
}

/// A value that names data blocks: start, length, birth; the blocks all hold `fill`.
pub fn block_value(run: BlockRun, birth: Seq, fill: u8) -> Vec<u8> {
    [&run.start.0.to_le_bytes()[..], &run.len.to_le_bytes(), &birth.0.to_le_bytes(), &[fill]].concat()
}

pub fn parse_block_value(value: &[u8]) -> Option<(BlockRun, Seq, u8)> {
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
fn change(store: &Store, random: &mut Random, model: &mut Model, number: u64) -> Result<Tx> {
    let mut tx = store.begin(Isolation::Snapshot)?;
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
                let mut place = tx.reserve(&Request::data(blocks, blocks))?;
                let run = tx.write_blocks(&mut place, &bytes, &sums)?;
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
    Ok(tx)
}

/// Writes blocks that come to nothing: others will have them.
fn write_in_vain(store: &Store) -> Result<()> {
    let mut tx = store.begin(Isolation::Snapshot)?;
    let mut place = tx.reserve(&Request::data(3, 3))?;
    let bytes = [0xee; 3 * BLOCK_SIZE];
    tx.write_blocks(&mut place, &bytes, &[crc32c::crc32c(&bytes[..BLOCK_SIZE]); 3])?;
    Ok(())
}

/// A store and what was done to it.
pub struct Work {
    pub sim: Arc<SimDevice>,
    pub store: Store,
    pub history: History,
    pub random: Random,
    /// Whether there are checkpoints.
    pub checkpoints: bool,
}

impl Work {
    /// Goes on with what the device holds, which is the last model of the history.
    pub fn open(sim: &Arc<SimDevice>, options: Options, history: History, seed: u64) -> Result<Self> {
        let store = Store::open(Arc::clone(sim) as _, options)?;
        Ok(Self { sim: Arc::clone(sim), store, history, random: Random(seed), checkpoints: true })
    }

    fn acknowledge(&mut self) {
        self.history.acknowledged.push((self.sim.position(), self.history.models.len() - 1));
    }

    /// One transaction, and now and then a sync or a checkpoint. What failed is in the history if nobody knows
    /// whether it counts.
    pub fn step(&mut self) -> Result<()> {
        if self.random.below(6) == 0 {
            write_in_vain(&self.store)?;
        }
        let mut model = self.history.models.last().unwrap().clone();
        let number = self.history.models.len() as u64;
        let tx = change(&self.store, &mut self.random, &mut model, number)?;
        let durable = self.random.below(2) == 0;
        let committed = tx.commit(if durable { Durability::Durable } else { Durability::Visible });
        if matches!(committed, Ok(_) | Err(Error::Failed { .. })) {
            self.history.models.push(model);
        }
        committed?;
        if durable {
            self.acknowledge();
        }
        match self.random.below(25) {
            0 if self.checkpoints => {
                // The first after a crash holds what was recovered, and no more.
                while self.store.checkpoint(Default::default())? {}
                self.acknowledge();
            }
            1 => {
                self.store.sync()?;
                self.acknowledge();
            }
            _ => {}
        }
        Ok(())
    }

    /// So many steps, or until the volume is full. Then the process is gone: nothing is closed.
    pub fn go(mut self, steps: u64) -> History {
        let end = (0..steps).try_for_each(|_| self.step());
        assert!(matches!(end, Ok(()) | Err(Error::NoSpace)), "{end:?}");
        std::mem::forget(self.store);
        self.history
    }
}

/// So many steps on an empty store.
pub fn run(sim: &Arc<SimDevice>, seed: u64, steps: u64) -> History {
    go_on(sim, History::of(vec![Model::new()]), seed, steps)
}

/// More transactions on what a run left, whose last model is what the device holds.
pub fn go_on(sim: &Arc<SimDevice>, history: History, seed: u64, steps: u64) -> History {
    Work::open(sim, options(), history, seed).unwrap().go(steps)
}

/// Everything in the store, with the content of data blocks checked on the way.
pub fn content(store: &Store) -> Model {
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

/// Which prefix of the commits it is.
pub fn counter(found: &Model) -> usize {
    found.get(&COUNTER).map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap())) as usize
}

/// Opens a crashed image, to read, to write, and once what was recovered is in a checkpoint, and checks the promise;
/// returns which prefix it is.
pub fn check(image: &Image, history: &History, acknowledged: usize, what: &dyn std::fmt::Debug) -> usize {
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
    let prefix = counter(&found);
    assert!(prefix < history.models.len(), "{what:?}: commit {prefix} was never made");
    assert_eq!(found, history.models[prefix], "{what:?}: not the state after commit {prefix}");
    let must = history.acknowledged.iter().rfind(|(position, _)| *position <= acknowledged).unwrap().1;
    assert!(prefix >= must, "{what:?}: commit {must} had been acknowledged, {prefix} is what is there");
    prefix
}
