//! Changes of an inode record that commute: whoever commits them, in whatever order, nobody has to run again.
//! A directory's times, its count of directories and its parent change this way, and the change time and flags of
//! any inode.

use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

use vexfs_format::Ino;
use vexfs_format::inode::RawInode;
use vexfs_store::Merge;
use zerocopy::FromBytes;
use zerocopy::little_endian::{I64, U32, U64};

use crate::clock;

const NEVER: i64 = i64::MIN;

/// See the head of the file. One touch can take up several changes of a transaction before it is committed.
#[derive(Debug)]
pub(crate) struct Touch {
    mtime: AtomicI64,
    ctime: AtomicI64,
    subdirs: AtomicI32,
    /// The new parent of a directory, 0 for the one it has.
    parent: AtomicU64,
    /// Flags to set.
    flags: u32,
}

impl Touch {
    /// The inode changed at `now`.
    pub(crate) fn inode(now: i64) -> Self {
        Self {
            mtime: AtomicI64::new(NEVER),
            ctime: AtomicI64::new(now),
            subdirs: AtomicI32::new(0),
            parent: AtomicU64::new(0),
            flags: 0,
        }
    }

    /// The inode changed at `now`, and got these flags.
    pub(crate) fn flagged(now: i64, flags: u32) -> Self {
        Self { flags, ..Self::inode(now) }
    }

    /// An entry of the directory changed at `now`, and `subdirs` directories came to be in it.
    pub(crate) fn directory(now: i64, subdirs: i32) -> Self {
        Self { mtime: AtomicI64::new(now), subdirs: AtomicI32::new(subdirs), ..Self::inode(now) }
    }

    /// The directory moved to another parent at `now`.
    pub(crate) fn moved(now: i64, parent: Ino) -> Self {
        Self { parent: AtomicU64::new(parent.0), ..Self::inode(now) }
    }

    /// Takes up another change of the directory's entries.
    pub(crate) fn join(&self, now: i64, subdirs: i32) {
        self.mtime.store(now, Ordering::Relaxed);
        self.ctime.store(now, Ordering::Relaxed);
        self.subdirs.fetch_add(subdirs, Ordering::Relaxed);
    }

    fn change(&self, raw: &mut RawInode) {
        let now = clock::now();
        later(&mut raw.mtime_ns, self.mtime.load(Ordering::Relaxed), now);
        later(&mut raw.ctime_ns, self.ctime.load(Ordering::Relaxed), now);
        let subdirs = raw.subdirs.get().saturating_add_signed(self.subdirs.load(Ordering::Relaxed));
        raw.subdirs = U32::new(subdirs);
        raw.flags = U32::new(raw.flags.get() | self.flags);
        match self.parent.load(Ordering::Relaxed) {
            0 => {}
            parent => raw.parent_or_rdev = U64::new(parent),
        }
    }
}

/// Sets a time, but not back behind one that another transaction set meanwhile. One in the future was set by hand
/// and gives way.
fn later(field: &mut I64, time: i64, now: i64) {
    let current = field.get();
    if time != NEVER && (time > current || current > now) {
        *field = I64::new(time);
    }
}

impl Merge for Touch {
    fn apply(&self, current: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut bytes = current?.to_vec();
        if let Ok(raw) = RawInode::mut_from_bytes(&mut bytes) {
            self.change(raw);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(mtime: i64, subdirs: u32) -> RawInode {
        let mut raw = RawInode::read_from_bytes(&[0; size_of::<RawInode>()]).unwrap();
        raw.mtime_ns = I64::new(mtime);
        raw.subdirs = U32::new(subdirs);
        raw
    }

    #[test]
    fn touches_give_the_same_record_in_any_order() {
        let (a, b) = (Touch::directory(10, 1), Touch::directory(20, -2));
        let (mut first, mut second) = (raw(5, 7), raw(5, 7));
        a.change(&mut first);
        b.change(&mut first);
        b.change(&mut second);
        a.change(&mut second);
        assert_eq!(first, second);
        assert_eq!((first.mtime_ns.get(), first.subdirs.get()), (20, 6));
    }

    #[test]
    fn a_time_in_the_future_gives_way_to_a_change() {
        let mut record = raw(i64::MAX, 0);
        Touch::directory(1000, 0).change(&mut record);
        assert_eq!(record.mtime_ns.get(), 1000);
    }

    #[test]
    fn a_touch_does_not_bring_back_what_is_gone() {
        assert_eq!(Touch::directory(1, 1).apply(None), None);
    }
}
