//! Feature flags: how a volume says what a reader must know. An unknown `compat` bit is ignored, an unknown
//! `ro_compat` bit allows reading only, an unknown `incompat` bit forbids opening.

use crate::error::{Error, Result};

/// The `compat` bits that this code knows.
pub const COMPAT_KNOWN: u64 = 0;
/// The `ro_compat` bits that this code knows.
pub const RO_COMPAT_KNOWN: u64 = 0;
/// The `incompat` bits that this code knows.
pub const INCOMPAT_KNOWN: u64 = 0;

/// The feature flags of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Features that code which does not know them may ignore.
    pub compat: u64,
    /// Features that code which does not know them must not write to.
    pub ro_compat: u64,
    /// Features that code which does not know them must not open.
    pub incompat: u64,
}

impl Features {
    /// Refuses features without which the volume cannot be understood.
    pub const fn check(&self) -> Result<()> {
        match self.incompat & !INCOMPAT_KNOWN {
            0 => Ok(()),
            bits => Err(Error::UnknownFeatures { bits }),
        }
    }

    /// The unknown features because of which the volume may be read, but not written; 0 for none.
    #[must_use]
    pub const fn forbid_writing(&self) -> u64 {
        self.ro_compat & !RO_COMPAT_KNOWN
    }
}
