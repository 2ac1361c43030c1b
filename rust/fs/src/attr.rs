//! What is told about an inode, and what can be changed of it.

use vexfs_format::{BLOCK_SIZE, FileType, Ino, Inode};

/// What `stat` tells. Times are nanoseconds since 1970; reading does not change `atime_ns` (as with `noatime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// The inode number.
    pub ino: Ino,
    /// A number that no other inode of this volume has or ever had; the number of a removed inode is used again,
    /// with another generation.
    pub generation: u64,
    /// What kind of file it is.
    pub file_type: FileType,
    /// The permissions: the low 12 bits of `st_mode`.
    pub permissions: u32,
    /// Links; a directory has 2 and one for each directory in it, none once it is removed.
    pub nlink: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The number of a device file, else 0.
    pub rdev: u64,
    /// Length in bytes; of a symbolic link, that of its target.
    pub size: u64,
    /// Blocks of 4 KiB that it occupies.
    pub blocks: u64,
    /// Last access that was set.
    pub atime_ns: i64,
    /// Last change of the data.
    pub mtime_ns: i64,
    /// Last change of the inode.
    pub ctime_ns: i64,
    /// When it was made.
    pub btime_ns: i64,
    /// Counts the changes of the data.
    pub version: u64,
}

impl Attr {
    pub(crate) fn new(ino: Ino, inode: &Inode) -> Self {
        let directory = inode.file_type == FileType::Directory;
        let device = matches!(inode.file_type, FileType::BlockDevice | FileType::CharDevice);
        Self {
            ino,
            generation: inode.generation,
            file_type: inode.file_type,
            permissions: inode.permissions.into(),
            nlink: match inode.nlink {
                nlink if directory && nlink > 0 => inode.subdirs.saturating_add(2),
                nlink => nlink,
            },
            uid: inode.uid,
            gid: inode.gid,
            rdev: if device { inode.parent_or_rdev } else { 0 },
            size: inode.size,
            blocks: inode.blocks,
            atime_ns: inode.atime_ns,
            mtime_ns: inode.mtime_ns,
            ctime_ns: inode.ctime_ns,
            btime_ns: inode.btime_ns,
            version: inode.version,
        }
    }

    /// Type and permissions, as in `st_mode`.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.file_type.mode_bits() | self.permissions
    }

    /// `st_blocks`: units of 512 bytes.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.blocks.saturating_mul(BLOCK_SIZE as u64 / 512)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type == FileType::Directory
    }
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time of the change.
    Now,
    /// This many nanoseconds since 1970.
    At(i64),
}

/// What to change of an inode; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// The permissions; only the low 12 bits count.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// The length (a regular file's).
    pub size: Option<u64>,
    /// The last access.
    pub atime: Option<SetTime>,
    /// The last change of the data.
    pub mtime: Option<SetTime>,
}

/// What `statvfs` tells. Counts of blocks are in blocks of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Blocks for data and metadata in all.
    pub blocks: u64,
    /// Free ones.
    pub blocks_free: u64,
    /// Free ones that files can have.
    pub blocks_available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Free ones.
    pub inodes_free: u64,
    /// The first 8 bytes of the volume's UUID.
    pub id: u64,
}
