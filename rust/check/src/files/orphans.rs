//! What is left to do for inodes: the table of orphans, read before everything else.

use std::collections::BTreeMap;

use vexfs_format::{Key, Orphan, kinds, objects};
use vexfs_store::{Read, View};

use crate::finding::{ORPHAN_DAMAGED, ORPHAN_WITHOUT_INODE};
use crate::report::Location;
use crate::stream;
use crate::volume::Volume;

const FIRST: Key = Key::new(objects::ORPHANS, kinds::ORPHAN, 0);
const LAST: Key = Key::new(objects::ORPHANS, kinds::ORPHAN, u64::MAX);

/// The orphans by inode number; `None` where the item is none.
pub(crate) struct Orphans {
    items: BTreeMap<u64, Option<Orphan>>,
    /// Whether a part of the table could not be read.
    lost: bool,
}

impl Orphans {
    /// Reads all of them.
    pub fn read(volume: &Volume, view: &View) -> Self {
        let mut items = BTreeMap::new();
        stream::items(volume, view, FIRST, LAST, |key, value| {
            let ino = key.offset;
            let orphan = Orphan::parse(value);
            if let Err(error) = &orphan {
                let message = format!("what is left to do for inode {ino}: {error}");
                volume.ledger.add(&ORPHAN_DAMAGED, Location::inode(ino), message);
            }
            items.insert(ino, orphan.ok());
            let record = Key::new(ino, kinds::INODE, 0);
            let missing =
                !volume.is_inode(ino) || matches!(view.get(record), Ok(None)) && !volume.lost.has(record);
            if missing {
                let message = format!("something is left to do for inode {ino}, which there is not");
                volume.ledger.add(&ORPHAN_WITHOUT_INODE, Location::inode(ino), message);
            }
        });
        Self { items, lost: volume.lost.touches(FIRST, LAST) }
    }

    /// What is left to do for an inode.
    pub fn get(&self, ino: u64) -> Option<Orphan> {
        self.items.get(&ino).copied().flatten()
    }

    /// Whether it is known if there is something to do for an inode.
    pub fn is_known(&self, ino: u64) -> bool {
        !self.lost && self.items.get(&ino).is_none_or(Option::is_some)
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.items.len() as u64
    }
}
