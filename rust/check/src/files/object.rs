//! One inode and all its items.

use vexfs_format::{FileType, Inode, Key, kinds};

use super::attributes::Attributes;
use super::entries::Entries;
use super::extents::Extents;
use super::{Files, Relations, record};
use crate::finding::{ITEM_MISPLACED, ITEM_UNFIT, ITEMS_WITHOUT_INODE, KIND_UNKNOWN};
use crate::report::Location;

/// What is known of the inode's record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record {
    /// There is none.
    Missing,
    /// There is one, but it is none.
    Damaged,
    /// It says this.
    Good(Inode),
}

impl Record {
    /// What it says, if it says anything.
    pub fn inode(&self) -> Option<&Inode> {
        match self {
            Self::Good(inode) => Some(inode),
            _ => None,
        }
    }
}

/// See the head of the file.
pub(crate) struct Object {
    ino: u64,
    record: Record,
    entries: Entries,
    attributes: Attributes,
    extents: Extents,
    unfit: Option<(u8, u64)>,
}

impl Object {
    pub fn new(ino: u64) -> Self {
        Self {
            ino,
            record: Record::Missing,
            entries: Entries::default(),
            attributes: Attributes::default(),
            extents: Extents::default(),
            unfit: None,
        }
    }

    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// Takes up an item: those of an inode come by kind, its record first.
    pub fn item(&mut self, files: &Files<'_>, relations: &mut Relations, key: Key, value: &[u8]) {
        match key.kind {
            kinds::INODE if key.offset == 0 => self.record = record::read(files, relations, self.ino, value),
            kinds::DIRENT => self.entries.add(files, relations, key, value),
            kinds::XATTR => self.attributes.add(files, relations, key, value),
            kinds::INLINE => self.extents.add_inline(key, value),
            kinds::EXTENT => self.extents.add(files, relations, key, value),
            kinds::INODE | kinds::ORPHAN => {
                let message =
                    format!("inode {} has an item of kind {:#04x} at {}", self.ino, key.kind, key.offset);
                files.volume.ledger.add(&ITEM_MISPLACED, Location::at(self.ino, key.offset), message);
                return;
            }
            kind => {
                let message = format!("inode {} has an item of the unknown kind {kind:#04x}", self.ino);
                files.volume.ledger.add(&KIND_UNKNOWN, Location::at(self.ino, key.offset), message);
                return;
            }
        }
        if let Some(inode) = self.record.inode()
            && !fits(inode.file_type, key.kind)
            && self.unfit.is_none()
        {
            self.unfit = Some((key.kind, key.offset));
        }
    }

    /// All items have come.
    pub fn finish(self, files: &Files<'_>, relations: &mut Relations) {
        let lost = files.volume.lost.touches_object(self.ino);
        match &self.record {
            Record::Missing if !lost => {
                let message = format!("there are items of inode {}, but no record", self.ino);
                files.volume.ledger.add(&ITEMS_WITHOUT_INODE, Location::inode(self.ino), message);
            }
            Record::Good(inode) => {
                if let Some((kind, offset)) = self.unfit {
                    let message =
                        format!("inode {} cannot have an item of kind {kind:#04x} by its type", self.ino);
                    files.volume.ledger.add(&ITEM_UNFIT, Location::at(self.ino, offset), message);
                }
                self.entries.judge(files, self.ino, inode, lost);
                self.attributes.judge(files, self.ino, inode, lost);
                if self.unfit.is_none() {
                    self.extents.judge(files, self.ino, inode, lost);
                }
                record::judge(files, relations, self.ino, inode);
            }
            _ => {}
        }
    }
}

/// Whether an inode of this type can have an item of this kind.
fn fits(file_type: FileType, kind: u8) -> bool {
    match kind {
        kinds::DIRENT => file_type == FileType::Directory,
        kinds::INLINE => matches!(file_type, FileType::Regular | FileType::Symlink),
        kinds::EXTENT => file_type == FileType::Regular,
        _ => true,
    }
}
