//! The verbs on a file's data. Permissions are not asked for here: they were when the file was opened.

use vexfs_format::{FileType, Ino, Inode};
use vexfs_store::Read;

use super::editor::Editor;
use super::fallocate::Allocate;
use super::{bulk, read, seek};
use crate::{Attr, Error, FsTx, Result, Scope};

impl<R: Read> Scope<R> {
    /// Reads from `offset` into `into`; returns how many bytes there were, fewer only at the end of the file.
    ///
    /// # Errors
    /// [`Error::CorruptData`]: a block is not what was written; nothing of `into` is to be trusted then.
    pub fn read(&self, ino: Ino, offset: u64, into: &mut [u8]) -> Result<usize> {
        let inode = self.regular(ino)?;
        read::read(self.fs.store(), &self.store, ino, inode.size, offset, into)
    }

    /// All bytes of the file.
    ///
    /// # Errors
    /// As [`Scope::read`]; [`Error::FileTooLarge`] if they cannot be held in memory.
    pub fn read_all(&self, ino: Ino) -> Result<Vec<u8>> {
        let size = self.regular(ino)?.size;
        let len = usize::try_from(size).map_err(|_| Error::FileTooLarge)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Error::FileTooLarge)?;
        bytes.resize(len, 0);
        read::read(self.fs.store(), &self.store, ino, size, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads from the beginning of a file whose attributes, read in this moment, are known to be those of a regular
    /// file; returns how many bytes there were.
    ///
    /// # Errors
    /// As [`Scope::read`].
    pub fn content(&self, file: &Attr, into: &mut [u8]) -> Result<usize> {
        if self.store.may_change() {
            // Another thread may have used the transaction since.
            return self.read(file.ino, 0, into);
        }
        read::read(self.fs.store(), &self.store, file.ino, file.size, 0, into)
    }

    /// The first byte at or behind `offset` that is data (`SEEK_DATA`).
    ///
    /// # Errors
    /// [`Error::NoSuchOffset`] if there is none.
    pub fn seek_data(&self, ino: Ino, offset: u64) -> Result<u64> {
        seek::data(&self.store, ino, self.regular(ino)?.size, offset)
    }

    /// The first byte at or behind `offset` that is in a hole (`SEEK_HOLE`); the end of the file counts as one.
    ///
    /// # Errors
    /// [`Error::NoSuchOffset`] if `offset` is not within the file.
    pub fn seek_hole(&self, ino: Ino, offset: u64) -> Result<u64> {
        seek::hole(&self.store, ino, self.regular(ino)?.size, offset)
    }

    /// The record of an inode that has data.
    fn regular(&self, ino: Ino) -> Result<Inode> {
        let inode = self.inode(ino)?;
        check_regular(ino, &inode)?;
        Ok(inode)
    }
}

pub(super) fn check_regular(ino: Ino, inode: &Inode) -> Result<()> {
    match inode.file_type {
        FileType::Regular => Ok(()),
        FileType::Directory => Err(Error::IsADirectory(format!("inode {ino}").as_bytes().into())),
        _ => Err(Error::Invalid { what: "only a regular file has data" }),
    }
}

impl FsTx {
    /// Writes `data` at `offset`; what lies between the end of the file and there becomes a hole.
    ///
    /// # Errors
    /// [`Error::FileTooLarge`] beyond 16 TiB; no space. The transaction is then as it was before.
    pub fn write(&mut self, ino: Ino, offset: u64, data: &[u8]) -> Result<()> {
        self.whole(|tx| Editor::new(tx, ino)?.write(offset, data))
    }

    /// Writes `data` at the end of the file; returns where that was.
    ///
    /// # Errors
    /// As [`FsTx::write`].
    pub fn append(&mut self, ino: Ino, data: &[u8]) -> Result<u64> {
        self.whole(|tx| {
            let editor = Editor::new(tx, ino)?;
            let end = editor.size();
            editor.append(data).map(|()| end)
        })
    }

    /// Makes `data` all that the file has.
    ///
    /// # Errors
    /// As [`FsTx::write`].
    pub fn write_all(&mut self, ino: Ino, data: &[u8]) -> Result<()> {
        self.whole(|tx| Editor::new(tx, ino)?.write_all(data))
    }

    /// Makes each `data` all that its file has: many small files in few large writes. Of a file that is named more
    /// than once the last counts.
    ///
    /// # Errors
    /// As [`FsTx::write`].
    pub fn write_files(&mut self, files: &[(Ino, &[u8])]) -> Result<()> {
        self.whole(|tx| bulk::write_files(tx, files))
    }

    /// Sets the file's length; what is added reads as zero.
    ///
    /// # Errors
    /// [`Error::FileTooLarge`] beyond 16 TiB.
    pub fn truncate(&mut self, ino: Ino, size: u64) -> Result<()> {
        self.whole(|tx| Editor::new(tx, ino)?.truncate(size))
    }

    /// Changes how a range of the file is allocated (`fallocate`).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a range that the change does not allow; [`Error::FileTooLarge`]; no space.
    pub fn allocate(&mut self, ino: Ino, what: Allocate, offset: u64, len: u64) -> Result<()> {
        self.whole(|tx| Editor::new(tx, ino)?.allocate(what, offset, len))
    }

    /// Does all of a change or, if it fails, nothing of it.
    ///
    /// What a change joins to earlier ones cannot be undone, so it joins last of all; and a change within another,
    /// which may still fail after it, joins nothing from before.
    pub(crate) fn whole<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.pending.depth > 0 {
            self.pending.part();
        }
        // Not the savepoint of a caller: what succeeds can still be joined by later changes.
        let savepoint = self.store.savepoint();
        self.pending.depth += 1;
        let result = change(self);
        self.pending.depth -= 1;
        if result.is_ok() {
            self.store.release(savepoint);
        } else {
            self.pending.part();
            self.store.rollback_to(savepoint);
        }
        result
    }
}
