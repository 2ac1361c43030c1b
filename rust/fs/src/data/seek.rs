//! Where a file has data, and where it has holes. Preallocated blocks are holes.

use vexfs_format::Ino;
use vexfs_store::Read;

use super::{BLOCK, extents, tail};
use crate::{Error, Result};

/// The first byte at or behind `offset` that is data.
pub(crate) fn data<R: Read>(from: &R, ino: Ino, size: u64, offset: u64) -> Result<u64> {
    let nothing = Error::NoSuchOffset { offset };
    if offset >= size {
        return Err(nothing);
    }
    for held in extents::overlapping(from, ino, offset / BLOCK..size.div_ceil(BLOCK))? {
        let held = held?;
        if held.is_written() {
            return Ok(offset.max(held.at * BLOCK));
        }
    }
    match tail::block(size) {
        Some(block) if tail::get(from, ino, block)?.is_some() => Ok(offset.max(block * BLOCK)),
        _ => Err(nothing),
    }
}

/// The first byte at or behind `offset` that is in a hole; the end of the file counts as one.
pub(crate) fn hole<R: Read>(from: &R, ino: Ino, size: u64, offset: u64) -> Result<u64> {
    if offset >= size {
        return Err(Error::NoSuchOffset { offset });
    }
    let mut at = offset;
    for held in extents::overlapping(from, ino, offset / BLOCK..size.div_ceil(BLOCK))? {
        let held = held?;
        if held.at * BLOCK > at || !held.is_written() {
            break;
        }
        at = held.end().saturating_mul(BLOCK);
    }
    if tail::block(size) == Some(at / BLOCK) && tail::get(from, ino, at / BLOCK)?.is_some() {
        at = size;
    }
    Ok(at.min(size))
}
