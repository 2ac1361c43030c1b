//! Opening files by path, as open(2) does.

use vexfs_format::{FileType, Ino, Inode};
use vexfs_store::Read;

use super::resolve::{End, Follow};
use crate::error::Quoted;
use crate::perm::{READ, WRITE};
use crate::{Caller, Error, Fs, FsTx, Hold, Result, Scope};

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// To be read.
    pub read: bool,
    /// To be written.
    pub write: bool,
    /// Make it if it is not there.
    pub create: bool,
    /// With `create`: fail if it is there, be it a symbolic link.
    pub exclusive: bool,
    /// Cut a file that is there to length 0.
    pub truncate: bool,
    /// Fail unless it is a directory.
    pub directory: bool,
    /// Fail if it is a symbolic link.
    pub no_follow: bool,
    /// Permissions of a new file, less the umask.
    pub mode: u32,
}

/// An open file: what it was opened for, and a hold that keeps the inode.
#[derive(Clone, Debug)]
pub struct OpenFile {
    /// The inode.
    pub hold: Hold,
    /// What kind of file it is.
    pub file_type: FileType,
    /// Whether it may be read.
    pub read: bool,
    /// Whether it may be written.
    pub write: bool,
}

impl OpenFile {
    /// The inode.
    #[must_use]
    pub fn ino(&self) -> Ino {
        self.hold.ino()
    }

    /// Fails unless the file was opened to be read.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn check_read(&self) -> Result<()> {
        match self.read {
            true => Ok(()),
            false => Err(Error::BadHandle { what: "reading" }),
        }
    }

    /// Fails unless the file was opened to be written.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn check_write(&self) -> Result<()> {
        match self.write {
            true => Ok(()),
            false => Err(Error::BadHandle { what: "writing" }),
        }
    }
}

impl OpenOptions {
    fn follow(&self) -> Follow {
        match self.no_follow || self.create && self.exclusive {
            true => Follow::Never,
            false => Follow::Always,
        }
    }

    fn opened(&self, hold: Hold, inode: &Inode) -> OpenFile {
        OpenFile { hold, file_type: inode.file_type, read: self.read, write: self.write }
    }
}

impl Fs {
    /// Opens a file of the newest state, making or cutting it if asked to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::IsADirectory`] (to be written), [`Error::NotADirectory`],
    /// [`Error::Loop`] (a link that is not to be followed), [`Error::AccessDenied`], no space, a volume that is
    /// read-only.
    pub fn open_file(&self, caller: &Caller, path: &[u8], options: &OpenOptions) -> Result<OpenFile> {
        if (options.write || options.truncate) && !self.store().is_writable() {
            self.begin(caller, vexfs_store::Isolation::Snapshot)?;
        }
        loop {
            let view = self.view(caller)?;
            let found = match options.create && options.exclusive {
                true => None,
                false => view.found(path, options)?,
            };
            let changes = found.as_ref().is_none_or(|(_, inode)| options.truncate && inode.size > 0);
            if changes && (options.create || options.truncate) {
                drop(view);
                return self.auto(caller, |tx| tx.open_file(path, options));
            }
            let (ino, inode) = found.ok_or_else(|| Error::NotFound(Quoted::from(path)))?;
            drop(view);
            match self.hold(ino, Some(inode.generation)) {
                // Removed since the view was taken: the path leads elsewhere, or nowhere, by now.
                Err(Error::Stale(_)) => {}
                hold => return Ok(options.opened(hold?, &inode)),
            }
        }
    }
}

impl<R: Read> Scope<R> {
    /// What is there to be opened, if the caller may.
    fn found(&self, path: &[u8], options: &OpenOptions) -> Result<Option<(Ino, Inode)>> {
        let Some(ino) = self.try_resolve(path, options.follow())? else { return Ok(None) };
        let inode = self.target(ino)?;
        let directory = inode.file_type == FileType::Directory;
        let quoted = || Quoted::from(path);
        match inode.file_type {
            _ if options.create && options.exclusive => return Err(Error::Exists(quoted())),
            FileType::Symlink => return Err(Error::Loop(quoted())),
            _ if options.directory && !directory => return Err(Error::NotADirectory(quoted())),
            _ if directory && (options.write || options.create || options.truncate) => {
                return Err(Error::IsADirectory(quoted()));
            }
            _ => {}
        }
        let want =
            if options.read { READ } else { 0 } | if options.write || options.truncate { WRITE } else { 0 };
        self.check(ino, &inode, want, path)?;
        Ok(Some((ino, inode)))
    }
}

impl FsTx {
    /// As [`Fs::open_file`], in this transaction.
    ///
    /// # Errors
    /// As [`Fs::open_file`].
    pub fn open_file(&mut self, path: &[u8], options: &OpenOptions) -> Result<OpenFile> {
        if let Some((ino, inode)) = self.found(path, options)? {
            if options.truncate && inode.file_type == FileType::Regular {
                self.truncate(ino, 0)?;
            }
            return Ok(options.opened(self.hold(ino)?, &inode));
        }
        if !options.create {
            return Err(Error::NotFound(Quoted::from(path)));
        }
        let attr = self.create_at_end(path, options)?;
        let hold = self.hold(attr)?;
        let inode = self.inode(attr)?;
        Ok(options.opened(hold, &inode))
    }

    /// Makes the file that a path would lead to, through a symbolic link at its end if that may be followed.
    fn create_at_end(&mut self, path: &[u8], options: &OpenOptions) -> Result<Ino> {
        let mut at = path.to_vec();
        for _ in 0..=super::MAX_SYMLINKS {
            let End { dir, name, slash } = self.end_of(&at).map_err(|error| error.at(path))?;
            if slash {
                return Err(Error::IsADirectory(Quoted::from(path)));
            }
            match self.entry(dir, &name)? {
                Some((ino, FileType::Symlink)) if options.follow() == Follow::Always => {
                    let target = self.link_target(ino)?;
                    at = match target.first() {
                        Some(b'/') => target,
                        // Relative to where the link is: the same path with its last name replaced.
                        _ => beside(&at, &name, &target),
                    };
                }
                _ => return Ok(self.create(dir, &name, options.mode).map_err(|error| error.at(path))?.ino),
            }
        }
        Err(Error::Loop(Quoted::from(path)))
    }
}

/// The path whose last name is replaced by `target`.
fn beside(path: &[u8], name: &[u8], target: &[u8]) -> Vec<u8> {
    let end = path.len() - path.iter().rev().take_while(|&&byte| byte == b'/').count();
    let front = path.get(..end.saturating_sub(name.len())).unwrap_or_default();
    [front, target].concat()
}
