//! Blocks to and from the device, with their checksums.
//!
//! What is written is copied once, and checksummed and written from that copy: whoever changes the source
//! meanwhile (a shared buffer, mapped memory) cannot make a block that does not match its checksum.

use std::cell::RefCell;

use rayon::prelude::*;
use smallvec::SmallVec;
use vexfs_format::{BLOCK_SIZE, BlockNo, BlockRun, Ino};
use vexfs_store::Store;

use super::BLOCK;
use crate::{Error, Result};

/// Blocks that are handled in one go: small enough to stay in the cache from one pass to the next.
pub(crate) const BATCH: usize = 32;
/// From so many bytes on, several threads share the work.
const PARALLEL: usize = 1 << 20;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with `blocks` blocks of memory of this thread, whose content means nothing.
fn with_scratch<T>(blocks: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    let len = blocks.saturating_mul(BLOCK_SIZE);
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            if scratch.len() < len {
                scratch.resize(len, 0);
            }
            work(scratch.get_mut(..len).unwrap_or_default())
        }
        Err(_) => work(&mut vec![0; len]),
    })
}

/// Bytes that are to fill blocks: the parts one behind the other, then zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// What stays in front of the data in its first block.
    pub head: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// What stays behind the data in its last block.
    pub tail: &'a [u8],
}

impl<'a> Source<'a> {
    /// The data alone, from the beginning of a block.
    pub fn new(data: &'a [u8]) -> Self {
        Self { head: &[], data, tail: &[] }
    }

    /// Copies what lies from `at` on.
    pub fn copy_to(&self, at: u64, into: &mut [u8]) {
        let mut skip = usize::try_from(at).unwrap_or(usize::MAX);
        let mut into = into;
        for part in [self.head, self.data, self.tail] {
            let rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            let len = rest.len().min(into.len());
            let (to, behind) = into.split_at_mut(len);
            to.copy_from_slice(rest.get(..len).unwrap_or_default());
            into = behind;
        }
        into.fill(0);
    }
}

/// Fills the run with what lies in `source` from `at` on; returns the checksum of each block.
pub(crate) fn write(store: &Store, run: BlockRun, source: &Source<'_>, at: u64) -> Result<Vec<u32>> {
    let mut sums = vec![0; run.len as usize];
    let batch = |(index, sums): (usize, &mut [u32])| {
        let skip = (index * BATCH) as u64;
        let part = BlockRun { start: BlockNo(run.start.0.saturating_add(skip)), len: sums.len() as u32 };
        write_batch(store, part, sums, |bytes| source.copy_to(at.saturating_add(skip * BLOCK), bytes))
    };
    match run.bytes() < PARALLEL as u64 {
        true => sums.chunks_mut(BATCH).enumerate().try_for_each(batch)?,
        false => store.share(|| sums.par_chunks_mut(BATCH).enumerate().try_for_each(batch))?,
    }
    Ok(sums)
}

/// Writes what `fill` makes of a few blocks, and notes the checksum of each.
pub(crate) fn write_batch(
    store: &Store,
    run: BlockRun,
    sums: &mut [u32],
    fill: impl FnOnce(&mut [u8]),
) -> Result<()> {
    with_scratch(sums.len(), |bytes| {
        fill(bytes);
        for (sum, block) in sums.iter_mut().zip(bytes.chunks_exact(BLOCK_SIZE)) {
            *sum = crc32c::crc32c(block);
        }
        Ok(store.write_data(run, bytes)?)
    })
}

/// A part of a file to read from one run of blocks.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Where the bytes go.
    pub into: &'a mut [u8],
    /// How many bytes of the first block are not wanted.
    pub skip: usize,
    /// The first block on the device.
    pub start: BlockNo,
    /// The first block in the file.
    pub at: u64,
    /// The checksum of each block.
    pub sums: &'a [u32],
}

impl<'a> Wanted<'a> {
    /// Parts of at most [`BATCH`] blocks.
    fn batches(self) -> SmallVec<[Self; 1]> {
        let mut batches = SmallVec::with_capacity(self.sums.len().div_ceil(BATCH));
        let Self { mut into, mut skip, mut start, mut at, sums } = self;
        for sums in sums.chunks(BATCH) {
            let len = (sums.len() * BLOCK_SIZE).saturating_sub(skip).min(into.len());
            let (part, rest) = into.split_at_mut(len);
            batches.push(Self { into: part, skip, start, at, sums });
            into = rest;
            skip = 0;
            start = BlockNo(start.0.saturating_add(BATCH as u64));
            at = at.saturating_add(BATCH as u64);
        }
        batches
    }

    fn read(self, store: &Store, ino: Ino) -> Result<()> {
        let bytes = self.sums.len() * BLOCK_SIZE;
        if self.skip == 0 && self.into.len() == bytes {
            store.read_blocks(self.start, self.into)?;
            return verify(store, ino, self.start, self.at, self.into, self.sums);
        }
        with_scratch(self.sums.len(), |scratch| {
            store.read_blocks(self.start, scratch)?;
            verify(store, ino, self.start, self.at, scratch, self.sums)?;
            let wanted = scratch.get(self.skip..).and_then(|bytes| bytes.get(..self.into.len()));
            self.into.copy_from_slice(wanted.unwrap_or_default());
            Ok(())
        })
    }
}

/// Reads all parts and checks every block of them.
pub(crate) fn read(store: &Store, ino: Ino, wanted: SmallVec<[Wanted<'_>; 1]>) -> Result<()> {
    let bytes: usize = wanted.iter().map(|wanted| wanted.into.len()).sum();
    if bytes < PARALLEL {
        let mut batches = wanted.into_iter().flat_map(Wanted::batches);
        return batches.try_for_each(|batch| batch.read(store, ino));
    }
    let batches: Vec<_> = wanted.into_iter().flat_map(Wanted::batches).collect();
    store.share(|| batches.into_par_iter().try_for_each(|batch| batch.read(store, ino)))
}

fn verify(store: &Store, ino: Ino, start: BlockNo, at: u64, bytes: &[u8], sums: &[u32]) -> Result<()> {
    for (index, (block, sum)) in bytes.chunks_exact(BLOCK_SIZE).zip(sums).enumerate() {
        if crc32c::crc32c(block) != *sum {
            let block = BlockNo(start.0.saturating_add(index as u64));
            let offset = at.saturating_add(index as u64).saturating_mul(BLOCK);
            return Err(match store.has_fallen_behind() {
                true => Error::Store(vexfs_store::Error::FellBehind),
                false => Error::CorruptData { block, ino, offset },
            });
        }
    }
    Ok(())
}
