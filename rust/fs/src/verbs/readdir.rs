//! Listing directories.
//!
//! An entry's cookie is made of the hash of its name and its slot among those that share it, so it stays what it
//! is for as long as the entry lives: a listing that goes on after a cookie meets every entry that was there all
//! the time exactly once, whatever is added or removed meanwhile.

use vexfs_format::{Dirents, FileType, Ino};
use vexfs_store::Read;

use super::look::parent_of;
use crate::perm::READ;
use crate::{Attr, Error, Result, Scope, keys};

/// The cookie of "."; that of ".." is the next.
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
/// The slot of an entry within its item.
const SLOT: u64 = 0xff;

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The inode.
    pub ino: Ino,
    /// What kind of file it is.
    pub file_type: FileType,
    /// The name.
    pub name: &'a [u8],
    /// Where to go on after this entry; never 0, never with the top bit set.
    pub cookie: u64,
}

impl DirEntry<'_> {
    /// Whether it is "." or "..".
    #[must_use]
    pub fn is_dot(&self) -> bool {
        self.cookie <= DOT_DOT
    }
}

impl<R: Read> Scope<R> {
    /// Calls `visit` for the entries of a directory that come after cookie `after` (0: all, with "." and "..")
    /// until it returns false.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::AccessDenied`] without read permission, [`Error::Stale`], and what
    /// `visit` fails with.
    pub fn readdir(
        &self,
        dir: Ino,
        after: u64,
        mut visit: impl FnMut(DirEntry<'_>) -> Result<bool>,
    ) -> Result<()> {
        let inode = self.dir_inode(dir)?;
        self.check(dir, &inode, READ, b".")?;
        for (cookie, ino, name) in [(DOT, dir, b".".as_slice()), (DOT_DOT, parent_of(&inode), b"..")] {
            let file_type = FileType::Directory;
            if after < cookie && !visit(DirEntry { ino, file_type, name, cookie })? {
                return Ok(());
            }
        }
        let from = keys::dirent(dir, after & !SLOT);
        for item in self.store.range(from, keys::dirent(dir, u64::MAX)) {
            let (key, value) = item?;
            let entries = Dirents::parse(&value).map_err(|source| Error::Damaged { ino: dir, source })?;
            for entry in entries.iter() {
                let cookie = key.offset | u64::from(entry.slot);
                let entry = DirEntry { ino: entry.ino, file_type: entry.file_type, name: entry.name, cookie };
                if cookie > after && !visit(entry)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// As [`Scope::readdir`], with the attributes of each entry.
    ///
    /// # Errors
    /// As [`Scope::readdir`].
    pub fn readdir_plus(
        &self,
        dir: Ino,
        after: u64,
        mut visit: impl FnMut(DirEntry<'_>, &Attr) -> Result<bool>,
    ) -> Result<()> {
        self.readdir(dir, after, |entry| {
            let attr = Attr::new(entry.ino, &self.target(entry.ino)?);
            visit(entry, &attr)
        })
    }
}
