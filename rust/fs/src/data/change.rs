//! What writing does to an inode record, as a change that commutes: transactions that write different chunks of
//! one file do not get in each other's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use vexfs_format::inode::RawInode;
use vexfs_store::Merge;
use zerocopy::FromBytes;
use zerocopy::little_endian::{I64, U64};

/// One transaction's writes of a file. It takes up further writes until it is committed.
#[derive(Debug)]
pub(crate) struct Written {
    /// The furthest end of a write.
    end: AtomicU64,
    /// Blocks gained, less those given up.
    blocks: AtomicI64,
    /// When the last write was.
    time: AtomicI64,
    /// How many writes.
    count: AtomicU64,
}

impl Written {
    pub fn new(end: u64, blocks: i64, now: i64) -> Arc<Self> {
        Arc::new(Self {
            end: AtomicU64::new(end),
            blocks: AtomicI64::new(blocks),
            time: AtomicI64::new(now),
            count: AtomicU64::new(1),
        })
    }

    /// Takes up another write, if the transaction still has this change to commit; says whether it has.
    ///
    /// A change that nobody else holds was applied at once or rolled back.
    pub fn join(self: &Arc<Self>, end: u64, blocks: i64, now: i64) -> bool {
        if Arc::strong_count(self) < 2 {
            return false;
        }
        self.end.fetch_max(end, Ordering::Relaxed);
        self.blocks.fetch_add(blocks, Ordering::Relaxed);
        self.time.fetch_max(now, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn change(&self, raw: &mut RawInode) {
        let time = self.time.load(Ordering::Relaxed);
        raw.size = U64::new(raw.size.get().max(self.end.load(Ordering::Relaxed)));
        raw.blocks = U64::new(raw.blocks.get().saturating_add_signed(self.blocks.load(Ordering::Relaxed)));
        raw.version = U64::new(raw.version.get().wrapping_add(self.count.load(Ordering::Relaxed)));
        raw.mtime_ns = I64::new(raw.mtime_ns.get().max(time));
        raw.ctime_ns = I64::new(raw.ctime_ns.get().max(time));
    }
}

impl Merge for Written {
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

    fn raw(size: u64, blocks: u64) -> RawInode {
        let mut raw = RawInode::read_from_bytes(&[0; size_of::<RawInode>()]).unwrap();
        (raw.size, raw.blocks) = (U64::new(size), U64::new(blocks));
        raw
    }

    #[test]
    fn writes_give_the_same_record_in_any_order() {
        let (a, b) = (Written::new(500, -3, 10), Written::new(900, 2, 7));
        let (mut first, mut second) = (raw(600, 8), raw(600, 8));
        a.change(&mut first);
        b.change(&mut first);
        b.change(&mut second);
        a.change(&mut second);
        assert_eq!(first, second);
        let seen = (first.size.get(), first.blocks.get(), first.version.get(), first.mtime_ns.get());
        assert_eq!(seen, (900, 7, 2, 10));
    }

    #[test]
    fn a_write_is_taken_up_only_while_the_transaction_holds_the_change() {
        let change = Written::new(1, 1, 1);
        assert!(!change.join(2, 1, 2));
        let held = Arc::clone(&change);
        assert!(change.join(2, 1, 2));
        let mut record = raw(0, 0);
        held.change(&mut record);
        assert_eq!((record.size.get(), record.blocks.get(), record.version.get()), (2, 2, 2));
    }

    #[test]
    fn a_write_does_not_bring_back_what_is_gone() {
        assert_eq!(Written::new(1, 1, 1).apply(None), None);
    }
}
