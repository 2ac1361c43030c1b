//! Directory entries. All entries of a directory whose names share a hash are one item: nearly always one entry.
//! Invariants of an item: at least one entry, slots ascending and distinct, names valid and distinct.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::inode::FileType;
use crate::types::Ino;
use crate::{MAX_VALUE, name, record};

record! {
    /// An entry of a directory item (kind 0x02, offset = the hash of the name); the name follows.
    pub struct RawDirent: 11 {
        /// The inode number.
        0 ino: U64,
        /// The inode's type: `st_mode >> 12`.
        8 file_type: u8,
        /// The entry's number in the item, for as long as it lives.
        9 slot: u8,
        /// The name's length in bytes, at least 1.
        10 name_len: u8,
    }
}

/// A directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// The inode number.
    pub ino: Ino,
    /// The inode's type.
    pub file_type: FileType,
    /// The entry's number in its item: with the hash, its place in listings.
    pub slot: u8,
    /// The name.
    pub name: &'a [u8],
}

/// The checked entries of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirents<'a>(&'a [u8]);

impl<'a> Dirents<'a> {
    /// No entry: what a missing item holds.
    pub const EMPTY: Self = Self(&[]);

    /// Reads an item's value.
    pub fn parse(value: &'a [u8]) -> Result<Self> {
        let mut rest = value;
        let mut last = None;
        while !rest.is_empty() {
            let (raw, name, behind) = split(rest).ok_or_else(|| bad("length", value.len() as u64))?;
            if last >= Some(raw.slot) {
                return Err(bad("slot", raw.slot.into()));
            }
            if FileType::from_number(raw.file_type).is_none() {
                return Err(bad("file type", raw.file_type.into()));
            }
            if raw.ino == U64::ZERO {
                return Err(bad("inode number", 0));
            }
            name::check_entry(name).map_err(|_| bad("name", raw.slot.into()))?;
            let before = value.len().saturating_sub(rest.len());
            if Self(value.get(..before).unwrap_or_default()).find(name).is_some() {
                return Err(bad("name", raw.slot.into()));
            }
            (rest, last) = (behind, Some(raw.slot));
        }
        match last {
            Some(_) => Ok(Self(value)),
            None => Err(bad("length", 0)),
        }
    }

    /// The entries by slot.
    pub fn iter(&self) -> impl Iterator<Item = Dirent<'a>> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (raw, name, behind) = split(rest)?;
            rest = behind;
            let file_type = FileType::from_number(raw.file_type)?;
            Some(Dirent { ino: raw.ino.into(), file_type, slot: raw.slot, name })
        })
    }

    /// The entry of this name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<Dirent<'a>> {
        self.iter().find(|entry| entry.name == name)
    }

    /// The item's value with the name leading to `ino`: in the slot it has, or in the first free one.
    pub fn insert(&self, name: &[u8], ino: Ino, file_type: FileType) -> Result<Vec<u8>> {
        name::check_entry(name)?;
        let full = Error::ItemFull { what: "directory" };
        let slot = match self.find(name) {
            Some(entry) => entry.slot,
            None => self.free_slot().ok_or(full.clone())?,
        };
        let new = Dirent { ino, file_type, slot, name };
        let below = self.iter().filter(|entry| entry.slot < slot);
        let above = self.iter().filter(|entry| entry.slot > slot);
        let value = encode(below.chain([new]).chain(above));
        if value.len() > MAX_VALUE { Err(full) } else { Ok(value) }
    }

    /// The item's value without the name; empty when nothing is left and the item is to be deleted.
    #[must_use]
    pub fn remove(&self, name: &[u8]) -> Vec<u8> {
        encode(self.iter().filter(|entry| entry.name != name))
    }

    fn free_slot(&self) -> Option<u8> {
        let mut taken = self.iter().map(|entry| entry.slot);
        (0..=u8::MAX).find(|&slot| taken.next() != Some(slot))
    }
}

/// Parts the first entry from those behind it.
fn split(bytes: &[u8]) -> Option<(&RawDirent, &[u8], &[u8])> {
    let (raw, rest) = RawDirent::ref_from_prefix(bytes).ok()?;
    let (name, behind) = rest.split_at_checked(raw.name_len.into())?;
    Some((raw, name, behind))
}

fn encode<'a>(entries: impl Iterator<Item = Dirent<'a>>) -> Vec<u8> {
    let mut value = Vec::new();
    for entry in entries {
        let raw = RawDirent {
            ino: entry.ino.to_le(),
            file_type: entry.file_type as u8,
            slot: entry.slot,
            name_len: entry.name.len() as u8,
        };
        value.extend_from_slice(raw.as_bytes());
        value.extend_from_slice(entry.name);
    }
    value
}

const fn bad(field: &'static str, value: u64) -> Error {
    Error::BadValue { what: "directory entry", field, value }
}
