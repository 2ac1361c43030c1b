//! Entries of directories, below the verbs: no permissions here.

use vexfs_format::{Dirents, FileType, Ino, Inode, Key, MAX_NAME};
use vexfs_store::{Read, Value};

use crate::error::Quoted;
use crate::pending::Directories;
use crate::{Error, FsTx, Result, Scope, keys};

/// Where a name is or would be in a directory.
#[derive(Debug)]
pub(crate) struct Place {
    key: Key,
    item: Option<Value>,
    /// What the name leads to.
    pub found: Option<(Ino, FileType)>,
}

/// Takes a name that an entry can have or have had.
pub(crate) fn check_name(name: &[u8]) -> Result<()> {
    match name {
        [] => Err(Error::NotFound(Quoted::from(name))),
        _ if name.len() > MAX_NAME => Err(Error::NameTooLong(Quoted::from(name))),
        _ if name.iter().any(|byte| matches!(byte, 0 | b'/')) => Err(Error::InvalidName(Quoted::from(name))),
        _ => Ok(()),
    }
}

fn dirents(dir: Ino, item: Option<&Value>) -> Result<Dirents<'_>> {
    match item {
        Some(item) => Dirents::parse(item).map_err(|source| Error::Damaged { ino: dir, source }),
        None => Ok(Dirents::EMPTY),
    }
}

impl<R: Read> Scope<R> {
    /// The place of a name.
    pub(crate) fn place(&self, dir: Ino, name: &[u8]) -> Result<Place> {
        let key = keys::dirent(dir, self.fs.hash(name));
        let item = self.store.get(key)?;
        let found = dirents(dir, item.as_ref())?.find(name).map(|entry| (entry.ino, entry.file_type));
        Ok(Place { key, item, found })
    }

    /// What a name leads to.
    pub(crate) fn entry(&self, dir: Ino, name: &[u8]) -> Result<Option<(Ino, FileType)>> {
        Ok(self.place(dir, name)?.found)
    }

    /// What a name leads to, which must be there.
    pub(crate) fn existing(&self, dir: Ino, name: &[u8]) -> Result<(Ino, FileType)> {
        self.entry(dir, name)?.ok_or_else(|| Error::NotFound(Quoted::from(name)))
    }

    /// The inode that an entry leads to.
    pub(crate) fn target(&self, ino: Ino) -> Result<Inode> {
        self.find_inode(ino)?.ok_or(Error::Dangling { ino, what: "a directory entry" })
    }

    /// Whether the directory has no entries.
    pub(crate) fn is_empty_dir(&self, dir: Ino) -> Result<bool> {
        let first = self.store.range(keys::dirent(dir, 0), keys::dirent(dir, u64::MAX)).next();
        Ok(first.transpose()?.is_none())
    }

    /// The directory's inode; fails for anything else.
    pub(crate) fn dir_inode(&self, dir: Ino) -> Result<Inode> {
        let inode = self.inode(dir)?;
        match inode.file_type {
            FileType::Directory => Ok(inode),
            _ => Err(Error::NotADirectory(Quoted::from(b"".as_slice()))),
        }
    }
}

impl FsTx {
    /// Makes the name at `place` lead to `ino`, whatever it led to before.
    pub(crate) fn set_entry(
        &mut self,
        place: &Place,
        name: &[u8],
        ino: Ino,
        file_type: FileType,
    ) -> Result<()> {
        let dir = Ino(place.key.object);
        let dirents = dirents(dir, place.item.as_ref())?;
        self.note_name_taken(place);
        if file_type == FileType::Directory {
            self.note_directories(Directories::Named);
        }
        let item =
            dirents.insert(name, ino, file_type).map_err(|source| Error::Damaged { ino: dir, source })?;
        self.store.put(place.key, item);
        Ok(())
    }

    /// Removes the name at `place`.
    pub(crate) fn remove_entry(&mut self, place: &Place, name: &[u8]) -> Result<()> {
        self.note_name_taken(place);
        let rest = dirents(Ino(place.key.object), place.item.as_ref())?.remove(name);
        match rest.is_empty() {
            true => self.store.delete(place.key),
            false => self.store.put(place.key, rest),
        }
        Ok(())
    }

    fn note_name_taken(&mut self, place: &Place) {
        if place.found.is_some_and(|(_, file_type)| file_type == FileType::Directory) {
            self.note_directories(Directories::Moved);
        }
    }

    fn note_directories(&mut self, done: Directories) {
        self.pending.directories = self.pending.directories.max(done);
    }
}
