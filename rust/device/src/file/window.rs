//! The whole file mapped, for small reads: to copy from it costs less than a third of a system call.
//!
//! Invariant: what a window hands out is what a read of the file would have. It is made at the first small read, and
//! from the first page on that the host could not read it hands out nothing: the read that follows tells why.

use std::fs::File;
use std::sync::OnceLock;

use super::open;
use crate::map::guard::Guarded;

/// Longer reads are left to the host, whose cost for each byte is lower and who then need not map the pages.
const SMALL: usize = 8 << 10;

/// See the head of the file.
#[derive(Default)]
pub(super) struct Window(OnceLock<Option<Guarded>>);

impl Window {
    /// Fills `buf` from `offset` of the file of `len` bytes; whether it did, else the file is to be read.
    pub(super) fn read(&self, file: &File, len: u64, buf: &mut [u8], offset: u64) -> bool {
        if buf.len() > SMALL {
            return false;
        }
        let map = || Guarded::map(file, 0, usize::try_from(len).ok()?);
        let Some(map) = self.0.get_or_init(map) else { return false };
        usize::try_from(offset).is_ok_and(|offset| map.copy_to(buf, offset))
            && map.is_whole()
            && (buf.last().is_some_and(|last| *last != 0) || reaches(file, offset, buf.len()))
    }
}

/// Whether the file still has the range. A page that it has only a part of is zeros from its end on.
fn reaches(file: &File, offset: u64, len: usize) -> bool {
    open::len_of(file).is_ok_and(|now| offset.saturating_add(len as u64) <= now)
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.0.get().map(|map| map.as_ref().is_some_and(Guarded::is_whole));
        f.debug_tuple("Window").field(&whole).finish()
    }
}
