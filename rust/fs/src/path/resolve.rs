//! Resolving a path to an inode, or to a directory and a last name in it, as path_resolution(7) says.

use std::borrow::Cow;

use vexfs_format::{FileType, Ino};
use vexfs_store::Read;

use crate::dir::check_name;
use crate::error::Quoted;
use crate::verbs::parent_of;
use crate::{Error, Result, Scope, keys};

/// So many symbolic links may be met on the way.
pub const MAX_SYMLINKS: u32 = 40;

/// What a symbolic link at the very end of a path stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// What it leads to.
    #[default]
    Always,
    /// Itself, unless a slash follows.
    Never,
}

/// The end of a path, before its last name is looked up.
#[derive(Debug)]
pub(crate) struct End<'a> {
    /// The directory.
    pub dir: Ino,
    /// The last name, perhaps "." or ".."; empty if the path is the root itself.
    pub name: Cow<'a, [u8]>,
    /// Whether a slash follows, so that only a directory will do.
    pub slash: bool,
}

impl<R: Read> Scope<R> {
    /// The inode that an absolute path leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`], [`Error::AccessDenied`], [`Error::NameTooLong`],
    /// [`Error::Loop`], [`Error::Invalid`] (not absolute).
    pub fn resolve(&self, path: &[u8], follow: Follow) -> Result<Ino> {
        check_absolute(path)?;
        self.resolve_from(keys::ROOT, path, follow)
    }

    /// The inode that a path leads to, which begins at the directory `base` unless it is absolute.
    ///
    /// # Errors
    /// As [`Scope::resolve`].
    pub fn resolve_from(&self, base: Ino, path: &[u8], follow: Follow) -> Result<Ino> {
        if base != keys::ROOT {
            self.dir_inode(base).map_err(|error| error.at(path))?;
        }
        self.inode_at(base, path, follow).map_err(|error| error.at(path))
    }

    /// What an absolute path leads to, if it leads to anything.
    ///
    /// # Errors
    /// As [`Scope::resolve`], but for [`Error::NotFound`].
    pub fn try_resolve(&self, path: &[u8], follow: Follow) -> Result<Option<Ino>> {
        match self.resolve(path, follow) {
            Ok(ino) => Ok(Some(ino)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory and the last name of an absolute path; a symbolic link there is not followed.
    pub(crate) fn end_of<'a>(&self, path: &'a [u8]) -> Result<End<'a>> {
        check_absolute(path)?;
        Walker { scope: self, dir: keys::ROOT, links: 0 }
            .go_to_end(path.into())
            .map_err(|error| error.at(path))
    }

    fn inode_at(&self, base: Ino, path: &[u8], follow: Follow) -> Result<Ino> {
        let mut walker = Walker { scope: self, dir: base, links: 0 };
        let mut end = walker.go_to_end(path.into())?;
        loop {
            let (ino, file_type) = walker.look(&end.name)?;
            match file_type {
                FileType::Symlink if end.slash || follow == Follow::Always => {
                    let rest: &[u8] = if end.slash { b"/" } else { b"" };
                    let path = walker.link(ino, rest)?;
                    end = walker.go_to_end(path.into())?;
                }
                FileType::Directory => return Ok(ino),
                _ if end.slash => return Err(Error::NotADirectory(Quoted::from(path))),
                _ => return Ok(ino),
            }
        }
    }
}

fn check_absolute(path: &[u8]) -> Result<()> {
    match path.first() {
        None => Err(Error::NotFound(Quoted::from(path))),
        Some(b'/') => Ok(()),
        Some(_) => Err(Error::Invalid { what: "a path begins with '/'" }),
    }
}

/// Where a resolution stands.
struct Walker<'s, R> {
    scope: &'s Scope<R>,
    dir: Ino,
    links: u32,
}

impl<R: Read> Walker<'_, R> {
    /// Goes to the directory of the last name of `path`.
    fn go_to_end<'a>(&mut self, mut path: Cow<'a, [u8]>) -> Result<End<'a>> {
        if path.is_empty() {
            return Err(Error::NotFound(Quoted::from(b"".as_slice())));
        }
        if path.starts_with(b"/") {
            self.dir = keys::ROOT;
        }
        let mut at = 0;
        loop {
            let name = next_name(&path, at);
            let rest = next_name(&path, name.end);
            if rest.is_empty() {
                let slash = path.len() > name.end || name.is_empty();
                return Ok(End { dir: self.dir, name: part(path, name), slash });
            }
            let (ino, file_type) = self.look_on_the_way(path.get(name.clone()).unwrap_or_default())?;
            at = name.end;
            match file_type {
                FileType::Directory => self.dir = ino,
                FileType::Symlink => {
                    path = self.link(ino, path.get(name.end..).unwrap_or_default())?.into();
                    at = 0;
                }
                _ => return Err(Error::NotADirectory(Quoted::from(b"".as_slice()))),
            }
        }
    }

    /// As [`Walker::look`]; a directory that is found is known the next time.
    fn look_on_the_way(&self, name: &[u8]) -> Result<(Ino, FileType)> {
        let (scope, dir) = (self.scope, self.dir);
        if !scope.caller.is_super() || !scope.sees_committed_names() || matches!(name, b"" | b"." | b"..") {
            return self.look(name);
        }
        let moves = scope.fs.moves();
        if let Some(ino) = moves.known(dir, name, scope.seq()) {
            return Ok((ino, FileType::Directory));
        }
        let found = self.look(name)?;
        if let (ino, FileType::Directory) = found {
            moves.note(dir, name, scope.seq(), ino);
        }
        Ok(found)
    }

    /// What a name in the directory leads to; an empty one is the directory itself.
    fn look(&self, name: &[u8]) -> Result<(Ino, FileType)> {
        let (scope, dir) = (self.scope, self.dir);
        if name.is_empty() {
            return Ok((dir, FileType::Directory));
        }
        if scope.caller.is_super() && !matches!(name, b"." | b"..") {
            check_name(name)?;
            return scope.existing(dir, name);
        }
        let inode = scope.search(dir, name)?;
        match name {
            b"." => Ok((dir, FileType::Directory)),
            b".." => Ok((parent_of(&inode), FileType::Directory)),
            _ => scope.existing(dir, name),
        }
    }

    /// The path that goes on where a symbolic link leads, with `rest` behind it.
    fn link(&mut self, ino: Ino, rest: &[u8]) -> Result<Vec<u8>> {
        self.links += 1;
        if self.links > MAX_SYMLINKS {
            return Err(Error::Loop(Quoted::from(b"".as_slice())));
        }
        let mut path = self.scope.link_target(ino)?;
        path.extend_from_slice(rest);
        if path.starts_with(b"/") {
            self.dir = keys::ROOT;
        }
        Ok(path)
    }
}

/// Where the next name from `at` on lies; empty at the path's end.
fn next_name(path: &[u8], at: usize) -> std::ops::Range<usize> {
    let rest = path.get(at..).unwrap_or_default();
    let start = at + rest.iter().take_while(|&&byte| byte == b'/').count();
    let rest = path.get(start..).unwrap_or_default();
    start..start + rest.iter().take_while(|&&byte| byte != b'/').count()
}

fn part(path: Cow<'_, [u8]>, range: std::ops::Range<usize>) -> Cow<'_, [u8]> {
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.get(range).unwrap_or_default()),
        Cow::Owned(path) => Cow::Owned(path.get(range).unwrap_or_default().to_vec()),
    }
}
