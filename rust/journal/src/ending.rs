//! Tells a crash from damage, where the log ends.
//!
//! A crash leaves a log that ends somewhere behind the last frame known durable, and nothing anywhere that says
//! otherwise. It is damage if a genuine header says otherwise: a later frame of the same epoch (the one that the
//! log ends in, or one that began exactly there) that declares the missing frame durable, or any frame that
//! names a checkpoint newer than the one that could be read. Frames of earlier laps lie at positions that are
//! over; those of epochs that were cut off continue nothing: neither ever counts.

use vexfs_format::frame::Frame;
use vexfs_format::{BLOCK_SIZE, Error as FormatError, Lsn};

use crate::error::Reason;
use crate::position::Position;
use crate::scan::ScanFrom;
use crate::view::LogMap;

/// How a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing was ever written behind the last frame.
    Clean,
    /// Something was, and was not durable: a crash.
    Cut {
        /// Where.
        lsn: Lsn,
        /// What is wrong with it.
        reason: Reason,
    },
    /// Something is missing that had been durable.
    Damage {
        /// Where the log ends.
        lsn: Lsn,
        /// How that is known.
        reason: Reason,
    },
}

/// Where to look for what a crash cannot leave.
pub(crate) struct Witness<'a> {
    pub(crate) log: &'a LogMap,
    pub(crate) from: ScanFrom,
    pub(crate) end: Position,
    /// One lap behind the beginning.
    pub(crate) limit: u64,
    pub(crate) look_ahead: u64,
}

/// Judges the end of a log that `stop` ended, behind the `accepted` frames.
pub(crate) fn judge<'a>(
    witness: &Witness<'_>,
    accepted: impl Iterator<Item = &'a Frame>,
    stop: Option<Reason>,
) -> Ending {
    let lsn = witness.end.lsn;
    if let Err(error) = witness.log.map().check() {
        return Ending::Damage { lsn, reason: Reason::Unreadable(error) };
    }
    let newer = accepted.filter_map(|frame| witness.names_newer(frame)).next();
    if let Some(reason) = newer.or_else(|| witness.look_ahead()) {
        return Ending::Damage { lsn, reason };
    }
    match stop {
        None => Ending::Clean,
        Some(Reason::Format(
            FormatError::BadMagic { .. } | FormatError::WrongVolume { .. } | FormatError::Misdirected { .. },
        )) => Ending::Clean,
        Some(reason) => Ending::Cut { lsn, reason },
    }
}

impl Witness<'_> {
    /// Looks at every place behind the end where a frame may begin.
    fn look_ahead(&self) -> Option<Reason> {
        let mut at = self.end.lsn.0;
        let mut until = at.saturating_add(self.look_ahead).min(self.limit);
        while at < until {
            if let Some(frame) = self.genuine(Lsn(at)) {
                if let Some(reason) = self.names_newer(&frame).or_else(|| self.had_been_durable(&frame)) {
                    return Some(reason);
                }
                until = at.saturating_add(self.look_ahead).min(self.limit);
            }
            at = at.saturating_add(BLOCK_SIZE as u64);
        }
        None
    }

    /// The header at the place of `at`, if this volume wrote it there in this lap or a later one.
    fn genuine(&self, at: Lsn) -> Option<Frame> {
        let frame = Frame::parse_anywhere(self.log.from(at)).ok()?;
        let laps = frame.lsn.0.checked_sub(at.0)?;
        (frame.volume == self.from.volume && laps.is_multiple_of(self.log.region().bytes)).then_some(frame)
    }

    fn names_newer(&self, frame: &Frame) -> Option<Reason> {
        let Frame { lsn: by, checkpoint, .. } = *frame;
        (checkpoint > self.from.checkpoint).then_some(Reason::NewerCheckpoint { by, checkpoint })
    }

    fn had_been_durable(&self, frame: &Frame) -> Option<Reason> {
        let Frame { lsn: by, durable_lsn: durable, .. } = *frame;
        let akin = frame.epoch == self.end.epoch || self.end.begins_epoch_of(frame);
        (akin && durable > self.end.lsn).then_some(Reason::WasDurable { by, durable })
    }
}
