//! The verbs on paths. Each resolves its path and does what the verb on inodes does.

use std::borrow::Cow;

use vexfs_format::{FileType, Ino};
use vexfs_store::Read;

use super::resolve::{End, Follow};
use crate::error::Quoted;
use crate::{Attr, Error, FsTx, RenameFlags, Result, Scope, SetAttr, XattrMode};

impl<R: Read> Scope<R> {
    /// What `stat` tells of what a path leads to.
    ///
    /// # Errors
    /// As [`Scope::resolve`].
    pub fn stat(&self, path: &[u8], follow: Follow) -> Result<Attr> {
        let ino = self.resolve(path, follow)?;
        Ok(Attr::new(ino, &self.target(ino)?))
    }

    /// As [`Scope::stat`]; `None` if there is no such path.
    ///
    /// # Errors
    /// As [`Scope::resolve`], but for [`Error::NotFound`].
    pub fn try_stat(&self, path: &[u8], follow: Follow) -> Result<Option<Attr>> {
        match self.try_resolve(path, follow)? {
            Some(ino) => Ok(Some(Attr::new(ino, &self.target(ino)?))),
            None => Ok(None),
        }
    }

    /// Where the symbolic link at a path leads to.
    ///
    /// # Errors
    /// As [`Scope::resolve`], [`Error::NotALink`].
    pub fn readlink_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        let ino = self.resolve(path, Follow::Never)?;
        self.readlink(ino).map_err(|error| error.at(path))
    }

    /// Fails unless the caller may do all of `want` (rwx as 4, 2, 1; 0 for mere existence) with what the path
    /// leads to.
    ///
    /// # Errors
    /// As [`Scope::resolve`], [`Error::AccessDenied`].
    pub fn access_path(&self, path: &[u8], want: u16) -> Result<()> {
        let ino = self.resolve(path, Follow::Always)?;
        self.access(ino, want).map_err(|error| error.at(path))
    }

    /// The value of an attribute of what a path leads to.
    ///
    /// # Errors
    /// As [`Scope::resolve`] and [`Scope::getxattr`].
    pub fn getxattr_path(&self, path: &[u8], name: &[u8], follow: Follow) -> Result<Vec<u8>> {
        self.getxattr(self.resolve(path, follow)?, name)
    }

    /// The names of the attributes of what a path leads to.
    ///
    /// # Errors
    /// As [`Scope::resolve`].
    pub fn listxattr_path(&self, path: &[u8], follow: Follow) -> Result<Vec<Vec<u8>>> {
        self.listxattr(self.resolve(path, follow)?)
    }
}

impl FsTx {
    /// Makes a regular file.
    ///
    /// # Errors
    /// As [`FsTx::create`] and [`Scope::resolve`].
    pub fn create_path(&mut self, path: &[u8], mode: u32) -> Result<Attr> {
        let (dir, name) = self.new_file(path)?;
        self.create(dir, &name, mode).map_err(|error| error.at(path))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As [`FsTx::mkdir`] and [`Scope::resolve`].
    pub fn mkdir_path(&mut self, path: &[u8], mode: u32) -> Result<Attr> {
        let End { dir, name, .. } = self.end_of(path)?;
        match name.is_empty() {
            true => Err(Error::Exists(Quoted::from(path))),
            false => self.mkdir(dir, &name, mode).map_err(|error| error.at(path)),
        }
    }

    /// Makes a regular file, pipe, socket or device file.
    ///
    /// # Errors
    /// As [`FsTx::mknod`] and [`Scope::resolve`].
    pub fn mknod_path(&mut self, path: &[u8], mode: u32, rdev: u64) -> Result<Attr> {
        let (dir, name) = self.new_file(path)?;
        self.mknod(dir, &name, mode, rdev).map_err(|error| error.at(path))
    }

    /// Makes a symbolic link at `path` to `target`, which need not exist.
    ///
    /// # Errors
    /// As [`FsTx::symlink`] and [`Scope::resolve`].
    pub fn symlink_path(&mut self, target: &[u8], path: &[u8]) -> Result<Attr> {
        let (dir, name) = self.new_file(path)?;
        self.symlink(dir, &name, target).map_err(|error| error.at(path))
    }

    /// Gives what `path` leads to a further name. A symbolic link gets one itself unless it is to be followed.
    ///
    /// # Errors
    /// As [`FsTx::link`] and [`Scope::resolve`].
    pub fn link_path(&mut self, path: &[u8], new_path: &[u8], follow: Follow) -> Result<Attr> {
        let ino = self.resolve(path, follow)?;
        let (dir, name) = self.new_file(new_path)?;
        self.link(ino, dir, &name).map_err(|error| error.at(new_path))
    }

    /// Removes the name of something that is no directory.
    ///
    /// # Errors
    /// As [`FsTx::unlink`] and [`Scope::resolve`].
    pub fn unlink_path(&mut self, path: &[u8]) -> Result<()> {
        let end = self.end_of(path)?;
        if matches!(&*end.name, b"" | b"." | b"..") {
            return Err(Error::IsADirectory(Quoted::from(path)));
        }
        self.check_slash(path, &end)?;
        self.unlink(end.dir, &end.name).map_err(|error| error.at(path))
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As [`FsTx::rmdir`] and [`Scope::resolve`]; [`Error::Busy`] for the root.
    pub fn rmdir_path(&mut self, path: &[u8]) -> Result<()> {
        let End { dir, name, .. } = self.end_of(path)?;
        match name.is_empty() {
            true => Err(Error::Busy(Quoted::from(path))),
            false => self.rmdir(dir, &name).map_err(|error| error.at(path)),
        }
    }

    /// Renames `path` to `new_path`; see [`FsTx::rename`].
    ///
    /// # Errors
    /// As [`FsTx::rename`] and [`Scope::resolve`]; [`Error::Busy`] for the root.
    pub fn rename_path(&mut self, path: &[u8], new_path: &[u8], flags: RenameFlags) -> Result<()> {
        let (from, to) = (self.end_of(path)?, self.end_of(new_path)?);
        for (end, path) in [(&from, path), (&to, new_path)] {
            if end.name.is_empty() {
                return Err(Error::Busy(Quoted::from(path)));
            }
        }
        self.check_slash(path, &from)?;
        if to.slash {
            let moved = self.entry(from.dir, &from.name)?;
            let replaced = self.entry(to.dir, &to.name)?;
            let (path, found) = match flags {
                RenameFlags::Exchange => (new_path, replaced),
                _ => (path, moved),
            };
            if found.is_some_and(|(_, file_type)| file_type != FileType::Directory) {
                return Err(Error::NotADirectory(Quoted::from(path)));
            }
        }
        let result = self.rename(from.dir, &from.name, to.dir, &to.name, flags);
        result.map_err(|error| {
            // Whichever of the two the message is about.
            let about_target = matches!(
                error,
                Error::Exists(_) | Error::NotEmpty(_) | Error::IsADirectory(_) | Error::NotADirectory(_)
            );
            error.at(if about_target { new_path } else { path })
        })
    }

    /// Changes attributes of what a path leads to; see [`FsTx::setattr`].
    ///
    /// # Errors
    /// As [`FsTx::setattr`] and [`Scope::resolve`].
    pub fn setattr_path(&mut self, path: &[u8], set: &SetAttr, follow: Follow) -> Result<Attr> {
        let ino = self.resolve(path, follow)?;
        self.setattr(ino, set).map_err(|error| error.at(path))
    }

    /// Sets an attribute of what a path leads to; see [`FsTx::setxattr`].
    ///
    /// # Errors
    /// As [`FsTx::setxattr`] and [`Scope::resolve`].
    pub fn setxattr_path(
        &mut self,
        path: &[u8],
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        follow: Follow,
    ) -> Result<()> {
        let ino = self.resolve(path, follow)?;
        self.setxattr(ino, name, value, mode)
    }

    /// Removes an attribute of what a path leads to; see [`FsTx::removexattr`].
    ///
    /// # Errors
    /// As [`FsTx::removexattr`] and [`Scope::resolve`].
    pub fn removexattr_path(&mut self, path: &[u8], name: &[u8], follow: Follow) -> Result<()> {
        let ino = self.resolve(path, follow)?;
        self.removexattr(ino, name)
    }

    /// Where something that is no directory is to be made.
    pub(crate) fn new_file<'a>(&self, path: &'a [u8]) -> Result<(Ino, Cow<'a, [u8]>)> {
        let End { dir, name, slash } = self.end_of(path)?;
        if name.is_empty() {
            return Err(Error::Exists(Quoted::from(path)));
        }
        if slash && !matches!(&*name, b"." | b"..") {
            return Err(match self.entry(dir, &name)? {
                Some(_) => Error::Exists(Quoted::from(path)),
                None => Error::NotFound(Quoted::from(path)),
            });
        }
        Ok((dir, name))
    }

    /// Fails if a slash follows the name of something that is no directory.
    fn check_slash(&self, path: &[u8], end: &End<'_>) -> Result<()> {
        if end.slash
            && let Some((_, file_type)) = self.entry(end.dir, &end.name)?
            && file_type != FileType::Directory
        {
            return Err(Error::NotADirectory(Quoted::from(path)));
        }
        Ok(())
    }
}
