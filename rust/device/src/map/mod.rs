//! Bytes of a device to read in place.
//!
//! A mapped page that the host cannot read (an I/O error, or the file was cut short) would kill the process with
//! SIGBUS. The `guard` puts a page of zeros there instead and remembers it: [`Map::check`] tells.

pub(crate) mod guard;

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;

use rustix::io::Errno;

use crate::{Device, Error, Result};

/// Read-only bytes of a device: mapped from the file, or a copy. Cheap to clone; the bytes live until the last
/// clone is gone, also when the device is closed before.
///
/// Bytes that somebody overwrites meanwhile change under the reader: whoever maps a range keeps it unchanged.
#[derive(Clone)]
pub struct Map(Arc<Bytes>);

enum Bytes {
    Copy(Vec<u8>),
    Mapped { pages: guard::Guarded, name: String, offset: u64 },
}

impl Map {
    /// A map that owns its bytes.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Bytes::Copy(bytes)))
    }

    /// A copy of a range of a device.
    pub fn copy_of(device: &dyn Device, offset: u64, len: u64) -> Result<Self> {
        crate::check_range(&|| device.name(), offset, len, device.len())?;
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| Error::Io {
            name: device.name(),
            action: format!("hold {len} bytes in memory"),
            errno: Errno::NOMEM,
        })?;
        bytes.resize(size, 0);
        device.read_at(&mut bytes, offset)?;
        Ok(Self::from_vec(bytes))
    }

    /// Maps a range of a file; `None` if the host cannot, so that the caller reads a copy.
    pub(crate) fn of_file(file: &File, offset: u64, len: u64, name: String) -> Option<Self> {
        let pages = guard::Guarded::map(file, offset, usize::try_from(len).ok()?)?;
        Some(Self(Arc::new(Bytes::Mapped { pages, name, offset })))
    }

    /// Whether every byte read so far was really the device's. Ask after reading and before believing: a page
    /// that the host could not read is zeros from then on, and from then on this is an error.
    pub fn check(&self) -> Result<()> {
        match &*self.0 {
            Bytes::Copy(_) => Ok(()),
            Bytes::Mapped { pages, .. } if pages.is_whole() => Ok(()),
            Bytes::Mapped { pages, name, offset } => Err(Error::Io {
                name: name.clone(),
                action: format!("read a mapped page within the {} bytes at {offset}", pages.bytes().len()),
                errno: Errno::IO,
            }),
        }
    }

    /// Asks the host to begin reading what it does not have in memory of `len` bytes at `offset` of the map: a hint,
    /// and the way to have more than one read on its way.
    pub fn prefetch(&self, offset: u64, len: u64) {
        if let Bytes::Mapped { pages, .. } = &*self.0
            && let (Ok(offset), Ok(len)) = (usize::try_from(offset), usize::try_from(len))
            && offset < pages.bytes().len()
        {
            pages.prefetch(offset, len.min(pages.bytes().len() - offset));
        }
    }

    /// Whether the bytes are a copy, which nothing can change.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        matches!(*self.0, Bytes::Copy(_))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Bytes::Copy(bytes) => bytes,
            Bytes::Mapped { pages, .. } => pages.bytes(),
        }
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_copy() { "copied" } else { "mapped" };
        write!(f, "Map({} bytes, {kind})", self.len())
    }
}
