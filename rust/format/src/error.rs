//! What can be wrong with bytes. Every variant is one reason, with one stable code; none of them is a panic.

/// Why bytes were refused, or why a layout cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the structure has.
    #[error("{what}: only {have} of {need} bytes are there; the image was cut short, restore it from a copy")]
    Truncated {
        /// The structure.
        what: &'static str,
        /// Bytes it needs.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The first bytes are not those of this structure.
    #[error("{what} at {address}: the magic number is {found:#010x}; something else lies here, run fsck")]
    BadMagic {
        /// The structure that was expected.
        what: &'static str,
        /// Where it was expected (a block number; a log position for a journal frame).
        address: u64,
        /// The magic number found.
        found: u32,
    },
    /// The bytes are not those that were written.
    #[error("{what} at {address}: the checksum is {found:#010x}, not {expected:#010x}; damaged, run fsck")]
    BadChecksum {
        /// The structure.
        what: &'static str,
        /// Where it lies.
        address: u64,
        /// What the bytes sum up to.
        found: u32,
        /// What was stored for them.
        expected: u32,
    },
    /// Written by a later VexFS.
    #[error(
        "{what}: format version {version} is newer than {supported}, the newest known here; upgrade vexfs"
    )]
    NewerFormat {
        /// The structure.
        what: &'static str,
        /// Its version.
        version: u16,
        /// The newest version this code knows.
        supported: u16,
    },
    /// A version that never existed.
    #[error("{what} at {address}: there is no format version {version}; damaged, run fsck")]
    BadVersion {
        /// The structure.
        what: &'static str,
        /// Where it lies.
        address: u64,
        /// The version found.
        version: u16,
    },
    /// A whole structure, but another volume's.
    #[error("{what} at {address} belongs to volume {found:#018x}, not {expected:#018x}; left over, run fsck")]
    WrongVolume {
        /// The structure.
        what: &'static str,
        /// Where it lies.
        address: u64,
        /// The volume bits found.
        found: u64,
        /// This volume's bits.
        expected: u64,
    },
    /// A whole structure, written for another place.
    #[error("{what} at {address} was written for {found}; a write went astray, run fsck")]
    Misdirected {
        /// The structure.
        what: &'static str,
        /// Where it was read.
        address: u64,
        /// Where it says that it belongs.
        found: u64,
    },
    /// A whole structure in its place, but not the one that was pointed to (an older one).
    #[error(
        "{what} at {address} has checksum {found:#010x}, its pointer says {expected:#010x}; stale, run fsck"
    )]
    Stale {
        /// The structure.
        what: &'static str,
        /// Where it lies.
        address: u64,
        /// Its checksum.
        found: u32,
        /// The checksum in the pointer to it.
        expected: u32,
    },
    /// A field holds what it never may.
    #[error("{what}: {field} cannot be {value}; damaged, run fsck")]
    BadValue {
        /// The structure.
        what: &'static str,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// Made with features that this code must know to read the volume at all.
    #[error("the volume uses unknown incompatible features {bits:#x}; upgrade vexfs to open it")]
    UnknownFeatures {
        /// The unknown bits.
        bits: u64,
    },
    /// Too few blocks for a volume.
    #[error("{blocks} blocks of 4 KiB are too few for a volume, {minimum} are needed; choose a larger size")]
    VolumeTooSmall {
        /// Blocks there are.
        blocks: u64,
        /// Blocks needed.
        minimum: u64,
    },
    /// More blocks than a volume can have.
    #[error(
        "{blocks} blocks of 4 KiB are too many for a volume, {maximum} is the limit; choose a smaller size"
    )]
    VolumeTooLarge {
        /// Blocks there are.
        blocks: u64,
        /// Blocks allowed.
        maximum: u64,
    },
    /// A log size that does not fit the volume.
    #[error("a journal of {bytes} bytes does not fit; choose a multiple of 4096 from {minimum} to {maximum}")]
    BadJournalSize {
        /// The size asked for.
        bytes: u64,
        /// The least.
        minimum: u64,
        /// The most, for a volume of this size.
        maximum: u64,
    },
    /// A label that does not fit.
    #[error("a label of {bytes} bytes is too long or holds a zero byte; use at most 64 bytes of UTF-8")]
    BadLabel {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A name that no file or attribute can have.
    #[error("a name of {bytes} bytes cannot be stored; a name has 1 to 255 bytes")]
    BadName {
        /// Its length in bytes.
        bytes: usize,
    },
    /// More than one item holds.
    #[error("{what}: the item is full; use another name")]
    ItemFull {
        /// The item.
        what: &'static str,
    },
}

impl Error {
    /// The stable code of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::BadMagic { .. } => "bad_magic",
            Self::BadChecksum { .. } => "bad_checksum",
            Self::NewerFormat { .. } => "newer_format",
            Self::BadVersion { .. } => "bad_version",
            Self::WrongVolume { .. } => "wrong_volume",
            Self::Misdirected { .. } => "misdirected",
            Self::Stale { .. } => "outdated",
            Self::BadValue { .. } => "bad_value",
            Self::UnknownFeatures { .. } => "unknown_features",
            Self::VolumeTooSmall { .. } => "volume_too_small",
            Self::VolumeTooLarge { .. } => "volume_too_large",
            Self::BadJournalSize { .. } => "bad_journal_size",
            Self::BadLabel { .. } => "bad_label",
            Self::BadName { .. } => "bad_name",
            Self::ItemFull { .. } => "item_full",
        }
    }
}

/// The result of reading or laying out bytes.
pub type Result<T> = core::result::Result<T, Error>;
