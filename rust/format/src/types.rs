//! The units that every layer counts in. Each is its own type, so that a block number can never be passed
//! where a log position is meant.

use core::fmt;

use zerocopy::little_endian::U64;

use crate::record;

/// Bytes in a block, the unit of allocation and of data checksums.
pub const BLOCK_SIZE: usize = 4096;
/// The bytes of a block.
pub type Block = [u8; BLOCK_SIZE];
/// The longest value of an item.
pub const MAX_VALUE: usize = 65536;
/// Bytes in a tree node.
pub const NODE_SIZE: usize = 16384;
/// Blocks in a tree node; a node is aligned to its size.
pub const NODE_BLOCKS: u32 = 4;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The value as it is stored on disk.
            #[must_use]
            pub const fn to_le(self) -> U64 {
                U64::new(self.0)
            }
        }

        impl From<U64> for $name {
            fn from(raw: U64) -> Self {
                Self(raw.get())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit! {
    /// A block's number: its byte offset in the volume divided by [`BLOCK_SIZE`].
    BlockNo
}
unit! {
    /// The position of a committed transaction (or of a checkpoint's freeze) in the one order of all commits.
    Seq
}
unit! {
    /// A log position in bytes since the volume was made; its place in the circular log is `lsn % log bytes`.
    Lsn
}
unit! {
    /// The number of a checkpoint; its descriptor lies in ring slot `id % 64`.
    CheckpointId
}
unit! {
    /// An inode number. It is also the `object` of every key that belongs to the inode.
    Ino
}

impl BlockNo {
    /// The byte offset of the block's first byte.
    #[must_use]
    pub const fn byte_offset(self) -> u64 {
        self.0.wrapping_mul(BLOCK_SIZE as u64)
    }
}

/// A contiguous run of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRun {
    /// The first block.
    pub start: BlockNo,
    /// How many blocks.
    pub len: u32,
}

impl BlockRun {
    /// The run of `len` blocks from `start`.
    #[must_use]
    pub const fn new(start: u64, len: u32) -> Self {
        Self { start: BlockNo(start), len }
    }

    /// The first block behind the run.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.start.0.saturating_add(self.len as u64)
    }

    /// Bytes in the run.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.len as u64 * BLOCK_SIZE as u64
    }
}

/// A key of the one tree: ordered by object, then kind, then offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The inode number, or a reserved number below [`objects::FIRST_INODE`] for volume-wide tables.
    pub object: u64,
    /// What the item is: one of [`kinds`].
    pub kind: u8,
    /// Where in the object: a byte position, a name's hash, an inode number, by kind.
    pub offset: u64,
}

impl Key {
    /// The smallest key.
    pub const MIN: Self = Self { object: 0, kind: 0, offset: 0 };
    /// The greatest key.
    pub const MAX: Self = Self { object: u64::MAX, kind: u8::MAX, offset: u64::MAX };

    /// The key of these parts.
    #[must_use]
    pub const fn new(object: u64, kind: u8, offset: u64) -> Self {
        Self { object, kind, offset }
    }

    /// The next smaller key; `None` before [`Key::MIN`].
    #[must_use]
    pub const fn predecessor(self) -> Option<Self> {
        if let Some(offset) = self.offset.checked_sub(1) {
            return Some(Self { offset, ..self });
        }
        if let Some(kind) = self.kind.checked_sub(1) {
            return Some(Self { kind, offset: u64::MAX, ..self });
        }
        match self.object.checked_sub(1) {
            Some(object) => Some(Self { object, kind: u8::MAX, offset: u64::MAX }),
            None => None,
        }
    }

    /// The next greater key; `None` behind [`Key::MAX`].
    #[must_use]
    pub const fn successor(self) -> Option<Self> {
        if let Some(offset) = self.offset.checked_add(1) {
            return Some(Self { offset, ..self });
        }
        if let Some(kind) = self.kind.checked_add(1) {
            return Some(Self { kind, offset: 0, ..self });
        }
        match self.object.checked_add(1) {
            Some(object) => Some(Self { object, kind: 0, offset: 0 }),
            None => None,
        }
    }
}

record! {
    /// A key of the tree.
    pub struct RawKey: 17 {
        /// The inode number, or a reserved number below 16 for what belongs to the whole volume.
        0 object: U64,
        /// What the item is.
        8 kind: u8,
        /// Where in the object, by kind.
        9 offset: U64,
    }
}

impl From<Key> for RawKey {
    fn from(key: Key) -> Self {
        Self { object: U64::new(key.object), kind: key.kind, offset: U64::new(key.offset) }
    }
}

impl From<RawKey> for Key {
    fn from(raw: RawKey) -> Self {
        Self { object: raw.object.get(), kind: raw.kind, offset: raw.offset.get() }
    }
}

/// Declares named numbers of one sort, and `ALL`: each with its name and what it means, for the tables of the
/// documentation.
macro_rules! numbers {
    ($ty:ty; $($(#[doc = $doc:literal])+ $name:ident = $number:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: $ty = $number;)+

        /// All of them: number, name and meaning.
        pub const ALL: &[($ty, &str, &str)] = &[$(($name, stringify!($name), concat!($($doc),+))),+];
    };
}

/// The kinds of item. Adding a kind of thing to a volume is adding a number here.
pub mod kinds {
    numbers! { u8;
        /// An inode record; offset 0.
        INODE = 0x01;
        /// Directory entries that share a name hash; offset = the hash.
        DIRENT = 0x02;
        /// Extended attributes that share a name hash; offset = the hash.
        XATTR = 0x03;
        /// Bytes of a file kept in the tree; offset = their position in the file.
        INLINE = 0x04;
        /// A run of blocks of a file; offset = its byte position in the file.
        EXTENT = 0x05;
        /// Work on an inode that is still to be finished; object 2, offset = the inode number.
        ORPHAN = 0x06;
        /// Reserved: vectors of a file.
        VECTOR = 0x07;
        /// Reserved: named snapshots.
        SNAPSHOT = 0x08;
        /// Reserved: the event log.
        EVENT = 0x09;
        /// Reserved: typed edges between files.
        EDGE = 0x0a;
        /// Reserved: how many owners a shared run of blocks has; offset = physical start.
        SHARE = 0x0b;
    }

    /// Kinds from here on exist only in memory, to detect conflicts: never logged, never in the tree.
    pub const FIRST_VOLATILE: u8 = 0xf0;
    /// Token of a 1 MiB chunk of a file; offset = chunk number.
    pub const CHUNK_TOKEN: u8 = 0xf0;
    /// A directory's liveness: written by its removal, read by creations in it; offset 0.
    pub const DIR_LIVE: u8 = 0xf1;
    /// The one token that renames of directories share.
    pub const RENAME_TOKEN: u8 = 0xf2;
}

/// The reserved objects.
pub mod objects {
    numbers! { u64;
        /// The root directory's inode number.
        ROOT = 1;
        /// The table of orphans.
        ORPHANS = 2;
        /// Reserved: the table of shared runs.
        SHARES = 3;
        /// Reserved: the table of snapshots.
        SNAPSHOTS = 4;
        /// Reserved: the table of vector spaces.
        SPACES = 5;
        /// Reserved: the event log.
        EVENTS = 6;
        /// The object of tokens that belong to the whole volume.
        VOLUME = 7;
    }

    /// The first number that an inode other than the root can have.
    pub const FIRST_INODE: u64 = 16;
}
