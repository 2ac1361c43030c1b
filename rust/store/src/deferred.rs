//! Freed blocks on their way back to the allocator.
//!
//! A run enters when the checkpoint that holds its free is durable and no retained checkpoint needs it. It leaves
//! when nobody reads at a sequence below its gate any more: the sequence of the transaction that freed it, or,
//! for what a checkpoint replaced, the one at which the new tree was published.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use vexfs_format::{BlockRun, Seq};

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    waiting: Mutex<BTreeMap<Seq, Vec<BlockRun>>>,
}

impl Deferred {
    /// Adds a run that may be reused once nobody reads below `gate`.
    pub(crate) fn add(&self, gate: Seq, runs: impl IntoIterator<Item = BlockRun>) {
        let mut runs = runs.into_iter().peekable();
        if runs.peek().is_some() {
            self.waiting.lock().entry(gate).or_default().extend(runs);
        }
    }

    /// Takes out all runs that nobody can reach, `oldest` being the oldest sequence that anybody reads at.
    pub(crate) fn take_reusable(&self, oldest: Option<Seq>) -> Vec<BlockRun> {
        let mut waiting = self.waiting.lock();
        let held = match oldest {
            Some(Seq(oldest)) => waiting.split_off(&Seq(oldest.saturating_add(1))),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut *waiting, held).into_values().flatten().collect()
    }

    /// Blocks that wait.
    pub(crate) fn blocks(&self) -> u64 {
        self.waiting.lock().values().flatten().map(|run| u64::from(run.len)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_waits_for_the_last_reader_below_its_gate() {
        let deferred = Deferred::default();
        deferred.add(Seq(5), [BlockRun::new(100, 2)]);
        deferred.add(Seq(9), [BlockRun::new(200, 3)]);
        assert_eq!(deferred.take_reusable(Some(Seq(4))), vec![]);
        assert_eq!(deferred.take_reusable(Some(Seq(5))), vec![BlockRun::new(100, 2)]);
        assert_eq!(deferred.blocks(), 3);
        assert_eq!(deferred.take_reusable(None), vec![BlockRun::new(200, 3)]);
    }
}
