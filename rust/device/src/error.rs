//! What can go wrong with a device. Every variant has one stable code and a message that says what happened,
//! to what, and what to do.

use rustix::io::Errno;

/// The result of a device operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who holds the lock on a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its command line, shortened; empty if it could not be read.
    pub command: String,
}

/// A device error. `name` is always the path, or what stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The range asked for ends behind the end of the device.
    #[error(
        "{name}: ends at byte {end}, but {len} bytes at {offset} were asked for; if the file was cut short, \
         restore it from a backup"
    )]
    Truncated {
        /// The device.
        name: String,
        /// Where the range begins.
        offset: u64,
        /// How long it is.
        len: u64,
        /// Where the device ends.
        end: u64,
    },

    /// The host could not read or write.
    #[error("{name}: cannot {action}: {errno}; check the disk and the system's log")]
    Io {
        /// The device.
        name: String,
        /// What was being done, as "read 4096 bytes at 8192".
        action: String,
        /// The host's reason.
        errno: Errno,
    },

    /// Somebody else has the volume open.
    #[error("{name}: is in use {}", by(.holder))]
    Busy {
        /// The device.
        name: String,
        /// Who has it, if that could be found out.
        holder: Option<Holder>,
    },

    /// Nothing is there.
    #[error(
        "{name}: there is no such file; check the path (mkfs makes a volume, but not its parent directory)"
    )]
    NotFound {
        /// The path.
        name: String,
    },

    /// Something is there already and must not be lost.
    #[error("{name}: exists and holds data; choose another path, or use force to overwrite it")]
    Exists {
        /// The path.
        name: String,
    },

    /// The path is a directory.
    #[error("{name}: is a directory; a volume is a file or a block device")]
    IsDirectory {
        /// The path.
        name: String,
    },

    /// A part of the path that should be a directory is something else.
    #[error("{name}: a part of this path is not a directory; check the path")]
    NotADirectory {
        /// The path.
        name: String,
    },

    /// The path is neither a file nor a block device.
    #[error("{name}: is a {kind}; a volume is a file or a block device")]
    NotAFile {
        /// The path.
        name: String,
        /// What it is.
        kind: &'static str,
    },

    /// The path itself cannot be used: too long, or a loop of symbolic links.
    #[error("{name}: this path cannot be used: {errno}; choose another")]
    BadPath {
        /// The path.
        name: String,
        /// The host's reason.
        errno: Errno,
    },

    /// The host does not let this user at it.
    #[error("{name}: permission denied to {action}; check the owner and mode of the file and its directory")]
    Permission {
        /// The path.
        name: String,
        /// What was refused.
        action: String,
    },

    /// The host's file system is full, or the user's quota is used up.
    #[error("{name}: the host has no space left to {action}; free space where the volume lies")]
    NoHostSpace {
        /// The device.
        name: String,
        /// What needed the space.
        action: String,
    },

    /// A write to a device opened for reading, or to read-only media.
    #[error("{name}: is read-only; open it for writing, or remount the file system that it lies on")]
    ReadOnly {
        /// The device.
        name: String,
    },

    /// A length that no volume can have here.
    #[error("{name}: {reason}")]
    BadSize {
        /// The device.
        name: String,
        /// What is wrong with it and what would do.
        reason: String,
    },

    /// A handle opened before fork(2) was used for writing in the child.
    #[error("{name}: was opened by process {owner}, and this is its forked child; open it again here")]
    Forked {
        /// The device.
        name: String,
        /// The process that opened it.
        owner: u32,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Io { .. } => "io",
            Self::Busy { .. } => "busy",
            Self::NotFound { .. } => "not_found",
            Self::Exists { .. } => "exists",
            Self::IsDirectory { .. } => "is_a_directory",
            Self::NotADirectory { .. } => "not_a_directory",
            Self::NotAFile { .. } => "not_a_file",
            Self::BadPath { .. } => "bad_path",
            Self::Permission { .. } => "permission",
            Self::NoHostSpace { .. } => "no_host_space",
            Self::ReadOnly { .. } => "read_only",
            Self::BadSize { .. } => "bad_size",
            Self::Forked { .. } => "forked",
        }
    }

    /// The errno that a program would have got from the host.
    #[must_use]
    pub const fn errno(&self) -> i32 {
        match self {
            Self::Io { errno, .. } | Self::BadPath { errno, .. } => errno.raw_os_error(),
            Self::Truncated { .. } => libc::EIO,
            Self::Busy { .. } => libc::EBUSY,
            Self::NotFound { .. } => libc::ENOENT,
            Self::Exists { .. } => libc::EEXIST,
            Self::IsDirectory { .. } => libc::EISDIR,
            Self::NotADirectory { .. } => libc::ENOTDIR,
            Self::NotAFile { .. } | Self::BadSize { .. } => libc::EINVAL,
            Self::Permission { .. } => libc::EACCES,
            Self::NoHostSpace { .. } => libc::ENOSPC,
            Self::ReadOnly { .. } => libc::EROFS,
            Self::Forked { .. } => libc::EBADF,
        }
    }

    /// The error for what the host answered to `action` on `name`.
    pub(crate) fn from_errno(name: String, action: impl Into<String>, errno: Errno) -> Self {
        let action = action.into();
        match errno {
            Errno::NOENT => Self::NotFound { name },
            Errno::EXIST => Self::Exists { name },
            Errno::ISDIR => Self::IsDirectory { name },
            Errno::NOTDIR => Self::NotADirectory { name },
            Errno::LOOP | Errno::NAMETOOLONG => Self::BadPath { name, errno },
            Errno::ACCESS | Errno::PERM => Self::Permission { name, action },
            Errno::NOSPC | Errno::DQUOT => Self::NoHostSpace { name, action },
            Errno::ROFS => Self::ReadOnly { name },
            Errno::FBIG => Self::BadSize { name, reason: format!("the host cannot {action}: {errno}") },
            _ => Self::Io { name, action, errno },
        }
    }
}

fn by(holder: &Option<Holder>) -> String {
    match holder {
        Some(h) if h.pid == std::process::id() => "by this very process; close it first".into(),
        Some(h) if h.command.is_empty() => format!("by process {}; close it there first", h.pid),
        Some(h) => format!("by process {} ({}); close it there first", h.pid, h.command),
        None => "by another process or a mount; close or unmount it there first".into(),
    }
}
