//! Why a volume could not be checked. What is wrong with a volume is no error: it is in the report.

/// The result of a check.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the checker.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no volume to check, or it needs a newer version, or it is cut short.
    #[error(transparent)]
    Store(#[from] vexfs_store::Error),
    /// The device.
    #[error(transparent)]
    Device(#[from] vexfs_device::Error),
    /// What is to be shown does not exist.
    #[error("there is no {what}")]
    NotThere {
        /// What, and what there is.
        what: String,
    },
    /// The system gave no threads.
    #[error("the system gave no threads for the check: {reason}; try fewer workers")]
    Threads {
        /// Its reason.
        reason: String,
    },
    /// Whoever watches the progress ended the check.
    #[error("the check was cancelled")]
    Cancelled,
}

impl Error {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Device(error) => error.code(),
            Self::NotThere { .. } => "not_there",
            Self::Threads { .. } => "no_threads",
            Self::Cancelled => "cancelled",
        }
    }

    /// The exit code of fsck(8): 32 for a cancelled check, 8 for one that could not be made.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Cancelled => 32,
            _ => 8,
        }
    }
}
