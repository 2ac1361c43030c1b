//! Where the blocks of a file come from.
//!
//! An open file has a window: a run of blocks that only it takes from, so that what is appended a little at a time
//! lies in one piece although others write too. It grows with the file and is given back when the file is closed.
//! Whoever knows how much is coming takes just that.

use std::cell::Cell;

use parking_lot::Mutex;
use vexfs_format::{BlockNo, BlockRun};
use vexfs_store::{Class, Request, Reservation, Store, Strategy};

use super::CHUNK_BLOCKS;
use crate::Result;

/// Blocks of a file's first window (64 KiB).
const FIRST: u32 = 16;
/// Blocks of its largest (8 MiB).
const LARGEST: u32 = 2048;
/// Runs from here on are large: the shortest free run that fits is taken, so that longer ones stay whole.
const LARGE: u32 = CHUNK_BLOCKS as u32 / 2;

/// Windows from here on (1 MiB) get their room on the host at once: in one piece, and at less cost than at write-back.
const PREPARED: u32 = CHUNK_BLOCKS as u32;

/// The most blocks that are asked for at once, however much is coming.
const MOST: u32 = 8192;

/// What is reserved for a file.
#[derive(Debug, Default)]
pub(crate) struct Window(Mutex<Left>);

#[derive(Debug, Default)]
struct Left {
    blocks: Option<Reservation>,
    /// All of the last reservation.
    last: BlockRun,
}

/// How far a reservation goes beyond what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// Not at all.
    Exactly,
    /// Twice the last one: more is expected to come.
    Growing,
}

impl Window {
    /// Takes up to `blocks` blocks in one run. `coming` is how many the change needs altogether, `goal` tells where
    /// the file's data before them ends.
    pub fn take(
        &self,
        store: &Store,
        blocks: u32,
        coming: u64,
        ahead: Ahead,
        goal: impl FnOnce() -> Result<Option<BlockNo>>,
    ) -> Result<Reservation> {
        let mut left = self.0.lock();
        let mut from = match left.blocks.take() {
            Some(from) => from,
            None => {
                let coming = u32::try_from(coming).unwrap_or(u32::MAX).max(blocks);
                let goal = if left.last.len > 0 { Some(BlockNo(left.last.end())) } else { goal()? };
                left.refill(store, coming, ahead, goal)?
            }
        };
        match from.split(blocks) {
            Some(part) => {
                left.blocks = Some(from).filter(|from| from.run().len > 0);
                Ok(part)
            }
            None => Ok(from),
        }
    }
}

impl Left {
    fn refill(
        &mut self,
        store: &Store,
        coming: u32,
        ahead: Ahead,
        goal: Option<BlockNo>,
    ) -> Result<Reservation> {
        if self.last.len > 0 {
            store.start_writeback(self.last);
        }
        let blocks = match ahead {
            Ahead::Exactly => coming,
            Ahead::Growing => coming.max(self.last.len.saturating_mul(2).clamp(FIRST, LARGEST)),
        };
        let reserved = reserve(store, blocks.min(MOST), goal.or_else(behind_the_last))?;
        self.last = reserved.run();
        LAST.set(Some(self.last.end()));
        if ahead == Ahead::Growing && self.last.len >= PREPARED {
            store.prepare(self.last);
        }
        Ok(reserved)
    }
}

/// Takes up to `blocks` blocks in one run for several files, behind what this thread wrote last.
pub(crate) fn exactly(store: &Store, blocks: u64) -> Result<Reservation> {
    let blocks = u32::try_from(blocks).unwrap_or(u32::MAX).min(MOST);
    let reserved = reserve(store, blocks, behind_the_last())?;
    LAST.set(Some(reserved.run().end()));
    Ok(reserved)
}

/// One run of up to `blocks` blocks, the longest there is if none is as long.
fn reserve(store: &Store, blocks: u32, goal: Option<BlockNo>) -> Result<Reservation> {
    let strategy = if blocks >= LARGE { Strategy::BestFit } else { Strategy::FirstFit };
    Ok(store.reserve(&Request { min: 1, max: blocks, align: 1, strategy, goal, class: Class::Data })?)
}

thread_local! {
    /// The block behind the file that this thread wrote last: files written one after the other lie side by side,
    /// so that they reach the device, and are read again, in few large pieces. A hint: another volume's number
    /// does no harm.
    static LAST: Cell<Option<u64>> = const { Cell::new(None) };
}

fn behind_the_last() -> Option<BlockNo> {
    LAST.get().map(BlockNo)
}
