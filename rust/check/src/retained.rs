//! Pass 6: the trees of the retained checkpoints, as far as newer states do not share them.
//!
//! From the newest to the oldest: what a tree has and no newer one has is what only it and older ones need. All of
//! that must be on its list of dead blocks, and nothing on that list may be in use by a newer state. A list may
//! name more (blocks that came and went between two checkpoints), which stay in use until it is dropped.

use rayon::prelude::*;
use vexfs_device::Device;
use vexfs_format::{BlockRun, Extent, Key, NodePtr, OutOfLine, kinds};
use vexfs_tree::{Error as TreeError, Reader, Root, Subtree, TreeCounts, Visitor, WalkOptions};

use crate::data;
use crate::finding::{DEAD_BLOCK_IN_USE, DEAD_BLOCK_UNLISTED, RETAINED_DAMAGED};
use crate::marks::{Marks, missing, union};
use crate::report::Location;
use crate::retention::{Kept, Retention};
use crate::tree::{Claims, location_of};
use crate::volume::Volume;

/// Walks all retained trees; says whether each could be read.
pub(crate) fn run(volume: &Volume, reader: &Reader, retention: &Retention, claims: &Claims) -> bool {
    let mut whole = true;
    let mut newest_first: Vec<&Kept> = retention.kept.iter().collect();
    newest_first.sort_by_key(|kept| std::cmp::Reverse(kept.entry.seq));
    for kept in newest_first {
        let fresh = Marks::new(volume.geometry.group_count);
        whole &= walk(volume, reader, kept, claims, &fresh);
        let dead = Marks::new(volume.geometry.group_count);
        kept.dead_runs(volume, |run| dead.set(run, |_| ()));
        compare(volume, kept, claims, &fresh, &dead);
        claims.kept.absorb(&fresh);
        claims.kept.absorb(&dead);
    }
    whole
}

fn walk(volume: &Volume, reader: &Reader, kept: &Kept, claims: &Claims, fresh: &Marks) -> bool {
    let root = Root::new(kept.entry.root, TreeCounts::default());
    let visitor = || Old { volume, claims, fresh, checkpoint: kept.entry.id.0, whole: true };
    let mut top = visitor();
    let (subtrees, _) = reader.subtrees(&root, volume.options.threads() * 8, &mut top);
    let part = |subtree: &Subtree| {
        let mut visitor = visitor();
        reader.walk_subtree(subtree, WalkOptions::default(), &mut visitor);
        visitor.whole
    };
    let whole: Vec<bool> = subtrees.par_iter().map(part).collect();
    top.whole && whole.into_iter().all(|whole| whole)
}

fn compare(volume: &Volume, kept: &Kept, claims: &Claims, fresh: &Marks, dead: &Marks) {
    let id = kept.entry.id.0;
    let none = [0; vexfs_format::bitmap::BITMAP_WORDS];
    for group in 0..volume.geometry.group_count {
        let (fresh, dead) = (fresh.group(group), dead.group(group));
        if fresh.is_none() && dead.is_none() {
            continue;
        }
        let (fresh, dead) = (fresh.unwrap_or(none), dead.unwrap_or(none));
        let newer = [claims.data.group(group), claims.meta.group(group), claims.kept.group(group)];
        let newer = union(newer.iter().flatten());
        let mut unused = none;
        unused.iter_mut().zip(dead.iter().zip(&newer)).for_each(|(both, (dead, newer))| *both = dead & newer);
        for (block, count) in missing(group, &unused, &none) {
            let message = format!(
                "{count} blocks from {block} on died with checkpoint {id}, but a newer state uses them"
            );
            volume.ledger.add(&DEAD_BLOCK_IN_USE, Location::blocks(block, count).of_checkpoint(id), message);
        }
        if !kept.whole {
            continue;
        }
        for (block, count) in missing(group, &fresh, &dead) {
            let message = format!(
                "{count} blocks from {block} on are needed by checkpoint {id} only, and not on its list"
            );
            volume.ledger.add(
                &DEAD_BLOCK_UNLISTED,
                Location::blocks(block, count).of_checkpoint(id),
                message,
            );
        }
    }
}

struct Old<'a> {
    volume: &'a Volume,
    claims: &'a Claims,
    /// What no newer state has.
    fresh: &'a Marks,
    checkpoint: u64,
    whole: bool,
}

impl Old<'_> {
    /// Blocks that a newer state may share if it has them for the same; says whether none of them is shared.
    fn claim(&self, run: BlockRun, shared_with: &Marks, never_with: &Marks) -> bool {
        let mut known = 0;
        for block in run.start.0..run.end() {
            if never_with.has(block) {
                self.claims.double(block);
                known += 1;
            } else if shared_with.has(block) || self.claims.kept.has(block) {
                known += 1;
            } else if self.fresh.set_one(block) {
                self.claims.double(block);
            }
        }
        known == 0
    }
}

impl Visitor for Old<'_> {
    fn enter(&mut self, ptr: &NodePtr) -> bool {
        self.volume.meter.add(1);
        if self.volume.meter.is_cancelled() || self.claims.knows(ptr) {
            return false;
        }
        if self.volume.geometry.holds(ptr.run()) {
            let Claims { data, meta, kept, .. } = self.claims;
            // A newer list may name the node although the newer tree with it could not be read.
            let another = self.claims.has_node_in(ptr.run());
            for block in ptr.run().start.0..ptr.run().end() {
                let newer = data.has(block) || meta.has(block) || kept.has(block) && another;
                let own = || !kept.has(block) && self.fresh.set_one(block);
                if newer || own() {
                    self.claims.double(block);
                }
            }
            self.claims.note_node(ptr);
        }
        true
    }

    fn out_of_line(&mut self, _key: Key, ptr: &OutOfLine) {
        if self.volume.geometry.holds(ptr.run()) {
            self.claim(ptr.run(), &self.claims.meta, &self.claims.data);
        }
    }

    fn item(&mut self, key: Key, value: &[u8]) {
        if key.kind != kinds::EXTENT {
            return;
        }
        match Extent::parse(key.offset, value) {
            Ok(extent) if self.volume.geometry.holds(extent.run) => {
                if self.claims.has_node_in(extent.run) {
                    extent_over_node(self.claims, extent.run);
                }
                let own = self.claim(extent.run, &self.claims.data, &self.claims.meta);
                if own && self.volume.options.data {
                    let start = extent.run.start.byte_offset();
                    let read = |into: &mut [u8]| self.volume.device.read_at(into, start).is_ok();
                    data::verify(self.volume, key, &extent, Some(self.checkpoint), read);
                }
            }
            _ => {
                self.whole = false;
                self.volume.owners_unknown();
                let message =
                    format!("checkpoint {}: an extent of inode {} is none", self.checkpoint, key.object);
                let here = Location::at(key.object, key.offset).of_checkpoint(self.checkpoint);
                self.volume.ledger.add(&RETAINED_DAMAGED, here, message);
            }
        }
    }

    fn bad(&mut self, error: TreeError) {
        self.whole = false;
        self.volume.owners_unknown();
        let here = match &error {
            TreeError::Corrupt(corruption) => location_of(corruption),
            _ => Location::default(),
        };
        let message = format!("checkpoint {}: {error}", self.checkpoint);
        self.volume.ledger.add(&RETAINED_DAMAGED, here.of_checkpoint(self.checkpoint), message);
    }
}

/// A node of a retained tree lies where a file of another has data: of such blocks the first is enough to see it.
fn extent_over_node(claims: &Claims, run: BlockRun) {
    for block in run.start.0..run.end() {
        let unit = BlockRun { start: vexfs_format::BlockNo(block), len: 1 };
        if claims.has_node_in(unit) {
            claims.double(block);
        }
    }
}
