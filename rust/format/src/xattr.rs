//! Extended attributes. All attributes of an inode whose names share a hash are one item.
//! Invariants of an item: at least one attribute, names valid and distinct.

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::{MAX_VALUE, name, record};

/// The longest value of an attribute in bytes: with the longest name it fills an item.
pub const MAX_XATTR_VALUE: usize = MAX_VALUE - size_of::<RawXattr>() - name::MAX_NAME;

record! {
    /// An attribute of an attribute item (kind 0x03, offset = the hash of the name); name and value follow.
    pub struct RawXattr: 3 {
        /// The name's length in bytes, at least 1.
        0 name_len: u8,
        /// The value's length in bytes.
        1 value_len: U16,
    }
}

/// An extended attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xattr<'a> {
    /// The name, with its namespace (`user.`, `system.`, ...).
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

/// The checked attributes of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xattrs<'a>(&'a [u8]);

impl<'a> Xattrs<'a> {
    /// No attribute: what a missing item holds.
    pub const EMPTY: Self = Self(&[]);

    /// Reads an item's value.
    pub fn parse(value: &'a [u8]) -> Result<Self> {
        let bad = |field, value| Error::BadValue { what: "extended attribute", field, value };
        let mut rest = value;
        let mut names = Vec::new();
        while !rest.is_empty() {
            let (xattr, behind) = split(rest).ok_or_else(|| bad("length", value.len() as u64))?;
            name::check_attribute(xattr.name).map_err(|_| bad("name", names.len() as u64))?;
            names.push(xattr.name);
            rest = behind;
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        match count {
            0 => Err(bad("length", 0)),
            _ if names.len() < count => Err(bad("name", count as u64)),
            _ => Ok(Self(value)),
        }
    }

    /// The attributes.
    pub fn iter(&self) -> impl Iterator<Item = Xattr<'a>> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (xattr, behind) = split(rest)?;
            rest = behind;
            Some(xattr)
        })
    }

    /// The value of the attribute of this name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|xattr| xattr.name == name).map(|xattr| xattr.value)
    }

    /// The item's value with this attribute set.
    pub fn insert(&self, name: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        name::check_attribute(name)?;
        let item = encode(self.iter().filter(|xattr| xattr.name != name).chain([Xattr { name, value }]));
        item.ok_or(Error::ItemFull { what: "extended attribute" })
    }

    /// The item's value without this attribute; empty when nothing is left and the item is to be deleted.
    #[must_use]
    pub fn remove(&self, name: &[u8]) -> Vec<u8> {
        encode(self.iter().filter(|xattr| xattr.name != name)).unwrap_or_default()
    }
}

/// Parts the first attribute from those behind it.
fn split(bytes: &[u8]) -> Option<(Xattr<'_>, &[u8])> {
    let (raw, rest) = RawXattr::ref_from_prefix(bytes).ok()?;
    let (name, rest) = rest.split_at_checked(raw.name_len.into())?;
    let (value, behind) = rest.split_at_checked(raw.value_len.get().into())?;
    Some((Xattr { name, value }, behind))
}

/// The attributes as one item; `None` when it would be larger than an item can be.
fn encode<'a>(xattrs: impl Iterator<Item = Xattr<'a>>) -> Option<Vec<u8>> {
    let mut item = Vec::new();
    for Xattr { name, value } in xattrs {
        let raw = RawXattr {
            name_len: u8::try_from(name.len()).ok()?,
            value_len: U16::new(u16::try_from(value.len()).ok()?),
        };
        item.extend_from_slice(raw.as_bytes());
        item.extend_from_slice(name);
        item.extend_from_slice(value);
    }
    (item.len() <= MAX_VALUE).then_some(item)
}
