//! Copying a range from one file to another, or within one. Holes are not filled.

use vexfs_format::Ino;

use super::fallocate::Allocate;
use super::seek;
use crate::{Error, FsTx, Result};

/// Bytes that are copied in one go.
const STEP: usize = 4 << 20;

impl FsTx {
    /// Copies up to `len` bytes from `offset` of `from` to `to_offset` of `to`, as far as `from` has them; returns how
    /// many. Where `from` has a hole, `to` has one afterwards.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the ranges overlap; [`Error::FileTooLarge`]; those of reading and writing.
    pub fn copy_range(&mut self, from: Ino, offset: u64, to: Ino, to_offset: u64, len: u64) -> Result<u64> {
        let size = self.inode(from)?.size;
        let len = len.min(size.saturating_sub(offset));
        if from == to && offset < to_offset.saturating_add(len) && to_offset < offset.saturating_add(len) {
            return Err(Error::Invalid { what: "the ranges of a copy within a file must not overlap" });
        }
        if len == 0 {
            return Ok(0);
        }
        if to_offset.checked_add(len).is_none_or(|end| end > vexfs_format::inode::MAX_FILE_BYTES) {
            return Err(Error::FileTooLarge);
        }
        self.whole(|tx| tx.copy((from, offset), (to, to_offset), len, size))?;
        Ok(len)
    }

    /// Copies what `from`, a file of `size` bytes, has.
    fn copy(
        &mut self,
        (from, offset): (Ino, u64),
        (to, to_offset): (Ino, u64),
        len: u64,
        size: u64,
    ) -> Result<()> {
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let data = match seek::data(&self.store, from, size, at) {
                Ok(data) => data.min(end),
                Err(Error::NoSuchOffset { .. }) => end,
                Err(error) => return Err(error),
            };
            self.copy_hole(to, to_offset + (at - offset), data - at)?;
            at = data;
            if at < end {
                let hole = seek::hole(&self.store, from, size, at)?.min(end);
                self.copy_data((from, at), (to, to_offset + (at - offset)), hole - at)?;
                at = hole;
            }
        }
        Ok(())
    }

    fn copy_hole(&mut self, to: Ino, at: u64, len: u64) -> Result<()> {
        let size = self.inode(to)?.size;
        if len > 0 && at < size {
            self.allocate(to, Allocate::Punch, at, len)?;
        }
        match len > 0 && at + len > size {
            true => self.truncate(to, at + len),
            false => Ok(()),
        }
    }

    fn copy_data(&mut self, (from, at): (Ino, u64), (to, to_at): (Ino, u64), len: u64) -> Result<()> {
        let mut buffer = vec![0; STEP.min(usize::try_from(len).unwrap_or(STEP))];
        let mut done = 0;
        while done < len {
            let step = buffer.len().min(usize::try_from(len - done).unwrap_or(STEP));
            let bytes = buffer.get_mut(..step).unwrap_or_default();
            let read = self.read(from, at + done, bytes)?;
            if read == 0 {
                return Ok(());
            }
            self.write(to, to_at + done, bytes.get(..read).unwrap_or_default())?;
            done += read as u64;
        }
        Ok(())
    }
}
