//! A run: what recovery found in the log, as an immutable sorted memtable whose values stay in the mapped log.
//!
//! Invariant: entries are sorted by key, those of a key by log position; the last of them counts, because the log is
//! in commit order.

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::redo::{Op, OpHeader};
use vexfs_format::{BlockNo, Key, Lsn};
use vexfs_journal::LogMap;

use crate::carried::Carried;
use crate::entries::{Entry, Sorted};
use crate::merge::Direction;
use crate::{Error, Result, Value};

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Run {
    entries: Sorted,
    log: LogMap,
    carried: Carried,
}

impl Run {
    pub(crate) fn new(entries: Sorted, log: LogMap, carried: Carried) -> Self {
        Self { entries, log, carried }
    }

    /// What the run knows of `key`.
    pub(crate) fn get(self: &Arc<Self>, key: Key) -> Result<Option<Option<Value>>> {
        let last = Entry::last_of(key);
        let behind = self.entries.partition_point(|entry| *entry <= last);
        match behind.checked_sub(1).and_then(|index| self.entries.get(index)) {
            Some(entry) if entry.has_key_of(&last) => Ok(Some(self.value(entry)?)),
            _ => Ok(None),
        }
    }

    /// The items of a range.
    pub(crate) fn items(
        self: &Arc<Self>,
        (from, to): (Key, Key),
        direction: Direction,
    ) -> impl Iterator<Item = Result<(Key, Option<Value>)>> + Send + 'static {
        let (from, to) = (Entry::first_of(from), Entry::last_of(to));
        let start = self.entries.partition_point(|entry| *entry < from);
        let end = self.entries.partition_point(|entry| *entry <= to).max(start);
        let run = Arc::clone(self);
        let mut indices = start..end;
        std::iter::from_fn(move || {
            let counts = |index: &usize| run.last_of_its_key(*index).is_some();
            let index = match direction {
                Direction::Ascending => indices.find(counts),
                Direction::Descending => indices.rfind(counts),
            }?;
            let entry = run.entries.get(index)?;
            Some(run.value(entry).map(|value| (entry.key(), value)))
        })
    }

    /// Every key with its last version, in key order: what the first checkpoint merges.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Result<(Key, Option<&[u8]>)>> + '_ {
        let entries = (0..self.entries.len()).filter_map(|index| self.last_of_its_key(index));
        entries.map(|entry| Ok((entry.key(), self.op(entry)?.value)))
    }

    /// The entry, if it counts.
    fn last_of_its_key(&self, index: usize) -> Option<&Entry> {
        let entry = self.entries.get(index)?;
        let next = self.entries.get(index + 1);
        next.is_none_or(|next| !next.has_key_of(entry)).then_some(entry)
    }

    /// Whether it carries blocks.
    pub(crate) fn carries(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Reads blocks of `device` as they are after this run.
    pub(crate) fn read_blocks(&self, device: &dyn Device, start: BlockNo, into: &mut [u8]) -> Result<()> {
        self.carried.read(&self.log, device, start, into)
    }

    /// Writes the blocks that it carries to their place on `device`. Does not flush.
    pub(crate) fn put_back(&self, device: &dyn Device) -> Result<()> {
        self.carried.put_back(&self.log, device)
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
