//! A view: a consistent moment of the whole volume that stays readable while others write.

use std::sync::Arc;

use vexfs_format::{Key, Seq};
use vexfs_tree::Root;

use crate::merge::{Direction, Layer, Merge};
use crate::moment;
use crate::options::Mode;
use crate::read::{Items, Read};
use crate::readers::Slot;
use crate::state::State;
use crate::store::Inner;
use crate::{Result, Value};

/// See the head of the file. Blocks that it can reach are not reused before it is dropped.
#[derive(Debug)]
pub struct View {
    pub(crate) inner: Arc<Inner>,
    state: Arc<State>,
    seq: Seq,
    /// `None` once nobody reads it any more.
    slot: Option<Slot>,
}

impl View {
    pub(crate) fn take(inner: &Arc<Inner>) -> Self {
        let (state, seq, slot) = moment::take(&inner.readers, || inner.state.load_full(), || inner.visible());
        Self { inner: Arc::clone(inner), state, seq, slot: Some(slot) }
    }

    /// Holds nothing back any more: for whoever will not read again and waits for room, which it may hold itself.
    pub(crate) fn let_go(&mut self) {
        self.state = Arc::new(State { active: Arc::default(), frozen: None, root: Root::empty() });
        self.slot = None;
    }

    pub(crate) fn layers(&self, from: Key, to: Key, direction: Direction) -> Vec<Layer<'static>> {
        self.state.layers(&self.inner, (from, to), self.seq, direction)
    }

    fn items(&self, from: Key, to: Key, direction: Direction) -> Items<'_> {
        let merge = match Merge::new(self.layers(from, to, direction), direction) {
            Ok(merge) => merge,
            Err(error) => return Box::new(std::iter::once(Err(self.inner.explain(self.seq, error)))),
        };
        match self.inner.options.mode {
            Mode::Beside => {
                Box::new(merge.map(|item| item.map_err(|error| self.inner.explain(self.seq, error))))
            }
            Mode::Write | Mode::Read => Box::new(merge),
        }
    }
}

impl Read for View {
    fn get(&self, key: Key) -> Result<Option<Value>> {
        self.state.get(&self.inner, key, self.seq).map_err(|error| self.inner.explain(self.seq, error))
    }

    fn range(&self, from: Key, to: Key) -> Items<'_> {
        self.items(from, to, Direction::Ascending)
    }

    fn range_rev(&self, from: Key, to: Key) -> Items<'_> {
        self.items(from, to, Direction::Descending)
    }

    fn seq(&self) -> Seq {
        self.seq
    }
}
