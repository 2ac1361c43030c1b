//! Pass 1: the copies of the superblock.

use vexfs_device::Device;
use vexfs_format::superblock::RawSuperblock;
use vexfs_format::{BLOCK_SIZE, Superblock};
use zerocopy::FromBytes;

use crate::Result;
use crate::finding::{SUPERBLOCK_DAMAGED, SUPERBLOCK_DIFFERS, SUPERBLOCK_STALE};
use crate::ledger::Ledger;
use crate::report::Location;

/// The superblock that counts.
///
/// # Errors
/// There is none, it is of a newer format, or the device is cut short.
pub(crate) fn find(device: &dyn Device) -> Result<Superblock> {
    Ok(vexfs_store::superblock::read(device)?.superblock)
}

/// Compares all copies with the one that counts.
pub(crate) fn run(device: &dyn Device, counts: &Superblock, ledger: &Ledger) -> Result<()> {
    let geometry = counts.geometry().map_err(vexfs_store::Error::from)?;
    for (copy, place) in (0_u32..).zip(&geometry.superblocks) {
        let mut bytes = [0; BLOCK_SIZE];
        device.read_at(&mut bytes, place.byte_offset())?;
        let here = Location::block(place.0);
        let number = RawSuperblock::ref_from_bytes(&bytes).map_or(0, |raw| raw.copy.get());
        match Superblock::parse(&bytes, *place) {
            Err(error) => ledger.add(&SUPERBLOCK_DAMAGED, here, error.to_string()),
            Ok(found) if found.revision < counts.revision && found.uuid == counts.uuid => {
                let (old, new) = (found.revision, counts.revision);
                ledger.add(
                    &SUPERBLOCK_STALE,
                    here,
                    format!("superblock at {place} has revision {old}, another {new}"),
                );
            }
            Ok(found) if found != *counts => {
                let message = format!("superblock at {place} says other things than the one that counts");
                ledger.add(&SUPERBLOCK_DIFFERS, here, message);
            }
            Ok(_) if number != copy => {
                let message =
                    format!("superblock at {place} says that it is copy {number}, it is copy {copy}");
                ledger.add(&SUPERBLOCK_DIFFERS, here, message);
            }
            Ok(_) => {}
        }
    }
    Ok(())
}
