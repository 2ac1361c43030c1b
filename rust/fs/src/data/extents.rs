//! Finding a file's extents, and parts of them.
//!
//! Positions are counted in blocks of the file. What comes out of the tree was checked by its parser; that
//! extents follow each other without overlap is checked here.

use std::ops::Range;

use vexfs_format::{BLOCK_SIZE, BlockNo, BlockRun, Extent, Ino, Key, Seq, kinds};
use vexfs_store::{Items, Read, Value};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::{BLOCK, CHUNK_BLOCKS};
use crate::{Error, Result};

/// The bytes of an extent item in front of its checksums.
const HEAD: usize = 20;

/// An extent, or a part of one, at its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Its first block in the file.
    pub at: u64,
    /// Its blocks on the device.
    pub run: BlockRun,
    /// No later than the transaction that took the blocks.
    pub birth: Seq,
    /// The item's value and where in it this part's checksums begin; `None` if it was never written.
    sums: Option<(Value, usize)>,
}

impl Held {
    fn parse(ino: Ino, key: Key, value: Value) -> Result<Self> {
        let extent = Extent::parse(key.offset, &value).map_err(|source| Error::Damaged { ino, source })?;
        let (run, birth, written) = (extent.run, extent.birth, extent.crcs.is_some());
        Ok(Self { at: key.offset / BLOCK, run, birth, sums: written.then_some((value, HEAD)) })
    }

    /// The first block of the file behind it.
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.run.len.into())
    }

    /// Whether its blocks hold data; otherwise they read as zero.
    pub fn is_written(&self) -> bool {
        self.sums.is_some()
    }

    /// The checksum of each block; none if it was never written.
    pub fn sums(&self) -> &[U32] {
        let Some((value, start)) = &self.sums else { return &[] };
        let bytes =
            value.get(*start..).and_then(|bytes| bytes.get(..self.run.len as usize * size_of::<U32>()));
        bytes.and_then(|bytes| <[U32]>::ref_from_bytes(bytes).ok()).unwrap_or_default()
    }

    /// What of it lies in these blocks of the file; `None` if nothing does.
    pub fn part(&self, blocks: &Range<u64>) -> Option<Self> {
        let (from, to) = (blocks.start.max(self.at), blocks.end.min(self.end()));
        let len = u32::try_from(to.checked_sub(from)?).ok().filter(|len| *len > 0)?;
        let skip = from - self.at;
        let run = BlockRun { start: BlockNo(self.run.start.0.saturating_add(skip)), len };
        let sums = self
            .sums
            .as_ref()
            .map(|(value, start)| (value.clone(), start + skip as usize * size_of::<U32>()));
        Some(Self { at: from, run, birth: self.birth, sums })
    }

    /// The value of its item.
    pub fn encode(&self) -> Vec<u8> {
        let crcs = self.is_written().then(|| self.sums());
        Extent { run: self.run, birth: self.birth, crcs }.encode()
    }
}

/// The key of the extent that begins at this block of the file.
pub(crate) const fn key(ino: Ino, block: u64) -> Key {
    Key::new(ino.0, kinds::EXTENT, block.saturating_mul(BLOCK_SIZE as u64))
}

/// The last extent of the block's chunk that begins at or before the block. It may end before the block too.
pub(crate) fn at_or_before<R: Read>(from: &R, ino: Ino, block: u64) -> Result<Option<Held>> {
    let chunk = block - block % CHUNK_BLOCKS;
    // A chunk that was written in one piece has one extent, and a single key is found at less cost than a range.
    let first = key(ino, chunk);
    if let Some(value) = from.get(first)? {
        let held = Held::parse(ino, first, value)?;
        if held.end() > block {
            return Ok(Some(held));
        }
    }
    match from.range_rev(key(ino, chunk), key(ino, block)).next() {
        Some(item) => {
            let (key, value) = item?;
            Held::parse(ino, key, value).map(Some)
        }
        None => Ok(None),
    }
}

/// The extents that begin in these blocks of the file, ascending.
pub(crate) fn beginning_in<R: Read>(from: &R, ino: Ino, blocks: Range<u64>) -> Extents<'_> {
    let rest = span(ino, &blocks).map(|(first, last)| from.range(first, last));
    Extents { ino, first: None, rest, end: 0 }
}

/// The extents that begin in these blocks of the file, descending.
pub(crate) fn descending<R: Read>(
    from: &R,
    ino: Ino,
    blocks: &Range<u64>,
) -> impl Iterator<Item = Result<Held>> {
    let items = span(ino, blocks).map(|(first, last)| from.range_rev(first, last));
    items
        .into_iter()
        .flatten()
        .map(move |item| item.map_err(Into::into).and_then(|(key, value)| Held::parse(ino, key, value)))
}

/// The extents of which something lies in these blocks of the file, ascending.
pub(crate) fn overlapping<R: Read>(from: &R, ino: Ino, blocks: Range<u64>) -> Result<Extents<'_>> {
    let first = match blocks.start < blocks.end {
        true => at_or_before(from, ino, blocks.start)?.filter(|held| held.end() > blocks.start),
        false => None,
    };
    let rest = match &first {
        Some(held) if held.end() >= blocks.end => blocks.end..blocks.end,
        // Not from the end of the first on: what overlaps it is damage, and found as such.
        _ => blocks.start.saturating_add(1)..blocks.end,
    };
    Ok(Extents { first, ..beginning_in(from, ino, rest) })
}

/// The first and the last key that an extent beginning in these blocks of the file can have.
fn span(ino: Ino, blocks: &Range<u64>) -> Option<(Key, Key)> {
    let last = key(ino, blocks.end).offset.checked_sub(1)?;
    (blocks.start < blocks.end).then(|| (key(ino, blocks.start), Key { offset: last, ..key(ino, 0) }))
}

/// Extents, ascending. After an error it ends.
pub(crate) struct Extents<'a> {
    ino: Ino,
    first: Option<Held>,
    rest: Option<Items<'a>>,
    end: u64,
}

impl Extents<'_> {
    fn follow(&mut self, item: vexfs_store::Result<(Key, Value)>) -> Result<Held> {
        let (key, value) = item?;
        let held = Held::parse(self.ino, key, value)?;
        if held.at < self.end {
            let source =
                vexfs_format::Error::BadValue { what: "extent", field: "position", value: key.offset };
            return Err(Error::Damaged { ino: self.ino, source });
        }
        Ok(held)
    }
}

impl Iterator for Extents<'_> {
    type Item = Result<Held>;

    fn next(&mut self) -> Option<Self::Item> {
        let held = match self.first.take() {
            Some(first) => Ok(first),
            None => {
                let item = self.rest.as_mut()?.next()?;
                self.follow(item)
            }
        };
        match &held {
            Ok(held) => self.end = held.end(),
            Err(_) => self.rest = None,
        }
        Some(held)
    }
}
