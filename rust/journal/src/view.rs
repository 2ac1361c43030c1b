//! The mapped log. A log position of what a scan has accepted leads back to its bytes; nothing is trusted on the
//! way, so a wrong position is an error and never a panic.

use vexfs_device::Map;
use vexfs_format::frame::Frame;
use vexfs_format::redo::{Op, RecordView};
use vexfs_format::{Error as FormatError, Lsn};

use crate::position::Region;

/// The bytes of the log, by log position. Cheap to clone; the bytes live until the last clone is gone.
///
/// They change once the log is written there again: whoever holds positions keeps their part of the log from
/// being released.
#[derive(Clone, Debug)]
pub struct LogMap {
    map: Map,
    region: Region,
}

impl LogMap {
    pub(crate) const fn new(map: Map, region: Region) -> Self {
        Self { map, region }
    }

    /// Where the log lies.
    #[must_use]
    pub const fn region(&self) -> Region {
        self.region
    }

    /// The map behind it, whose bytes begin with the region's first.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.map
    }

    /// The bytes from a log position to the end of the region.
    #[must_use]
    pub fn from(&self, position: Lsn) -> &[u8] {
        let place = usize::try_from(self.region.place(position)).unwrap_or(usize::MAX);
        self.map.get(place..).unwrap_or_default()
    }

    /// `len` bytes from a log position, if they lie before the end of the region.
    #[must_use]
    pub fn bytes(&self, position: Lsn, len: u64) -> Option<&[u8]> {
        self.from(position).get(..usize::try_from(len).ok()?)
    }

    /// Asks for `len` bytes from a log position to be read soon, as many as lie before the end of the region.
    pub(crate) fn prefetch(&self, position: Lsn, len: u64) {
        self.map.prefetch(self.region.place(position), len.min(self.region.rest(position)));
    }

    /// The genuine header that lies at a log position, of whatever lap and volume.
    pub(crate) fn header(&self, position: Lsn) -> Option<Frame> {
        let frame = Frame::parse_anywhere(self.from(position)).ok()?;
        (self.region.place(frame.lsn) == self.region.place(position)).then_some(frame)
    }

    /// The operation that begins at a log position, as [`Record::ops`](crate::Record::ops) gave it.
    pub fn op(&self, position: Lsn) -> Result<Op<'_>, FormatError> {
        Op::read(self.from(position), 0)
    }

    /// The record that begins at a log position.
    pub fn record(&self, position: Lsn) -> Result<RecordView<'_>, FormatError> {
        RecordView::parse(self.from(position))
    }
}
