//! A run: what recovery found in the log, as an immutable sorted memtable whose values stay in the mapped log.
//!
//! Invariant: entries are sorted by key and there is one a key, the last written. An entry is 24 bytes: the key
//! and where its operation begins in the map, which also orders versions, because the log is in commit order.

use std::sync::Arc;

use rayon::prelude::*;
use vexfs_format::redo::{Op, OpHeader};
use vexfs_format::{Key, Lsn};
use vexfs_journal::LogMap;

use crate::merge::Direction;
use crate::{Error, Result, Value};

/// A key and where the operation on it begins: 56 bits of log position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    object: u64,
    /// The kind in the upper 8 bits, the position in the lower 56.
    kind_position: u64,
    offset: u64,
}

const POSITION_BITS: u32 = 56;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

impl Entry {
    pub(crate) fn new(key: Key, position: Lsn) -> Self {
        let kind_position = u64::from(key.kind) << POSITION_BITS | position.0 & POSITION_MASK;
        Self { object: key.object, kind_position, offset: key.offset }
    }

    fn key(&self) -> Key {
        Key::new(self.object, (self.kind_position >> POSITION_BITS) as u8, self.offset)
    }

    pub(crate) fn position(&self) -> Lsn {
        Lsn(self.kind_position & POSITION_MASK)
    }

    fn order(&self) -> (u64, u8, u64, Lsn) {
        (self.object, (self.kind_position >> POSITION_BITS) as u8, self.offset, self.position())
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Run {
    entries: Vec<Entry>,
    log: LogMap,
}

impl Run {
    /// Sorts the entries (in parallel, on the pool that this runs in) and keeps the last of each key.
    pub(crate) fn new(mut entries: Vec<Entry>, log: LogMap) -> Self {
        entries.par_sort_unstable_by_key(Entry::order);
        keep_last(&mut entries);
        Self { entries, log }
    }

    /// What the run knows of `key`.
    pub(crate) fn get(self: &Arc<Self>, key: Key) -> Result<Option<Option<Value>>> {
        let index = self.entries.partition_point(|entry| entry.key() < key);
        match self.entries.get(index) {
            Some(entry) if entry.key() == key => Ok(Some(self.value(entry)?)),
            _ => Ok(None),
        }
    }

    /// The items of a range.
    pub(crate) fn items(
        self: &Arc<Self>,
        (from, to): (Key, Key),
        direction: Direction,
    ) -> impl Iterator<Item = Result<(Key, Option<Value>)>> + Send + 'static {
        let start = self.entries.partition_point(|entry| entry.key() < from);
        let end = self.entries.partition_point(|entry| entry.key() <= to).max(start);
        let run = Arc::clone(self);
        let mut indices = start..end;
        std::iter::from_fn(move || {
            let index = match direction {
                Direction::Ascending => indices.next(),
                Direction::Descending => indices.next_back(),
            }?;
            let entry = run.entries.get(index)?;
            Some(run.value(entry).map(|value| (entry.key(), value)))
        })
    }

    /// Every key with its last version, in key order: what the first checkpoint merges.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Result<(Key, Option<&[u8]>)>> + '_ {
        self.entries.iter().map(|entry| Ok((entry.key(), self.op(entry)?.value)))
    }

    /// Bytes of the log.
    pub(crate) fn bytes(&self, start: Lsn, len: usize) -> &[u8] {
        self.log.bytes(start, len as u64).unwrap_or_default()
    }

    fn op(&self, entry: &Entry) -> Result<Op<'_>> {
        let op = self.log.op(entry.position())?;
        // A mapped page that cannot be read shows as zeros, and says so afterwards.
        self.log.map().check()?;
        match op.key == entry.key() {
            true => Ok(op),
            false => Err(Error::Corrupt { what: format!("journal record of {:?}", entry.key()) }),
        }
    }

    fn value(self: &Arc<Self>, entry: &Entry) -> Result<Option<Value>> {
        let start = Lsn(entry.position().0.saturating_add(size_of::<OpHeader>() as u64));
        Ok(self.op(entry)?.value.map(|bytes| Value::in_log(Arc::clone(self), start, bytes.len())))
    }
}

/// Of neighbours with the same key keeps the last.
fn keep_last(entries: &mut Vec<Entry>) {
    let mut kept = 0;
    for index in 0..entries.len() {
        let Some(&entry) = entries.get(index) else { break };
        let same = kept > 0 && entries.get(kept - 1).is_some_and(|last| last.key() == entry.key());
        let place = if same { kept - 1 } else { kept };
        if let Some(slot) = entries.get_mut(place) {
            *slot = entry;
        }
        kept = place + 1;
    }
    entries.truncate(kept);
}
