//! Pass 8: every item of the newest state, log replayed, and what the items of one inode say about each other.
//!
//! The items come in order, so all that belongs to one inode comes together: an [`Object`] takes it up and judges
//! it when it is complete. What inodes say about others (entries, parents, generations) is collected here for the
//! pass behind. The keys are parted between threads at inodes.

mod attributes;
mod entries;
mod extents;
mod links;
mod object;
mod orphans;
mod record;

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use vexfs_format::{Key, Seq, kinds, objects};
use vexfs_store::{Read, Store};

pub(crate) use links::{Link, Links};
use object::Object;
pub(crate) use orphans::Orphans;

use crate::finding::{GENERATION_TWICE, KIND_UNKNOWN, OBJECT_UNKNOWN};
use crate::marks::Marks;
use crate::report::{Location, Totals};
use crate::stream;
use crate::tree::Claims;
use crate::volume::Volume;

/// What all threads of the pass share.
pub(crate) struct Files<'a> {
    pub volume: &'a Volume,
    pub orphans: Orphans,
    pub links: Links,
    /// The newest transaction.
    pub seq: Seq,
    /// No generation is above.
    pub unique_high: u64,
    /// Blocks of files and inode numbers, if they are to be compared with what the log takes.
    pub replay: Option<Claimed>,
    /// What was owned before the log.
    pub claims: &'a Claims,
    /// Whether some entries are not known.
    pub entries_unknown: AtomicBool,
}

/// What the files own once the log is replayed.
pub(crate) struct Claimed {
    pub blocks: Marks,
    pub inodes: Marks,
}

/// What inodes say about others.
#[derive(Default)]
pub(crate) struct Relations {
    /// Each directory that was not removed, and the parent that its record names.
    pub parents: Vec<(u64, u64)>,
    /// Each directory that an entry leads to, and the directory of the entry.
    pub children: Vec<(u64, u64)>,
    generations: Vec<u64>,
    pub totals: Totals,
}

impl Relations {
    fn merge(mut self, other: Self) -> Self {
        self.parents.extend(other.parents);
        self.children.extend(other.children);
        self.generations.extend(other.generations);
        let (to, from) = (&mut self.totals, &other.totals);
        to.inodes += from.inodes;
        to.files += from.files;
        to.directories += from.directories;
        to.entries += from.entries;
        to.xattrs += from.xattrs;
        to.extents += from.extents;
        to.data_blocks += from.data_blocks;
        self
    }
}

impl<'a> Files<'a> {
    /// Reads what every part of the pass needs first.
    pub fn new(
        volume: &'a Volume,
        store: &Store,
        unique_high: u64,
        replay: bool,
        claims: &'a Claims,
    ) -> Self {
        let view = store.view();
        let groups = volume.geometry.group_count;
        Self {
            volume,
            orphans: Orphans::read(volume, &view),
            links: Links::new(groups),
            seq: view.seq(),
            unique_high,
            replay: replay.then(|| Claimed { blocks: Marks::new(groups), inodes: Marks::new(groups) }),
            claims,
            entries_unknown: AtomicBool::new(false),
        }
    }

    /// Goes over all items. `parts` are where the keys can be parted.
    pub fn run(&self, store: &Store, parts: &[Key]) -> Relations {
        let mut firsts: Vec<u64> = parts.iter().map(|key| key.object).collect();
        firsts.dedup();
        let ends = firsts.iter().skip(1).map(|first| first.saturating_sub(1)).chain([u64::MAX]);
        let ranges: Vec<(u64, u64)> = firsts.iter().copied().zip(ends).collect();
        let parts: Vec<Relations> = ranges.par_iter().map(|range| self.part(store, *range)).collect();
        let mut all = parts.into_iter().fold(Relations::default(), Relations::merge);
        all.totals.orphans = self.orphans.len();
        self.check_generations(store, &mut all.generations);
        all
    }

    fn part(&self, store: &Store, (first, last): (u64, u64)) -> Relations {
        let mut relations = Relations::default();
        let mut object: Option<Object> = None;
        let (from, to) = (Key::new(first, 0, 0), Key::new(last, u8::MAX, u64::MAX));
        stream::items(self.volume, &store.view(), from, to, |key, value| {
            if !self.belongs_to_inode(key) {
                return;
            }
            let current = match object.take() {
                Some(current) if current.ino() == key.object => current,
                done => {
                    if let Some(done) = done {
                        done.finish(self, &mut relations);
                    }
                    Object::new(key.object)
                }
            };
            object.insert(current).item(self, &mut relations, key, value);
        });
        if let Some(done) = object {
            done.finish(self, &mut relations);
        }
        relations
    }

    /// Sorts out what belongs to the whole volume, or to nobody.
    fn belongs_to_inode(&self, key: Key) -> bool {
        let Key { object, kind, offset } = key;
        let here = Location { offset: Some(offset), ..Location::default() };
        if self.volume.is_inode(object) {
            return true;
        }
        match (object, kind) {
            // Read before everything else.
            (objects::ORPHANS, kinds::ORPHAN) => {}
            (objects::ORPHANS, _) => {
                let message = format!("the table of orphans has an item of kind {kind:#04x} at {offset}");
                self.volume.ledger.add(&KIND_UNKNOWN, here, message);
            }
            _ => {
                let message =
                    format!("there is an item of kind {kind:#04x} of object {object}, which there is not");
                self.volume.ledger.add(&OBJECT_UNKNOWN, Location { inode: Some(object), ..here }, message);
            }
        }
        false
    }

    /// Whether all entries of directories could be read.
    pub fn knows_entries(&self) -> bool {
        !self.entries_unknown.load(Ordering::Relaxed) && !self.volume.lost.may_have_entries()
    }

    /// No two inodes have the same generation.
    fn check_generations(&self, store: &Store, generations: &mut [u64]) {
        generations.par_sort_unstable();
        let mut twice: Vec<u64> = generations
            .windows(2)
            .filter_map(|pair| match pair {
                [a, b] if a == b => Some(*a),
                _ => None,
            })
            .collect();
        twice.dedup();
        if twice.is_empty() {
            return;
        }
        stream::items(self.volume, &store.view(), Key::MIN, Key::MAX, |key, value| {
            if key.kind != kinds::INODE || !self.volume.is_inode(key.object) {
                return;
            }
            let Ok(inode) = vexfs_format::Inode::parse(value) else { return };
            if twice.binary_search(&inode.generation).is_ok() {
                let message =
                    format!("inode {} has generation {}, and so has another", key.object, inode.generation);
                self.volume.ledger.add(&GENERATION_TWICE, Location::inode(key.object), message);
            }
        });
    }
}
