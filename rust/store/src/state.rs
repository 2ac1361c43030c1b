//! One moment's layers: the active memtable, what a checkpoint is merging, and the tree below.
//!
//! Invariant: whatever was committed up to the sequence at which a state was published is in its layers, and the
//! tree holds nothing newer than that. A state never changes; a new one replaces it (freeze, checkpoint done).

use std::sync::Arc;

use vexfs_format::{Key, Seq};
use vexfs_tree::Root;

use crate::memtable::{Memtable, Version};
use crate::merge::{Direction, Layer};
use crate::run::Run;
use crate::store::Inner;
use crate::{Result, Value};

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct State {
    pub active: Arc<Memtable>,
    pub frozen: Option<Frozen>,
    pub root: Root,
}

/// What a checkpoint merges: it no longer changes.
#[derive(Clone, Debug)]
pub(crate) enum Frozen {
    /// A memtable that was swapped out.
    Memtable(Arc<Memtable>),
    /// What recovery found in the log.
    Run(Arc<Run>),
}

impl Frozen {
    fn get(&self, key: Key, seq: Seq) -> Result<Option<Option<Value>>> {
        match self {
            Self::Memtable(table) => Ok(table.get(key, seq).map(|version| version.map(Value::from))),
            Self::Run(run) => run.get(key),
        }
    }

    fn layer(&self, range: (Key, Key), seq: Seq, direction: Direction) -> Layer<'static> {
        match self {
            Self::Memtable(table) => Box::new(Items::new(table, range, seq, direction)),
            Self::Run(run) => Box::new(run.items(range, direction)),
        }
    }
}

impl State {
    /// The value of `key` for a reader at `seq`.
    pub(crate) fn get(&self, inner: &Inner, key: Key, seq: Seq) -> Result<Option<Value>> {
        if let Some(version) = self.active.get(key, seq) {
            return Ok(version.map(Value::from));
        }
        if let Some(frozen) = &self.frozen
            && let Some(known) = frozen.get(key, seq)?
        {
            return Ok(known);
        }
        Ok(inner.tree.get(&self.root, key)?.map(Value::from))
    }

    /// The layers' items in the range, uppermost first.
    pub(crate) fn layers(
        &self,
        inner: &Inner,
        range: (Key, Key),
        seq: Seq,
        direction: Direction,
    ) -> Vec<Layer<'static>> {
        let mut layers: Vec<Layer<'static>> = vec![Box::new(Items::new(&self.active, range, seq, direction))];
        layers.extend(self.frozen.as_ref().map(|frozen| frozen.layer(range, seq, direction)));
        let known = |item: vexfs_tree::Result<(Key, vexfs_tree::Value)>| {
            item.map(|(key, value)| (key, Some(Value::from(value)))).map_err(Into::into)
        };
        let tree = inner.tree.range(&self.root, range.0, range.1);
        layers.push(match direction {
            Direction::Ascending => Box::new(tree.map(known)),
            Direction::Descending => Box::new(tree.rev().map(known)),
        });
        layers
    }
}

/// A memtable's items in a range, read a batch at a time so that no position in the memtable is held between
/// calls.
struct Items {
    table: Arc<Memtable>,
    left: Option<(Key, Key)>,
    seq: Seq,
    direction: Direction,
    batch: std::vec::IntoIter<(Key, Version)>,
    batch_len: usize,
}

/// The first batch is small, because most ranges hold an item or two; later ones grow to this.
const FIRST_BATCH: usize = 4;
const LAST_BATCH: usize = 256;

impl Items {
    fn new(table: &Arc<Memtable>, (from, to): (Key, Key), seq: Seq, direction: Direction) -> Self {
        Self {
            table: Arc::clone(table),
            left: (from <= to && table.bytes() > 0).then_some((from, to)),
            seq,
            direction,
            batch: Vec::new().into_iter(),
            batch_len: FIRST_BATCH,
        }
    }

    fn refill(&mut self) {
        let Some((from, to)) = self.left.take() else { return };
        let batch = match self.direction {
            Direction::Ascending => self.table.ascending(from, to, self.seq, self.batch_len),
            Direction::Descending => self.table.descending(from, to, self.seq, self.batch_len),
        };
        if batch.len() == self.batch_len
            && let Some((last, _)) = batch.last()
        {
            self.left = match self.direction {
                Direction::Ascending => last.successor().map(|from| (from, to)),
                Direction::Descending => last.predecessor().map(|to| (from, to)),
            }
            .filter(|(from, to)| from <= to);
        }
        self.batch = batch.into_iter();
        self.batch_len = (self.batch_len * 8).min(LAST_BATCH);
    }
}

impl Iterator for Items {
    type Item = Result<(Key, Option<Value>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0 {
            self.refill();
        }
        self.batch.next().map(|(key, version)| Ok((key, version.map(Value::from))))
    }
}
