//! Looking: names, attributes, targets of links.

use vexfs_format::{FileType, Ino, Inode};
use vexfs_store::Read;

use crate::dir::check_name;
use crate::error::Quoted;
use crate::perm::EXEC;
use crate::{Attr, Error, Result, Scope, keys};

impl<R: Read> Scope<R> {
    /// What `name` in the directory leads to; "." and ".." work too. A symbolic link is not followed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`], [`Error::AccessDenied`], [`Error::NameTooLong`].
    pub fn lookup(&self, dir: Ino, name: &[u8]) -> Result<Attr> {
        let inode = self.search(dir, name)?;
        let ino = match name {
            b"." => dir,
            b".." if inode.nlink > 0 => parent_of(&inode),
            b".." => return Err(Error::NotFound(Quoted::from(name))),
            _ => self.existing(dir, name)?.0,
        };
        Ok(Attr::new(ino, &self.target(ino)?))
    }

    /// What `stat` tells of the inode.
    ///
    /// # Errors
    /// [`Error::Stale`] if there is no such inode.
    pub fn getattr(&self, ino: Ino) -> Result<Attr> {
        Ok(Attr::new(ino, &self.inode(ino)?))
    }

    /// Where a symbolic link leads to.
    ///
    /// # Errors
    /// [`Error::NotALink`].
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        match self.inode(ino)?.file_type {
            FileType::Symlink => self.link_target(ino),
            _ => Err(Error::NotALink(Quoted::from(b"".as_slice()))),
        }
    }

    pub(crate) fn link_target(&self, ino: Ino) -> Result<Vec<u8>> {
        let target = self.store.get(keys::inline(ino, 0))?;
        let bad = vexfs_format::Error::BadValue { what: "symbolic link", field: "target", value: 0 };
        target.map(|target| target.to_vec()).ok_or(Error::Damaged { ino, source: bad })
    }

    /// The directory in which the caller looks `name` up.
    pub(crate) fn search(&self, dir: Ino, name: &[u8]) -> Result<Inode> {
        check_name(name)?;
        let inode = self.dir_inode(dir).map_err(|error| error.at(name))?;
        self.check(dir, &inode, EXEC, name)?;
        Ok(inode)
    }
}

/// The parent that a directory's record names.
pub(crate) fn parent_of(dir: &Inode) -> Ino {
    Ino(dir.parent_or_rdev)
}
