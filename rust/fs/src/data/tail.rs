//! The short tail: the bytes of a file's last block may be kept in the tree instead of in a block, so that small
//! files take no block and small appends move none.
//!
//! Invariants: a tail is the bytes of the block in which the file ends, from the block's beginning; it has at most
//! [`TAIL_MAX`] bytes, and so has the file in that block; there is no extent for that block. A tail that has fewer
//! bytes than the file there goes on with zeros. Whatever makes the file end elsewhere moves the tail.

use vexfs_format::Ino;
use vexfs_store::{Read, Value};

use super::BLOCK;
use crate::{Error, Result, keys};

/// The most bytes of a tail: what the tree keeps in place.
pub(crate) const TAIL_MAX: u64 = 2048;

/// The block of a file of this size that may be a tail.
pub(crate) fn block(size: u64) -> Option<u64> {
    (1..=TAIL_MAX).contains(&(size % BLOCK)).then_some(size / BLOCK)
}

/// The tail that begins at this block of the file.
pub(crate) fn get<R: Read>(from: &R, ino: Ino, block: u64) -> Result<Option<Value>> {
    let Some(value) = from.get(keys::inline(ino, block * BLOCK))? else { return Ok(None) };
    if value.len() as u64 > TAIL_MAX {
        let source =
            vexfs_format::Error::BadValue { what: "inline data", field: "length", value: value.len() as u64 };
        return Err(Error::Damaged { ino, source });
    }
    Ok(Some(value))
}

/// Copies the bytes of a tail that lies at byte `at` of the file into what was read from byte `from` on.
pub(crate) fn overlay(tail: &[u8], at: u64, from: u64, into: &mut [u8]) {
    let skip = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
    let start = usize::try_from(at.saturating_sub(from)).unwrap_or(usize::MAX);
    let (Some(tail), Some(into)) = (tail.get(skip..), into.get_mut(start..)) else { return };
    let len = tail.len().min(into.len());
    let (to, from) = (into.get_mut(..len).unwrap_or_default(), tail.get(..len).unwrap_or_default());
    to.copy_from_slice(from);
}
