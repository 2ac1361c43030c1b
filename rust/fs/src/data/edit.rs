//! Changing which blocks a file has. Whatever loses its place is freed in the same transaction.

use std::ops::Range;

use smallvec::SmallVec;
use vexfs_format::{BlockRun, Extent, Ino, Seq};
use vexfs_store::{Read, Tx};

use super::CHUNK_BLOCKS;
use super::extents::{self, Held};
use crate::Result;

/// Blocks that are to become part of a file.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The first block of the file that they hold.
    pub at: u64,
    /// The blocks.
    pub run: BlockRun,
    /// No later than the transaction that takes them.
    pub birth: Seq,
    /// The checksum of each; `None` if nothing was written to them.
    pub sums: Option<Vec<u32>>,
}

impl Piece {
    fn encode(&self) -> Vec<u8> {
        match &self.sums {
            Some(sums) => Extent::encode_written(self.run.start, self.birth, sums),
            None => Extent::encode_unwritten(self.run, self.birth),
        }
    }

    /// Puts the extent in front of this piece, if it continues there on the device too.
    ///
    /// Only one that is not longer is taken up, so that a block's checksum is written again at most eight times
    /// while a chunk fills up block by block, and yet a full chunk ends as one extent.
    fn take_up(&mut self, left: &Held) -> bool {
        let adjacent = left.end() == self.at && left.run.end() == self.run.start.0;
        let alike = left.is_written() == self.sums.is_some();
        if !adjacent || !alike || left.run.len > self.run.len {
            return false;
        }
        self.at = left.at;
        self.run = BlockRun { start: left.run.start, len: left.run.len.saturating_add(self.run.len) };
        self.birth = self.birth.min(left.birth);
        if let Some(sums) = &mut self.sums {
            sums.splice(0..0, left.sums().iter().map(|sum| sum.get()));
        }
        true
    }
}

/// Puts `pieces`, ascending, in the place of all that lies in these blocks of the file, which are within one
/// chunk. Returns how many blocks the file lost.
pub(crate) fn replace(
    tx: &mut Tx,
    ino: Ino,
    blocks: &Range<u64>,
    mut pieces: SmallVec<[Piece; 2]>,
) -> Result<u64> {
    let mut left = None;
    let mut old: SmallVec<[Held; 4]> = SmallVec::new();
    if let Some(held) = extents::at_or_before(tx, ino, blocks.start)? {
        match held.end() > blocks.start {
            true => old.push(held),
            false => left = Some(held),
        }
    }
    let next = old.last().map_or(blocks.start.saturating_add(1), Held::end);
    for held in extents::beginning_in(tx, ino, next..blocks.end) {
        old.push(held?);
    }
    let lost = cut(tx, ino, blocks, &old);
    if let Some(first) = old.first().and_then(|held| held.part(&(held.at..blocks.start))) {
        left = Some(first);
    }
    if let Some(first) = pieces.first_mut() {
        join(tx, ino, first, left)?;
    }
    put(tx, ino, &pieces);
    Ok(lost)
}

/// Puts `pieces` where the file has nothing.
pub(crate) fn put(tx: &mut Tx, ino: Ino, pieces: &[Piece]) {
    for piece in pieces {
        tx.put(extents::key(ino, piece.at), piece.encode());
    }
}

/// Makes `piece` take up what is `left` of it, and what is left of that, as far as it goes.
fn join(tx: &mut Tx, ino: Ino, piece: &mut Piece, mut left: Option<Held>) -> Result<()> {
    while let Some(held) = left.filter(|held| piece.take_up(held)) {
        tx.delete(extents::key(ino, held.at));
        left = match held.at % CHUNK_BLOCKS {
            0 => None,
            _ => extents::at_or_before(tx, ino, held.at - 1)?,
        };
    }
    Ok(())
}

/// Frees what of `extents` lies in these blocks of the file; returns how many blocks the file lost.
fn cut(tx: &mut Tx, ino: Ino, blocks: &Range<u64>, extents: &[Held]) -> u64 {
    let mut lost = 0;
    for gone in extents.iter().filter_map(|held| held.part(blocks)) {
        lost += u64::from(gone.run.len);
        tx.free(gone.run, gone.birth);
    }
    forget(tx, ino, blocks, extents);
    lost
}

/// Takes what of `extents` lies in these blocks of the file out of it, and leaves its blocks alone.
pub(crate) fn forget(tx: &mut Tx, ino: Ino, blocks: &Range<u64>, extents: &[Held]) {
    for held in extents {
        match held.part(&(held.at..blocks.start)) {
            Some(left) => tx.put(extents::key(ino, left.at), left.encode()),
            None => tx.delete(extents::key(ino, held.at)),
        }
        if let Some(right) = held.part(&(blocks.end..held.end())) {
            tx.put(extents::key(ino, right.at), right.encode());
        }
    }
}

/// Which extents are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All.
    All,
    /// Those that hold data.
    Written,
}

/// Takes up to `budget` extents, the last first, out of these blocks of the file. Returns how many blocks the file
/// lost; a budget that is not used up says that nothing is left there.
pub(crate) fn remove(
    tx: &mut Tx,
    ino: Ino,
    blocks: &Range<u64>,
    which: Which,
    budget: &mut usize,
) -> Result<u64> {
    if blocks.start >= blocks.end {
        return Ok(0);
    }
    let meant = |held: &Held| which == Which::All || held.is_written();
    let mut found: Vec<Held> = Vec::new();
    for held in extents::descending(tx, ino, blocks) {
        if found.len() >= *budget {
            break;
        }
        found.extend(Some(held?).filter(meant));
    }
    if found.len() < *budget {
        let first = extents::at_or_before(tx, ino, blocks.start)?;
        found.extend(first.filter(|held| held.at < blocks.start && held.end() > blocks.start && meant(held)));
    }
    *budget -= found.len();
    Ok(cut(tx, ino, blocks, &found))
}

/// Whether this block of the file has data in an extent.
pub(crate) fn holds_data<R: Read>(from: &R, ino: Ino, block: u64) -> Result<bool> {
    let held = extents::at_or_before(from, ino, block)?;
    Ok(held.is_some_and(|held| held.end() > block && held.is_written()))
}
