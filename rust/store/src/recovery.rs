//! Recovery: from the newest checkpoint and the log behind it to a state that can be read at once.
//!
//! What the log holds becomes a [`Run`], an immutable layer over the tree; nothing is merged before the store is
//! usable. Recovery changes nothing on the device but to write once more, byte for byte, what it accepted, so a
//! crash during recovery finds what the crash before it left. Blocks that the log carries count as what it says,
//! whatever lies in their place, where the first checkpoint puts them. The result does not depend on the number of
//! workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use vexfs_device::Device;
use vexfs_format::redo::{FreeRun, SetRun, digest_of};
use vexfs_format::{BlockRun, Descriptor, Geometry, Ino, Lsn, Seq, kinds};
use vexfs_journal::{Ending, Position, Record, Region, Scan, ScanFrom, ScanOptions, scan_in_parts};

use crate::admission::Growth;
use crate::carried::Carried;
use crate::entries::{Entry, Place, Shelves};
use crate::memtable::{Freed, SpaceChanges};
use crate::options::Options;
use crate::progress::Counter;
use crate::run::Run;
use crate::{Error, Result};

/// What recovery found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The volume had been closed: there was nothing to recover.
    pub clean: bool,
    /// The checkpoint that it began from.
    pub checkpoint: u64,
    /// Frames of the log that count.
    pub frames: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Operations on keys in those.
    pub operations: u64,
    /// Bytes of log.
    pub bytes: u64,
    /// Data blocks that were compared with their checksums.
    pub verified_blocks: u64,
    /// Data blocks that lie in the log: the first checkpoint puts them in their place.
    pub carried_blocks: u64,
    /// Why the log ends where it ends, if something lies behind it that does not count.
    pub cut: Option<String>,
    /// Threads used.
    pub workers: usize,
    /// How long each phase took.
    pub phases: Vec<(&'static str, Duration)>,
}

impl RecoveryReport {
    /// How long it took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.phases.iter().map(|(_, elapsed)| *elapsed).sum()
    }
}

/// The phases, as they are told.
const READING: &str = "read log";
const VERIFYING: &str = "verify data";
const SORTING: &str = "sort";

/// What a store goes on from.
pub(crate) struct Recovered {
    pub run: Option<Arc<Run>>,
    pub space: SpaceChanges,
    pub growth: Growth,
    /// The newest transaction.
    pub last: Seq,
    pub unique_high: u64,
    pub end: Position,
    pub report: RecoveryReport,
    scan: Scan<Part>,
    /// Runs with data whose durability nobody vouches for.
    unproved: Vec<SetRun>,
}

/// What a worker makes of its part of the log.
#[derive(Debug, Default)]
struct Part {
    /// Its entries, until they are put away.
    entries: Vec<Entry>,
    place: Option<Result<Place>>,
    operations: u64,
    bytes: u64,
    sets: Vec<(Lsn, SetRun)>,
    /// Runs whose bytes lie in the log, at these positions.
    carried: Vec<(BlockRun, Lsn)>,
    /// A position whose record does not carry what its checksum says.
    spoiled: Option<Lsn>,
    frees: Vec<(Seq, FreeRun)>,
    inode_sets: Vec<Ino>,
    inode_frees: Vec<Ino>,
    transactions: u64,
    last: Seq,
    value_bytes: u64,
    volatile: bool,
}

impl Part {
    fn add(&mut self, record: &Record<'_>, shelves: &Shelves) {
        if self.transactions == 0 {
            self.entries = shelves.table();
        }
        let (at, seq) = (record.position, record.view.seq());
        for (position, op) in record.ops() {
            self.entries.push(Entry::new(op.key, position));
            self.value_bytes =
                self.value_bytes.saturating_add(op.value.map_or(0, |value| value.len() as u64));
            self.volatile |= op.key.kind >= kinds::FIRST_VOLATILE;
        }
        self.operations += u64::from(record.view.op_count());
        self.bytes += record.view.encoded_len() as u64;
        self.sets.extend(record.view.sets().map(|set| (at, set)));
        for (position, run) in record.carried() {
            self.carried.push((run.run, position));
            self.spoiled = self.spoiled.or((!run.is_whole()).then_some(position));
        }
        self.frees.extend(record.view.frees().map(|free| (seq, free)));
        self.inode_sets.extend(record.view.inode_sets());
        self.inode_frees.extend(record.view.inode_frees());
        self.transactions += 1;
        self.last = seq;
    }

    fn finish(&mut self, shelves: &Shelves) {
        self.place = Some(shelves.put(std::mem::take(&mut self.entries)));
    }
}

struct Clock {
    last: Instant,
    phases: Vec<(&'static str, Duration)>,
}

impl Clock {
    fn lap(&mut self, phase: &'static str) {
        self.phases.push((phase, self.last.elapsed()));
        self.last = Instant::now();
    }
}

/// Replays the log behind `checkpoint`, in memory. While its entries are sorted, `beside` makes what it likes of the
/// bitmap changes.
pub(crate) fn recover<S: Send>(
    device: &dyn Device,
    geometry: &Geometry,
    volume: u64,
    checkpoint: &Descriptor,
    options: &Options,
    beside: impl FnOnce(&SpaceChanges) -> Result<S> + Send,
) -> Result<(Recovered, S)> {
    let mut clock = Clock { last: Instant::now(), phases: Vec::new() };
    let position = Position { lsn: checkpoint.lsn, crc: checkpoint.chain_crc, epoch: checkpoint.epoch };
    let from = ScanFrom { volume, position, checkpoint: checkpoint.id };
    let workers = options.workers.unwrap_or_else(default_workers).max(1);
    let counter = Counter::new(options.watch.as_ref());
    let read = |until| {
        let shelves = Shelves::default();
        let parallel_bytes = options.parallel_bytes;
        let scanning = ScanOptions { workers, until, parallel_bytes, ..ScanOptions::default() };
        let decode = |part: &mut Part, record: &Record<'_>| part.add(record, &shelves);
        let finish = |part: &mut Part| {
            part.finish(&shelves);
            counter.add(READING, part.operations, part.bytes)
        };
        let scan = scan_in_parts(device, region(geometry), from, &scanning, decode, finish)?;
        scan.log.map().check()?;
        match &scan.ending {
            Ending::Damage { lsn, reason } => {
                Err(Error::LogDamaged { lsn: *lsn, reason: reason.to_string() })
            }
            _ => Ok((scan, shelves)),
        }
    };
    let (mut scan, mut shelves) = read(Lsn(u64::MAX))?;
    clock.lap(READING);
    counter.begin(VERIFYING)?;
    let pool = pool(workers)?;
    let (verified_blocks, bad) = pool.install(|| verify_data(device, geometry, &scan))?;
    if let Some(bad) = bad {
        counter.again();
        (scan, shelves) = read(bad)?;
    }
    clock.lap(VERIFYING);
    counter.begin(SORTING)?;
    let parts = std::mem::take(&mut scan.parts);
    if parts.iter().any(|part| part.volatile) {
        return Err(Error::Corrupt { what: "journal: a record holds a key that is never logged".into() });
    }
    if let Some(at) = parts.iter().find_map(|part| part.spoiled) {
        return Err(Error::Corrupt { what: format!("journal: the blocks carried at {at}") });
    }
    let transactions: u64 = parts.iter().map(|part| part.transactions).sum();
    let operations: u64 = parts.iter().map(|part| part.operations).sum();
    let growth = Growth {
        keys: operations,
        bytes: parts.iter().map(|part| part.value_bytes).sum(),
        frees: parts.iter().map(|part| part.frees.len() as u64).sum(),
    };
    let last = parts.iter().map(|part| part.last).fold(checkpoint.seq, Seq::max);
    let (space, unproved) = space_changes(geometry, &parts, scan.data_durable)?;
    let carried_blocks = parts.iter().flat_map(|part| &part.carried).map(|(run, _)| u64::from(run.len)).sum();
    let carried = Carried::new(parts.iter().flat_map(|part| &part.carried).copied().collect())?;
    let places = parts.into_iter().filter_map(|part| part.place).collect::<Result<Vec<_>>>()?;
    let sort = || (transactions > 0).then(|| shelves.sorted(&places)).transpose();
    let (sorted, beside) = pool.install(|| rayon::join(sort, || beside(&space)));
    let run = sorted?.map(|entries| Arc::new(Run::new(entries, scan.log.clone(), carried)));
    let beside = beside?;
    clock.lap(SORTING);
    let report = RecoveryReport {
        clean: transactions == 0 && scan.ending == Ending::Clean,
        checkpoint: checkpoint.id.0,
        frames: scan.frames.len() as u64,
        transactions,
        operations,
        bytes: scan.end.lsn.0.saturating_sub(checkpoint.lsn.0),
        verified_blocks,
        carried_blocks,
        cut: match &scan.ending {
            Ending::Cut { lsn, reason } => Some(format!("at {lsn}: {reason}")),
            _ => None,
        },
        workers,
        phases: clock.phases,
    };
    let unique_high = checkpoint.unique_high.max(scan.unique_high);
    let end = scan.end;
    Ok((Recovered { run, space, growth, last, unique_high, end, report, scan, unproved }, beside))
}

/// Where on the device the log lies.
pub(crate) fn region(geometry: &Geometry) -> Region {
    Region::new(geometry.journal.start.byte_offset(), geometry.journal.bytes())
}

/// The number of workers when none is asked for.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(16)
}

fn pool(workers: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()
        .map_err(|error| Error::Threads { reason: error.to_string() })
}

/// Compares data that nobody vouches for with its checksums. How many blocks, and where the first frame begins that
/// names data which is not there.
fn verify_data(device: &dyn Device, geometry: &Geometry, scan: &Scan<Part>) -> Result<(u64, Option<Lsn>)> {
    let sets = scan.parts.iter().flat_map(|part| &part.sets);
    let unproved: Vec<&(Lsn, SetRun)> =
        sets.filter(|(at, set)| *at >= scan.data_durable && set.crc.is_some()).collect();
    let bad: Vec<Lsn> = unproved
        .par_iter()
        .map(|(at, set)| Ok((!holds(device, geometry, set)?).then_some(*at)))
        .filter_map(Result::transpose)
        .collect::<Result<_>>()?;
    let frame = |at: Lsn| scan.frames.iter().map(|frame| frame.lsn).rfind(|lsn| *lsn <= at);
    let blocks = unproved.iter().map(|(_, set)| u64::from(set.run.len)).sum();
    Ok((blocks, bad.into_iter().min().and_then(frame)))
}

/// Whether the run's blocks hold what the log says.
fn holds(device: &dyn Device, geometry: &Geometry, set: &SetRun) -> Result<bool> {
    let Some(expected) = set.crc else { return Ok(true) };
    check_inside(geometry, set.run)?;
    let mut bytes = vec![0; set.run.bytes() as usize];
    device.read_at(&mut bytes, set.run.start.byte_offset())?;
    Ok(digest_of(&bytes) == expected)
}

fn check_inside(geometry: &Geometry, run: BlockRun) -> Result<()> {
    match geometry.holds(run) {
        true => Ok(()),
        false => Err(Error::Corrupt { what: format!("journal: blocks {run:?} were never anybody's") }),
    }
}

/// The bitmap changes of all records, in order; and the runs with data that is not known durable.
fn space_changes(geometry: &Geometry, parts: &[Part], durable: Lsn) -> Result<(SpaceChanges, Vec<SetRun>)> {
    let mut space = SpaceChanges::default();
    let mut unproved = Vec::new();
    for part in parts {
        for (at, set) in &part.sets {
            check_inside(geometry, set.run)?;
            space.set.push(set.run);
            if *at >= durable && set.crc.is_some() {
                unproved.push(*set);
            }
        }
        for (run, _) in &part.carried {
            check_inside(geometry, *run)?;
            space.set.push(*run);
        }
        for (freed, free) in &part.frees {
            space.freed.push(Freed { run: free.run, birth: free.birth, freed: *freed });
        }
        space.inode_set.extend(&part.inode_sets);
        space.inode_freed.extend(&part.inode_frees);
    }
    Ok((space, unproved))
}

impl Recovered {
    /// Makes what was accepted durable: whatever happened to the writes before the crash, it is written again
    /// where it is and flushed. Not before this may anything follow it.
    pub(crate) fn prove(&self, device: &dyn Device) -> Result<()> {
        for set in &self.unproved {
            let mut bytes = vec![0; set.run.bytes() as usize];
            device.read_at(&mut bytes, set.run.start.byte_offset())?;
            device.write_at(&bytes, set.run.start.byte_offset())?;
        }
        vexfs_journal::rewrite(device, &self.scan, self.scan.known_durable)?;
        Ok(device.flush()?)
    }
}
