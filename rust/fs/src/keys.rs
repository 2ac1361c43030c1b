//! The keys that the file layer uses.

use vexfs_format::{Ino, Key, kinds, objects};

/// The inode record.
pub(crate) const fn inode(ino: Ino) -> Key {
    Key::new(ino.0, kinds::INODE, 0)
}

/// The directory entries of this hash.
pub(crate) const fn dirent(dir: Ino, hash: u64) -> Key {
    Key::new(dir.0, kinds::DIRENT, hash)
}

/// The extended attributes of this hash.
pub(crate) const fn xattr(ino: Ino, hash: u64) -> Key {
    Key::new(ino.0, kinds::XATTR, hash)
}

/// Bytes kept in the tree; a symbolic link's target is at 0.
pub(crate) const fn inline(ino: Ino, offset: u64) -> Key {
    Key::new(ino.0, kinds::INLINE, offset)
}

/// Work left for an inode.
pub(crate) const fn orphan(ino: Ino) -> Key {
    Key::new(objects::ORPHANS, kinds::ORPHAN, ino.0)
}

/// The token that the removal of an inode writes, and that whoever adds something to it observes.
pub(crate) const fn live(ino: Ino) -> Key {
    Key::new(ino.0, kinds::DIR_LIVE, 0)
}

/// The token that all moves of directories to another parent share: two of them could close a circle.
pub(crate) const MOVES: Key = Key::new(objects::VOLUME, kinds::RENAME_TOKEN, 0);

/// The root directory.
pub(crate) const ROOT: Ino = Ino(objects::ROOT);
