//! Whole trees: making a path's directories, removing what lies under one.
//!
//! Removal goes in transactions of bounded size, whatever the size of the tree or of a file in it. Between them
//! others may add to the tree: what they add is removed too, as long as it comes before its directory goes.

use vexfs_format::{FileType, Ino};

use super::resolve::{End, Follow};
use crate::error::Quoted;
use crate::{Attr, Caller, Error, Fs, FsTx, OwnedEntry, Result};

/// A directory that is being emptied, and the entry to remove once it is empty.
#[derive(Clone, Debug)]
struct Level {
    parent: Ino,
    name: Vec<u8>,
    dir: Ino,
}

/// What a step of a removal came to.
enum Step {
    /// This directory is to be emptied first.
    Enter(Level),
    /// Entries were removed, and there may be more.
    More,
    /// The directory is gone.
    Gone,
}

impl Fs {
    /// Removes what a path leads to and all that is under it, in transactions of bounded size. A symbolic link is
    /// removed itself. After an error, what has been removed by then stays removed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AccessDenied`], [`Error::NotPermitted`], [`Error::Busy`] (the root).
    pub fn rmtree(&self, caller: &Caller, path: &[u8]) -> Result<()> {
        let batch = (self.removal_budget() / 4).min(1024);
        let Some(first) = self.auto(caller, |tx| tx.begin_rmtree(path))? else { return Ok(()) };
        let mut levels = vec![first];
        while let Some(level) = levels.last() {
            match self.auto(caller, |tx| tx.empty(level, batch))? {
                Step::Enter(level) => levels.push(level),
                Step::More => {}
                Step::Gone => drop(levels.pop()),
            }
        }
        Ok(())
    }
}

impl FsTx {
    /// Removes what a path leads to and all that is under it, in this transaction. [`Fs::rmtree`] is for trees of
    /// any size.
    ///
    /// # Errors
    /// As [`Fs::rmtree`].
    pub fn rmtree(&mut self, path: &[u8]) -> Result<()> {
        let Some(first) = self.begin_rmtree(path)? else { return Ok(()) };
        let mut levels = vec![first];
        while let Some(level) = levels.last() {
            match self.empty(level, usize::MAX)? {
                Step::Enter(level) => levels.push(level),
                Step::More => {}
                Step::Gone => drop(levels.pop()),
            }
        }
        Ok(())
    }

    /// Removes what is no directory at once; says which directory is to be emptied else.
    fn begin_rmtree(&mut self, path: &[u8]) -> Result<Option<Level>> {
        let End { dir, name, slash } = self.end_of(path)?;
        if matches!(&*name, b"" | b"." | b"..") {
            return Err(Error::Busy(Quoted::from(path)));
        }
        match self.existing(dir, &name).map_err(|error| error.at(path))? {
            (ino, FileType::Directory) => Ok(Some(Level { parent: dir, name: name.into_owned(), dir: ino })),
            _ if slash => Err(Error::NotADirectory(Quoted::from(path))),
            _ => self.unlink(dir, &name).map(|()| None).map_err(|error| error.at(path)),
        }
    }

    /// Removes up to `batch` entries of a directory; itself, if there are none.
    fn empty(&mut self, level: &Level, batch: usize) -> Result<Step> {
        match self.entry(level.parent, &level.name)? {
            Some((ino, FileType::Directory)) if ino == level.dir => {}
            // Somebody else removed or moved it.
            _ => return Ok(Step::Gone),
        }
        let entries = self.first_entries(level.dir, batch)?;
        if entries.is_empty() {
            self.rmdir(level.parent, &level.name)?;
            return Ok(Step::Gone);
        }
        for entry in entries {
            if entry.file_type == FileType::Directory && !self.is_empty_dir(entry.ino)? {
                return Ok(Step::Enter(Level { parent: level.dir, name: entry.name, dir: entry.ino }));
            }
            match entry.file_type {
                FileType::Directory => self.rmdir(level.dir, &entry.name)?,
                _ => self.unlink(level.dir, &entry.name)?,
            }
        }
        Ok(Step::More)
    }

    fn first_entries(&self, dir: Ino, limit: usize) -> Result<Vec<OwnedEntry>> {
        let mut entries = Vec::new();
        self.readdir(dir, 0, |entry| {
            if !entry.is_dot() {
                let name = entry.name.to_vec();
                entries.push(OwnedEntry { ino: entry.ino, file_type: entry.file_type, name });
            }
            Ok(entries.len() < limit)
        })?;
        Ok(entries)
    }

    /// Makes the directory at a path and those above it that are missing, as `mkdir -p` does.
    ///
    /// # Errors
    /// As [`FsTx::mkdir`]; [`Error::Exists`] if the path leads to something else.
    pub fn mkdir_all(&mut self, path: &[u8], mode: u32) -> Result<Attr> {
        let mut missing = Vec::new();
        let mut at = trimmed(path);
        let found = loop {
            match self.try_stat(if at.is_empty() { b"/" } else { at }, Follow::Always)? {
                Some(attr) => break attr,
                None => missing.push(at),
            }
            at = trimmed(at.get(..last_name(at)).unwrap_or_default());
        };
        let mut made = match found.is_dir() {
            true => found,
            false if missing.is_empty() => return Err(Error::Exists(Quoted::from(path))),
            false => return Err(Error::NotADirectory(Quoted::from(at))),
        };
        while let Some(path) = missing.pop() {
            made = match path.get(last_name(path)..) {
                Some(b"." | b"..") => self.stat(path, Follow::Always)?,
                _ => self.mkdir_path(path, mode)?,
            };
        }
        Ok(made)
    }
}

/// The path without the slashes at its end.
fn trimmed(path: &[u8]) -> &[u8] {
    let slashes = path.iter().rev().take_while(|&&byte| byte == b'/').count();
    path.get(..path.len() - slashes).unwrap_or_default()
}

/// Where the last name of a path begins.
fn last_name(path: &[u8]) -> usize {
    path.len() - path.iter().rev().take_while(|&&byte| byte != b'/').count()
}
