//! Writing many files at once: their blocks lie one behind the other, whatever file they belong to, and reach the
//! device in large pieces.

use std::collections::HashSet;

use vexfs_format::{BLOCK_SIZE, BlockNo, BlockRun, Extent, Ino, Seq};
use vexfs_store::{Read, Reservation, Store};

use super::blocks::{self, Source};
use super::editor::Editor;
use super::{BLOCK, CHUNK_BLOCKS, extents, window};
use crate::{FsTx, Result};

/// A file's place in the sequence of all blocks.
struct Placed<'a> {
    ino: Ino,
    data: &'a [u8],
    first: u64,
    blocks: u64,
}

/// Makes each `data` all that its file has.
pub(crate) fn write_files(tx: &mut FsTx, files: &[(Ino, &[u8])]) -> Result<()> {
    let mut seen = HashSet::with_capacity(files.len());
    let mut placed = Vec::with_capacity(files.len());
    let mut total = 0;
    for &(ino, data) in files.iter().rev().filter(|(ino, _)| seen.insert(*ino)) {
        let mut editor = Editor::new(tx, ino)?;
        let blocks = editor.begin_anew(data)?;
        editor.gain(blocks);
        editor.own(data.len() as u64);
        placed.push(Placed { ino, data, first: total, blocks });
        total += blocks;
    }
    // From the back to the front was for the last of equals; blocks come in the order of the files.
    placed.reverse();
    placed.iter_mut().for_each(|file| file.first = total - file.first - file.blocks);
    placed.retain(|file| file.blocks > 0);

    let store = tx.fs().store().clone();
    let mut reserved = reserve(&store, total)?;
    let mut sums = vec![0; usize::try_from(total).unwrap_or(usize::MAX)];
    write(&store, &placed, &reserved, &mut sums)?;
    let mut first = 0;
    for reservation in &mut reserved {
        let run = reservation.run();
        let own =
            sums.get(first as usize..).and_then(|sums| sums.get(..run.len as usize)).unwrap_or_default();
        tx.store.place(reservation, run.len, Some(own))?;
        put_extents(tx, &placed, run, first, own);
        first += u64::from(run.len);
    }
    Ok(())
}

fn reserve(store: &Store, total: u64) -> Result<Vec<Reservation>> {
    let mut reserved: Vec<Reservation> = Vec::new();
    let mut left = total;
    while left > 0 {
        let next = window::exactly(store, left)?;
        left = left.saturating_sub(next.run().len.into());
        reserved.push(next);
    }
    Ok(reserved)
}

/// The files that have blocks from block `first` of the sequence on.
fn from_block<'a, 'b>(placed: &'b [Placed<'a>], first: u64) -> &'b [Placed<'a>] {
    let before = placed.partition_point(|file| file.first + file.blocks <= first);
    placed.get(before..).unwrap_or_default()
}

fn write(store: &Store, placed: &[Placed<'_>], reserved: &[Reservation], mut sums: &mut [u32]) -> Result<()> {
    let mut first = 0;
    for run in reserved.iter().map(Reservation::run) {
        let (own, behind) = sums.split_at_mut(sums.len().min(run.len as usize));
        for (index, sums) in own.chunks_mut(blocks::WRITE_BATCH).enumerate() {
            let skip = (index * blocks::WRITE_BATCH) as u64;
            let part = BlockRun { start: BlockNo(run.start.0 + skip), len: sums.len() as u32 };
            blocks::write_batch(store, part, sums, |bytes| fill(placed, first + skip, bytes))?;
        }
        first += u64::from(run.len);
        sums = behind;
    }
    Ok(())
}

/// Fills whole blocks with what belongs there, `first` being the first one's number in the sequence.
fn fill(placed: &[Placed<'_>], first: u64, mut bytes: &mut [u8]) {
    let mut at = first;
    for file in from_block(placed, first) {
        let len = (file.first + file.blocks - at).saturating_mul(BLOCK).min(bytes.len() as u64) as usize;
        let (own, behind) = bytes.split_at_mut(len);
        Source::new(file.data).copy_to((at - file.first) * BLOCK, own);
        at += (len / BLOCK_SIZE) as u64;
        bytes = behind;
        if bytes.is_empty() {
            break;
        }
    }
}

/// Makes the blocks of a run, of which the first is block `first` of the sequence, parts of their files.
fn put_extents(tx: &mut FsTx, placed: &[Placed<'_>], run: BlockRun, first: u64, sums: &[u32]) {
    let end = first + u64::from(run.len);
    let birth: Seq = tx.store.seq();
    let mut at = first;
    for file in from_block(placed, first) {
        let file_end = (file.first + file.blocks).min(end);
        while at < file_end {
            let block = at - file.first;
            let len = (CHUNK_BLOCKS - block % CHUNK_BLOCKS).min(file_end - at);
            let skip = at - first;
            let own = sums.get(skip as usize..).and_then(|sums| sums.get(..len as usize)).unwrap_or_default();
            let value = Extent::encode_written(BlockNo(run.start.0 + skip), birth, own);
            tx.store.put(extents::key(file.ino, block), value);
            at += len;
        }
        if at >= end {
            break;
        }
    }
}
