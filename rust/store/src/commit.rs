//! Commit: admission, validation, and the one critical section in which a transaction gets its place.
//!
//! Inside the lock: validate, take a sequence, apply merges, queue the redo record, insert into the memtable,
//! publish. So sequence, log order and visibility agree. The tree is never read there, and nobody waits there.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use vexfs_format::redo::{FreeRun, RecordBuilder, SetRun};
use vexfs_format::{BlockRun, Key, Seq};
use vexfs_journal::{Class, Data, Ticket};

use crate::admission::{Growth, Room};
use crate::carried;
use crate::memtable::{Freed, Memtable, Version};
use crate::read::Read;
use crate::state::State;
use crate::store::{Inner, Writer};
use crate::tx::{Durability, Isolation, Tx};
use crate::writes::{Merge, Write, WriteSet, merged};
use crate::{Error, Result, Value};

/// What the commit lock guards.
#[derive(Debug)]
pub(crate) struct Commits {
    last: Seq,
    /// Memtables that are frozen or merged already, oldest first: an open transaction may predate them.
    past: VecDeque<Arc<Memtable>>,
    /// What happened before this is no longer known: older transactions cannot be validated.
    forgotten: Seq,
    /// What the memtable that is being merged may still need.
    pub frozen_growth: Growth,
    /// What the active memtable will need.
    pub active_growth: Growth,
    /// Free units that data may not break.
    pub floor: u64,
}

/// Why a commit did not succeed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nothing has happened.
    Undone(Error),
    /// It is in the log or not: the next open decides.
    Failed(Error),
}

impl Refused {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Undone(error) | Self::Failed(error) => error,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Undone(error)
    }
}

impl Commits {
    pub(crate) fn new(last: Seq) -> Self {
        Self {
            last,
            past: VecDeque::new(),
            forgotten: Seq(0),
            frozen_growth: Growth::default(),
            active_growth: Growth::default(),
            floor: 0,
        }
    }

    /// Takes the next place in the order.
    pub(crate) fn next_seq(&mut self) -> Seq {
        self.last = Seq(self.last.0.saturating_add(1));
        self.last
    }

    /// Keeps a memtable that was swapped out for as long as an open transaction may need it for validation, and
    /// within `budget` bytes.
    pub(crate) fn keep_for_validation(
        &mut self,
        table: Arc<Memtable>,
        oldest_writer: Option<Seq>,
        budget: u64,
    ) {
        self.past.push_back(table);
        while self.past.front().is_some_and(|table| oldest_writer.is_none_or(|seq| table.last() <= seq)) {
            self.past.pop_front();
        }
        while self.past.len() > 1 && self.past.iter().map(|table| table.bytes()).sum::<u64>() > budget {
            if let Some(table) = self.past.pop_front() {
                self.forgotten = table.last();
            }
        }
    }

    /// The memtables that hold anything newer than `seq`, newest first.
    fn newer_than<'a>(&'a self, seq: Seq, state: &'a State) -> impl Iterator<Item = &'a Arc<Memtable>> {
        std::iter::once(&state.active).chain(self.past.iter().rev()).filter(move |table| table.last() > seq)
    }

    /// Fails if somebody else has changed what the transaction wrote, observed or (serializable) read.
    fn validate(&self, state: &State, tx: &Tx) -> Result<()> {
        let seq = tx.view.seq();
        if seq < self.forgotten {
            return Err(Error::TooOld);
        }
        let ranges = tx.reads.lock();
        for table in self.newer_than(seq, state) {
            let changed = |key: &Key| table.newest(*key).is_some_and(|newest| newest > seq);
            let written = tx.writes.keys.iter().filter(|(_, write)| !matches!(write, Write::Merge(_)));
            let conflict = written.map(|(key, _)| key).any(changed)
                || tx.observed.iter().any(changed)
                || tx.isolation == Isolation::Serializable
                    && ranges.iter().any(|(from, to)| table.changed_in(*from, *to, seq));
            if conflict {
                return Err(Error::Conflict);
            }
        }
        Ok(())
    }

    /// The newest committed version of `key`, if it is newer than `seq`.
    fn newest(&self, key: Key, seq: Seq, state: &State) -> Option<Version> {
        self.newer_than(seq, state).find_map(|table| {
            table.newest(key).filter(|newest| *newest > seq).and_then(|_| table.get(key, Seq(u64::MAX)))
        })
    }
}

/// A key with the changes to merge into it, and what the transaction's view says it holds.
type MergeOf = (Key, Vec<Arc<dyn Merge>>, Option<Value>);

/// What can be made ready before the lock.
struct Prepared {
    record: RecordBuilder,
    merges: Vec<MergeOf>,
    space: SpaceOutcome,
    growth: Growth,
    record_bytes: u64,
}

/// Room for a merged value beyond what stood there before.
const MERGE_SLACK: u64 = 256;

impl Prepared {
    fn new(inner: &Inner, tx: &Tx, carries: bool) -> Result<Self> {
        let writes = &tx.writes;
        let mut record = RecordBuilder::with_capacity(writes.value_bytes() + writes.keys.len() * 24);
        let mut merges = Vec::new();
        let mut growth = Growth::default();
        let mut merge_bytes = 0;
        for (key, write) in &writes.keys {
            match write {
                Write::Put(bytes) => {
                    record.put(*key, bytes);
                    growth.add(bytes.len() as u64);
                }
                Write::Delete => {
                    record.delete(*key);
                    growth.add(0);
                }
                Write::Merge(changes) => {
                    let base = tx.view.get(*key)?;
                    let room = base.as_ref().map_or(0, |value| value.len() as u64) + MERGE_SLACK;
                    growth.add(room);
                    merge_bytes += room;
                    merges.push((*key, changes.to_vec(), base));
                }
                Write::Token => {}
            }
        }
        let space = add_space(inner, &mut record, writes, carries)?;
        growth.add_frees(space.frees.len());
        let record_bytes = record.encoded_len() as u64 + merge_bytes;
        Ok(Self { record, merges, space, growth, record_bytes })
    }
}

impl Prepared {
    /// Keeps copies of what it needs of the view's values, so that what they lie in can be given up.
    fn let_go(&mut self) {
        for (_, _, base) in &mut self.merges {
            *base = base.take().map(|value| Value::from(Arc::<[u8]>::from(&*value)));
        }
    }
}

/// What the transaction does to blocks.
#[derive(Default)]
struct SpaceOutcome {
    sets: Vec<BlockRun>,
    frees: Vec<(BlockRun, Seq)>,
    /// Taken and given up again in this same transaction: nobody will ever know of them.
    returned: Vec<BlockRun>,
    /// What the record names and does not carry.
    data: Data,
}

/// Puts runs and inode numbers into the record. A run that was placed and freed whole by this transaction does
/// not count; one freed in part is logged as taken and as freed.
fn add_space(
    inner: &Inner,
    record: &mut RecordBuilder,
    writes: &WriteSet,
    carries: bool,
) -> Result<SpaceOutcome> {
    let freed: HashSet<BlockRun> = match writes.placed.is_empty() {
        true => HashSet::new(),
        false => writes.freed.iter().map(|(run, _)| *run).collect(),
    };
    let mut outcome = SpaceOutcome { sets: Vec::with_capacity(writes.placed.len()), ..Default::default() };
    for placed in &writes.placed {
        if freed.contains(&placed.run) {
            outcome.returned.push(placed.run);
            continue;
        }
        outcome.sets.push(placed.run);
        match placed.digest {
            Some(crc) if carries => {
                record.carry(placed.run, crc, &carried::written(&*inner.device, placed.run, crc)?);
            }
            crc => {
                record.set(SetRun { run: placed.run, crc });
                outcome.data.bytes += if crc.is_some() { placed.run.bytes() } else { 0 };
            }
        }
    }
    let gone: HashSet<BlockRun> = outcome.returned.iter().copied().collect();
    outcome.frees = writes.freed.iter().filter(|(run, _)| !gone.contains(run)).copied().collect();
    for (run, birth) in &outcome.frees {
        record.free(FreeRun { run: *run, birth: *birth });
    }
    writes.inodes_taken.iter().for_each(|ino| record.set_inode(*ino));
    writes.inodes_freed.iter().for_each(|ino| record.free_inode(*ino));
    Ok(outcome)
}

/// Commits `tx`; see [`Tx::commit`].
pub(crate) fn commit(inner: &Arc<Inner>, tx: &mut Tx, durability: Durability) -> Result<Seq, Refused> {
    let writer = inner.writer()?;
    if tx.writes.is_empty() {
        return Ok(tx.view.seq());
    }
    let started = Instant::now();
    tx.settle()?;
    tx.writes.sort();
    let limit = writer.log.max_record();
    let carries = carried::carries(tx, durability, &writer.log);
    let mut prepared = Prepared::new(inner, tx, carries)?;
    if carries && prepared.record_bytes > limit {
        prepared = Prepared::new(inner, tx, false)?;
    }
    if prepared.record_bytes > limit {
        return Err(Error::TooLarge { bytes: prepared.record_bytes, limit }.into());
    }
    let mut attempts = 0;
    let (seq, ticket) = loop {
        inner.check_writable()?;
        match place(inner, writer, tx, &mut prepared) {
            Ok(placed) => break placed,
            Err(Stop::NoRoom(room)) => {
                tx.view.let_go();
                prepared.let_go();
                inner.make_room(room, attempts)?;
            }
            Err(Stop::Refused(refused)) => return Err(refused),
        }
        attempts += 1;
    };
    for run in std::mem::take(&mut prepared.space.returned) {
        inner.unreserve(run);
    }
    let durable = match durability {
        Durability::Durable => writer.log.wait(ticket),
        Durability::Visible => writer.log.relieve(),
    };
    durable.map_err(|error| Refused::Failed(inner.fail(&error)))?;
    inner.stats.commit(durability, started.elapsed());
    Ok(seq)
}

enum Stop {
    NoRoom(Room),
    Refused(Refused),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(Refused::Undone(error))
    }
}

/// The critical section.
fn place(
    inner: &Inner,
    writer: &Writer,
    tx: &mut Tx,
    prepared: &mut Prepared,
) -> Result<(Seq, Ticket), Stop> {
    let class = if tx.removal { Class::Maintenance } else { Class::Ordinary };
    let reservation =
        writer.log.reserve(prepared.record_bytes, class).map_err(|error| Stop::from_reserve(inner, error))?;
    let mut commits = writer.commits.lock();
    inner.check_writable()?;
    let state = inner.state.load();
    commits.validate(&state, tx)?;
    inner.admit(writer, &mut commits, &state, prepared.growth, tx.removal).map_err(Stop::NoRoom)?;

    let since = tx.view.seq();
    let mut record = std::mem::take(&mut prepared.record);
    let mut outcomes = Vec::with_capacity(prepared.merges.len());
    for (key, changes, base) in &prepared.merges {
        let newest = commits.newest(*key, since, &state);
        let current = newest.as_ref().map_or(base.as_deref(), |version| version.as_deref());
        let outcome = merged(changes, current);
        match &outcome {
            Some(bytes) => record.put(*key, bytes),
            None => record.delete(*key),
        }
        outcomes.push((*key, outcome));
    }
    if record.encoded_len() as u64 > prepared.record_bytes {
        // Somebody has put a much longer value since, for which no room was asked.
        return Err(Error::Conflict.into());
    }
    let seq = commits.next_seq();
    let done = &prepared.space;
    let ticket = writer.log.enqueue(reservation, record.finish(), seq, done.data);
    let ticket = ticket.map_err(|error| Stop::Refused(Refused::Undone(inner.fail(&error))))?;

    let written = std::mem::take(&mut tx.writes.keys).into_iter().filter_map(|(key, write)| match write {
        Write::Put(bytes) => Some((key, Some(bytes))),
        Write::Delete | Write::Token => Some((key, None)),
        Write::Merge(_) => None,
    });
    let oldest = inner.readers.oldest().unwrap_or(since);
    state.active.insert(seq, oldest, written.chain(outcomes));
    let mut space = state.active.space.lock();
    space.set.extend_from_slice(&done.sets);
    space.freed.extend(done.frees.iter().map(|&(run, birth)| Freed { run, birth, freed: seq }));
    space.inode_set.extend_from_slice(&tx.writes.inodes_taken);
    space.inode_freed.extend_from_slice(&tx.writes.inodes_freed);
    drop(space);
    let freed: u64 = done.frees.iter().map(|(run, _)| u64::from(run.len)).sum();
    writer.freed_blocks.fetch_add(freed, Ordering::Relaxed);
    inner.publish(seq);
    Ok((seq, ticket))
}

impl Stop {
    fn from_reserve(inner: &Inner, error: vexfs_journal::Error) -> Self {
        match error {
            vexfs_journal::Error::Full { .. } => Self::NoRoom(Room::Log),
            error @ vexfs_journal::Error::Poisoned { .. } => {
                Self::Refused(Refused::Undone(inner.fail(&error)))
            }
            error => Self::Refused(Refused::Undone(error.into())),
        }
    }
}
