//! Listing and walking trees.

use vexfs_format::{FileType, Ino};
use vexfs_store::Read;

use super::resolve::Follow;
use crate::{Attr, Result, Scope};

/// An entry of a directory, on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedEntry {
    /// The inode.
    pub ino: Ino,
    /// What kind of file it is.
    pub file_type: FileType,
    /// The name.
    pub name: Vec<u8>,
}

/// A directory met by [`Scope::walk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Its path.
    pub path: Vec<u8>,
    /// Its inode.
    pub ino: Ino,
    /// Its entries, by name.
    pub entries: Vec<OwnedEntry>,
}

impl<R: Read> Scope<R> {
    /// The entries of the directory, without "." and "..", in the order of their cookies.
    ///
    /// # Errors
    /// As [`Scope::readdir`].
    pub fn list(&self, dir: Ino) -> Result<Vec<OwnedEntry>> {
        let mut entries = Vec::new();
        self.readdir(dir, 0, |entry| {
            if !entry.is_dot() {
                let name = entry.name.to_vec();
                entries.push(OwnedEntry { ino: entry.ino, file_type: entry.file_type, name });
            }
            Ok(true)
        })?;
        Ok(entries)
    }

    /// The entries of the directory at a path; see [`Scope::list`].
    ///
    /// # Errors
    /// As [`Scope::resolve`] and [`Scope::readdir`].
    pub fn list_path(&self, path: &[u8]) -> Result<Vec<OwnedEntry>> {
        let ino = self.resolve(path, Follow::Always)?;
        self.list(ino).map_err(|error| error.at(path))
    }

    /// The entries of the directory at a path with their attributes.
    ///
    /// # Errors
    /// As [`Scope::list_path`].
    pub fn scan_path(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, Attr)>> {
        let ino = self.resolve(path, Follow::Always)?;
        let entries = self.list(ino).map_err(|error| error.at(path))?;
        entries
            .into_iter()
            .map(|entry| Ok((entry.name, Attr::new(entry.ino, &self.target(entry.ino)?))))
            .collect()
    }

    /// Calls `visit` for the directory at a path and for every directory under it, parents first, in the order of
    /// their names. It may take entries out of what it is shown, which are then not entered. Symbolic links are
    /// not followed.
    ///
    /// # Errors
    /// As [`Scope::list_path`], and what `visit` fails with.
    pub fn walk(&self, path: &[u8], mut visit: impl FnMut(&mut Walked) -> Result<()>) -> Result<()> {
        let mut open = vec![(path.to_vec(), self.resolve(path, Follow::Always)?)];
        while let Some((path, ino)) = open.pop() {
            let mut entries = self.list(ino).map_err(|error| error.at(&path))?;
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            let mut walked = Walked { path, ino, entries };
            visit(&mut walked)?;
            let directories = walked.entries.iter().filter(|entry| entry.file_type == FileType::Directory);
            open.extend(directories.rev().map(|entry| (join(&walked.path, &entry.name), entry.ino)));
        }
        Ok(())
    }
}

/// The path of `name` in the directory at `path`.
pub(crate) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    [path, slash, name].concat()
}
