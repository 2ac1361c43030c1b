//! What can go wrong in the store, one code a site.

use vexfs_format::Lsn;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another transaction changed what this one read or wrote.
    #[error("another transaction changed what this one used: run it again")]
    Conflict,
    /// The transaction's view is older than what the memory budget keeps for validation.
    #[error("the transaction has been open too long for its changes to be validated: run it again")]
    TooOld,
    /// The change does not fit, even after checkpoints and dropping old ones.
    #[error("no space left in the volume: remove files, or copy them to a larger volume")]
    NoSpace,
    /// All inode numbers are in use.
    #[error("all inode numbers of the volume are in use: remove files, or copy them to a larger volume")]
    NoInodes,
    /// The transaction is larger than a quarter of the log.
    #[error(
        "the transaction needs {bytes} bytes of log, the limit of this volume is {limit}: split it, or make the volume with a larger journal"
    )]
    TooLarge {
        /// What it needs.
        bytes: u64,
        /// A quarter of the log.
        limit: u64,
    },
    /// The log or the memory for changes is held by a reader that does not end.
    #[error("no room in the log or in memory: a view that is open for long holds it; end it and try again")]
    Stalled,
    /// A reader beside a writer read a checkpoint that is no longer kept.
    #[error(
        "the process that writes has gone on, and what was being read is no longer kept: read it again (in Python, after refresh() of the volume, from a file opened anew)"
    )]
    FellBehind,
    /// The volume was opened for reading.
    #[error("the volume is open for reading only: open it with mode \"rw\"")]
    ReadOnly,
    /// A write or flush failed earlier; nothing is written any more.
    #[error(
        "the volume turned read-only after a failed write ({reason}): close it and open it again, which recovers what was committed"
    )]
    Failed {
        /// What failed first.
        reason: String,
    },
    /// The volume was closed.
    #[error("the volume is closed")]
    Closed,
    /// There are superblocks, and all of them are damaged.
    #[error(
        "{name}: every copy of the superblock is damaged ({}): without one nothing of the volume can be found; restore the image from a copy",
        .reason.code()
    )]
    SuperblocksLost {
        /// The device.
        name: String,
        /// What is wrong with the first.
        reason: vexfs_format::Error,
    },
    /// There is no superblock.
    #[error("{name} is not a VexFS volume: {reason}")]
    NotAVolume {
        /// The device.
        name: String,
        /// Why.
        reason: String,
    },
    /// The device is shorter than the volume on it.
    #[error(
        "{name} is cut short: the volume has {need} bytes, the device {have}; restore the image from a copy"
    )]
    Truncated {
        /// The device.
        name: String,
        /// Bytes that it has.
        have: u64,
        /// Bytes of the volume.
        need: u64,
    },
    /// The volume uses features that this version may read but not write.
    #[error(
        "the volume uses features that this version cannot write (bits {bits:#x}): open it with mode \"r\", or use a newer version"
    )]
    UnknownFeatures {
        /// The unknown bits.
        bits: u64,
    },
    /// The system gave no random numbers.
    #[error("the system gave no random numbers: {reason}")]
    Random {
        /// Its reason.
        reason: String,
    },
    /// The system gave no threads.
    #[error("the system gave no threads for recovery: {reason}")]
    Threads {
        /// Its reason.
        reason: String,
    },
    /// No checkpoint descriptor is valid.
    #[error("no checkpoint of the volume can be read ({reason}): run `vexfs fsck`")]
    NoCheckpoint {
        /// Why.
        reason: String,
    },
    /// The log is damaged where it had been durable.
    #[error(
        "the log is damaged at {lsn} ({reason}): committed transactions from there on cannot be read; run `vexfs fsck`"
    )]
    LogDamaged {
        /// The first position that cannot be read.
        lsn: Lsn,
        /// What was found.
        reason: String,
    },
    /// A record that passed its checksum makes no sense.
    #[error("corrupt metadata ({what}): run `vexfs fsck`")]
    Corrupt {
        /// What it is.
        what: String,
    },
    /// The device.
    #[error(transparent)]
    Device(#[from] vexfs_device::Error),
    /// The bytes on disk.
    #[error(transparent)]
    Format(#[from] vexfs_format::Error),
    /// The allocator.
    #[error(transparent)]
    Space(#[from] vexfs_space::Error),
    /// The log.
    #[error(transparent)]
    Journal(#[from] vexfs_journal::Error),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] vexfs_tree::Error),
}

impl Error {
    /// Whether the device may have lost writes that had returned: everything but a refusal for want of space on
    /// the host.
    pub(crate) fn is_lost_write(&self) -> bool {
        let device = match self {
            Self::Device(error) | Self::Tree(vexfs_tree::Error::Device(error)) => error,
            Self::Space(vexfs_space::Error::Device(error)) => error,
            _ => return false,
        };
        device.code() != "no_host_space"
    }

    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::TooOld => "too_old",
            Self::NoSpace => "no_space",
            Self::NoInodes => "no_inodes",
            Self::TooLarge { .. } => "too_large",
            Self::Stalled => "stalled",
            Self::FellBehind => "fell_behind",
            Self::ReadOnly => "read_only",
            Self::Failed { .. } => "failed",
            Self::Closed => "closed",
            Self::SuperblocksLost { .. } => "superblocks_lost",
            Self::NotAVolume { .. } => "not_a_volume",
            Self::Truncated { .. } => "truncated",
            Self::UnknownFeatures { .. } => "unknown_features",
            Self::Random { .. } => "no_random",
            Self::Threads { .. } => "no_threads",
            Self::NoCheckpoint { .. } => "no_checkpoint",
            Self::LogDamaged { .. } => "log_damaged",
            Self::Corrupt { .. } => "corrupt",
            Self::Device(error) => error.code(),
            Self::Format(error) => error.code(),
            Self::Space(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::Tree(error) => error.code(),
        }
    }
}
