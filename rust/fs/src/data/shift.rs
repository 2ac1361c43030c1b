//! Taking a range out of a file, or putting one in: what is behind it moves, block by block as it is, only its
//! place in the file changes.

use std::ops::Range;

use smallvec::smallvec;

use super::edit::{Piece, Which};
use super::editor::Editor;
use super::extents::{self, Held};
use super::{BLOCK, CHUNK_BLOCKS, MAX_BLOCKS};
use crate::{Error, Result};

/// Which way.
#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
}

impl Editor<'_> {
    /// Takes the range out; what is behind it moves down.
    pub fn collapse(&mut self, bytes: &Range<u64>) -> Result<()> {
        let blocks = whole_blocks(bytes)?;
        if bytes.end >= self.size() {
            return Err(Error::Invalid {
                what: "a range that reaches the end of the file is truncated, not collapsed",
            });
        }
        self.remove(blocks.clone(), Which::All)?;
        self.shift(blocks.end, Way::Down, blocks.end - blocks.start)
    }

    /// Puts a hole in; what begins there moves up.
    pub fn insert(&mut self, bytes: &Range<u64>) -> Result<()> {
        let blocks = whole_blocks(bytes)?;
        if bytes.start >= self.size() {
            return Err(Error::Invalid {
                what: "a hole behind the end of the file is made by truncating, not inserted",
            });
        }
        self.shift(blocks.start, Way::Up, blocks.end - blocks.start)
    }

    /// Moves all that the file has from block `first` on by `by` blocks.
    fn shift(&mut self, first: u64, way: Way, by: u64) -> Result<()> {
        let to = |block: u64| match way {
            Way::Down => block.saturating_sub(by),
            Way::Up => block.saturating_add(by),
        };
        if let Some((block, value)) = self.tail()?
            && block >= first
        {
            self.delete_tail(block);
            self.put_tail(to(block), &value);
        }
        let all = first..MAX_BLOCKS;
        let moved = extents::overlapping(&self.tx.store, self.ino, all.clone())?;
        let moved: Vec<Held> = moved.collect::<Result<_>>()?;
        self.forget(&all, &moved);
        for held in moved.iter().filter_map(|held| held.part(&all)) {
            self.move_to(&held, to(held.at))?;
        }
        Ok(())
    }

    /// Makes an extent part of the file at block `at`, cut where chunks end. What would come to lie behind the
    /// greatest length of a file was preallocated there, and goes.
    fn move_to(&mut self, held: &Held, at: u64) -> Result<()> {
        let mut done = 0;
        let len = u64::from(held.run.len);
        while done < len {
            let start = at + done;
            let end = (at + len).min((start / CHUNK_BLOCKS + 1) * CHUNK_BLOCKS);
            let Some(part) = held.part(&(held.at + done..held.at + (end - at))) else { break };
            match end <= MAX_BLOCKS {
                true => self.adopt(start..end, &part)?,
                false => self.give_up(&part),
            }
            done = end - at;
        }
        Ok(())
    }

    fn adopt(&mut self, range: Range<u64>, part: &Held) -> Result<()> {
        let sums = part.is_written().then(|| part.sums().iter().map(|sum| sum.get()).collect());
        self.take_in(
            range.clone(),
            smallvec![Piece { at: range.start, run: part.run, birth: part.birth, sums }],
        )
    }
}

fn whole_blocks(bytes: &Range<u64>) -> Result<Range<u64>> {
    match bytes.start.is_multiple_of(BLOCK) && bytes.end.is_multiple_of(BLOCK) {
        true => Ok(bytes.start / BLOCK..bytes.end / BLOCK),
        false => Err(Error::Invalid { what: "offset and length must be multiples of 4096" }),
    }
}
