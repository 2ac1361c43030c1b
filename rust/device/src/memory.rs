//! A device in memory: what a volume that need not outlive its process lives on.

use parking_lot::RwLock;

use crate::{Device, Image, Map, Result, check_range, total_len};

/// Bytes in memory, sparse: they cost what was written. Nothing is ever lost, so flushing does nothing.
#[derive(Debug)]
pub struct MemoryDevice {
    image: RwLock<Image>,
    len: u64,
}

impl MemoryDevice {
    /// A device of `len` zeros.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self::from_image(Image::new(len))
    }

    /// A device that holds a copy of `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::from_image(Image::from_bytes(bytes))
    }

    /// A device that begins as `image`.
    #[must_use]
    pub fn from_image(image: Image) -> Self {
        Self { len: image.len(), image: RwLock::new(image) }
    }

    /// What the device holds now.
    #[must_use]
    pub fn image(&self) -> Image {
        self.image.read().clone()
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        check_range(&|| self.name(), offset, len, self.len)
    }
}

impl Device for MemoryDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.check(offset, buf.len() as u64)?;
        self.image.read().read(buf, offset);
        Ok(())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.check(offset, buf.len() as u64)?;
        self.image.write().write(buf, offset);
        Ok(())
    }

    fn write_all_at(&self, bufs: &[&[u8]], mut offset: u64) -> Result<()> {
        self.check(offset, total_len(bufs))?;
        let mut image = self.image.write();
        for buf in bufs {
            image.write(buf, offset);
            offset = offset.saturating_add(buf.len() as u64);
        }
        Ok(())
    }

    fn write_durable(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.write_at(buf, offset)
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.check(offset, len)?;
        self.image.write().zero(offset, len);
        Ok(())
    }

    fn read_device(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.read_at(buf, offset)
    }

    fn map(&self, offset: u64, len: u64) -> Result<Map> {
        Map::copy_of(self, offset, len)
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        "(memory)".into()
    }
}
