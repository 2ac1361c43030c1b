//! A byte buffer whose start is page-aligned, as I/O past the host's page cache demands.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::ALIGNMENT;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; ALIGNMENT]);

const ZERO: Page = Page([0; ALIGNMENT]);

/// A growable run of bytes that always begins at a multiple of [`ALIGNMENT`].
///
/// Its length need not be aligned; [`pad`](Self::pad) makes it so. Clearing keeps the memory for the next use.
#[derive(Clone, Default)]
pub struct AlignedBuf {
    pages: Vec<Page>,
    len: usize,
}

impl AlignedBuf {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }

    /// An empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { pages: Vec::with_capacity(capacity.div_ceil(ALIGNMENT)), len: 0 }
    }

    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self { pages: vec![ZERO; len.div_ceil(ALIGNMENT)], len }
    }

    /// Bytes that fit without a new allocation.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pages.capacity().saturating_mul(ALIGNMENT)
    }

    /// Forgets all bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Makes the buffer `len` bytes long; new bytes are zero.
    pub fn resize(&mut self, len: usize) {
        let old = self.len;
        self.grow_to(len);
        self.len = len;
        if let Some(fresh) = self.get_mut(old..) {
            fresh.fill(0);
        }
    }

    /// Forgets the bytes from `len` on, if there are any.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends a copy of `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let old = self.len;
        self.grow_to(old.saturating_add(bytes.len()));
        self.len = old.saturating_add(bytes.len());
        if let Some(fresh) = self.get_mut(old..) {
            fresh.copy_from_slice(bytes);
        }
    }

    /// Appends zeros up to the next multiple of [`ALIGNMENT`].
    pub fn pad(&mut self) {
        self.resize(self.len.next_multiple_of(ALIGNMENT));
    }

    fn grow_to(&mut self, len: usize) {
        let pages = len.div_ceil(ALIGNMENT);
        if pages > self.pages.len() {
            self.pages.resize(pages, ZERO);
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pages.as_bytes().get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.pages.as_mut_bytes().get_mut(..self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for AlignedBuf {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(bytes.len());
        buffer.extend_from_slice(bytes);
        buffer
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_aligned_and_keeps_its_bytes_while_it_grows() {
        let mut buffer = AlignedBuf::new();
        let mut model = Vec::new();
        for i in 0..2000_u32 {
            buffer.extend_from_slice(&i.to_le_bytes());
            model.extend_from_slice(&i.to_le_bytes());
            assert_eq!(buffer.as_ptr().addr() % ALIGNMENT, 0);
        }
        assert_eq!(&buffer[..], &model[..]);
        buffer.pad();
        assert_eq!(buffer.len(), model.len().next_multiple_of(ALIGNMENT));
        assert!(buffer[model.len()..].iter().all(|&b| b == 0));
    }

    #[test]
    fn bytes_from_before_a_clear_never_come_back() {
        let mut buffer = AlignedBuf::from(&[7_u8; 5000][..]);
        buffer.clear();
        buffer.extend_from_slice(b"x");
        buffer.resize(5000);
        assert_eq!(buffer[0], b'x');
        assert!(buffer[1..].iter().all(|&b| b == 0));
        buffer.truncate(1);
        assert_eq!(&buffer[..], b"x");
    }
}
