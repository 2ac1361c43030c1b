//! Tells a crash from damage, where the log ends.
//!
//! A crash leaves a log that ends in nothing, in a torn frame, or in a frame cut off by an earlier recovery, and
//! no genuine header anywhere that contradicts it. What contradicts: a later frame that declares the missing one
//! durable, of the epoch that the log ends in or of one that began there or later (an epoch begins only when all
//! before it is durable), or any frame that names a checkpoint newer than the one that could be read. Frames of
//! earlier laps lie at positions that are over; those of an epoch cut off here or before continue nothing:
//! neither ever counts. Whoever goes on behind damage begins [`beyond`](crate::beyond) all of it.

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
    /// Where a long frame that did not count would have ended, if one was announced.
    pub(crate) announced: Option<Lsn>,
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
    if let Some(reason) =
        newer.or_else(|| witness.look_ahead(lsn)).or_else(|| witness.look_ahead(witness.announced?))
    {
        return Ending::Damage { lsn, reason };
    }
    match stop {
        None
        | Some(Reason::Format(
            FormatError::BadMagic { .. } | FormatError::WrongVolume { .. } | FormatError::Misdirected { .. },
        )) => Ending::Clean,
        Some(reason @ (Reason::NotNext | Reason::Data | Reason::Format(FormatError::BadChecksum { .. }))) => {
            Ending::Cut { lsn, reason }
        }
        Some(reason) => Ending::Damage { lsn, reason },
    }
}

impl Witness<'_> {
    /// Looks at every place from one on where a frame may begin.
    fn look_ahead(&self, Lsn(mut at): Lsn) -> Option<Reason> {
        let mut until = at.saturating_add(self.look_ahead).min(self.limit);
        while at < until {
            if let Some(frame) = self.genuine(Lsn(at)) {
                if let Some(reason) = self.names_newer(&frame).or_else(|| self.had_been_durable(&frame)) {
                    return Some(reason);
                }
                let goes_on = frame.end().max(frame.ahead);
                until = goes_on.0.saturating_add(self.look_ahead).min(self.limit);
            }
            at = at.saturating_add(BLOCK_SIZE as u64);
        }
        None
    }

    /// The header at the place of `at`, if this volume wrote it there in this lap or a later one.
    fn genuine(&self, at: Lsn) -> Option<Frame> {
        let frame = self.log.header(at)?;
        (frame.volume == self.from.volume && frame.lsn >= at).then_some(frame)
    }

    fn names_newer(&self, frame: &Frame) -> Option<Reason> {
        let Frame { lsn: by, checkpoint, .. } = *frame;
        (checkpoint > self.from.checkpoint).then_some(Reason::NewerCheckpoint { by, checkpoint })
    }

    fn had_been_durable(&self, frame: &Frame) -> Option<Reason> {
        let Frame { lsn: by, durable_lsn: durable, .. } = *frame;
        let Position { lsn: end, epoch, .. } = self.end;
        let akin = frame.epoch == epoch || frame.epoch_lsn > end || self.end.begins_epoch_of(frame);
        (akin && durable > end).then_some(Reason::WasDurable { by, durable })
    }
}
