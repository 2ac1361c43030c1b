//! The inode record: all that `stat` tells. It says nothing about where the data lies: the file's other keys do.

use zerocopy::FromBytes;
use zerocopy::little_endian::{I64, U32, U64};

use crate::error::{Error, Result};
use crate::record;

/// The largest file in bytes (16 TiB).
pub const MAX_FILE_BYTES: u64 = 1 << 44;
/// The most links of an inode.
pub const MAX_LINKS: u32 = 65_000;

record! {
    /// An inode: the item of kind 0x01, offset 0.
    pub struct RawInode: 96 {
        /// File type and permissions, as in `st_mode`.
        0 mode: U32,
        /// Links to it.
        4 nlink: U32,
        /// The owner.
        8 uid: U32,
        /// The group.
        12 gid: U32,
        /// Length in bytes.
        16 size: U64,
        /// Blocks of 4 KiB that it has.
        24 blocks: U64,
        /// Last access: nanoseconds since 1970.
        32 atime_ns: I64,
        /// Last change of the data.
        40 mtime_ns: I64,
        /// Last change of the inode.
        48 ctime_ns: I64,
        /// When it was made.
        56 btime_ns: I64,
        /// A number that no other inode of this volume has or ever had.
        64 generation: U64,
        /// Counts the changes of the data.
        72 version: U64,
        /// A directory: its parent's inode number. A device: its number. Else zero.
        80 parent_or_rdev: U64,
        /// Bit 0: has an access control list. Bit 1: a directory, and has a default one.
        /// Bit 2: may have other extended attributes. Others are kept as they are.
        88 flags: U32,
        /// A directory: how many directories are in it.
        92 subdirs: U32,
    }
}

/// What kind of file an inode is; the number is `st_mode >> 12`, and `d_type` in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FileType {
    /// A named pipe.
    Fifo = 1,
    /// A character device.
    CharDevice = 2,
    /// A directory.
    Directory = 4,
    /// A block device.
    BlockDevice = 6,
    /// A file with data.
    Regular = 8,
    /// A symbolic link.
    Symlink = 10,
    /// A socket.
    Socket = 12,
}

impl FileType {
    /// The type of this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Fifo,
            2 => Self::CharDevice,
            4 => Self::Directory,
            6 => Self::BlockDevice,
            8 => Self::Regular,
            10 => Self::Symlink,
            12 => Self::Socket,
            _ => return None,
        })
    }

    /// The type in a mode as `stat` gives it.
    #[must_use]
    pub const fn from_mode(mode: u32) -> Option<Self> {
        match mode >> 12 {
            number @ 0..=15 => Self::from_number(number as u8),
            _ => None,
        }
    }

    /// The type's bits in a mode.
    #[must_use]
    pub const fn mode_bits(self) -> u32 {
        (self as u32) << 12
    }
}

/// An inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// What kind of file it is.
    pub file_type: FileType,
    /// The permissions: the low 12 bits of `st_mode`.
    pub permissions: u16,
    /// Links to it.
    pub nlink: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 4 KiB that it has.
    pub blocks: u64,
    /// Last access: nanoseconds since 1970.
    pub atime_ns: i64,
    /// Last change of the data.
    pub mtime_ns: i64,
    /// Last change of the inode.
    pub ctime_ns: i64,
    /// When it was made.
    pub btime_ns: i64,
    /// A number that no other inode of this volume has or ever had.
    pub generation: u64,
    /// Counts the changes of the data.
    pub version: u64,
    /// A directory: its parent's inode number. A device: its number. Else zero.
    pub parent_or_rdev: u64,
    /// [`Inode::HAS_ACL`], [`Inode::HAS_DEFAULT_ACL`], [`Inode::HAS_XATTRS`]; others are kept as they are.
    pub flags: u32,
    /// A directory: how many directories are in it.
    pub subdirs: u32,
}

impl Inode {
    /// The inode has an attribute `system.posix_acl_access`.
    pub const HAS_ACL: u32 = 1;
    /// The directory has an attribute `system.posix_acl_default`.
    pub const HAS_DEFAULT_ACL: u32 = 2;
    /// The inode has or had other extended attributes; without, nobody need look for them.
    pub const HAS_XATTRS: u32 = 4;

    /// Type and permissions, as in `st_mode`.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.file_type.mode_bits() | (self.permissions & 0o7777) as u32
    }

    /// The item's value.
    #[must_use]
    pub fn encode(&self) -> [u8; size_of::<RawInode>()] {
        zerocopy::transmute!(RawInode {
            mode: U32::new(self.mode()),
            nlink: U32::new(self.nlink),
            uid: U32::new(self.uid),
            gid: U32::new(self.gid),
            size: U64::new(self.size),
            blocks: U64::new(self.blocks),
            atime_ns: I64::new(self.atime_ns),
            mtime_ns: I64::new(self.mtime_ns),
            ctime_ns: I64::new(self.ctime_ns),
            btime_ns: I64::new(self.btime_ns),
            generation: U64::new(self.generation),
            version: U64::new(self.version),
            parent_or_rdev: U64::new(self.parent_or_rdev),
            flags: U32::new(self.flags),
            subdirs: U32::new(self.subdirs),
        })
    }

    /// Reads the item's value.
    pub fn parse(value: &[u8]) -> Result<Self> {
        let bad = |field, value| Error::BadValue { what: "inode", field, value };
        let raw = RawInode::ref_from_bytes(value).map_err(|_| bad("length", value.len() as u64))?;
        let mode = raw.mode.get();
        if raw.size.get() > MAX_FILE_BYTES {
            return Err(bad("size", raw.size.get()));
        }
        Ok(Self {
            file_type: FileType::from_mode(mode).ok_or(bad("mode", mode.into()))?,
            permissions: (mode & 0o7777) as u16,
            nlink: raw.nlink.get(),
            uid: raw.uid.get(),
            gid: raw.gid.get(),
            size: raw.size.get(),
            blocks: raw.blocks.get(),
            atime_ns: raw.atime_ns.get(),
            mtime_ns: raw.mtime_ns.get(),
            ctime_ns: raw.ctime_ns.get(),
            btime_ns: raw.btime_ns.get(),
            generation: raw.generation.get(),
            version: raw.version.get(),
            parent_or_rdev: raw.parent_or_rdev.get(),
            flags: raw.flags.get(),
            subdirs: raw.subdirs.get(),
        })
    }
}
