//! What all operations run in: one moment of the volume as one caller sees it.
//!
//! [`FsView`] reads a committed moment. [`FsTx`] reads the same way and sees its own changes, which nobody else
//! does before [`FsTx::commit`]. The verbs are in the files of `verbs/`, `path/` and `data/`: those that read are
//! methods of both, those that change are methods of [`FsTx`].

use vexfs_format::{Ino, Inode, Seq};
use vexfs_store::{Mode, Read, Tx, View};

use crate::pending::{Directories, Pending};
use crate::{Caller, Error, Fs, Result, keys};

/// See the head of the file.
#[derive(Debug)]
pub struct Scope<R> {
    pub(crate) fs: Fs,
    pub(crate) caller: Caller,
    pub(crate) store: R,
    pub(crate) pending: Pending,
}

/// A committed moment of the volume, for reading. It stays as it is while others write.
pub type FsView = Scope<View>;

/// A transaction over files. Dropping it undoes everything.
pub type FsTx = Scope<Tx>;

impl<R: Read> Scope<R> {
    pub(crate) fn new(fs: &Fs, caller: &Caller, store: R) -> Self {
        Self { fs: fs.clone(), caller: caller.clone(), store, pending: Pending::default() }
    }

    /// The volume.
    #[must_use]
    pub fn fs(&self) -> &Fs {
        &self.fs
    }

    /// On whose behalf it runs.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The moment that is read.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.store.seq()
    }

    /// The keys and values below.
    #[must_use]
    pub fn store(&self) -> &R {
        &self.store
    }

    /// Whether a name of a directory leads here where it does in the committed moment that is read, and nobody has to
    /// know that it was looked at.
    pub(crate) fn sees_committed_names(&self) -> bool {
        self.pending.directories == Directories::Kept
            && !self.store.is_watched()
            && self.fs.store().mode() != Mode::Beside
    }

    /// The inode record; [`Error::Stale`] if there is no such inode.
    pub(crate) fn inode(&self, ino: Ino) -> Result<Inode> {
        self.find_inode(ino)?.ok_or(Error::Stale(ino))
    }

    /// The inode record, if there is one.
    pub(crate) fn find_inode(&self, ino: Ino) -> Result<Option<Inode>> {
        let value = self.store.get(keys::inode(ino))?;
        value.map(|value| Inode::parse(&value)).transpose().map_err(|source| Error::Damaged { ino, source })
    }
}
