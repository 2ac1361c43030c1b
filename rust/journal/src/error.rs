//! What can go wrong with the log. Every variant has one stable code.

use std::sync::Arc;

use vexfs_format::{CheckpointId, Lsn};

/// Why the log refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device refused while nothing was being committed.
    #[error(transparent)]
    Device(#[from] vexfs_device::Error),

    /// No log has this shape.
    #[error("a log of {bytes} bytes at byte {offset} cannot be: {reason}; run fsck")]
    BadRegion {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The epoch's number was used before.
    #[error("epoch {epoch:#x} cannot follow itself or be 0; open the volume again to draw another number")]
    BadEpoch {
        /// The number.
        epoch: u64,
    },

    /// A transaction that can never fit.
    #[error(
        "a transaction of {bytes} bytes is too large for the log, which takes up to {limit}; split it, or make the \
         volume with a larger journal"
    )]
    TooLarge {
        /// Bytes of its record.
        bytes: u64,
        /// The most that a record may have.
        limit: u64,
    },

    /// No room before the next checkpoint.
    #[error("the log is full: {needed} bytes are needed and {room} are free; wait for a checkpoint")]
    Full {
        /// Bytes of log that the reservation takes.
        needed: u64,
        /// Bytes that could be had.
        room: u64,
    },

    /// More was queued than had been reserved.
    #[error("a record of {bytes} bytes was queued against a reservation of {reserved}; report this as a bug")]
    Overdrawn {
        /// Bytes of the record.
        bytes: u64,
        /// Bytes reserved.
        reserved: u64,
    },

    /// Whoever watched the scan did not want it to go on.
    #[error("reading the log was cancelled")]
    Cancelled,

    /// A write or a flush failed earlier: nothing can be made durable any more.
    #[error(
        "the log has failed and takes nothing more: {cause}; close the volume and open it again to recover"
    )]
    Poisoned {
        /// What failed.
        cause: Arc<Cause>,
    },
}

/// What poisoned a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A write or a flush failed.
    #[error(transparent)]
    Device(#[from] vexfs_device::Error),
    /// The next frame would have overwritten log that is still needed.
    #[error("the frame at {lsn} would overwrite log that is still needed; report this as a bug")]
    Overrun {
        /// Where the frame was to begin.
        lsn: Lsn,
    },
    /// A thread panicked while it held the log.
    #[error("a thread panicked while it wrote the log")]
    Panic,
}

/// Why the log ends where it ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// What lies there is no frame, or not whole.
    #[error(transparent)]
    Format(#[from] vexfs_format::Error),
    /// A whole frame, but not one that continues the log: left over from before a cut.
    #[error("the frame there does not continue the log")]
    NotNext,
    /// The frame continues the log, but ends behind the end of its region or reaches round to its beginning.
    #[error("a frame of {length} bytes does not fit there")]
    OutOfBounds {
        /// Its length.
        length: u64,
    },
    /// Every byte of the frame is as it was written, but its records are none.
    #[error("the frame is whole, but its records are not: {0}")]
    Record(vexfs_format::Error),
    /// The data named by the frame is not what was written: see [`ScanOptions::until`](crate::ScanOptions::until).
    #[error("the data of the frame is not what was written")]
    Data,
    /// A later frame says that everything up to it had been durable.
    #[error("the frame at {by} says that all before {durable} had been durable")]
    WasDurable {
        /// The frame that says so.
        by: Lsn,
        /// What it says.
        durable: Lsn,
    },
    /// The log names a checkpoint that could not be read.
    #[error("the frame at {by} names checkpoint {checkpoint}, which could not be read")]
    NewerCheckpoint {
        /// The frame that says so.
        by: Lsn,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A page of the log could not be read.
    #[error("a page of the log could not be read: {0}")]
    Unreadable(vexfs_device::Error),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Device(error) => error.code(),
            Self::BadRegion { .. } => "bad_journal_region",
            Self::BadEpoch { .. } => "bad_epoch",
            Self::TooLarge { .. } => "too_large",
            Self::Full { .. } => "log_full",
            Self::Overdrawn { .. } => "log_overdrawn",
            Self::Cancelled => "cancelled",
            Self::Poisoned { .. } => "log_failed",
        }
    }
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Format(error) => error.code(),
            Self::NotNext => "not_next",
            Self::OutOfBounds { .. } => "out_of_bounds",
            Self::Record(_) => "bad_record",
            Self::Data => "data_mismatch",
            Self::WasDurable { .. } => "was_durable",
            Self::NewerCheckpoint { .. } => "newer_checkpoint",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl Cause {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Device(error) => error.code(),
            Self::Overrun { .. } => "log_overrun",
            Self::Panic => "panic",
        }
    }
}

/// The result of an operation on the log.
pub type Result<T> = std::result::Result<T, Error>;
