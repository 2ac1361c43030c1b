//! Renaming: one name goes, another comes, or two change places, in one step.

use vexfs_format::{FileType, Ino, Inode};

use super::look::parent_of;
use super::remove::Doomed;
use crate::error::Quoted;
use crate::perm::WRITE;
use crate::touch::Touch;
use crate::{Error, FsTx, Result, clock, keys};

/// How a rename treats a name that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenameFlags {
    /// Replace it.
    #[default]
    Replace,
    /// Fail.
    NoReplace,
    /// Let the two change places.
    Exchange,
}

/// A name in a directory.
#[derive(Clone, Copy)]
struct At<'a> {
    dir: Ino,
    name: &'a [u8],
}

impl FsTx {
    /// Renames `name` in `dir` to `new_name` in `new_dir`. What stood there is replaced, kept or exchanged, by
    /// `flags`; a directory replaces only an empty directory. Two names of one inode stay as they are.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::NotEmpty`], [`Error::IsADirectory`],
    /// [`Error::NotADirectory`], [`Error::IntoItself`], [`Error::AccessDenied`], [`Error::NotPermitted`] (sticky),
    /// [`Error::Busy`] ("." or "..").
    pub fn rename(
        &mut self,
        dir: Ino,
        name: &[u8],
        new_dir: Ino,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let (from, to) = (At { dir, name }, At { dir: new_dir, name: new_name });
        for At { name, .. } in [from, to] {
            if matches!(name, b"." | b"..") {
                return Err(Error::Busy(Quoted::from(name)));
            }
        }
        let moved = self.removable(dir, name)?;
        let replaced = self.destination(to, flags)?;
        if replaced.as_ref().is_some_and(|replaced| replaced.ino == moved.ino) {
            return Ok(());
        }
        self.check_move(from, &moved, to)?;
        match (flags, replaced) {
            (RenameFlags::Exchange, Some(other)) => {
                self.check_move(to, &other, from)?;
                self.exchange(from, &moved, to, &other)
            }
            (_, replaced) => self.replace(from, &moved, to, replaced),
        }
    }

    /// What stands at the new name, which the caller may put something at.
    fn destination(&mut self, to: At<'_>, flags: RenameFlags) -> Result<Option<Doomed>> {
        self.search(to.dir, to.name)?;
        match (self.entry(to.dir, to.name)?, flags) {
            (Some(_), RenameFlags::NoReplace) => Err(Error::Exists(Quoted::from(to.name))),
            (Some(_), _) => self.removable(to.dir, to.name).map(Some),
            (None, RenameFlags::Exchange) => Err(Error::NotFound(Quoted::from(to.name))),
            (None, _) => self.free_place(to.dir, to.name).map(|_| None),
        }
    }

    /// Fails if a directory would come to lie under itself, or the caller may not change its parent.
    fn check_move(&mut self, from: At<'_>, moved: &Doomed, to: At<'_>) -> Result<()> {
        if moved.inode.file_type != FileType::Directory || from.dir == to.dir {
            return Ok(());
        }
        // Two moves that are each fine could close a circle together, so all of them write this token.
        self.store.touch(keys::MOVES);
        if self.is_under(to.dir, moved.ino)? {
            return Err(Error::IntoItself(Quoted::from(from.name)));
        }
        self.check(moved.ino, &moved.inode, WRITE, from.name)
    }

    /// Whether `dir` is `ancestor` or lies under it.
    fn is_under(&self, dir: Ino, ancestor: Ino) -> Result<bool> {
        let mut at = dir;
        // A circle in a damaged volume must not hold us for ever.
        let mut steps = 0_u32;
        while at != ancestor {
            if at == keys::ROOT {
                return Ok(false);
            }
            let inode =
                self.find_inode(at)?.ok_or(Error::Dangling { ino: at, what: "a directory's parent" })?;
            at = parent_of(&inode);
            steps += 1;
            if steps > MAX_DEPTH {
                let bad = vexfs_format::Error::BadValue { what: "inode", field: "parent", value: at.0 };
                return Err(Error::Damaged { ino: dir, source: bad });
            }
        }
        Ok(true)
    }

    fn replace(&mut self, from: At<'_>, moved: &Doomed, to: At<'_>, replaced: Option<Doomed>) -> Result<()> {
        let now = clock::now();
        let directory = moved.inode.file_type == FileType::Directory;
        if let Some(replaced) = &replaced {
            self.check_replaced(directory, to, replaced)?;
        }
        self.whole(|tx| {
            tx.remove_entry(&moved.place, from.name)?;
            let place = tx.place(to.dir, to.name)?;
            tx.set_entry(&place, to.name, moved.ino, moved.inode.file_type)
        })?;
        let gone = i32::from(replaced.as_ref().is_some_and(|replaced| is_dir(&replaced.inode)));
        self.touch_dir(from.dir, now, -i32::from(directory));
        self.touch_dir(to.dir, now, i32::from(directory) - gone);
        self.touch_moved(moved, from.dir, to.dir, now);
        if let Some(replaced) = replaced {
            self.drop_link(replaced.ino, replaced.inode, now);
        }
        Ok(())
    }

    fn check_replaced(&self, directory: bool, to: At<'_>, replaced: &Doomed) -> Result<()> {
        match (directory, is_dir(&replaced.inode)) {
            (true, false) => Err(Error::NotADirectory(Quoted::from(to.name))),
            (false, true) => Err(Error::IsADirectory(Quoted::from(to.name))),
            (true, true) if !self.is_empty_dir(replaced.ino)? => Err(Error::NotEmpty(Quoted::from(to.name))),
            _ => Ok(()),
        }
    }

    fn exchange(&mut self, from: At<'_>, moved: &Doomed, to: At<'_>, other: &Doomed) -> Result<()> {
        let now = clock::now();
        self.whole(|tx| {
            tx.set_entry(&moved.place, from.name, other.ino, other.inode.file_type)?;
            let place = tx.place(to.dir, to.name)?;
            tx.set_entry(&place, to.name, moved.ino, moved.inode.file_type)
        })?;
        let subdirs = i32::from(is_dir(&moved.inode)) - i32::from(is_dir(&other.inode));
        self.touch_dir(from.dir, now, -subdirs);
        self.touch_dir(to.dir, now, subdirs);
        self.touch_moved(moved, from.dir, to.dir, now);
        self.touch_moved(other, to.dir, from.dir, now);
        Ok(())
    }

    fn touch_moved(&mut self, moved: &Doomed, from: Ino, to: Ino, now: i64) {
        let touch = match is_dir(&moved.inode) && from != to {
            true => Touch::moved(now, to),
            false => Touch::inode(now),
        };
        self.touch(moved.ino, touch);
    }
}

/// No directory lies deeper: with 2^26 levels the way up alone would be a gigabyte of records.
const MAX_DEPTH: u32 = 1 << 26;

fn is_dir(inode: &Inode) -> bool {
    inode.file_type == FileType::Directory
}
