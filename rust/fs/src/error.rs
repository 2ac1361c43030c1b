//! What can go wrong with files: one variant a reason, one stable code a variant, and the `errno` that a mount or
//! Python shows for it.

use std::fmt;

use vexfs_format::Ino;

/// The result of a file operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A name or path in a message: bytes that need not be text, shown escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(Box<[u8]>);

impl Quoted {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Quoted {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let shown = self.0.get(..SHOWN).unwrap_or(&self.0);
        write!(f, "'")?;
        for chunk in shown.utf8_chunks() {
            write!(f, "{}{}", chunk.valid().escape_debug(), chunk.invalid().escape_ascii())?;
        }
        write!(f, "{}'", if shown.len() < self.0.len() { "..." } else { "" })
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An error of the file layer. The variants with a name carry the last component at inode level, and the whole
/// path where a path was given.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such name.
    #[error("no such file or directory: {0}; check the path")]
    NotFound(Quoted),
    /// The name is taken.
    #[error("{0} exists already; remove it first or choose another name")]
    Exists(Quoted),
    /// A directory is needed here.
    #[error("{0} is not a directory; check the path")]
    NotADirectory(Quoted),
    /// A directory cannot be used here.
    #[error("{0} is a directory; name a file in it, or use what is for directories")]
    IsADirectory(Quoted),
    /// The directory still has entries.
    #[error("directory {0} is not empty; remove what is in it first")]
    NotEmpty(Quoted),
    /// The mode bits or the access control list say no.
    #[error(
        "permission denied: {0}; its mode, its access control list or that of a directory above forbids it"
    )]
    AccessDenied(Quoted),
    /// Only the owner or a privileged caller may do this.
    #[error("operation not permitted: {what}")]
    NotPermitted {
        /// What is not permitted, and to whom it is.
        what: &'static str,
    },
    /// The name has more than 255 bytes.
    #[error("the name {0} is longer than 255 bytes; shorten it")]
    NameTooLong(Quoted),
    /// No entry can have this name.
    #[error("{0} cannot be a name: a name has no '/' and no zero byte, and is not '.' or '..'")]
    InvalidName(Quoted),
    /// Too many symbolic links on the way.
    #[error("{0} leads through more than 40 symbolic links; look for a loop")]
    Loop(Quoted),
    /// A directory cannot be moved under itself.
    #[error("directory {0} cannot be moved under itself")]
    IntoItself(Quoted),
    /// The inode has all the links it can have.
    #[error("{0} has 65,000 links, more are not possible; make a copy")]
    TooManyLinks(Quoted),
    /// The root directory, or "." or "..", cannot be removed or renamed.
    #[error("{0} cannot be removed or renamed")]
    Busy(Quoted),
    /// The inode is not a symbolic link.
    #[error("{0} is not a symbolic link")]
    NotALink(Quoted),
    /// An argument that makes no sense.
    #[error("invalid argument: {what}")]
    Invalid {
        /// Which, and what would be valid.
        what: &'static str,
    },
    /// The operation does not exist for this kind of file.
    #[error("not supported: {what}")]
    NotSupported {
        /// What is not, and for what it is.
        what: &'static str,
    },
    /// The inode that a handle stands for is gone.
    #[error("inode {0} was removed meanwhile; look the path up again")]
    Stale(Ino),
    /// The handle was closed, or not opened for this.
    #[error("the file is not open for {what}")]
    BadHandle {
        /// For what it is not open.
        what: &'static str,
    },
    /// A file can have at most 16 TiB.
    #[error("a file cannot be longer than 16 TiB")]
    FileTooLarge,
    /// There is nothing to find behind this offset.
    #[error("there is neither data nor a hole at offset {offset}: it is behind the end of the file")]
    NoSuchOffset {
        /// The offset.
        offset: u64,
    },
    /// There is no attribute of this name.
    #[error("there is no extended attribute {0}")]
    NoAttribute(Quoted),
    /// There is an attribute of this name.
    #[error("the extended attribute {0} exists already")]
    AttributeExists(Quoted),
    /// The value is longer than an attribute's can be.
    #[error("the value of the extended attribute {0} is too long; the limit is {max} bytes", max = vexfs_format::MAX_XATTR_VALUE)]
    AttributeTooLarge(Quoted),
    /// The attribute's name has more than 255 bytes, or none.
    #[error("an extended attribute's name has 1 to 255 bytes: {0}")]
    AttributeName(Quoted),
    /// The attribute's namespace does not exist.
    #[error("no extended attribute can be called {0}; names begin with user., trusted. or security.")]
    AttributeNamespace(Quoted),
    /// A record of an inode makes no sense.
    #[error("the records of inode {ino} are damaged ({source}); run `vexfs fsck`")]
    Damaged {
        /// The inode.
        ino: Ino,
        /// What is wrong.
        source: vexfs_format::Error,
    },
    /// A block of a file does not hold what was written.
    #[error(
        "block {block} is corrupt: it holds byte {offset} of inode {ino}, and its checksum is wrong; restore the file from a copy and run `vexfs fsck --data`"
    )]
    CorruptData {
        /// The block on the device.
        block: vexfs_format::BlockNo,
        /// The file.
        ino: Ino,
        /// The block's first byte in the file.
        offset: u64,
    },
    /// What a directory or an orphan refers to does not exist.
    #[error("inode {ino} is missing though {what} refers to it; run `vexfs fsck`")]
    Dangling {
        /// The inode.
        ino: Ino,
        /// What refers to it.
        what: &'static str,
    },
    /// The store below.
    #[error(transparent)]
    Store(#[from] vexfs_store::Error),
}

impl Error {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Exists(_) => "exists",
            Self::NotADirectory(_) => "not_a_directory",
            Self::IsADirectory(_) => "is_a_directory",
            Self::NotEmpty(_) => "not_empty",
            Self::AccessDenied(_) => "access_denied",
            Self::NotPermitted { .. } => "not_permitted",
            Self::NameTooLong(_) => "name_too_long",
            Self::InvalidName(_) => "invalid_name",
            Self::Loop(_) => "symlink_loop",
            Self::IntoItself(_) => "into_itself",
            Self::TooManyLinks(_) => "too_many_links",
            Self::Busy(_) => "root_busy",
            Self::NotALink(_) => "not_a_link",
            Self::Invalid { .. } => "invalid_argument",
            Self::NotSupported { .. } => "not_supported",
            Self::Stale(_) => "stale",
            Self::BadHandle { .. } => "bad_handle",
            Self::FileTooLarge => "file_too_large",
            Self::NoSuchOffset { .. } => "no_such_offset",
            Self::NoAttribute(_) => "no_attribute",
            Self::AttributeExists(_) => "attribute_exists",
            Self::AttributeTooLarge(_) => "attribute_too_large",
            Self::AttributeName(_) => "attribute_name",
            Self::AttributeNamespace(_) => "attribute_namespace",
            Self::Damaged { .. } => "damaged",
            Self::CorruptData { .. } => "corrupt_data",
            Self::Dangling { .. } => "dangling",
            Self::Store(error) => error.code(),
        }
    }

    /// The error number that a mount answers with (Linux numbers).
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::NotFound(_) => errno::ENOENT,
            Self::Exists(_) | Self::AttributeExists(_) => errno::EEXIST,
            Self::NotADirectory(_) => errno::ENOTDIR,
            Self::IsADirectory(_) => errno::EISDIR,
            Self::NotEmpty(_) => errno::ENOTEMPTY,
            Self::AccessDenied(_) => errno::EACCES,
            Self::NotPermitted { .. } => errno::EPERM,
            Self::NameTooLong(_) => errno::ENAMETOOLONG,
            Self::InvalidName(_) | Self::IntoItself(_) | Self::NotALink(_) | Self::Invalid { .. } => {
                errno::EINVAL
            }
            Self::Loop(_) => errno::ELOOP,
            Self::TooManyLinks(_) => errno::EMLINK,
            Self::Busy(_) => errno::EBUSY,
            Self::NotSupported { .. } | Self::AttributeNamespace(_) => errno::EOPNOTSUPP,
            Self::Stale(_) => errno::ESTALE,
            Self::BadHandle { .. } => errno::EBADF,
            Self::FileTooLarge => errno::EFBIG,
            Self::NoSuchOffset { .. } => errno::ENXIO,
            Self::NoAttribute(_) => errno::ENODATA,
            Self::AttributeTooLarge(_) => errno::E2BIG,
            Self::AttributeName(_) => errno::ERANGE,
            Self::Damaged { .. } | Self::CorruptData { .. } | Self::Dangling { .. } => errno::EUCLEAN,
            Self::Store(error) => store_errno(error),
        }
    }

    /// Whether running the same transaction again may succeed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(vexfs_store::Error::Conflict | vexfs_store::Error::TooOld))
    }

    /// The same error, naming `path` in place of a single component.
    #[must_use]
    pub fn at(self, path: &[u8]) -> Self {
        let path = || Quoted::from(path);
        match self {
            Self::NotFound(_) => Self::NotFound(path()),
            Self::Exists(_) => Self::Exists(path()),
            Self::NotADirectory(_) => Self::NotADirectory(path()),
            Self::IsADirectory(_) => Self::IsADirectory(path()),
            Self::NotEmpty(_) => Self::NotEmpty(path()),
            Self::AccessDenied(_) => Self::AccessDenied(path()),
            Self::Loop(_) => Self::Loop(path()),
            Self::IntoItself(_) => Self::IntoItself(path()),
            Self::TooManyLinks(_) => Self::TooManyLinks(path()),
            Self::Busy(_) => Self::Busy(path()),
            Self::NotALink(_) => Self::NotALink(path()),
            other => other,
        }
    }
}

fn store_errno(error: &vexfs_store::Error) -> i32 {
    match error.code() {
        "conflict" | "too_old" => errno::EAGAIN,
        "no_space" | "no_inodes" | "no_host_space" | "fragmentation" => errno::ENOSPC,
        "too_large" | "value_too_large" => errno::EFBIG,
        "read_only" | "failed" | "log_failed" => errno::EROFS,
        "closed" | "forked" => errno::EBADF,
        "busy" => errno::EBUSY,
        "not_found" => errno::ENOENT,
        "exists" => errno::EEXIST,
        "permission" => errno::EACCES,
        "is_a_directory" => errno::EISDIR,
        "not_a_directory" => errno::ENOTDIR,
        "fell_behind" => errno::ESTALE,
        "not_a_volume" | "newer_format" | "unknown_features" | "volume_too_small" | "volume_too_large"
        | "bad_label" | "bad_size" | "bad_path" | "bad_journal_size" | "not_a_file" => errno::EINVAL,
        "corrupt" | "corrupt_node" | "corrupt_value" | "bitmap_corrupt" | "table_corrupt" | "log_damaged"
        | "no_checkpoint" | "data_mismatch" | "double_free" | "bad_checksum" | "bad_magic" | "bad_value"
        | "bad_version" | "bad_record" | "misdirected" | "outdated" | "superblocks_lost" | "truncated"
        | "wrong_volume" => errno::EUCLEAN,
        _ => errno::EIO,
    }
}

/// The error numbers of Linux that occur here.
pub mod errno {
    #![allow(missing_docs, reason = "the names are those of errno(3)")]
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EIO: i32 = 5;
    pub const ENXIO: i32 = 6;
    pub const E2BIG: i32 = 7;
    pub const EBADF: i32 = 9;
    pub const EAGAIN: i32 = 11;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const EEXIST: i32 = 17;
    pub const ENOTDIR: i32 = 20;
    pub const EISDIR: i32 = 21;
    pub const EINVAL: i32 = 22;
    pub const EFBIG: i32 = 27;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const EMLINK: i32 = 31;
    pub const ERANGE: i32 = 34;
    pub const ENAMETOOLONG: i32 = 36;
    pub const ENOTEMPTY: i32 = 39;
    pub const ELOOP: i32 = 40;
    pub const ENODATA: i32 = 61;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ESTALE: i32 = 116;
    pub const EUCLEAN: i32 = 117;
}
