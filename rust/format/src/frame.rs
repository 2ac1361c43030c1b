//! The frame: what one write to the log carries.
//!
//! A frame is whole blocks, lies at `lsn % log bytes`, and never straddles the end of the log. Its header has a
//! checksum of its own, so that a length is known to be genuine before anything is read by it, and so that a
//! torn frame's header can still testify. The checksum in the stamp covers the whole frame, header included,
//! and the header names the checksum of the frame before: together they chain every frame to its past.
//!
//! The data that a frame *names* are the blocks that its records set and do not carry: only those can be missing
//! when the frame is there.
//!
//! Every frame says where its epoch began and behind whom: a frame belongs to the log only if it continues what
//! was accepted so far (see [`FrameHeader::predecessor_epoch`]), so a frame that was cut off once never counts again.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::stamp::{Stamp, Structure};
use crate::types::{BLOCK_SIZE, CheckpointId, Lsn, Seq};
use crate::{record, stamp};

/// What tells a frame from other structures.
pub const FRAME: Structure = Structure::new("journal frame", *b"VexJ", 1);

/// Bytes of a frame before its records.
pub const FRAME_HEADER: usize = size_of::<FrameHeader>();

/// Fills the log up to its end, where the next frame did not fit, or announces a long one. Has no records.
pub const FLAG_PAD: u32 = 1;
/// The first frame of an epoch.
pub const FLAG_FIRST: u32 = 1 << 1;
/// All data named by this frame and by every frame before it was durable before this frame was written.
pub const FLAG_DATA_FLUSHED: u32 = 1 << 2;
/// Says what is durable while the log is idle. Outside the chain: the next frame takes its place.
pub const FLAG_MARK: u32 = 1 << 3;
/// All flags there are.
pub const FLAGS: u32 = FLAG_PAD | FLAG_FIRST | FLAG_DATA_FLUSHED | FLAG_MARK;

record! {
    /// The head of a journal frame. Records follow back to back; the rest of the last block is zero.
    pub struct FrameHeader: 144 {
        /// Common head; `address` is the frame's log position, `crc` covers the whole frame.
        0 stamp: Stamp,
        /// CRC32C of this header with this field and the stamp's `crc` as zero.
        32 header_crc: U32,
        /// The `crc` of the frame before.
        36 previous_crc: U32,
        /// A random number, another one each time the log is opened for writing.
        40 epoch: U64,
        /// Where the epoch's first frame lies.
        48 epoch_lsn: U64,
        /// The epoch of the last frame before this one's epoch.
        56 predecessor_epoch: U64,
        /// The `crc` of the last frame before this one's epoch.
        64 predecessor_crc: U32,
        /// Bit 0 pad, 1 first of its epoch, 2 its data and all before was durable first, 3 mark.
        68 flags: U32,
        /// Bytes in the frame, a multiple of 4096.
        72 length: U32,
        /// Bytes of records behind the header.
        76 payload: U32,
        /// How many records.
        80 records: U32,
        /// Zero.
        84 reserved: U32,
        /// Every frame that ends here or before, and the data it names, was known durable when this was written.
        88 durable_lsn: U64,
        /// The newest durable checkpoint when this was written.
        96 checkpoint: U64,
        /// Sequence number of the first record; 0 if there is none.
        104 first_seq: U64,
        /// No number of the volume's supply of unique numbers above this one was given out before this was written.
        112 unique_high: U64,
        /// Where the frame behind this one ends, if that is a long one, which this one announces; else 0.
        120 ahead: U64,
        /// Zero.
        128 spare: [u8; 16],
    }
}

/// A frame's header, checked on its own: the frame's other bytes may still be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The volume's bits.
    pub volume: u64,
    /// Where it lies in the log.
    pub lsn: Lsn,
    /// The checksum of the whole frame.
    pub crc: u32,
    /// The checksum of the frame before.
    pub previous_crc: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Where the epoch began.
    pub epoch_lsn: Lsn,
    /// The epoch before.
    pub predecessor_epoch: u64,
    /// The checksum of the last frame of the epoch before.
    pub predecessor_crc: u32,
    /// See [`FrameHeader::flags`].
    pub flags: u32,
    /// Bytes in the frame.
    pub length: u32,
    /// Bytes of records.
    pub payload: u32,
    /// How many records.
    pub records: u32,
    /// See [`FrameHeader::durable_lsn`].
    pub durable_lsn: Lsn,
    /// See [`FrameHeader::checkpoint`].
    pub checkpoint: CheckpointId,
    /// Sequence number of the first record.
    pub first_seq: Seq,
    /// See [`FrameHeader::unique_high`].
    pub unique_high: u64,
    /// See [`FrameHeader::ahead`].
    pub ahead: Lsn,
}

/// A frame of more bytes is announced by a frame of one block before it, so that what a damaged header hides is found:
/// the log goes on within so many bytes of the damage, or where the announcement says.
pub const LONG_FRAME: u64 = 4 << 20;

/// The bytes of a frame that holds `payload` bytes of records.
#[must_use]
pub const fn frame_bytes(payload: u64) -> u64 {
    payload.saturating_add(FRAME_HEADER as u64).next_multiple_of(BLOCK_SIZE as u64)
}

impl Frame {
    /// Reads the header that `bytes` begin with: magic, version, volume, place, its own checksum, and bounds.
    /// Everything it says is then what was written, but the rest of the frame was not looked at.
    pub fn parse(bytes: &[u8], volume: u64, lsn: Lsn) -> Result<Self> {
        let stamp = FRAME.check_magic(bytes, lsn.0)?;
        FRAME.check_owner(stamp, volume, lsn.0)?;
        Self::parse_anywhere(bytes)
    }

    /// As [`Frame::parse`], for a frame of whatever volume and place.
    pub fn parse_anywhere(bytes: &[u8]) -> Result<Self> {
        let stamp = FRAME.check_magic(bytes, 0)?;
        let (raw, _) = FrameHeader::ref_from_prefix(bytes).map_err(|_| Error::Truncated {
            what: FRAME.name,
            need: FRAME_HEADER,
            have: bytes.len(),
        })?;
        let address = raw.stamp.address.get();
        let (found, expected) = (header_checksum(*raw), raw.header_crc.get());
        if found != expected {
            return Err(Error::BadChecksum { what: "journal frame header", address, found, expected });
        }
        FRAME.check_version(stamp, address)?;
        let frame = Self::from(raw);
        frame.check_fields()?;
        Ok(frame)
    }

    fn check_fields(&self) -> Result<()> {
        let bad = |field, value| Err(FRAME.bad(field, value));
        if self.flags & !FLAGS != 0 {
            return bad("flags", self.flags.into());
        }
        if !self.lsn.0.is_multiple_of(BLOCK_SIZE as u64) {
            return bad("address", self.lsn.0);
        }
        if self.length == 0 || !u64::from(self.length).is_multiple_of(BLOCK_SIZE as u64) {
            return bad("length", self.length.into());
        }
        if self.lsn.0.checked_add(self.length.into()).is_none() {
            return bad("address", self.lsn.0);
        }
        if u64::from(self.payload) > u64::from(self.length).saturating_sub(FRAME_HEADER as u64) {
            return bad("payload", self.payload.into());
        }
        if (self.is(FLAG_PAD) || self.is(FLAG_MARK)) && (self.records != 0 || self.payload != 0) {
            return bad("records", self.records.into());
        }
        if self.durable_lsn > self.lsn {
            return bad("durable_lsn", self.durable_lsn.0);
        }
        if self.epoch_lsn > self.lsn {
            return bad("epoch_lsn", self.epoch_lsn.0);
        }
        if self.is(FLAG_FIRST) && (self.epoch_lsn != self.lsn || self.previous_crc != self.predecessor_crc) {
            return bad("epoch_lsn", self.epoch_lsn.0);
        }
        Ok(())
    }

    /// Whether the flag is set.
    #[must_use]
    pub const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The first byte behind the frame.
    #[must_use]
    pub const fn end(&self) -> Lsn {
        Lsn(self.lsn.0.saturating_add(self.length as u64))
    }

    /// Checks that `bytes`, the whole frame, are those that were written.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        match stamp::checksum(0, bytes) {
            found if found == self.crc => Ok(()),
            found => {
                Err(Error::BadChecksum { what: FRAME.name, address: self.lsn.0, found, expected: self.crc })
            }
        }
    }

    /// Writes the header into `bytes`, the whole frame, its records already there and the rest zero, and sums
    /// it up. Returns the frame's checksum. Panics never: a frame shorter than a header is left as it is.
    pub fn seal(&self, bytes: &mut [u8]) -> u32 {
        let mut raw = self.to_raw();
        raw.header_crc = U32::new(header_checksum(raw));
        if let Some(head) = bytes.get_mut(..FRAME_HEADER) {
            head.copy_from_slice(raw.as_bytes());
        }
        stamp::seal(bytes)
    }

    fn to_raw(self) -> FrameHeader {
        FrameHeader {
            stamp: FRAME.stamp(0, self.volume, self.lsn.0),
            header_crc: U32::ZERO,
            previous_crc: U32::new(self.previous_crc),
            epoch: U64::new(self.epoch),
            epoch_lsn: self.epoch_lsn.to_le(),
            predecessor_epoch: U64::new(self.predecessor_epoch),
            predecessor_crc: U32::new(self.predecessor_crc),
            flags: U32::new(self.flags),
            length: U32::new(self.length),
            payload: U32::new(self.payload),
            records: U32::new(self.records),
            reserved: U32::ZERO,
            durable_lsn: self.durable_lsn.to_le(),
            checkpoint: self.checkpoint.to_le(),
            first_seq: self.first_seq.to_le(),
            unique_high: U64::new(self.unique_high),
            ahead: self.ahead.to_le(),
            spare: [0; 16],
        }
    }
}

impl From<&FrameHeader> for Frame {
    fn from(raw: &FrameHeader) -> Self {
        Self {
            volume: raw.stamp.volume.get(),
            lsn: raw.stamp.address.into(),
            crc: raw.stamp.crc.get(),
            previous_crc: raw.previous_crc.get(),
            epoch: raw.epoch.get(),
            epoch_lsn: raw.epoch_lsn.into(),
            predecessor_epoch: raw.predecessor_epoch.get(),
            predecessor_crc: raw.predecessor_crc.get(),
            flags: raw.flags.get(),
            length: raw.length.get(),
            payload: raw.payload.get(),
            records: raw.records.get(),
            durable_lsn: raw.durable_lsn.into(),
            checkpoint: raw.checkpoint.into(),
            first_seq: raw.first_seq.into(),
            unique_high: raw.unique_high.get(),
            ahead: raw.ahead.into(),
        }
    }
}

/// The header's own checksum. The frame's is not known yet when it is made, so it counts as zero.
fn header_checksum(mut raw: FrameHeader) -> u32 {
    raw.header_crc = U32::ZERO;
    raw.stamp.crc = U32::ZERO;
    crc32c::crc32c(raw.as_bytes())
}
