//! The promise, for files: after a crash anywhere a volume is exactly the result of a prefix of its transactions,
//! content, sizes, links, attributes and directories, and that prefix contains everything that was acknowledged as
//! durable. The checker finds nothing wrong with it, neither before it is recovered nor after.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod model;
mod random;
mod script;

use std::collections::BTreeMap;
use std::sync::Arc;

use vexfs_check::check;
use vexfs_device::sim::{CrashState, Sampling, SimDevice};
use vexfs_device::{Device, Image, MemoryDevice};
use vexfs_fs::{Caller, Durability, FormatOptions, Fs, Hold, Isolation, Options, RootOptions};
use vexfs_store::Mode;

use model::{Kind, Model, STEP, difference, step_of, tree_of};
use random::{Random, seed};
use script::Op;

fn caller() -> Caller {
    Caller::privileged(0, 0, 0)
}

fn open(device: Arc<dyn Device>, mode: Mode) -> vexfs_fs::Result<Fs> {
    // Small, so that some checkpoints come because the memtable or the log is full.
    let options = Options { background: false, workers: Some(1), mode, retain: 3, ..Options::default() };
    Fs::open(device, Options { memtable_bytes: 128 << 10, ..options })
}

fn formatted() -> Image {
    let memory = Arc::new(MemoryDevice::new(24 << 20));
    let options = FormatOptions {
        uuid: Some([7; 16]),
        hash_seed: Some([1; 16]),
        created_ns: Some(1),
        journal_bytes: Some(256 << 10),
        ..FormatOptions::default()
    };
    Fs::mkfs(Arc::clone(&memory) as _, options, RootOptions::default()).unwrap();
    memory.image()
}

/// A run of the script: the volume, the model after each transaction, and what had been acknowledged when.
struct Run {
    sim: Arc<SimDevice>,
    fs: Fs,
    random: Random,
    models: Vec<Model>,
    /// (trace position, transactions acknowledged as durable by then).
    acknowledged: Vec<(usize, usize)>,
    /// Open files, some of which have lost their names.
    holds: Vec<Hold>,
    /// Committed operations.
    committed: usize,
    /// How often each kind of thing was done, committed or not.
    verbs: BTreeMap<String, u32>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let sim = Arc::new(SimDevice::from_image(formatted()));
        let fs = open(Arc::clone(&sim) as _, Mode::Write).unwrap();
        Self {
            sim,
            fs,
            random: Random(seed),
            models: vec![Model::new()],
            acknowledged: vec![(0, 0)],
            holds: Vec::new(),
            committed: 0,
            verbs: BTreeMap::new(),
        }
    }

    /// Runs until so many operations were committed. Then the process is gone: nothing is closed.
    fn go(mut self, operations: usize) -> Self {
        while self.committed < operations {
            self.step();
        }
        self
    }

    fn step(&mut self) {
        match self.random.below(30) {
            0 => self.hold(),
            1 => self.holds.clear(),
            2 => {
                self.fs.sync().unwrap();
                self.acknowledge();
            }
            3 => {
                self.fs.store().checkpoint(Default::default()).unwrap();
                self.acknowledge();
                self.count("checkpoint");
            }
            4..=5 => self.abort(),
            6..=9 => self.transaction(2 + self.models.len() % 4),
            _ => self.transaction(1),
        }
    }

    fn acknowledge(&mut self) {
        self.acknowledged.push((self.sim.position(), self.models.len() - 1));
    }

    fn count(&mut self, what: &str) {
        *self.verbs.entry(what.to_owned()).or_default() += 1;
    }

    /// A committed transaction of so many operations, with others among them that a savepoint takes back.
    fn transaction(&mut self, operations: usize) {
        let mut tx = self.fs.begin(&caller(), Isolation::Snapshot).unwrap();
        let mut model = self.models.last().unwrap().clone();
        for _ in 0..operations {
            if self.random.below(6) == 0 {
                let savepoint = tx.savepoint();
                let mut other = model.clone();
                (0..2).for_each(|_| self.operation(&mut tx, &mut other));
                tx.rollback_to(savepoint);
                self.count("rollback");
            }
            self.operation(&mut tx, &mut model);
        }
        if let Some(hold) = self.holds.last() {
            // Nobody sees it if the file has lost its name, and the model does not know whether it has.
            if tx.getattr(hold.ino()).unwrap().nlink == 0 {
                tx.write(hold.ino(), 3000, &[0xaa; 9000]).unwrap();
                self.count("write without a name");
            }
        }
        let step = self.models.len() as u64;
        tx.setxattr_path(b"/", STEP, &step.to_le_bytes(), Default::default(), Default::default()).unwrap();
        model.set_step(step);
        let durable = self.random.below(3) == 0;
        tx.commit(if durable { Durability::Durable } else { Durability::Visible }).unwrap();
        self.models.push(model);
        self.committed += operations;
        if durable {
            self.acknowledge();
        }
    }

    fn operation(&mut self, tx: &mut vexfs_fs::FsTx, model: &mut Model) {
        let op = Op::draw(model, &mut self.random);
        op.run(tx).unwrap_or_else(|error| panic!("{op:?}: {error}"));
        op.apply(model);
        self.count(&op.verb());
    }

    fn abort(&mut self) {
        let mut tx = self.fs.begin(&caller(), Isolation::Snapshot).unwrap();
        let mut model = self.models.last().unwrap().clone();
        (0..3).for_each(|_| self.operation(&mut tx, &mut model));
        tx.abort();
        self.count("abort");
    }

    /// Opens a file and takes one of its names, which most often is the only one.
    fn hold(&mut self) {
        let mut model = self.models.last().unwrap().clone();
        let files = model.paths().into_iter().filter(|(_, id)| matches!(model.kind(*id), Kind::File(_)));
        let Some((path, _)) = self.random.one_of(files.collect()) else { return };
        let view = self.fs.view(&caller()).unwrap();
        let ino = view.resolve(&path, Default::default()).unwrap();
        self.holds.push(self.fs.hold(ino, None).unwrap());
        let mut tx = self.fs.begin(&caller(), Isolation::Snapshot).unwrap();
        let step = self.models.len() as u64;
        tx.unlink_path(&path).unwrap();
        tx.setxattr_path(b"/", STEP, &step.to_le_bytes(), Default::default(), Default::default()).unwrap();
        tx.commit(Durability::Visible).unwrap();
        Op::Unlink(path).apply(&mut model);
        model.set_step(step);
        self.models.push(model);
        self.committed += 1;
        self.count("unlink while open");
    }

    /// Opens a crashed image, to read and to write, and checks the promise; returns which prefix it is.
    fn check(&self, state: &CrashState, image: &Image, thorough: bool) -> usize {
        let must = self.acknowledged.iter().rfind(|(position, _)| *position <= state.acknowledged).unwrap().1;
        let reader = Arc::new(SimDevice::from_image(image.clone()).read_only());
        let prefix =
            self.compare(&open(reader, Mode::Read).unwrap_or_else(|e| panic!("{state}: {e}")), state);
        assert!(
            prefix >= must,
            "{state}: transaction {must} had been acknowledged, {prefix} is what is there"
        );
        let memory = Arc::new(MemoryDevice::from_image(image.clone()));
        let fs = open(Arc::clone(&memory) as _, Mode::Write).unwrap_or_else(|e| panic!("{state}: {e}"));
        assert_eq!(self.compare(&fs, state), prefix, "{state}: a reader sees something else");
        assert_clean(image, &format!("{state}, before it is recovered"));
        if thorough {
            fs.sync().unwrap();
            assert_eq!(assert_clean(&memory.image(), &format!("{state}, recovered")), 0, "{state}: orphans");
            fs.close().unwrap();
            assert_clean(&memory.image(), &format!("{state}, recovered and closed"));
            let fs = open(memory, Mode::Read).unwrap();
            assert_eq!(self.compare(&fs, state), prefix, "{state}: closed and opened");
        }
        prefix
    }

    fn compare(&self, fs: &Fs, state: &CrashState) -> usize {
        let found = tree_of(&fs.view(&caller()).unwrap());
        let prefix = step_of(&found) as usize;
        if let Some(difference) = difference(&found, &self.models[prefix].tree()) {
            panic!("{state}: not what transaction {prefix} left: {difference}");
        }
        prefix
    }
}

/// How many orphans a volume has that nothing is wrong with.
fn assert_clean(image: &Image, what: &str) -> u64 {
    let device = Arc::new(SimDevice::from_image(image.clone()).read_only());
    let options = vexfs_check::Options { data: true, workers: Some(1), progress: None };
    let report = check(device, &options).unwrap();
    assert!(report.clean, "{what}: {:#?}", report.findings);
    report.totals.orphans
}

/// What no run may leave out.
const VERBS: [&str; 32] = [
    "Create",
    "Mkdir",
    "Symlink",
    "Link",
    "Unlink",
    "Rmdir",
    "Rmtree",
    "Replace",
    "NoReplace",
    "Exchange",
    "Write",
    "Append",
    "WriteAll",
    "Comb",
    "Truncate",
    "CutAndGrow",
    "Grow",
    "KeepSize",
    "Punch",
    "Zero",
    "ZeroKeepSize",
    "Collapse",
    "Insert",
    "Copy",
    "SetAttribute",
    "RemoveAttribute",
    "Chmod",
    "abort",
    "rollback",
    "unlink while open",
    "write without a name",
    "checkpoint",
];

#[test]
fn every_write_prefix_recovers_to_a_prefix_of_transactions() {
    let mut verbs = BTreeMap::new();
    for number in 1..=4 {
        let run = Run::new(seed(number)).go(200);
        let mut prefixes = Vec::new();
        for (at, (state, image)) in run.sim.trace().prefixes().enumerate() {
            prefixes.push(run.check(&state, &image, at % 8 == 0));
        }
        assert!(prefixes.is_sorted(), "a later crash never loses more");
        assert!(prefixes.len() > 150, "{} states", prefixes.len());
        verbs.extend(run.verbs);
    }
    // Another seed may leave something out.
    let usual = seed(0) == 0;
    assert_eq!(VERBS.iter().filter(|_| usual).find(|verb| !verbs.contains_key(**verb)), None, "never done");
}

#[test]
fn any_subset_of_unflushed_writes_recovers_to_a_prefix_of_transactions() {
    let run = Run::new(seed(10)).go(120);
    let trace = run.sim.trace();
    let sampling = Sampling { exhaustive: 3, samples: 5, seed: seed(11) };
    let tears = trace.tears(Sampling { samples: 1, ..sampling }).step_by(3);
    for (at, (state, image)) in trace.subsets(sampling).chain(tears).enumerate() {
        run.check(&state, &image, at % 8 == 0);
    }
}

/// Opening a volume for writing finishes what a crash left: that may be cut short too.
#[test]
fn recovery_and_the_removal_of_orphans_may_crash_at_each_of_their_writes() {
    let run = Run::new(seed(20)).go(150);
    let trace = run.sim.trace();
    let lossy = trace.subsets(Sampling { exhaustive: 0, samples: 1, seed: seed(22) });
    let states: Vec<_> = trace.prefixes().step_by(19).chain(lossy.step_by(7)).collect();
    for (state, image) in &states {
        let prefix = run.check(state, image, false);
        let again = Arc::new(SimDevice::from_image(image.clone()));
        let fs = open(Arc::clone(&again) as _, Mode::Write).unwrap();
        fs.store().checkpoint(Default::default()).unwrap();
        fs.close().unwrap();
        let trace = again.trace();
        let sampling = Sampling { exhaustive: 2, samples: 3, seed: seed(21) };
        for (second, image) in trace.prefixes().chain(trace.subsets(sampling)) {
            // Whatever this crash is, all that the first one left was durable.
            let second = CrashState { acknowledged: state.acknowledged, ..second };
            let found = run.check(&second, &image, false);
            assert_eq!(found, prefix, "{state}, then {second}");
        }
    }
}
