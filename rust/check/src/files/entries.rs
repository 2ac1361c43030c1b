//! A directory's entries.

use std::sync::atomic::Ordering;

use vexfs_format::name::hash;
use vexfs_format::{Dirents, FileType, Inode, Key};

use super::{Files, Relations};
use crate::finding::{DIRENT_DAMAGED, DIRENT_HASH_WRONG, ENTRIES_IN_REMOVED, ENTRY_DANGLING, SUBDIRS_WRONG};
use crate::paths::quoted;
use crate::report::Location;

/// What the entries of one directory come to.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    count: u64,
    directories: u32,
    damaged: bool,
}

impl Entries {
    /// Takes up an item.
    pub fn add(&mut self, files: &Files<'_>, relations: &mut Relations, key: Key, value: &[u8]) {
        let (dir, ledger) = (key.object, &files.volume.ledger);
        let entries = match Dirents::parse(value) {
            Ok(entries) => entries,
            Err(error) => {
                self.damaged = true;
                files.entries_unknown.store(true, Ordering::Relaxed);
                let message = format!("entries of directory {dir} with hash {:#x}: {error}", key.offset);
                return ledger.add(&DIRENT_DAMAGED, Location::at(dir, key.offset), message);
            }
        };
        for entry in entries.iter() {
            self.count += 1;
            relations.totals.entries += 1;
            let name = quoted(entry.name);
            let right = hash(&files.volume.superblock.hash_seed, entry.name);
            if right != key.offset {
                let message = format!(
                    "entry {name} of directory {dir} lies at {:#x}, its hash is {right:#x}",
                    key.offset
                );
                ledger.add(&DIRENT_HASH_WRONG, Location::at(dir, key.offset), message);
            }
            if !files.volume.is_inode(entry.ino.0) {
                let message =
                    format!("entry {name} of directory {dir} leads to inode {}, which cannot be", entry.ino);
                ledger.add(&ENTRY_DANGLING, Location::inode(entry.ino.0), message);
                continue;
            }
            files.links.entry(entry.ino.0, entry.file_type);
            if entry.file_type == FileType::Directory {
                self.directories = self.directories.saturating_add(1);
                relations.children.push((entry.ino.0, dir));
            }
        }
    }

    /// Compares them with the directory's record.
    pub fn judge(&self, files: &Files<'_>, dir: u64, inode: &Inode, lost: bool) {
        if inode.file_type != FileType::Directory {
            return;
        }
        if self.count > 0 && inode.nlink == 0 {
            let message = format!("directory {dir} was removed and has {} entries", self.count);
            files.volume.ledger.add(&ENTRIES_IN_REMOVED, Location::inode(dir), message);
        }
        if self.directories != inode.subdirs && !self.damaged && !lost {
            let (said, found) = (inode.subdirs, self.directories);
            let message =
                format!("directory {dir} says that {said} directories are in it, there are {found}");
            files.volume.ledger.add(&SUBDIRS_WRONG, Location::inode(dir), message);
        }
    }
}
