//! What can go wrong in this layer. Every failure site has one stable code.

use vexfs_format::{BitmapKind, BlockRun, Ino};

/// An error of the allocator or of its bitmaps on disk.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too few free blocks, or only such as the unit floor keeps for tree nodes.
    #[error(
        "no space: {wanted} blocks wanted, {free} free; remove something, or copy all to a larger volume"
    )]
    NoSpace {
        /// The least that the caller would have taken.
        wanted: u32,
        /// Free blocks in the volume at that moment.
        free: u64,
    },
    /// Every inode number is taken.
    #[error("no free inode in any of {groups} groups; remove files, or copy them to a larger volume")]
    NoInodes {
        /// Groups searched.
        groups: u32,
    },
    /// Enough free blocks, but none of their runs is long enough.
    #[error(
        "free space is fragmented: no run of {wanted} blocks (alignment {align}), the longest has {largest}; \
         ask for shorter runs"
    )]
    Fragmentation {
        /// The shortest run that the caller would have taken.
        wanted: u32,
        /// The alignment it asked for.
        align: u32,
        /// The longest free run there is, aligned or not.
        largest: u32,
    },
    /// An alignment that is not a power of two.
    #[error("alignment {align} is not a power of two; ask for 1, 2, 4, ...")]
    Alignment {
        /// What was asked for.
        align: u32,
    },
    /// A request that cannot mean anything: `min` zero, above `max`, or above a group's size.
    #[error("a run of {min}..={max} blocks cannot be asked for; a run has 1 to 32256 blocks")]
    InvalidRequest {
        /// [`crate::Request::min`].
        min: u32,
        /// [`crate::Request::max`].
        max: u32,
    },
    /// A group number beyond the volume.
    #[error("group {group} does not exist; the volume has {groups}")]
    InvalidGroup {
        /// The number that was given.
        group: u64,
        /// How many groups there are.
        groups: u32,
    },
    /// A run that is empty, beyond the volume, or holds static metadata.
    #[error("blocks {}..{} are not part of the space for data; run fsck", run.start, run.end())]
    InvalidRun {
        /// The run that was given.
        run: BlockRun,
    },
    /// An inode number that is reserved or beyond the volume.
    #[error("inode {ino} cannot be allocated or freed; run fsck")]
    InvalidInode {
        /// The number that was given.
        ino: Ino,
    },
    /// A free of blocks of which one is free already.
    #[error("block {block} is freed twice (in the run of {} blocks at {}); run fsck", run.len, run.start)]
    DoubleFree {
        /// The run that was to be freed; nothing of it was.
        run: BlockRun,
        /// Its first block that is free already.
        block: u64,
    },
    /// A free of an inode number that is free already.
    #[error("inode {ino} is freed twice; run fsck")]
    DoubleFreeInode {
        /// The number.
        ino: Ino,
    },
    /// Replay claims blocks of which one is in use already.
    #[error("block {block} has two owners (in the run of {} blocks at {}); run fsck", run.len, run.start)]
    AlreadyUsed {
        /// The run that was to be marked; nothing of it was.
        run: BlockRun,
        /// Its first block that is in use already.
        block: u64,
    },
    /// Replay claims an inode number that is in use already.
    #[error("inode {ino} has two owners; run fsck")]
    AlreadyUsedInode {
        /// The number.
        ino: Ino,
    },
    /// A bitmap's slot does not hold what the group table says, or a change does not fit its bits.
    #[error("{} bitmap of group {group} is corrupt (slot {slot}, block {block}): {reason}; run fsck", kind_name(*kind))]
    BitmapCorrupt {
        /// The group.
        group: u32,
        /// Which of its bitmaps.
        kind: BitmapKind,
        /// Which of the bitmap's two slots.
        slot: u8,
        /// Where that slot lies.
        block: u64,
        /// What does not fit.
        reason: String,
    },
    /// The live side of the group table does not verify.
    #[error("side {} of the group table is corrupt (block {block}): {reason}; run fsck", side_name(*side))]
    TableCorrupt {
        /// 0 = A, 1 = B.
        side: u8,
        /// The block of the table that does not fit.
        block: u64,
        /// What does not fit.
        reason: String,
    },
    /// A checkpoint was begun before the last one was declared durable or abandoned.
    #[error("the bitmaps of checkpoint {id} are written but neither durable nor abandoned")]
    CheckpointPending {
        /// The checkpoint that is under way.
        id: u64,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] vexfs_device::Error),
}

fn kind_name(kind: BitmapKind) -> &'static str {
    match kind {
        BitmapKind::Block => "block",
        BitmapKind::Inode => "inode",
    }
}

fn side_name(side: u8) -> char {
    if side == 0 { 'A' } else { 'B' }
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSpace { .. } => "no_space",
            Self::NoInodes { .. } => "no_inodes",
            Self::Fragmentation { .. } => "fragmentation",
            Self::Alignment { .. } => "alignment",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::InvalidGroup { .. } => "invalid_group",
            Self::InvalidRun { .. } => "invalid_run",
            Self::InvalidInode { .. } => "invalid_inode",
            Self::DoubleFree { .. } | Self::DoubleFreeInode { .. } => "double_free",
            Self::AlreadyUsed { .. } | Self::AlreadyUsedInode { .. } => "already_used",
            Self::BitmapCorrupt { .. } => "bitmap_corrupt",
            Self::TableCorrupt { .. } => "table_corrupt",
            Self::CheckpointPending { .. } => "checkpoint_pending",
            Self::Device(error) => error.code(),
        }
    }
}

/// The layer's result.
pub type Result<T> = core::result::Result<T, Error>;
