//! Further names, and holding inodes in a transaction.

use vexfs_format::{FileType, Ino, MAX_LINKS};

use crate::error::Quoted;
use crate::{Attr, Error, FsTx, Hold, Result, clock, keys};

impl FsTx {
    /// Gives an inode another name; one made by [`FsTx::tmpfile`] gets its first.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotPermitted`] (a directory), [`Error::TooManyLinks`], [`Error::NotFound`]
    /// (it has lost its last name), [`Error::AccessDenied`].
    pub fn link(&mut self, ino: Ino, dir: Ino, name: &[u8]) -> Result<Attr> {
        let (_, place) = self.free_place(dir, name)?;
        let mut inode = self.inode(ino)?;
        if inode.file_type == FileType::Directory {
            return Err(Error::NotPermitted { what: "a directory has one name only" });
        }
        if inode.nlink == 0 && !self.fs.handles().is_linkable(ino) {
            return Err(Error::NotFound(Quoted::from(name)));
        }
        if inode.nlink >= MAX_LINKS {
            return Err(Error::TooManyLinks(Quoted::from(name)));
        }
        let now = clock::now();
        self.set_entry(&place, name, ino, inode.file_type)?;
        if inode.nlink == 0 {
            self.store.delete(keys::orphan(ino));
            self.pending.named.push(ino);
        }
        inode.nlink += 1;
        inode.ctime_ns = now;
        self.put_inode(ino, &inode);
        self.touch_dir(dir, now, 0);
        Ok(Attr::new(ino, &inode))
    }

    /// Keeps an inode from being removed when its last name goes, whether or not this transaction commits.
    ///
    /// # Errors
    /// [`Error::Stale`] if there is no such inode.
    pub fn hold(&self, ino: Ino) -> Result<Hold> {
        self.fs.handles().hold(ino);
        let hold = Hold::new(&self.fs, ino, 0);
        let generation = self.inode(ino)?.generation;
        Ok(hold.with_generation(generation))
    }
}
