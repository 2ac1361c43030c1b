//! Readers beside commits and checkpoints, under every interleaving.

use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Arc as Shared;
use loom::thread;

use super::*;
use crate::sync::AtomicU64;

/// What a memtable holds. Its own locks are not what is looked at: no thread is interrupted while it has this one.
type Table = Arc<Mutex<Vec<u64>>>;

/// A state, as far as it matters here.
struct Layers {
    active: Table,
    frozen: Option<Table>,
    /// Everything up to this sequence is in the tree.
    merged: u64,
}

/// A store without keys: sequences come into memtables, and go from there into the tree.
struct Model {
    readers: Readers,
    /// The number of the present state.
    state: AtomicU64,
    visible: AtomicU64,
    /// Every state there ever was.
    states: Mutex<Vec<Arc<Layers>>>,
    commits: loom::sync::Mutex<u64>,
    /// The sequences that were commits.
    committed: Mutex<Vec<u64>>,
    /// Up to which state the blocks of the trees are used again.
    reused: Mutex<usize>,
}

impl Model {
    fn new() -> Shared<Self> {
        let first = Layers { active: Table::default(), frozen: None, merged: 1 };
        Shared::new(Self {
            readers: Readers::default(),
            state: AtomicU64::new(0),
            visible: AtomicU64::new(1),
            states: Mutex::new(vec![Arc::new(first)]),
            commits: loom::sync::Mutex::new(1),
            committed: Mutex::default(),
            reused: Mutex::default(),
        })
    }

    fn load(&self) -> Arc<Layers> {
        let number = self.state.load(SeqCst) as usize;
        Arc::clone(&self.states.lock().unwrap()[number])
    }

    fn swap(&self, state: Layers) {
        let mut states = self.states.lock().unwrap();
        states.push(Arc::new(state));
        let number = states.len() as u64 - 1;
        drop(states);
        self.state.store(number, SeqCst);
    }

    /// As `commit::place`.
    fn commit(&self) {
        let mut last = self.commits.lock().unwrap();
        *last += 1;
        self.committed.lock().unwrap().push(*last);
        self.load().active.lock().unwrap().push(*last);
        self.visible.store(*last, SeqCst);
    }

    /// As `Inner::freeze`.
    fn freeze(&self) -> u64 {
        let mut last = self.commits.lock().unwrap();
        *last += 1;
        let state = self.load();
        let frozen = Some(Arc::clone(&state.active));
        self.swap(Layers { active: Table::default(), frozen, merged: state.merged });
        self.visible.store(*last, SeqCst);
        *last
    }

    /// As `Inner::adopt`: the sequence from which on the new tree is read.
    fn adopt(&self, merged: u64) -> u64 {
        let mut last = self.commits.lock().unwrap();
        *last += 1;
        let active = Arc::clone(&self.load().active);
        self.swap(Layers { active, frozen: None, merged });
        self.visible.store(*last, SeqCst);
        *last
    }

    /// A whole checkpoint. As `Inner::reclaim`, it uses the blocks of the old tree again if nobody reads it.
    fn checkpoint(&self) {
        let seq = self.freeze();
        let gate = self.adopt(seq);
        if self.readers.oldest().is_none_or(|oldest| oldest.0 >= gate) {
            *self.reused.lock().unwrap() = self.states.lock().unwrap().len() - 1;
        }
    }

    /// Takes a view as everybody does, and looks at all that it promises.
    fn read(&self) {
        let (state, seq, slot) = take(&self.readers, || self.load(), || Seq(self.visible.load(SeqCst)));
        assert!(state.merged <= seq.0, "the tree holds what is newer than the view");
        let tables = [Some(&state.active), state.frozen.as_ref()];
        let in_memory: Vec<u64> =
            tables.into_iter().flatten().flat_map(|table| table.lock().unwrap().clone()).collect();
        let committed = self.committed.lock().unwrap().clone();
        for commit in committed.into_iter().filter(|commit| *commit <= seq.0) {
            assert!(commit <= state.merged || in_memory.contains(&commit), "{commit} is missing at {seq:?}");
        }
        thread::yield_now();
        let number = self.states.lock().unwrap().iter().position(|other| Arc::ptr_eq(other, &state)).unwrap();
        let merged_of = |number: usize| self.states.lock().unwrap()[number].merged;
        let reused = *self.reused.lock().unwrap();
        assert!(reused <= number || merged_of(reused) == state.merged, "the tree is used for something else");
        drop(slot);
    }
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn spawn(model: &Shared<Model>, work: impl FnOnce(&Model) + Send + 'static) -> thread::JoinHandle<()> {
    let model = Shared::clone(model);
    thread::spawn(move || work(&model))
}

#[test]
fn loom_a_view_has_all_that_was_committed_by_its_sequence_and_nothing_newer() {
    model(|| {
        let model = Model::new();
        let committer = spawn(&model, |model| (0..2).for_each(|_| model.commit()));
        let checkpointer = spawn(&model, |model| {
            model.adopt(model.freeze());
        });
        model.read();
        committer.join().unwrap();
        checkpointer.join().unwrap();
        model.read();
    });
}

#[test]
fn loom_no_tree_is_used_again_while_somebody_reads_it() {
    model(|| {
        let model = Model::new();
        // The second needs a further page of the registry.
        let reader = spawn(&model, Model::read);
        let checkpointer = spawn(&model, Model::checkpoint);
        model.read();
        reader.join().unwrap();
        checkpointer.join().unwrap();
        assert_eq!(model.readers.oldest(), None);
    });
}
