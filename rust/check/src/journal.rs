//! Pass 3: the log, from its first frame behind the newest checkpoint to the last block in which a frame could
//! lie.
//!
//! What the log takes and gives back is kept for the pass that compares it with the files, once recovery has said
//! how much of it counts.

use vexfs_device::Device;
use vexfs_format::frame::{FLAG_MARK, Frame};
use vexfs_format::{BlockRun, Descriptor, Key, Lsn, Seq, kinds};
use vexfs_journal::{Ending, Position, Reason, Record, Region, Scan, ScanFrom, ScanOptions};

use crate::finding::{CHECKPOINT_LOST, DESCRIPTOR_IMPOSSIBLE, LOG_DAMAGED, LOG_IMPOSSIBLE};
use crate::report::{JournalReport, Location};
use crate::ring::Crash;
use crate::volume::Volume;

/// What the records of a part of the log say.
#[derive(Default)]
struct Part {
    changes: Vec<(Lsn, Change)>,
    impossible: Vec<(Lsn, String)>,
    transactions: u64,
    last: Seq,
}

/// What a record does to blocks or inode numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Take(BlockRun),
    Give(BlockRun),
    TakeInode(u64),
    GiveInode(u64),
}

/// What the log holds.
pub(crate) struct Journal {
    pub report: JournalReport,
    pub crash: Crash,
    /// In order, with the place of their records.
    pub changes: Vec<(Lsn, Change)>,
    /// Whether opening the volume could replay it.
    pub replayable: bool,
}

/// Reads the log behind `newest`.
pub(crate) fn run(volume: &Volume, newest: &Descriptor) -> Journal {
    let area = volume.geometry.journal;
    let region = Region::new(area.start.byte_offset(), area.bytes());
    let position = Position { lsn: newest.lsn, crc: newest.chain_crc, epoch: newest.epoch };
    let from = ScanFrom { volume: volume.bits(), position, checkpoint: newest.id };
    let options =
        ScanOptions { workers: volume.options.threads(), look_ahead: u64::MAX, ..ScanOptions::default() };
    let device: &dyn Device = &*volume.device;
    let read = |part: &mut Part, record: &Record<'_>| read(volume, newest.seq, part, record);
    match vexfs_journal::scan(device, region, from, &options, read) {
        Ok(scan) => judge(volume, newest, scan),
        Err(error) => {
            let message =
                format!("checkpoint {} names a place in the log that cannot be: {error}", newest.id);
            volume.ledger.add(
                &DESCRIPTOR_IMPOSSIBLE,
                Location::default().of_checkpoint(newest.id.0),
                message,
            );
            unreadable(error.to_string())
        }
    }
}

fn unreadable(reason: String) -> Journal {
    Journal {
        report: JournalReport { ending: "damage", reason: Some(reason), ..JournalReport::default() },
        crash: Crash { newest_unproved: false, next_begun: false },
        changes: Vec::new(),
        replayable: false,
    }
}

/// Takes up one record, and what is impossible about it.
fn read(volume: &Volume, held: Seq, part: &mut Part, record: &Record<'_>) {
    let at = record.position;
    part.transactions += 1;
    let seq = record.view.seq();
    let before = part.last.max(held);
    if seq <= before {
        part.impossible.push((at, format!("transaction {seq} comes behind transaction {before}")));
    }
    part.last = before.max(seq);
    for op in record.view.ops().filter(|op| op.key.kind >= kinds::FIRST_VOLATILE) {
        let Key { object, kind, .. } = op.key;
        part.impossible.push((
            at,
            format!("it holds a key of kind {kind:#04x} of object {object}, which is never logged"),
        ));
    }
    for (carried_at, carried) in record.carried().filter(|(_, carried)| !carried.is_whole()) {
        let run = carried.run;
        part.impossible.push((
            at,
            format!(
                "what it carries at {carried_at} for {} blocks from {} on is not what was written",
                run.len, run.start
            ),
        ));
    }
    let take = record.view.taken().map(Change::Take);
    let give = record.view.frees().map(|free| Change::Give(free.run));
    let take_inodes = record.view.inode_sets().map(|ino| Change::TakeInode(ino.0));
    let give_inodes = record.view.inode_frees().map(|ino| Change::GiveInode(ino.0));
    for change in take.chain(give).chain(take_inodes).chain(give_inodes) {
        match change {
            Change::Take(run) | Change::Give(run) if !volume.geometry.holds(run) => {
                let message =
                    format!("it names {} blocks from {} on, which are not all data", run.len, run.start);
                part.impossible.push((at, message));
            }
            Change::TakeInode(ino) | Change::GiveInode(ino) if !volume.is_inode(ino) => {
                part.impossible.push((at, format!("it names inode {ino}, which cannot be")));
            }
            change => part.changes.push((at, change)),
        }
    }
}

fn judge(volume: &Volume, newest: &Descriptor, scan: Scan<Part>) -> Journal {
    let ledger = &volume.ledger;
    for part in &scan.parts {
        for (at, message) in &part.impossible {
            ledger.add(&LOG_IMPOSSIBLE, Location::lsn(at.0), format!("the log's record at {at}: {message}"));
        }
    }
    let (ending, reason) = match &scan.ending {
        Ending::Clean => ("clean", None),
        Ending::Cut { lsn, reason } => ("cut", Some(format!("at {lsn}: {reason}"))),
        Ending::Damage { lsn, reason } => {
            let kind = if matches!(reason, Reason::NewerCheckpoint { .. }) {
                &CHECKPOINT_LOST
            } else {
                &LOG_DAMAGED
            };
            ledger.add(kind, Location::lsn(lsn.0), format!("the log ends at {lsn} too early: {reason}"));
            ("damage", Some(format!("at {lsn}: {reason}")))
        }
    };
    let mark = Frame::parse(scan.log.from(scan.end.lsn), volume.bits(), scan.end.lsn).ok();
    let mark = mark.filter(|frame| frame.is(FLAG_MARK) && frame.previous_crc == scan.end.crc);
    let proved = scan.frames.iter().chain(&mark).any(|frame| frame.checkpoint == newest.id);
    let damaged = matches!(scan.ending, Ending::Damage { .. });
    let crash = Crash {
        newest_unproved: !proved && !damaged,
        next_begun: (!scan.frames.is_empty() || mark.is_none()) && !damaged,
    };
    let impossible = scan.parts.iter().any(|part| !part.impossible.is_empty());
    let report = JournalReport {
        frames: scan.frames.len() as u64,
        transactions: scan.parts.iter().map(|part| part.transactions).sum(),
        ending,
        reason,
    };
    let changes = scan.parts.into_iter().flat_map(|part| part.changes).collect();
    Journal { report, crash, changes, replayable: !damaged && !impossible }
}
