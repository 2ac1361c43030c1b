//! Reading a file: extents, the short tail that is kept in the tree, and zeros wherever there is neither.

use std::ops::Range;

use smallvec::SmallVec;
use vexfs_format::{BlockNo, Ino};
use vexfs_store::{Read, Store};

use super::blocks::{self, Reader, Wanted};
use super::extents::{self, Held};
use super::{BLOCK, tail};
use crate::Result;

/// Fills `into` from `offset`, as far as the file of `size` bytes reaches; returns how many bytes that is.
pub(crate) fn read<R: Read>(
    store: &Store,
    from: &R,
    ino: Ino,
    size: u64,
    offset: u64,
    into: &mut [u8],
) -> Result<usize> {
    let wanted = size.saturating_sub(offset).min(into.len() as u64) as usize;
    let into = into.get_mut(..wanted).unwrap_or_default();
    if into.is_empty() {
        return Ok(0);
    }
    let bytes = offset..offset + wanted as u64;
    let tail = match tail::block(size).filter(|block| bytes.end > block * BLOCK) {
        Some(block) => tail::get(from, ino, block)?.map(|value| (block * BLOCK, value)),
        None => None,
    };
    let blocks = match &tail {
        Some((at, _)) => bytes.start / BLOCK..at / BLOCK,
        None => bytes.start / BLOCK..bytes.end.div_ceil(BLOCK),
    };
    let runs = runs(from, ino, blocks)?;
    let mut wanted: SmallVec<[Wanted<'_>; 1]> = SmallVec::with_capacity(runs.len());
    let mut rest = &mut *into;
    let mut at = bytes.start;
    for run in &runs {
        let (start, end) = ((run.at * BLOCK).max(at), run.end().saturating_mul(BLOCK).min(bytes.end));
        advance(&mut rest, start - at).fill(0);
        let part = advance(&mut rest, end.saturating_sub(start));
        wanted.push(Wanted {
            into: part,
            skip: (start - run.at * BLOCK) as usize,
            start: run.start,
            at: run.at,
            sums: &run.sums,
        });
        at = end;
    }
    rest.fill(0);
    if !wanted.is_empty() {
        from.settle()?;
    }
    blocks::read(store, Reader { ino, seq: from.seq() }, wanted)?;
    if let Some((at, value)) = tail {
        tail::overlay(&value, at, bytes.start, into);
    }
    Ok(into.len())
}

/// Takes the first `len` bytes off.
fn advance<'a>(rest: &mut &'a mut [u8], len: u64) -> &'a mut [u8] {
    let all = std::mem::take(rest);
    let len = all.len().min(usize::try_from(len).unwrap_or(usize::MAX));
    let (first, behind) = all.split_at_mut(len);
    *rest = behind;
    first
}

/// Blocks with data that follow each other in the file and on the device.
struct Run {
    at: u64,
    start: BlockNo,
    sums: SmallVec<[u32; 4]>,
}

impl Run {
    fn end(&self) -> u64 {
        self.at + self.sums.len() as u64
    }

    fn continues_in(&self, held: &Held) -> bool {
        self.end() == held.at && self.start.0.checked_add(self.sums.len() as u64) == Some(held.run.start.0)
    }
}

/// All data in these blocks of the file.
fn runs<R: Read>(from: &R, ino: Ino, blocks: Range<u64>) -> Result<SmallVec<[Run; 1]>> {
    let mut runs: SmallVec<[Run; 1]> = SmallVec::new();
    for held in extents::overlapping(from, ino, blocks.clone())? {
        let Some(held) = held?.part(&blocks).filter(Held::is_written) else { continue };
        let sums = held.sums().iter().map(|sum| sum.get());
        match runs.last_mut() {
            Some(run) if run.continues_in(&held) => run.sums.extend(sums),
            _ => runs.push(Run { at: held.at, start: held.run.start, sums: sums.collect() }),
        }
    }
    Ok(runs)
}
