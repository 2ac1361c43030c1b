//! Blocks to and from the device, with their checksums.
//!
//! What is written is copied once, and checksummed and written from that copy: whoever changes the source
//! meanwhile (a shared buffer, mapped memory) cannot make a block that does not match its checksum.
//!
//! Work of some size is cut into batches that stay in the cache of a processor from one pass over them to the next.
//! Those of a large read are a queue that several threads take from. A write is one thread's: hosts let one writer at a
//! time into a file, and others would only wait for him.

use std::cell::RefCell;

use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};
use vexfs_device::AlignedBuf;
use vexfs_format::{BLOCK_SIZE, BlockNo, BlockRun, Ino, Seq};
use vexfs_store::Store;

use super::{BLOCK, sums};
use crate::{Error, Result};

/// Blocks that are handled in one go: small enough to stay in the cache from one pass to the next.
pub(crate) const BATCH: usize = 32;
/// Blocks that are written in one go: a host takes large writes at less cost for each block.
pub(crate) const WRITE_BATCH: usize = 2 * BATCH;
/// From so many bytes on, several threads share a read.
const TOGETHER: usize = 256 << 10;

thread_local! {
    static SCRATCH: RefCell<AlignedBuf> = const { RefCell::new(AlignedBuf::new()) };
}

/// Runs `work` with `blocks` blocks of memory of this thread, whose content means nothing.
fn with_scratch<T>(blocks: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    let len = blocks.saturating_mul(BLOCK_SIZE);
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            if scratch.len() < len {
                scratch.resize(len);
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

/// Hands a few blocks with what lies in `source` from `at` on to `work`, and the checksum of each.
pub(crate) fn with_filled<T>(
    source: &Source<'_>,
    at: u64,
    blocks: usize,
    work: impl FnOnce(&[u8], Vec<u32>) -> Result<T>,
) -> Result<T> {
    with_scratch(blocks, |bytes| {
        source.copy_to(at, bytes);
        let mut sums = vec![0; blocks];
        sums::of_blocks(bytes, &mut sums);
        work(bytes, sums)
    })
}

/// Fills the run with what lies in `source` from `at` on; returns the checksum of each block.
pub(crate) fn write(store: &Store, run: BlockRun, source: &Source<'_>, at: u64) -> Result<Vec<u32>> {
    let mut sums = vec![0; run.len as usize];
    for (index, sums) in sums.chunks_mut(WRITE_BATCH).enumerate() {
        let skip = (index * WRITE_BATCH) as u64;
        let part = BlockRun { start: BlockNo(run.start.0.saturating_add(skip)), len: sums.len() as u32 };
        write_batch(store, part, sums, |bytes| source.copy_to(at.saturating_add(skip * BLOCK), bytes))?;
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
        sums::of_blocks(bytes, sums);
        Ok(store.write_data(run, bytes)?)
    })
}

/// Whose blocks are read, and at which moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// The file.
    pub ino: Ino,
    /// The moment.
    pub seq: Seq,
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
    /// Takes a part of at most [`BATCH`] blocks off the front.
    fn split_batch(&mut self) -> Option<Self> {
        if self.sums.is_empty() {
            return None;
        }
        let (sums, rest) = self.sums.split_at(self.sums.len().min(BATCH));
        let into = std::mem::take(&mut self.into);
        let len = (sums.len() * BLOCK_SIZE).saturating_sub(self.skip).min(into.len());
        let (into, behind) = into.split_at_mut(len);
        let batch = Self { into, sums, ..*self };
        let blocks = sums.len() as u64;
        (self.start, self.at) =
            (BlockNo(self.start.0.saturating_add(blocks)), self.at.saturating_add(blocks));
        (self.into, self.sums, self.skip) = (behind, rest, 0);
        Some(batch)
    }

    fn read(self, store: &Store, reader: Reader) -> Result<()> {
        let bytes = self.sums.len() * BLOCK_SIZE;
        if self.skip == 0 && self.into.len() == bytes && !is_awkward(self.into) {
            store.read_blocks(self.start, self.into)?;
            return verify(store, reader, self.start, self.at, self.into, self.sums);
        }
        with_scratch(self.sums.len(), |scratch| {
            store.read_blocks(self.start, scratch)?;
            verify(store, reader, self.start, self.at, scratch, self.sums)?;
            copy(scratch.get(self.skip..).unwrap_or_default(), self.into);
            Ok(())
        })
    }
}

/// Whether the host would be slow to copy a page to here. Its copying (`rep movsb`) has a sixth of its speed on some
/// processors (AMD Zen 3) if the target is a few bytes further into its page than the source, which is the case for
/// any large block of memory that comes from malloc.
fn is_awkward(into: &[u8]) -> bool {
    (1..32).contains(&(into.as_ptr().addr() % BLOCK_SIZE))
}

/// Fills `into`, in pieces so small that they are not copied by that instruction.
fn copy(from: &[u8], into: &mut [u8]) {
    const PIECE: usize = 1024;
    for (into, from) in into.chunks_mut(PIECE).zip(from.chunks(PIECE)) {
        if let Some(from) = from.get(..into.len()) {
            into.copy_from_slice(from);
        }
    }
}

/// Reads all parts and checks every block of them.
pub(crate) fn read(store: &Store, reader: Reader, wanted: SmallVec<[Wanted<'_>; 1]>) -> Result<()> {
    let bytes: usize = wanted.iter().map(|wanted| wanted.into.len()).sum();
    let mut batches =
        wanted.into_iter().flat_map(|mut wanted| std::iter::from_fn(move || wanted.split_batch()));
    if bytes < TOGETHER {
        return batches.try_for_each(|batch| batch.read(store, reader));
    }
    let (batches, outcome) = (Mutex::new(batches.fuse()), Mutex::new(Ok(())));
    store.together(&|| {
        // After an error, what is left is left.
        while outcome.lock().is_ok() {
            let Some(batch) = batches.lock().next() else { break };
            if let Err(error) = batch.read(store, reader) {
                *outcome.lock() = Err(error);
            }
        }
    });
    outcome.into_inner()
}

fn verify(store: &Store, reader: Reader, start: BlockNo, at: u64, bytes: &[u8], sums: &[u32]) -> Result<()> {
    let mut found: SmallVec<[u32; BATCH]> = smallvec![0; sums.len()];
    sums::of_blocks(bytes, &mut found);
    let Some(index) = found.iter().zip(sums).position(|(found, sum)| found != sum) else { return Ok(()) };
    let block = BlockNo(start.0.saturating_add(index as u64));
    let offset = at.saturating_add(index as u64).saturating_mul(BLOCK);
    Err(match store.has_fallen_behind(reader.seq) {
        true => Error::Store(vexfs_store::Error::FellBehind),
        false => Error::CorruptData { block, ino: reader.ino, offset },
    })
}
