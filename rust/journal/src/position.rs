//! Places: where on the device the log lies, and where in the log the next frame goes.
//!
//! A log position (LSN) counts bytes since the volume was made and only grows. It lies at `lsn % log bytes`.

use vexfs_device::Device;
use vexfs_format::frame::{FLAG_FIRST, Frame};
use vexfs_format::{BLOCK_SIZE, Lsn};

use crate::error::{Error, Reason, Result};

/// The least bytes of log.
pub const MIN_LOG: u64 = 128 << 10;

/// Where on the device the log lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The byte offset of its first block.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl Region {
    /// The region of `bytes` bytes at byte `offset`.
    #[must_use]
    pub const fn new(offset: u64, bytes: u64) -> Self {
        Self { offset, bytes }
    }

    /// Checks that the region is whole blocks, lies on the device, and is large enough to work in.
    pub(crate) fn check(self, device: &dyn Device) -> Result<()> {
        let Self { offset, bytes } = self;
        let bad = |reason| Err(Error::BadRegion { offset, bytes, reason });
        if !offset.is_multiple_of(BLOCK_SIZE as u64) || !bytes.is_multiple_of(BLOCK_SIZE as u64) {
            return bad("it is not whole blocks");
        }
        if bytes < MIN_LOG {
            return bad("it is too small");
        }
        match offset.checked_add(bytes) {
            Some(end) if end <= device.len() => Ok(()),
            _ => bad("it ends behind the end of the device"),
        }
    }

    /// Where in the region a log position lies.
    #[must_use]
    pub const fn place(self, lsn: Lsn) -> u64 {
        match lsn.0.checked_rem(self.bytes) {
            Some(place) => place,
            None => 0,
        }
    }

    /// Bytes from a log position to the end of the region.
    #[must_use]
    pub const fn rest(self, lsn: Lsn) -> u64 {
        self.bytes.saturating_sub(self.place(lsn))
    }

    /// The byte of the device at which a log position lies.
    #[must_use]
    pub const fn device_offset(self, lsn: Lsn) -> u64 {
        self.offset.saturating_add(self.place(lsn))
    }
}

/// Where the next frame goes, and what it chains to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The first byte behind the last frame.
    pub lsn: Lsn,
    /// The checksum of the last frame.
    pub crc: u32,
    /// The epoch of the last frame.
    pub epoch: u64,
}

impl Position {
    /// The beginning of a log that was never written.
    pub const START: Self = Self { lsn: Lsn(0), crc: 0, epoch: 0 };

    /// Checks that `frame` is the one that comes next here.
    pub(crate) fn check_next(&self, frame: &Frame, region: Region) -> std::result::Result<(), Reason> {
        let same_epoch = !frame.is(FLAG_FIRST) && frame.epoch == self.epoch;
        let next = frame.lsn == self.lsn
            && frame.previous_crc == self.crc
            && (same_epoch || self.begins_epoch_of(frame) && frame.is(FLAG_FIRST));
        let length = u64::from(frame.length);
        match next {
            false => Err(Reason::NotNext),
            true if length > region.rest(self.lsn) => Err(Reason::OutOfBounds { length }),
            true => Ok(()),
        }
    }

    /// Whether the frame's epoch began exactly here, behind the same predecessor.
    pub(crate) fn begins_epoch_of(&self, frame: &Frame) -> bool {
        frame.epoch != self.epoch
            && frame.epoch_lsn == self.lsn
            && frame.predecessor_epoch == self.epoch
            && frame.predecessor_crc == self.crc
    }

    /// The position behind `frame`.
    #[must_use]
    pub const fn after(frame: &Frame) -> Self {
        Self { lsn: frame.end(), crc: frame.crc, epoch: frame.epoch }
    }
}
