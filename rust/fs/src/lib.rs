//! Inodes, directories, file data and permissions of a VexFS volume.
//!
//! [`Fs`] is an open volume. Reading happens in an [`FsView`], changing in an [`FsTx`]; both have the same reading
//! verbs, and both act for a [`Caller`] whose permissions are checked as POSIX says. An operation on its own is
//! `fs.auto(&caller, |tx| tx.mkdir(...))`: visible when it returns, durable with the next group commit.
//!
//! The verbs come in two levels: on inodes (a name in a directory, as a mount needs it) and on paths. Times have
//! nanoseconds; reading never changes the time of access, as on a file system mounted with `noatime`.

pub mod acl;
mod attr;
mod caller;
mod clock;
pub mod data;
mod dir;
mod error;
mod fs;
mod handle;
mod keys;
mod orphan;
mod path;
mod pending;
pub mod perm;
mod scope;
mod touch;
mod tx;
mod verbs;

pub use attr::{Attr, SetAttr, SetTime, StatFs};
pub use caller::Caller;
pub use error::{Error, Quoted, Result, errno};
pub use fs::{Fs, RootOptions};
pub use handle::Hold;
pub use path::{Follow, MAX_SYMLINKS, OpenFile, OpenOptions, OwnedEntry, Walked};
pub use scope::{FsTx, FsView, Scope};
pub use verbs::{DirEntry, MAX_SYMLINK, RenameFlags, XattrMode};
pub use vexfs_format::{FileType, Ino, Seq};
pub use vexfs_store::{
    Durability, FormatOptions, Isolation, Options, RecoveryProgress, RecoveryWatch, Savepoint,
};
