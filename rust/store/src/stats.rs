//! Counters of an open store.

use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Duration;

use crate::latency::{Latencies, Latency};
use crate::tx::Durability;

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    visible_commits: Latencies,
    durable_commits: Latencies,
    pub(crate) checkpoints: Latencies,
    pub(crate) conflicts: AtomicU64,
    pub(crate) reclaimed_blocks: AtomicU64,
}

/// What [`crate::Store::stats`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Commits that did not wait until they were durable.
    pub visible_commits: Latency,
    /// Commits that did.
    pub durable_commits: Latency,
    /// Checkpoints.
    pub checkpoints: Latency,
    /// Transactions refused because of a conflict.
    pub conflicts: u64,
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
    pub(crate) fn commit(&self, durability: Durability, elapsed: Duration) {
        match durability {
            Durability::Visible => self.visible_commits.record(elapsed),
            Durability::Durable => self.durable_commits.record(elapsed),
        }
    }

    pub(crate) fn snapshot(&self) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            visible_commits: self.visible_commits.snapshot(),
            durable_commits: self.durable_commits.snapshot(),
            checkpoints: self.checkpoints.snapshot(),
            conflicts: get(&self.conflicts),
            reclaimed_blocks: get(&self.reclaimed_blocks),
            ..StoreStats::default()
        }
    }
}
