//! Where the bytes of a volume live: a file or block device, memory, and a simulated device that crashes.
//!
//! All I/O of a volume goes through the one trait [`Device`]. What it promises is what a disk with a volatile
//! write cache promises, and no more; [`sim::SimDevice`] takes the greatest liberties that this allows.

mod buffer;
mod error;
pub mod file;
mod image;
mod map;
mod memory;
mod pages;
pub mod sim;

mod sys;

pub use buffer::AlignedBuf;
pub use error::{Error, Holder, Result};
pub use file::{Access, FileDevice};
pub use image::Image;
pub use map::Map;
pub use memory::MemoryDevice;
pub use pages::PageBuf;
pub use sim::SimDevice;

/// Offsets, lengths and buffers that are multiples of this can go past the host's page cache.
pub const ALIGNMENT: usize = 4096;

/// A run of bytes of fixed length that keeps what is written to it.
///
/// A write that has returned is seen by every later read, but is **durable** (there after a power cut) only when
/// a [`flush`](Device::flush) that began after it has returned, or when it was a
/// [`write_durable`](Device::write_durable). Until then any subset of such writes may survive a crash, each of
/// them torn at any multiple of 512 bytes. Writes that run at the same time must not overlap.
///
/// After an error of a write or flush nothing is known about the writes not yet durable: a later flush that
/// succeeds does not cover them.
pub trait Device: Send + Sync + std::fmt::Debug {
    /// Bytes on the device. Never changes while it is open.
    fn len(&self) -> u64;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`. A range that the device does not have is [`Error::Truncated`].
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;

    /// Writes all of `buf` at `offset`; never makes the device longer.
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()>;

    /// Writes the buffers one behind the other from `offset`, as one write where the host can.
    fn write_all_at(&self, bufs: &[&[u8]], offset: u64) -> Result<()>;

    /// One write that is durable on return. It says nothing about any other write: it is not a barrier.
    fn write_durable(&self, buf: &[u8], offset: u64) -> Result<()>;

    /// Makes durable every write and discard that had completed before this call began.
    fn flush(&self) -> Result<()>;

    /// Asks the host to begin writing the range back, so that a later flush finds little to do. A hint.
    fn start_writeback(&self, offset: u64, len: u64);

    /// Asks the host for the room that the range, which is about to be written, will take. What the device holds stays
    /// as it is. A hint: a host without room says so when the range is written.
    fn prepare(&self, _offset: u64, _len: u64) {}

    /// Gives the range back to the host. Each of its blocks then reads as zeros or as what it held before.
    fn discard(&self, offset: u64, len: u64) -> Result<()>;

    /// Reads past the host's page cache where that is possible: proves what the device itself holds.
    fn read_device(&self, buf: &mut [u8], offset: u64) -> Result<()>;

    /// The bytes of the range to read in place: mapped where possible, else a copy. See [`Map::check`].
    fn map(&self, offset: u64, len: u64) -> Result<Map>;

    /// Whether every write is refused with [`Error::ReadOnly`].
    fn is_read_only(&self) -> bool;

    /// What to call the device in a message: its path, or what stands in for it.
    fn name(&self) -> String;
}

/// Checks that `[offset, offset + len)` lies on a device of `end` bytes.
fn check_range(name: &dyn Fn() -> String, offset: u64, len: u64, end: u64) -> Result<()> {
    match offset.checked_add(len) {
        Some(last) if last <= end => Ok(()),
        _ => Err(Error::Truncated { name: name(), offset, len, end }),
    }
}

/// The bytes of several buffers together.
fn total_len(bufs: &[&[u8]]) -> u64 {
    bufs.iter().map(|b| b.len() as u64).sum()
}
