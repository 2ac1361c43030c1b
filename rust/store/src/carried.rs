//! Data that goes with the log: a durable commit of a few blocks is one write, of its frame, and no flush.
//!
//! The blocks of such a transaction are written to their place when they are written, like all others, and read
//! from there. But its record carries them too, so their place need not be durable before a checkpoint is, whose
//! flush covers it. After a crash what lies in their place means nothing: until the first checkpoint has put them
//! there, they are read from the log. Invariant: no block is carried twice behind one checkpoint, because a block
//! is not used again before a checkpoint says that it is free.

use vexfs_device::{AlignedBuf, Device};
use vexfs_format::redo::digest_of;
use vexfs_format::{BLOCK_SIZE, BlockNo, BlockRun, Lsn};
use vexfs_journal::{Log, LogMap};

use crate::tx::{Durability, Tx};
use crate::{Error, Result};

/// A transaction with more data than this is flushed rather than carried. What carrying gains shrinks with the size,
/// while every byte is written twice and brings the next checkpoint nearer.
const MOST: u64 = 64 << 10;
/// At most this part of the longest record is data, so that those of a small log do not fill it.
const SHARE: u64 = 4;

/// Bytes of one write of [`Carried::put_back`].
const PIECE: usize = 1 << 20;

/// Whether the record of a transaction carries its data. What gives space back may have to do with little log, and
/// where several commit at once they share a flush, which then costs less than to write all their data twice.
pub(crate) fn carries(tx: &Tx, durability: Durability, log: &Log) -> bool {
    let data = tx.writes.placed.iter().filter(|placed| placed.digest.is_some());
    durability == Durability::Durable
        && !tx.removal
        && data.map(|placed| placed.run.bytes()).sum::<u64>() <= MOST.min(log.max_record() / SHARE)
        && !log.is_busy()
}

/// The bytes that a transaction wrote, from where it wrote them.
pub(crate) fn written(device: &dyn Device, run: BlockRun, crc: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; run.bytes() as usize];
    device.read_at(&mut bytes, run.start.byte_offset())?;
    match digest_of(&bytes) == crc {
        true => Ok(bytes),
        false => Err(Error::Corrupt { what: format!("blocks {run:?} as they were just written") }),
    }
}

/// The blocks that the log of a crash carries, each with the position of its bytes, in the order of their places.
#[derive(Debug, Default)]
pub(crate) struct Carried(Vec<(BlockRun, Lsn)>);

impl Carried {
    pub(crate) fn new(mut runs: Vec<(BlockRun, Lsn)>) -> Result<Self> {
        runs.sort_unstable_by_key(|(run, _)| run.start);
        match runs.iter().zip(runs.iter().skip(1)).find(|((run, _), (next, _))| run.end() > next.start.0) {
            None => Ok(Self(runs)),
            Some((_, (run, _))) => {
                Err(Error::Corrupt { what: format!("journal: blocks {run:?} were taken twice") })
            }
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads blocks, each from the log if it is carried, else from its place.
    pub(crate) fn read(
        &self,
        log: &LogMap,
        device: &dyn Device,
        start: BlockNo,
        into: &mut [u8],
    ) -> Result<()> {
        let (mut at, mut rest) = (start.0, into);
        while !rest.is_empty() {
            let (blocks, carried) = self.at(at);
            let len =
                usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(BLOCK_SIZE).min(rest.len());
            let (piece, behind) = rest.split_at_mut(len);
            match carried {
                Some(position) => piece.copy_from_slice(bytes(log, position, len)?),
                None => device.read_at(piece, BlockNo(at).byte_offset())?,
            }
            (at, rest) = (at.saturating_add(blocks), behind);
        }
        Ok(log.map().check()?)
    }

    /// How many blocks from this one on are alike: carried, at a position, or not.
    fn at(&self, block: u64) -> (u64, Option<Lsn>) {
        let behind = self.0.get(self.0.partition_point(|(run, _)| run.end() <= block)..).unwrap_or_default();
        match behind.first() {
            None => (u64::MAX, None),
            Some((run, _)) if run.start.0 > block => (run.start.0 - block, None),
            Some((run, position)) => {
                let skip = (block - run.start.0).saturating_mul(BLOCK_SIZE as u64);
                (run.end() - block, Some(Lsn(position.0.saturating_add(skip))))
            }
        }
    }

    /// Writes all of them to their places. Does not flush.
    pub(crate) fn put_back(&self, log: &LogMap, device: &dyn Device) -> Result<()> {
        let mut buffer = AlignedBuf::new();
        let mut start = 0;
        for (run, position) in &self.0 {
            let end = start + buffer.len() as u64;
            if run.start.byte_offset() != end || buffer.len() >= PIECE {
                write(log, device, &buffer, start)?;
                buffer.clear();
                start = run.start.byte_offset();
            }
            buffer.extend_from_slice(bytes(log, *position, run.bytes() as usize)?);
        }
        write(log, device, &buffer, start)
    }
}

/// Writes what was copied out of the log: but a page of it that cannot be read shows as zeros.
fn write(log: &LogMap, device: &dyn Device, bytes: &[u8], offset: u64) -> Result<()> {
    log.map().check()?;
    match bytes.is_empty() {
        true => Ok(()),
        false => Ok(device.write_at(bytes, offset)?),
    }
}

fn bytes(log: &LogMap, position: Lsn, len: usize) -> Result<&[u8]> {
    let lost = || Error::Corrupt { what: format!("journal: no {len} bytes at {position}") };
    log.bytes(position, len as u64).ok_or_else(lost)
}
