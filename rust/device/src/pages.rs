//! Memory for large arrays that are filled once.
//!
//! In ordinary pages: huge ones made a recovery a third faster where memory was at hand, and two to three times slower in
//! a guest whose host had taken back what was free.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;
use rustix::io::Errno;

use crate::{Error, Result};

/// Zeros that take memory only as they are touched. Begins at a multiple of the page size.
#[derive(Debug)]
pub struct PageBuf(MmapMut);

impl PageBuf {
    /// A buffer of `len` zeros.
    pub fn zeroed(len: usize) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::NOMEM);
            Error::Io { name: "memory".into(), action: format!("hold {len} bytes"), errno }
        };
        Ok(Self(MmapMut::map_anon(len).map_err(failed)?))
    }
}

impl Deref for PageBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for PageBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zeros_until_something_is_written() {
        for len in [0, 1, 4096, 5 << 20] {
            let mut buf = PageBuf::zeroed(len).unwrap();
            assert_eq!(buf.len(), len);
            assert!(buf.iter().all(|&byte| byte == 0));
            buf.fill(7);
            assert!(buf.iter().all(|&byte| byte == 7));
        }
    }
}
