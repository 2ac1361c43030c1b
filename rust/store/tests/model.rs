//! A store beside a map: whatever is done to both, by several transactions at once, with savepoints, views that are
//! held, checkpoints, crashes and reopening, they answer alike, and exactly those commits conflict that must.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use vexfs_device::Image;
use vexfs_device::sim::{Sampling, SimDevice};
use vexfs_format::{Key, kinds};
use vexfs_store::{Durability, FormatOptions, Isolation, Merge, Options, Read, Savepoint, Store, Tx, View};

type Map = BTreeMap<u8, Vec<u8>>;

/// Keys below have short values, into which is merged.
const FIRST_LONG: u8 = 12;
/// Keys from here on are tokens, which have no value.
const FIRST_TOKEN: u8 = 40;

fn key(at: u8) -> Key {
    let kind = if at < FIRST_TOKEN { kinds::INODE } else { kinds::FIRST_VOLATILE };
    Key::new(100, kind, at.into())
}

/// A change that commutes: the sum of what is added, which begins with what somebody put there.
#[derive(Debug)]
struct Add(u8);

impl Merge for Add {
    fn apply(&self, current: Option<&[u8]>) -> Option<Vec<u8>> {
        let sum = current.and_then(|bytes| bytes.first()).map_or(0, |byte| *byte).wrapping_add(self.0);
        // So that merging deletes too.
        (!sum.is_multiple_of(16)).then(|| vec![sum; 1 + usize::from(sum % 60)])
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// The length of the value in tens of bytes: some are kept outside of the tree.
    Put(u8, u8, u16),
    Delete(u8),
    Add(u8, u8),
    Touch(u8),
    Observe(u8),
    Get(u8),
    Range(u8, u8, bool),
    Savepoint,
    RollBack(usize),
    Release(usize),
}

#[derive(Clone, Debug)]
enum Step {
    Begin(bool),
    On(usize, Op),
    Commit(usize, bool),
    Abort(usize),
    Hold,
    LetGo(usize),
    Sync,
    Checkpoint,
    Reopen,
    /// The power fails; which of the writes that nothing flushed are lost is drawn by this.
    Crash(usize),
}

#[derive(Clone, Debug)]
enum Write {
    Set(Option<Vec<u8>>),
    Add(Vec<u8>),
    Token,
}

/// An open transaction, and what it would do.
struct Open {
    tx: Tx,
    /// The map when it began, and how many commits there had been.
    base: Map,
    since: usize,
    serializable: bool,
    writes: BTreeMap<u8, Write>,
    read: Vec<(u8, u8)>,
    savepoints: Vec<(Savepoint, BTreeMap<u8, Write>)>,
}

fn add(value: Option<Vec<u8>>, byte: u8) -> Option<Vec<u8>> {
    Add(byte).apply(value.as_deref())
}

fn put(map: &mut Map, at: u8, value: Option<Vec<u8>>) {
    match value {
        Some(value) => drop(map.insert(at, value)),
        None => drop(map.remove(&at)),
    }
}

fn apply(map: &mut Map, writes: &BTreeMap<u8, Write>) {
    for (at, write) in writes {
        match write {
            Write::Set(value) => put(map, *at, value.clone()),
            Write::Add(bytes) => {
                let value = bytes.iter().fold(map.get(at).cloned(), |value, byte| add(value, *byte));
                put(map, *at, value);
            }
            Write::Token => {}
        }
    }
}

impl Open {
    fn sees(&self) -> Map {
        let mut map = self.base.clone();
        apply(&mut map, &self.writes);
        map
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Put(at, byte, tens) => {
                let tens = if at < FIRST_LONG { tens % 6 } else { tens };
                let value = vec![byte; usize::from(tens) * 10];
                self.tx.put(key(at), value.clone());
                self.writes.insert(at, Write::Set(Some(value)));
            }
            Op::Delete(at) => {
                self.tx.delete(key(at));
                self.writes.insert(at, Write::Set(None));
            }
            Op::Add(at, byte) => {
                self.tx.merge(key(at), Arc::new(Add(byte)));
                let write = match self.writes.remove(&at) {
                    Some(Write::Set(value)) => Write::Set(add(value, byte)),
                    Some(Write::Add(bytes)) => Write::Add([bytes, vec![byte]].concat()),
                    Some(Write::Token) | None => Write::Add(vec![byte]),
                };
                self.writes.insert(at, write);
            }
            Op::Touch(at) => {
                self.tx.touch(key(at));
                self.writes.entry(at).or_insert(Write::Token);
            }
            Op::Observe(at) => {
                self.tx.observe(key(at));
                // As a serializable transaction that reads it, whatever this one is.
                self.read.push((at, at));
            }
            Op::Get(at) => {
                let found = self.tx.get(key(at)).unwrap();
                assert_eq!(found.as_deref(), self.sees().get(&at).map(Vec::as_slice));
                self.has_read(at, at);
            }
            Op::Range(from, to, backwards) => {
                assert_eq!(items(&self.tx, from, to, backwards), expected(&self.sees(), from, to, backwards));
                self.has_read(from, to);
            }
            Op::Savepoint => self.savepoints.push((self.tx.savepoint(), self.writes.clone())),
            Op::RollBack(which) if !self.savepoints.is_empty() => {
                self.savepoints.truncate(which % self.savepoints.len() + 1);
                let (savepoint, writes) = self.savepoints.pop().unwrap();
                self.tx.rollback_to(savepoint);
                self.writes = writes;
            }
            Op::Release(which) if !self.savepoints.is_empty() => {
                self.savepoints.truncate(which % self.savepoints.len() + 1);
                self.tx.release(self.savepoints.pop().unwrap().0);
            }
            Op::RollBack(_) | Op::Release(_) => {}
        }
    }

    fn has_read(&mut self, from: u8, to: u8) {
        if self.serializable {
            self.read.push((from, to));
        }
    }

    /// Whether the commit of this one must be refused after these others.
    fn conflicts(&self, others: &[BTreeSet<u8>]) -> bool {
        let own = |at: &u8| self.writes.get(at).is_some_and(|write| !matches!(write, Write::Add(_)));
        let read = |at: &u8| self.read.iter().any(|(from, to)| (from..=to).contains(&at));
        others.iter().flatten().any(|at| own(at) || read(at))
    }
}

fn items(reader: &impl Read, from: u8, to: u8, backwards: bool) -> Vec<(u8, Vec<u8>)> {
    let range = match backwards {
        true => reader.range_rev(key(from), key(to)),
        false => reader.range(key(from), key(to)),
    };
    range.map(|item| item.unwrap()).map(|(key, value)| (key.offset as u8, value.to_vec())).collect()
}

fn expected(map: &Map, from: u8, to: u8, backwards: bool) -> Vec<(u8, Vec<u8>)> {
    let within = map.iter().filter(|(at, _)| (from..=to).contains(at));
    let mut list: Vec<_> = within.map(|(at, value)| (*at, value.clone())).collect();
    if backwards {
        list.reverse();
    }
    list
}

/// The store and the map, with all that is open.
struct Both {
    sim: Arc<SimDevice>,
    store: Store,
    /// The map after each commit, and which keys that commit wrote.
    states: Vec<Map>,
    written: Vec<BTreeSet<u8>>,
    /// How many commits are sure to survive a crash.
    durable: usize,
    open: Vec<Open>,
    views: Vec<(View, Map)>,
}

fn open(sim: &Arc<SimDevice>) -> Store {
    // No commit is so old that it cannot be validated.
    let options = Options { background: false, workers: Some(1), retain: 2, ..Options::default() };
    Store::open(Arc::clone(sim) as _, options).unwrap()
}

fn formatted() -> Image {
    let sim = Arc::new(SimDevice::new(4 << 20));
    Store::mkfs(Arc::clone(&sim) as _, &FormatOptions::default()).unwrap();
    sim.image()
}

impl Both {
    fn new() -> Self {
        let sim = Arc::new(SimDevice::from_image(formatted()));
        let store = open(&sim);
        let (states, written) = (vec![Map::new()], vec![BTreeSet::new()]);
        Self { sim, store, states, written, durable: 0, open: Vec::new(), views: Vec::new() }
    }

    fn last(&self) -> &Map {
        self.states.last().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Begin(serializable) if self.open.len() < 4 => self.begin(serializable),
            Step::On(which, ref op) if !self.open.is_empty() => {
                let which = which % self.open.len();
                self.open[which].run(op);
            }
            Step::Commit(which, durable) if !self.open.is_empty() => {
                let open = self.open.swap_remove(which % self.open.len());
                self.commit(open, durable);
            }
            Step::Abort(which) if !self.open.is_empty() => {
                self.open.swap_remove(which % self.open.len()).tx.abort();
            }
            Step::Hold => self.views.push((self.store.view(), self.last().clone())),
            Step::LetGo(which) if !self.views.is_empty() => {
                let (view, map) = self.views.swap_remove(which % self.views.len());
                assert_eq!(items(&view, 0, 255, false), expected(&map, 0, 255, false));
            }
            Step::Sync => {
                self.store.sync().unwrap();
                self.durable = self.states.len() - 1;
            }
            Step::Checkpoint => {
                while self.store.checkpoint(Default::default()).unwrap() {}
                self.durable = self.states.len() - 1;
            }
            Step::Reopen => {
                self.let_go();
                self.store.close().unwrap();
                self.store = open(&self.sim);
                self.durable = self.states.len() - 1;
            }
            Step::Crash(which) => self.crash(which),
            _ => {}
        }
        assert_eq!(items(&self.store.view(), 0, 255, false), expected(self.last(), 0, 255, false));
    }

    fn begin(&mut self, serializable: bool) {
        let isolation = if serializable { Isolation::Serializable } else { Isolation::Snapshot };
        self.open.push(Open {
            tx: self.store.begin(isolation).unwrap(),
            base: self.last().clone(),
            since: self.states.len(),
            serializable,
            writes: BTreeMap::new(),
            read: Vec::new(),
            savepoints: Vec::new(),
        });
    }

    fn commit(&mut self, open: Open, durable: bool) {
        let Open { since, ref writes, .. } = open;
        let changes = writes.values().any(|write| !matches!(write, Write::Token));
        let conflicts = changes && open.conflicts(&self.written[since..]);
        let writes = writes.clone();
        let result = open.tx.commit(if durable { Durability::Durable } else { Durability::Visible });
        if conflicts {
            assert_eq!(result.unwrap_err().code(), "conflict");
            return;
        }
        result.unwrap();
        if changes {
            let mut map = self.last().clone();
            apply(&mut map, &writes);
            self.states.push(map);
            self.written.push(writes.into_keys().collect());
            if durable {
                self.durable = self.states.len() - 1;
            }
        }
    }

    fn let_go(&mut self) {
        self.open.clear();
        for (view, map) in self.views.drain(..) {
            assert_eq!(items(&view, 0, 255, true), expected(&map, 0, 255, true));
        }
    }

    fn crash(&mut self, which: usize) {
        self.let_go();
        let trace = self.sim.trace();
        let sampling = Sampling { exhaustive: 3, samples: 8, seed: which as u64 };
        let states = trace.subsets(sampling).filter(|(state, _)| state.acknowledged == trace.events().len());
        let states: Vec<_> = states.map(|(_, image)| image).collect();
        let image = states[which % states.len()].clone();
        self.sim = Arc::new(SimDevice::from_image(image));
        std::mem::forget(std::mem::replace(&mut self.store, open(&self.sim)));
        let found: Map = items(&self.store.view(), 0, 255, false).into_iter().collect();
        let survived = (self.durable..self.states.len()).rev().find(|at| self.states[*at] == found);
        let survived = survived.expect("a prefix of the commits with all that was durable");
        self.states.truncate(survived + 1);
        self.written.truncate(survived + 1);
        self.durable = survived;
    }
}

fn op() -> impl Strategy<Value = Op> {
    let at = || 0..FIRST_TOKEN;
    let key_or_token = || prop_oneof![4 => 0..FIRST_TOKEN, 1 => FIRST_TOKEN..FIRST_TOKEN + 4];
    let tens = prop_oneof![9 => 0..20_u16, 1 => 200..400_u16];
    prop_oneof![
        6 => (at(), any::<u8>(), tens).prop_map(|(at, byte, tens)| Op::Put(at, byte, tens)),
        2 => at().prop_map(Op::Delete),
        3 => (0..FIRST_LONG, any::<u8>()).prop_map(|(at, byte)| Op::Add(at, byte)),
        1 => (FIRST_TOKEN..FIRST_TOKEN + 4).prop_map(Op::Touch),
        1 => key_or_token().prop_map(Op::Observe),
        2 => at().prop_map(Op::Get),
        2 => (at(), at(), any::<bool>()).prop_map(|(a, b, backwards)| Op::Range(a.min(b), a.max(b), backwards)),
        1 => Just(Op::Savepoint),
        1 => any::<usize>().prop_map(Op::RollBack),
        1 => any::<usize>().prop_map(Op::Release),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<bool>().prop_map(Step::Begin),
        24 => (any::<usize>(), op()).prop_map(|(which, op)| Step::On(which, op)),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, durable)| Step::Commit(which, durable)),
        1 => any::<usize>().prop_map(Step::Abort),
        1 => Just(Step::Hold),
        1 => any::<usize>().prop_map(Step::LetGo),
        1 => Just(Step::Sync),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => any::<usize>().prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_and_a_map_agree(steps in prop::collection::vec(step(), 1..150)) {
        let mut both = Both::new();
        steps.iter().for_each(|step| both.step(step));
    }
}
