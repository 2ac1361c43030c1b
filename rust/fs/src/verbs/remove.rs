//! Taking names away.

use vexfs_format::{FileType, Ino, Inode};

use crate::dir::Place;
use crate::error::Quoted;
use crate::perm::{WRITE, check_sticky};
use crate::{Error, FsTx, Result, clock};

/// An entry that is about to go.
pub(crate) struct Doomed {
    pub place: Place,
    pub ino: Ino,
    pub inode: Inode,
}

impl FsTx {
    /// Removes a name of something that is no directory. With its last name an inode goes too, once nobody holds it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsADirectory`], [`Error::AccessDenied`], [`Error::NotPermitted`] (sticky).
    pub fn unlink(&mut self, dir: Ino, name: &[u8]) -> Result<()> {
        let doomed = self.removable(dir, name)?;
        if doomed.inode.file_type == FileType::Directory {
            return Err(Error::IsADirectory(Quoted::from(name)));
        }
        self.remove(dir, name, doomed)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`], [`Error::NotEmpty`], [`Error::AccessDenied`],
    /// [`Error::NotPermitted`] (sticky).
    pub fn rmdir(&mut self, dir: Ino, name: &[u8]) -> Result<()> {
        match name {
            b"." => return Err(Error::Invalid { what: "'.' cannot be removed; name the directory" }),
            b".." => return Err(Error::NotEmpty(Quoted::from(name))),
            _ => {}
        }
        let doomed = self.removable(dir, name)?;
        if doomed.inode.file_type != FileType::Directory {
            return Err(Error::NotADirectory(Quoted::from(name)));
        }
        if !self.is_empty_dir(doomed.ino)? {
            return Err(Error::NotEmpty(Quoted::from(name)));
        }
        self.remove(dir, name, doomed)
    }

    /// An entry that the caller may remove or rename.
    pub(crate) fn removable(&self, dir: Ino, name: &[u8]) -> Result<Doomed> {
        let parent = self.search(dir, name)?;
        let place = self.place(dir, name)?;
        let Some((ino, _)) = place.found else { return Err(Error::NotFound(Quoted::from(name))) };
        self.check(dir, &parent, WRITE, name)?;
        let inode = self.target(ino)?;
        check_sticky(&self.caller, &parent, &inode)?;
        Ok(Doomed { place, ino, inode })
    }

    fn remove(&mut self, dir: Ino, name: &[u8], doomed: Doomed) -> Result<()> {
        let now = clock::now();
        self.remove_entry(&doomed.place, name)?;
        self.touch_dir(dir, now, -i32::from(doomed.inode.file_type == FileType::Directory));
        self.drop_link(doomed.ino, doomed.inode, now);
        Ok(())
    }

    /// Notes that an inode has lost a name.
    pub(crate) fn drop_link(&mut self, ino: Ino, mut inode: Inode, now: i64) {
        inode.nlink = inode.nlink.saturating_sub(1);
        inode.ctime_ns = now;
        match inode.nlink {
            0 => self.put_nameless(ino, &inode),
            _ => self.put_inode(ino, &inode),
        }
    }
}
