//! Finding the superblock among its copies, and writing all of them.

use vexfs_device::Device;
use vexfs_format::geometry::superblock_places;
use vexfs_format::{BLOCK_SIZE, BlockNo, Error as FormatError, Geometry, Label, Superblock};

use crate::{Error, Result};

/// What the copies of the superblock say.
#[derive(Debug)]
pub struct Copies {
    /// The newest valid one.
    pub superblock: Superblock,
    /// Copies that are not valid, and why.
    pub bad: Vec<(BlockNo, FormatError)>,
}

/// Reads all copies and takes the newest valid one.
///
/// # Errors
/// [`Error::SuperblocksLost`] if none is valid, [`Error::NotAVolume`] if there is none; a newer format and unknown features are said as such; a device that is
/// shorter than the volume is [`Error::Truncated`].
pub fn read(device: &dyn Device) -> Result<Copies> {
    let blocks = device.len() / BLOCK_SIZE as u64;
    let mut newest: Option<Superblock> = None;
    let mut bad = Vec::new();
    for place in superblock_places(blocks).into_iter().filter(|place| place.0 < blocks) {
        match read_copy(device, place) {
            Ok(copy) if newest.as_ref().is_none_or(|newest| copy.revision > newest.revision) => {
                newest = Some(copy)
            }
            Ok(_) => {}
            Err(Error::Format(error)) => bad.push((place, error)),
            Err(error) => return Err(error),
        }
    }
    let Some(superblock) = newest else { return Err(refusal(device, bad)) };
    if superblock.block_count > blocks {
        let (have, need) = (device.len(), superblock.block_count.saturating_mul(BLOCK_SIZE as u64));
        return Err(Error::Truncated { name: device.name(), have, need });
    }
    Ok(Copies { superblock, bad })
}

fn read_copy(device: &dyn Device, place: BlockNo) -> Result<Superblock> {
    let mut block = [0; BLOCK_SIZE];
    device.read_at(&mut block, place.byte_offset())?;
    Ok(Superblock::parse(&block, place)?)
}

/// The one reason that tells most: a volume that this code cannot read is still a volume.
fn refusal(device: &dyn Device, bad: Vec<(BlockNo, FormatError)>) -> Error {
    let understood = |error: &FormatError| {
        matches!(error, FormatError::NewerFormat { .. } | FormatError::UnknownFeatures { .. })
    };
    let damaged = |error: &FormatError| !matches!(error, FormatError::BadMagic { .. });
    let mut errors = bad.into_iter().map(|(_, error)| error).collect::<Vec<_>>();
    errors.sort_by_key(|error| (!understood(error), !damaged(error)));
    match errors.into_iter().next() {
        Some(error) if understood(&error) => Error::Format(error),
        Some(error) if damaged(&error) => Error::SuperblocksLost { name: device.name(), reason: error },
        Some(_) => Error::NotAVolume {
            name: device.name(),
            reason: "it has no superblock; make one with `vexfs mkfs`".into(),
        },
        None => Error::NotAVolume { name: device.name(), reason: "it is too small to be one".into() },
    }
}

/// Writes all copies, each durable before the next, so that one is valid at any moment.
///
/// # Errors
/// The device.
pub fn write(device: &dyn Device, geometry: &Geometry, superblock: &Superblock) -> Result<()> {
    for (copy, place) in geometry.superblocks.iter().enumerate() {
        device.write_at(&superblock.encode(copy as u32, *place), place.byte_offset())?;
        device.flush()?;
    }
    Ok(())
}

/// Gives the volume on `device`, which nobody else has open, another label.
///
/// # Errors
/// A label that is too long, [`Error::UnknownFeatures`], and whatever [`read`] and [`write`] find.
pub fn relabel(device: &dyn Device, label: &str) -> Result<Superblock> {
    let mut superblock = read(device)?.superblock;
    if superblock.features.forbid_writing() != 0 {
        return Err(Error::UnknownFeatures { bits: superblock.features.forbid_writing() });
    }
    superblock.label = Label::new(label)?;
    superblock.revision = superblock.revision.saturating_add(1);
    write(device, &superblock.geometry()?, &superblock)?;
    Ok(superblock)
}
