//! Writing bytes into a file.

use super::blocks::Source;
use super::edit::Which;
use super::editor::Editor;
use super::{BLOCK, MAX_BLOCKS, tail};
use crate::Result;

impl Editor<'_> {
    /// Writes `data` at `offset`. What lies between the end of the file and there is a hole.
    pub fn write(self, offset: u64, data: &[u8]) -> Result<()> {
        let alone = self.ends_set_id();
        self.write_at(offset, data, alone)
    }

    /// Writes `data` at the end of the file. Nobody else may move the end meanwhile.
    pub fn append(self, data: &[u8]) -> Result<()> {
        let end = self.size();
        self.write_at(end, data, true)
    }

    fn write_at(mut self, offset: u64, data: &[u8], mut alone: bool) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let end = Self::check_size(offset.checked_add(data.len() as u64))?;
        self.tx.grows();
        let size = self.size().max(end);
        let (first, last) = (offset / BLOCK, (end - 1) / BLOCK);
        let (head, behind) = self.edges(offset, end)?;
        let source = Source { head: &head, data, tail: &behind };
        let kept = tail::block(size).filter(|block| *block == last);
        alone |= kept.is_some();
        if let Some((block, _)) = self.tail()? {
            if (first..=last).contains(&block) {
                self.delete_tail(block);
                alone = true;
            } else if (size - 1) / BLOCK != block {
                alone |= self.settle_tail()?;
            }
        }
        self.extend(first)?;
        self.place(first..kept.unwrap_or(last + 1), &source)?;
        if let Some(block) = kept {
            let mut bytes = vec![0; (size % BLOCK) as usize];
            source.copy_to((block - first) * BLOCK, &mut bytes);
            self.remove(block..block + 1, Which::All)?;
            self.put_tail(block, &bytes);
        }
        match alone {
            true => self.own(size),
            false => self.share(first..last + 1, end),
        }
        Ok(())
    }

    /// Makes `data` all that the file has.
    pub fn write_all(mut self, data: &[u8]) -> Result<()> {
        let blocks = self.begin_anew(data)?;
        self.place_anew(0..blocks, &Source::new(data))?;
        self.own(data.len() as u64);
        Ok(())
    }

    /// Takes all out of the file and keeps the tail of `data`; returns how many blocks are to be placed.
    pub fn begin_anew(&mut self, data: &[u8]) -> Result<u64> {
        self.tx.grows();
        let size = Self::check_size(Some(data.len() as u64))?;
        if let Some((block, _)) = self.tail()? {
            self.delete_tail(block);
        }
        // A file that has no blocks has no extents either, so there is nothing to look for in a new one.
        if self.inode.blocks > 0 {
            self.remove(0..MAX_BLOCKS, Which::All)?;
        }
        let Some(block) = tail::block(size) else { return Ok(size.div_ceil(BLOCK)) };
        self.put_tail(block, data.get((block * BLOCK) as usize..).unwrap_or_default());
        Ok(block)
    }

    /// What the first block of a write from `offset` to `end` has in front of it, and its last block behind it.
    fn edges(&self, offset: u64, end: u64) -> Result<(Vec<u8>, Vec<u8>)> {
        let (skip, rest) = ((offset % BLOCK) as usize, (end % BLOCK) as usize);
        let (mut head, mut behind) = (Vec::new(), Vec::new());
        if skip > 0 {
            head = self.block(offset / BLOCK)?;
        }
        if rest > 0 && end < self.size() {
            let same = skip > 0 && offset / BLOCK == end / BLOCK;
            behind = if same { head.clone() } else { self.block(end / BLOCK)? };
            behind.drain(..rest.min(behind.len()));
        }
        head.resize(skip, 0);
        Ok((head, behind))
    }

    /// The bytes of a block of the file, up to the file's end.
    fn block(&self, block: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; BLOCK as usize];
        let len = self.read(block * BLOCK, &mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }
}
