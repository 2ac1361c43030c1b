//! Counters of an open store.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::tx::Durability;

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    commits: AtomicU64,
    durable_commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) checkpoint_ns: AtomicU64,
    pub(crate) reclaimed_blocks: AtomicU64,
}

/// What [`crate::Store::stats`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Transactions committed.
    pub commits: u64,
    /// Those among them that waited until they were durable.
    pub durable_commits: u64,
    /// Transactions refused because of a conflict.
    pub conflicts: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Time they took, in nanoseconds.
    pub checkpoint_ns: u64,
    /// Freed blocks that became free for use again.
    pub reclaimed_blocks: u64,
    /// Blocks that were freed and cannot be used yet.
    pub deferred_blocks: u64,
    /// Bytes of changes in memory that no checkpoint holds.
    pub memtable_bytes: u64,
    /// The sequence of the newest commit.
    pub seq: u64,
}

impl Stats {
    pub(crate) fn commit(&self, durability: Durability) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if durability == Durability::Durable {
            self.durable_commits.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            commits: get(&self.commits),
            durable_commits: get(&self.durable_commits),
            conflicts: get(&self.conflicts),
            checkpoints: get(&self.checkpoints),
            checkpoint_ns: get(&self.checkpoint_ns),
            reclaimed_blocks: get(&self.reclaimed_blocks),
            ..StoreStats::default()
        }
    }
}
