//! Bitmap slots on the device. Invariant: what comes out of [`read`] is what the table's entry promised, bit
//! counts and all, and has every static block in use.

use vexfs_device::Device;
use vexfs_format::bitmap::{self, Bitmap};
use vexfs_format::{BLOCK_SIZE, BitmapKind, BlockNo, CheckpointId, Geometry, GroupEntry, LiveSlot};

use crate::bits::{BITS, Bitset};
use crate::error::{Error, Result};
use crate::search::{self, Need};

/// One of a group's bitmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub kind: BitmapKind,
    pub group: u32,
}

impl Place {
    /// The bits that no checkpoint has written yet.
    pub fn at_birth(self, geometry: &Geometry) -> Bitset {
        Bitset::from(*Bitmap::at_birth(geometry, self.kind, self.group).bits)
    }

    pub fn corrupt(self, geometry: &Geometry, side: u8, reason: impl Into<String>) -> Error {
        let Self { kind, group } = self;
        let block = geometry.slot(group, kind, side).0;
        Error::BitmapCorrupt { group, kind, slot: side, block, reason: reason.into() }
    }
}

/// Reads the bitmap that the entry names, and compares the two.
pub(crate) fn read(
    device: &dyn Device,
    geometry: &Geometry,
    volume: u64,
    place: Place,
    entry: &GroupEntry,
) -> Result<Bitset> {
    let Some(live) = entry.slot(place.kind) else {
        return Ok(place.at_birth(geometry));
    };
    let address = geometry.slot(place.group, place.kind, live.side);
    let mut bytes = [0; BLOCK_SIZE];
    device.read_at(&mut bytes, address.byte_offset())?;
    let bitmap = Bitmap::parse(&bytes, volume, address, place.kind, place.group, live.crc)
        .map_err(|error| place.corrupt(geometry, live.side, error.to_string()))?;
    let bits = Bitset::from(*bitmap.bits);
    if place.at_birth(geometry).minus(&bits).count() > 0 {
        return Err(place.corrupt(
            geometry,
            live.side,
            "blocks or inodes that are never free are marked free",
        ));
    }
    let mut counted = *entry;
    count(&mut counted, place.kind, &bits);
    if counted != *entry {
        return Err(place.corrupt(geometry, live.side, "its free space is not what the group table says"));
    }
    Ok(bits)
}

/// Writes the bits to the slot that is not to be avoided, and puts it into the entry with all that is counted.
pub(crate) fn write(
    device: &dyn Device,
    geometry: &Geometry,
    volume: u64,
    (place, id): (Place, CheckpointId),
    bits: &Bitset,
    avoid: Option<LiveSlot>,
    entry: &mut GroupEntry,
) -> Result<()> {
    let side = avoid.map_or(0, |live| 1 - (live.side & 1));
    let address: BlockNo = geometry.slot(place.group, place.kind, side);
    let (block, crc) = bitmap::encode(place.kind, place.group, id, bits.words(), volume, address);
    device.write_at(&block, address.byte_offset())?;
    let live = Some(LiveSlot { side, crc });
    match place.kind {
        BitmapKind::Block => entry.block = live,
        BitmapKind::Inode => entry.inode = live,
    }
    count(entry, place.kind, bits);
    Ok(())
}

/// Sets what the entry says of the bitmap's free space.
fn count(entry: &mut GroupEntry, kind: BitmapKind, bits: &Bitset) {
    let free = (BITS - bits.count()) as u16;
    match kind {
        BitmapKind::Block => {
            let longest = search::largest(bits, &Need { len: 1, align: 1, base: 0 });
            entry.free_blocks = free;
            entry.largest_run = longest.map_or(0, |(_, len)| len as u16);
            entry.free_units = bits.count_free_units() as u16;
        }
        BitmapKind::Inode => entry.free_inodes = free,
    }
}
