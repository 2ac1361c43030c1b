//! Names: any bytes that POSIX allows, never text. A name is found through its seeded hash, so that nobody who
//! chooses names can choose collisions.
//!
//! The hash leaves the low 8 bits to the slot of an entry among those that share the hash: `hash | slot` is an
//! entry's place in a listing, stable as long as the entry lives. Places 0 to 255 are free for "." and "..",
//! and no place has the top bit set, for those who take it for a sign.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::error::{Error, Result};

/// The longest name in bytes.
pub const MAX_NAME: usize = 255;

/// The hash that all keys of entries and attributes of this name have as their offset.
#[must_use]
pub fn hash(seed: &[u8; 16], name: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(seed);
    hasher.write(name);
    (hasher.finish() & 0x7fff_ffff_ffff_ff00).max(0x100)
}

/// Takes a name that a directory entry can have: 1 to 255 bytes, no `/`, no zero byte, not "." or "..".
pub fn check_entry(name: &[u8]) -> Result<()> {
    check_attribute(name)?;
    match name {
        b"." | b".." => Err(Error::BadName { bytes: name.len() }),
        _ if name.contains(&b'/') => Err(Error::BadName { bytes: name.len() }),
        _ => Ok(()),
    }
}

/// Takes a name that an extended attribute can have: 1 to 255 bytes, no zero byte.
pub fn check_attribute(name: &[u8]) -> Result<()> {
    match name.len() {
        1..=MAX_NAME if !name.contains(&0) => Ok(()),
        bytes => Err(Error::BadName { bytes }),
    }
}
