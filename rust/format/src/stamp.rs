//! The first 32 bytes of every block-level structure. Invariant over all format versions: these fields, their
//! places, and a checksum that covers the whole structure with the checksum field taken as zero. So a checksum
//! is judged before a version, and a flipped bit in the version never passes for a newer format.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{Error, Result};
use crate::record;

record! {
    /// The head of every block-level structure: what it is, whose it is, and where it belongs.
    pub struct Stamp: 32 {
        /// Which structure this is.
        0 magic: U32,
        /// The structure's format version.
        4 version: U16,
        /// Which kind of the structure; 0 where there is only one.
        6 kind: U16,
        /// The first 8 bytes of the volume's UUID.
        8 volume: U64,
        /// The structure's own block number (a journal frame: its log position).
        16 address: U64,
        /// CRC32C of the whole structure with this field as zero; 0 in a tree node, whose checksum is in the pointer.
        24 crc: U32,
        /// Zero.
        28 reserved: U32,
    }
}

/// Where the checksum lies in a stamped structure.
const CRC: core::ops::Range<usize> = 24..28;

/// What tells one block-level structure from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Its name in messages.
    pub name: &'static str,
    /// Its magic number.
    pub magic: u32,
    /// The version that this code writes, and the newest that it reads.
    pub version: u16,
}

impl Structure {
    /// The structure called `name`, with four letters as its magic number.
    #[must_use]
    pub const fn new(name: &'static str, magic: [u8; 4], version: u16) -> Self {
        Self { name, magic: u32::from_le_bytes(magic), version }
    }

    /// A stamp of this structure, not yet summed: see [`seal`].
    #[must_use]
    pub const fn stamp(&self, kind: u16, volume: u64, address: u64) -> Stamp {
        Stamp {
            magic: U32::new(self.magic),
            version: U16::new(self.version),
            kind: U16::new(kind),
            volume: U64::new(volume),
            address: U64::new(address),
            crc: U32::ZERO,
            reserved: U32::ZERO,
        }
    }

    /// Reads the stamp of `bytes` (the whole structure) and checks all of it, checksum included.
    pub fn check<'a>(&self, bytes: &'a [u8], volume: u64, address: u64) -> Result<&'a Stamp> {
        let stamp = self.check_whole(bytes, address)?;
        self.check_owner(stamp, volume, address)?;
        Ok(stamp)
    }

    /// As [`Structure::check`], and that it is the very one that a pointer names by its checksum.
    pub fn check_named<'a>(&self, bytes: &'a [u8], volume: u64, address: u64, crc: u32) -> Result<&'a Stamp> {
        let stamp = self.check(bytes, volume, address)?;
        match stamp.crc.get() {
            found if found == crc => Ok(stamp),
            found => Err(Error::Stale { what: self.name, address, found, expected: crc }),
        }
    }

    /// As [`Structure::check`], for a structure whose checksum lies in the pointer to it and was compared before.
    pub fn check_unsummed<'a>(&self, bytes: &'a [u8], volume: u64, address: u64) -> Result<&'a Stamp> {
        let stamp = self.check_magic(bytes, address)?;
        self.check_version(stamp, address)?;
        self.check_owner(stamp, volume, address)?;
        Ok(stamp)
    }

    /// Checks magic, checksum and version, but not yet whose structure it is: for what names its own volume.
    pub fn check_whole<'a>(&self, bytes: &'a [u8], address: u64) -> Result<&'a Stamp> {
        let stamp = self.check_magic(bytes, address)?;
        let (found, expected) = (checksum(0, bytes), stamp.crc.get());
        if found != expected {
            return Err(Error::BadChecksum { what: self.name, address, found, expected });
        }
        self.check_version(stamp, address)?;
        Ok(stamp)
    }

    /// Checks that the bytes begin as this structure does.
    pub fn check_magic<'a>(&self, bytes: &'a [u8], address: u64) -> Result<&'a Stamp> {
        let truncated = |_| Error::Truncated { what: self.name, need: size_of::<Stamp>(), have: bytes.len() };
        let (stamp, _) = Stamp::ref_from_prefix(bytes).map_err(|error| truncated(error.into_src()))?;
        match stamp.magic.get() {
            found if found == self.magic => Ok(stamp),
            found => Err(Error::BadMagic { what: self.name, address, found }),
        }
    }

    /// Checks that this code can read the version.
    pub fn check_version(&self, stamp: &Stamp, address: u64) -> Result<()> {
        match stamp.version.get() {
            0 => Err(Error::BadVersion { what: self.name, address, version: 0 }),
            version if version > self.version => {
                Err(Error::NewerFormat { what: self.name, version, supported: self.version })
            }
            _ => Ok(()),
        }
    }

    /// Checks that the structure is this volume's, and belongs where it was found.
    pub fn check_owner(&self, stamp: &Stamp, volume: u64, address: u64) -> Result<()> {
        let (whose, place) = (stamp.volume.get(), stamp.address.get());
        if whose != volume {
            return Err(Error::WrongVolume { what: self.name, address, found: whose, expected: volume });
        }
        if place != address {
            return Err(Error::Misdirected { what: self.name, address, found: place });
        }
        Ok(())
    }

    /// The error of a field of this structure that holds what it never may.
    #[must_use]
    pub const fn bad(&self, field: &'static str, value: u64) -> Error {
        Error::BadValue { what: self.name, field, value }
    }
}

/// CRC32C of a stamped structure with its checksum field taken as zero, continued from `seed` (0: from nothing).
#[must_use]
pub fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let (Some(head), Some(tail)) = (bytes.get(..CRC.start), bytes.get(CRC.end..)) else {
        return crc32c::crc32c_append(seed, bytes);
    };
    let head = crc32c::crc32c_append(seed, head);
    crc32c::crc32c_append(crc32c::crc32c_append(head, &[0; 4]), tail)
}

/// Writes the checksum of a finished structure into its stamp, and returns it. Without a stamp, only returns it.
pub fn seal(bytes: &mut [u8]) -> u32 {
    let crc = checksum(0, bytes);
    if let Some(field) = bytes.get_mut(CRC) {
        field.copy_from_slice(U32::new(crc).as_bytes());
    }
    crc
}

/// The bytes as the record `R` that they are if they pass the structure's checks.
pub(crate) fn view<'a, R>(structure: &Structure, bytes: &'a [u8]) -> Result<&'a R>
where
    R: FromBytes + Immutable + KnownLayout + Unaligned,
{
    R::ref_from_bytes(bytes).map_err(|_| Error::Truncated {
        what: structure.name,
        need: size_of::<R>(),
        have: bytes.len(),
    })
}
