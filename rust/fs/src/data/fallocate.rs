//! What `fallocate` does within a file: preallocating, punching holes, zeroing.

use std::ops::Range;

use super::blocks::Source;
use super::edit::{self, Which};
use super::editor::Editor;
use super::extents;
use super::{BLOCK, CHUNK_BLOCKS};
use crate::{Error, Result};

/// What is to become of a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// Holes get blocks that read as zero; data stays. The file becomes longer if the range ends behind it.
    Grow,
    /// As [`Allocate::Grow`], but the file's length stays.
    KeepSize,
    /// The range becomes a hole; the file's length stays.
    Punch,
    /// The range reads as zero and has blocks. The file becomes longer if the range ends behind it.
    Zero,
    /// As [`Allocate::Zero`], but the file's length stays.
    ZeroKeepSize,
    /// The range is taken out and what is behind it moves down. Whole blocks, not up to the end of the file.
    Collapse,
    /// A hole is put in front of what begins there, which moves up. Whole blocks, within the file.
    Insert,
}

impl Editor<'_> {
    /// Does what `fallocate(2)` does.
    pub fn allocate(mut self, what: Allocate, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Err(Error::Invalid { what: "the length of the range must not be 0" });
        }
        let bytes = offset..Self::check_size(offset.checked_add(len))?;
        if what != Allocate::Punch {
            self.tx.grows();
        }
        let size = match what {
            Allocate::Grow | Allocate::Zero => self.size().max(bytes.end),
            Allocate::KeepSize | Allocate::Punch | Allocate::ZeroKeepSize => self.size(),
            Allocate::Collapse => self.size().saturating_sub(len),
            Allocate::Insert => Self::check_size(self.size().checked_add(len))?,
        };
        match what {
            Allocate::Grow | Allocate::KeepSize => self.fill_holes(&bytes, size)?,
            Allocate::Punch => self.punch(&bytes)?,
            Allocate::Zero | Allocate::ZeroKeepSize => {
                self.punch(&bytes)?;
                self.fill_holes(&bytes, size)?;
            }
            Allocate::Collapse => self.collapse(&bytes)?,
            Allocate::Insert => self.insert(&bytes)?,
        }
        self.own(size);
        Ok(())
    }

    /// Gives blocks to the holes of a range of a file that is going to be `size` bytes long.
    fn fill_holes(&mut self, bytes: &Range<u64>, size: u64) -> Result<()> {
        let blocks = bytes.start / BLOCK..bytes.end.div_ceil(BLOCK);
        if let Some((tail, _)) = self.tail()?
            && (blocks.contains(&tail) || size > self.size())
        {
            self.settle_tail()?;
        }
        if size > self.size() {
            self.extend(size.div_ceil(BLOCK))?;
        }
        let holes = self.holes(&blocks)?;
        let wanted: u64 = holes.iter().map(|hole| hole.end - hole.start).sum();
        if wanted > self.store().space_status().blocks {
            return Err(Error::Store(vexfs_store::Error::NoSpace));
        }
        for hole in holes {
            let mut start = hole.start;
            while start < hole.end {
                let end = hole.end.min((start / CHUNK_BLOCKS + 1) * CHUNK_BLOCKS);
                self.preallocate(start..end, hole.end - start)?;
                start = end;
            }
        }
        Ok(())
    }

    /// The blocks of the range that have no extent.
    fn holes(&self, blocks: &Range<u64>) -> Result<Vec<Range<u64>>> {
        let mut holes = Vec::new();
        let mut next = blocks.start;
        for held in extents::overlapping(&self.tx.store, self.ino, blocks.clone())? {
            let held = held?;
            if held.at > next {
                holes.push(next..held.at);
            }
            next = held.end();
        }
        if next < blocks.end {
            holes.push(next..blocks.end);
        }
        Ok(holes)
    }

    /// Makes the range a hole: its whole blocks go, and what it has of others becomes zero.
    fn punch(&mut self, bytes: &Range<u64>) -> Result<()> {
        // Behind the end of the file there is nothing to keep.
        let end = if bytes.end >= self.size() { bytes.end.next_multiple_of(BLOCK) } else { bytes.end };
        let whole = bytes.start.div_ceil(BLOCK)..end / BLOCK;
        if whole.start > whole.end {
            return self.zero_within(whole.end, bytes.start..end);
        }
        if !bytes.start.is_multiple_of(BLOCK) {
            self.zero_within(bytes.start / BLOCK, bytes.start..whole.start * BLOCK)?;
        }
        if !end.is_multiple_of(BLOCK) {
            self.zero_within(whole.end, whole.end * BLOCK..end)?;
        }
        if let Some((tail, _)) = self.tail()?
            && whole.contains(&tail)
        {
            self.delete_tail(tail);
        }
        self.remove(whole, Which::All)
    }

    /// Makes these bytes of a block zero, if it has data.
    fn zero_within(&mut self, block: u64, bytes: Range<u64>) -> Result<()> {
        let within = (bytes.start - block * BLOCK) as usize..(bytes.end - block * BLOCK) as usize;
        if let Some((tail, value)) = self.tail()?
            && tail == block
        {
            let mut kept = value.to_vec();
            let end = within.end.min(kept.len());
            kept.get_mut(within.start.min(end)..end).unwrap_or_default().fill(0);
            self.put_tail(block, &kept);
        } else if edit::holds_data(&self.tx.store, self.ino, block)? {
            let mut kept = vec![0; BLOCK as usize];
            self.read(block * BLOCK, &mut kept)?;
            kept.get_mut(within).unwrap_or_default().fill(0);
            self.place(block..block + 1, &Source::new(&kept))?;
        }
        Ok(())
    }
}
