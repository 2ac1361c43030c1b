//! The order of the passes, and what becomes of their results.

use std::sync::Arc;
use std::time::Instant;

use vexfs_device::Device;
use vexfs_format::{Descriptor, Lsn};
use vexfs_store::{Mode, Store};
use vexfs_tree::{NodeCache, Reader};

use crate::files::Files;
use crate::finding::{LOG_IMPOSSIBLE, NO_CHECKPOINT, UNREADABLE};
use crate::journal::{self, Journal};
use crate::ledger::Ledger;
use crate::pass::{self, Pass};
use crate::patient::Patient;
use crate::report::{JournalReport, Location, PassReport, PassState, Report, Totals};
use crate::ring::Ring;
use crate::tree::{self, Claims};
use crate::volume::Volume;
use crate::{
    Error, Options, Result, bitmaps, data, names, owners, paths, replayed, retained, retention, superblocks,
};

/// Bytes of tree nodes kept in memory.
const CACHE_BYTES: u64 = 16 << 20;

/// Checks the volume on `device`, which nobody has open for writing, and writes nothing.
///
/// # Errors
/// There is no volume, it is of a newer format or cut short, the device fails altogether, or whoever watches the
/// progress ended the check. Whatever is wrong with a volume is in the report.
pub fn check(device: Arc<dyn Device>, options: &Options) -> Result<Report> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads())
        .build()
        .map_err(|error| Error::Threads { reason: error.to_string() })?;
    pool.install(|| {
        let mut check = Check::begin(device, options)?;
        let done = check.run()?;
        match check.volume.meter.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(check.end(done)),
        }
    })
}

struct Check {
    volume: Volume,
    passes: Vec<PassReport>,
}

/// What the report says beside the findings.
#[derive(Default)]
struct Outcome {
    store: Option<Store>,
    checkpoint: u64,
    journal: JournalReport,
    totals: Totals,
}

impl Check {
    /// Finds the volume, and compares the copies of its superblock.
    fn begin(device: Arc<dyn Device>, options: &Options) -> Result<Self> {
        let started = Instant::now();
        let device = Arc::new(Patient::new(device));
        let superblock = superblocks::find(&*device)?;
        let geometry = superblock.geometry().map_err(vexfs_store::Error::from)?;
        let ledger = Ledger::default();
        superblocks::run(&*device, &superblock, &ledger)?;
        let volume = Volume::new(device, superblock, geometry, options, ledger);
        let mut check = Self { volume, passes: Vec::new() };
        check.note(&pass::SUPERBLOCKS, started, None);
        Ok(check)
    }

    /// Runs the passes behind the first.
    fn run(&mut self) -> Result<Outcome> {
        let started = Instant::now();
        self.volume.meter.begin(pass::CHECKPOINTS.name, 0);
        let ring = Ring::read(&self.volume)?;
        ring.report_impossible(&self.volume);
        let Some(newest) = ring.newest() else {
            let message = "no checkpoint's descriptor can be read in either ring";
            self.volume.ledger.add(&NO_CHECKPOINT, Location::default(), message);
            self.note(&pass::CHECKPOINTS, started, Some("there is no checkpoint to go on from".into()));
            return Ok(Outcome::default());
        };
        self.note(&pass::CHECKPOINTS, started, None);
        let log = self.pass(&pass::JOURNAL, 0, |volume| (journal::run(volume, &newest), None));
        ring.judge(&self.volume, &newest, log.crash);
        let store = self.open_store(&log)?;
        let reader = Reader::new(
            self.volume.shared_device(),
            Arc::new(NodeCache::new(CACHE_BYTES)),
            self.volume.bits(),
        );
        let claims = Claims::new(&self.volume);
        let parts = self.check_trees(&ring, &newest, &reader, &claims);
        let mut outcome = self.check_files(&log, &newest, store, &claims, &parts.starts);
        outcome.totals.nodes = parts.nodes;
        outcome.totals.items = parts.items;
        outcome.totals.retained = parts.retained;
        let replays = outcome.store.as_ref().filter(|store| store.recovery().transactions > 0);
        owners::run(&self.volume, &reader, newest.root, replays, &claims.doubles());
        Ok(outcome)
    }

    /// The state after the log, in memory; that of the checkpoint if the log cannot be replayed.
    fn open_store(&self, log: &Journal) -> Result<Store> {
        let open = |mode| {
            let options = vexfs_store::Options {
                mode,
                workers: Some(self.volume.options.threads()),
                cache_bytes: CACHE_BYTES,
                background: false,
                ..vexfs_store::Options::default()
            };
            Store::open(self.volume.shared_device(), options)
        };
        if log.replayable {
            match open(Mode::Read) {
                Ok(store) => return Ok(store),
                Err(error) => self.volume.ledger.add(&LOG_IMPOSSIBLE, Location::default(), error.to_string()),
            }
        }
        Ok(open(Mode::Beside)?)
    }

    /// The passes over lists, trees and bitmaps.
    fn check_trees(&mut self, ring: &Ring, newest: &Descriptor, reader: &Reader, claims: &Claims) -> Parts {
        let lists = self.pass(&pass::RETENTION, 0, |volume| {
            let lists = retention::run(volume, ring, newest, claims);
            let note = (!lists.whole).then(|| "a list could not be read to its end".into());
            (lists, note)
        });
        let walked = self.pass(&pass::TREE, newest.counts.nodes, |volume| {
            let walked = tree::run(volume, reader, newest, claims);
            let note = (!volume.lost.is_empty()).then(|| "a part of the tree could not be read".into());
            (walked, note)
        });
        self.pass(&pass::RETAINED, 0, |volume| {
            let whole = retained::run(volume, reader, &lists, claims);
            ((), (!whole).then(|| "a part of a past tree could not be read".into()))
        });
        self.pass(&pass::BITMAPS, self.volume.geometry.group_count.into(), |volume| {
            bitmaps::run(volume, newest, claims);
            let note = "not all owners are known, so nothing is called leaked";
            ((), (!volume.knows_owners()).then(|| note.into()))
        });
        Parts {
            starts: walked.parts,
            nodes: walked.counts.nodes,
            items: walked.counts.items,
            retained: lists.kept.len() as u64,
        }
    }

    /// The passes over what the items say.
    fn check_files(
        &mut self,
        log: &Journal,
        newest: &Descriptor,
        store: Store,
        claims: &Claims,
        parts: &[vexfs_format::Key],
    ) -> Outcome {
        let recovery = store.recovery().clone();
        let replays = recovery.transactions > 0;
        let unique_high = match store.mode() {
            // The next one is one above.
            Mode::Read => store.unique().saturating_sub(1),
            _ => newest.unique_high,
        };
        let mut totals = Totals {
            blocks: self.volume.geometry.block_count,
            blocks_used: self.volume.geometry.block_count.saturating_sub(newest.counts.free_blocks),
            ..Totals::default()
        };
        let (mut journal, cut) = (log.report.clone(), recovery.cut.is_some() && log.report.ending == "clean");
        journal.transactions = recovery.transactions;
        if cut {
            (journal.ending, journal.reason) = ("cut", recovery.cut.clone());
        }
        let incomplete =
            |volume: &Volume| (!volume.lost.is_empty()).then(|| "some items could not be read".into());

        let started = Instant::now();
        self.volume.meter.begin(pass::FILES.name, newest.counts.items);
        let files = Files::new(&self.volume, &store, unique_high, replays, claims);
        let mut relations = files.run(&store, parts);
        let files_note = incomplete(&self.volume);
        let names_started = Instant::now();
        self.volume.meter.begin(pass::NAMES.name, 0);
        names::run(&files, &mut relations);
        let names_note = (!files.knows_entries()).then(|| "some entries could not be read".into());
        let claimed = files.replay;
        totals = Totals { blocks: totals.blocks, blocks_used: totals.blocks_used, ..relations.totals };
        self.note_until(&pass::FILES, started, names_started, files_note);
        self.note(&pass::NAMES, names_started, names_note);

        if let Some(after) = claimed {
            self.pass(&pass::REPLAY, 0, |volume| {
                let end = Lsn(newest.lsn.0.saturating_add(recovery.bytes));
                let known = volume.knows_owners() && volume.lost.is_empty();
                if known {
                    replayed::run(volume, &log.changes, end, claims, &after);
                }
                ((), (!known).then(|| "not all owners are known".into()))
            });
        } else {
            self.skip(&pass::REPLAY, "the log holds no transaction that counts");
        }
        if self.volume.options.data {
            totals.verified_blocks = self.pass(&pass::DATA, totals.data_blocks, |volume| {
                (data::run(volume, &store, parts), incomplete(volume))
            });
        } else {
            self.skip(&pass::DATA, "it was not asked for");
        }
        Outcome { store: Some(store), checkpoint: newest.id.0, journal, totals }
    }

    /// Runs a pass; what it returns beside its result says why it did not check everything.
    fn pass<T>(
        &mut self,
        pass: &'static Pass,
        total: u64,
        run: impl FnOnce(&Volume) -> (T, Option<String>),
    ) -> T {
        let started = Instant::now();
        self.volume.meter.begin(pass.name, total);
        let (result, note) = run(&self.volume);
        self.volume.meter.end();
        self.note(pass, started, note);
        result
    }

    fn note(&mut self, pass: &Pass, started: Instant, note: Option<String>) {
        self.note_until(pass, started, Instant::now(), note);
    }

    fn note_until(&mut self, pass: &Pass, started: Instant, ended: Instant, note: Option<String>) {
        let state = if note.is_some() { PassState::Partial } else { PassState::Done };
        let seconds = ended.saturating_duration_since(started).as_secs_f64();
        self.passes.push(PassReport { id: pass.id, name: pass.name, state, note, seconds });
    }

    fn skip(&mut self, pass: &Pass, why: &str) {
        let (id, name, note) = (pass.id, pass.name, Some(why.to_owned()));
        self.passes.push(PassReport { id, name, state: PassState::Skipped, note, seconds: 0.0 });
    }

    /// Makes the report.
    fn end(mut self, outcome: Outcome) -> Report {
        for missing in pass::passes().iter().skip(self.passes.len()) {
            self.skip(missing, "nothing was found that it could check");
        }
        for (block, error) in self.volume.device.bad_blocks() {
            self.volume.ledger.add(&UNREADABLE, Location::block(block), format!("block {block}: {error}"));
        }
        let Self { volume, passes } = self;
        let (mut findings, counts) = volume.ledger.take();
        if let Some(store) = &outcome.store {
            paths::fill_in(&volume, store, &mut findings);
        }
        let clean = findings.is_empty();
        Report {
            image: volume.device.name(),
            uuid: uuid(&volume.superblock.uuid),
            label: volume.superblock.label.as_str().to_owned(),
            clean,
            exit_code: if clean { 0 } else { 4 },
            checkpoint: outcome.checkpoint,
            findings,
            counts,
            passes,
            journal: outcome.journal,
            totals: outcome.totals,
        }
    }
}

/// What the passes behind the trees need of them.
struct Parts {
    starts: Vec<vexfs_format::Key>,
    nodes: u64,
    items: u64,
    retained: u64,
}

fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
