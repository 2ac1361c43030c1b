//! A file's data: extents, and bytes that are kept in the tree.

use vexfs_format::extent::{CHUNK_BYTES, RawExtent};
use vexfs_format::{BLOCK_SIZE, Extent, FileType, Inode, Key, MAX_EXTENT_BLOCKS, MAX_FILE_BYTES};
use zerocopy::FromBytes;

use super::{Files, Relations};
use crate::finding::{
    BLOCKS_WRONG, DATA_BEHIND_END, EXTENT_BIRTH_WRONG, EXTENT_CROSSES_CHUNK, EXTENT_DAMAGED, EXTENT_OUTSIDE,
    EXTENTS_OVERLAP, SYMLINK_WRONG, TAIL_WRONG,
};
use crate::report::Location;

const BLOCK: u64 = BLOCK_SIZE as u64;
/// The most bytes of a tail.
const TAIL_MAX: u64 = vexfs_format::node::MAX_INLINE as u64;
/// The longest target of a symbolic link.
const MAX_SYMLINK: u64 = vexfs_fs::MAX_SYMLINK as u64;

/// What the data of one file comes to.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    blocks: u64,
    /// Where the last extent ends in the file.
    end: u64,
    /// Where the last one that holds data ends.
    data_end: u64,
    damaged: bool,
    inline: Vec<Inline>,
    /// An extent that lies over bytes that are kept in the tree.
    over_inline: Option<u64>,
}

/// Bytes kept in the tree.
#[derive(Clone, Copy, Debug)]
struct Inline {
    offset: u64,
    len: u64,
    zero: bool,
}

impl Extents {
    /// Takes up bytes that are kept in the tree; they come before the extents.
    pub fn add_inline(&mut self, key: Key, value: &[u8]) {
        // More than two are wrong whatever they are.
        if self.inline.len() < 3 {
            let zero = value.contains(&0);
            self.inline.push(Inline { offset: key.offset, len: value.len() as u64, zero });
        }
    }

    /// Takes up an extent.
    pub fn add(&mut self, files: &Files<'_>, relations: &mut Relations, key: Key, value: &[u8]) {
        let (ino, ledger, here) = (key.object, &files.volume.ledger, Location::at(key.object, key.offset));
        let extent = match Extent::parse(key.offset, value) {
            Ok(extent) => extent,
            Err(error) => {
                self.damaged = true;
                let kind = if crosses_chunk(key, value) { &EXTENT_CROSSES_CHUNK } else { &EXTENT_DAMAGED };
                return ledger.add(kind, here, format!("inode {ino}, byte {}: {error}", key.offset));
            }
        };
        let run = extent.run;
        relations.totals.extents += 1;
        relations.totals.data_blocks += u64::from(run.len);
        self.blocks += u64::from(run.len);
        if key.offset < self.end {
            let message =
                format!("inode {ino}: the extent at byte {} begins before the one in front ends", key.offset);
            ledger.add(&EXTENTS_OVERLAP, here.clone(), message);
        }
        let end = key.offset.saturating_add(run.bytes());
        self.end = self.end.max(end);
        if extent.crcs.is_some() {
            self.data_end = self.data_end.max(end);
        }
        if self.inline.iter().any(|inline| (key.offset..end).contains(&inline.offset)) {
            self.over_inline = Some(key.offset);
        }
        if extent.birth > files.seq {
            let message = format!(
                "inode {ino}: an extent was born at {}, the newest transaction is {}",
                extent.birth, files.seq
            );
            ledger.add(&EXTENT_BIRTH_WRONG, here.clone(), message);
        }
        if !files.volume.geometry.holds(run) {
            let message = format!("inode {ino}: {} blocks from {} on are not all data", run.len, run.start);
            return ledger.add(&EXTENT_OUTSIDE, here.in_block(run.start.0), message);
        }
        if let Some(claimed) = &files.replay {
            claimed.blocks.set(run, |block| files.claims.double(block));
            files.claims.meta.marked_in(run, |block| files.claims.double(block));
        }
    }

    /// Compares it with the file's record.
    pub fn judge(&self, files: &Files<'_>, ino: u64, inode: &Inode, lost: bool) {
        let ledger = &files.volume.ledger;
        if self.blocks != inode.blocks && !self.damaged && !lost {
            let (said, found) = (inode.blocks, self.blocks);
            ledger.add(
                &BLOCKS_WRONG,
                Location::inode(ino),
                format!("inode {ino} says {said} blocks, it has {found}"),
            );
        }
        let end = inode.size.next_multiple_of(BLOCK);
        if self.data_end > end && files.orphans.get(ino).is_none() && files.orphans.is_known(ino) {
            let message = format!("inode {ino} ends at {} and has data up to {}", inode.size, self.data_end);
            ledger.add(&DATA_BEHIND_END, Location::at(ino, end), message);
        }
        match inode.file_type {
            FileType::Symlink => self.judge_target(files, ino, inode, lost),
            _ => self.judge_tail(files, ino, inode),
        }
    }

    fn judge_tail(&self, files: &Files<'_>, ino: u64, inode: &Inode) {
        let wrong = |offset, what: String| {
            files.volume.ledger.add(&TAIL_WRONG, Location::at(ino, offset), format!("inode {ino}: {what}"));
        };
        let within = inode.size % BLOCK;
        for Inline { offset, len, .. } in &self.inline {
            if *offset != inode.size - within || !(1..=TAIL_MAX).contains(&within) {
                wrong(
                    *offset,
                    format!("bytes at {offset} are kept in the tree, the file has {}", inode.size),
                );
            } else if *len > within {
                wrong(*offset, format!("{len} bytes at {offset} are kept in the tree, the file ends before"));
            }
        }
        if let Some(offset) = self.over_inline {
            wrong(offset, "it has both a block and bytes in the tree for the same place".into());
        }
    }

    fn judge_target(&self, files: &Files<'_>, ino: u64, inode: &Inode, lost: bool) {
        let wrong = |what: String| {
            let message = format!("symbolic link {ino} {what}");
            files.volume.ledger.add(&SYMLINK_WRONG, Location::inode(ino), message);
        };
        match self.inline.as_slice() {
            // The target of what is being removed goes before its record.
            [] if inode.nlink == 0 || lost => {}
            [] => wrong("has no target".into()),
            [Inline { offset: 0, len, zero: false }]
                if *len == inode.size && (1..=MAX_SYMLINK).contains(len) => {}
            [Inline { offset: 0, len, .. }] => {
                wrong(format!("has a target of {len} bytes that it cannot have"))
            }
            _ => wrong("has more than one target".into()),
        }
    }
}

/// Whether that is what is wrong with an extent.
fn crosses_chunk(key: Key, value: &[u8]) -> bool {
    let Ok((raw, _)) = RawExtent::ref_from_prefix(value) else { return false };
    let blocks = u64::from(raw.blocks.get());
    let placed = key.offset.is_multiple_of(BLOCK) && key.offset < MAX_FILE_BYTES;
    let in_chunk = key.offset % CHUNK_BYTES / BLOCK;
    let most = u64::from(MAX_EXTENT_BLOCKS);
    placed && (1..=most).contains(&blocks) && in_chunk + blocks > most
}
