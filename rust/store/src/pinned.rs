//! Keeps the log behind a recovered run from being written again while somebody still reads it.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vexfs_format::Lsn;

use crate::run::Run;
use crate::state::Frozen;

/// The run that recovery made, after its checkpoint, and where its log begins.
#[derive(Debug)]
pub(crate) struct Pinned {
    start: Lsn,
    run: Mutex<Option<Weak<Run>>>,
}

impl Pinned {
    /// `start`: where the log of the recovered run begins.
    pub(crate) fn new(start: Lsn) -> Self {
        Self { start, run: Mutex::new(None) }
    }

    /// The layer is merged: if it is the run, its log goes with its last reader.
    pub(crate) fn hold(&self, merged: Frozen) {
        if let Frozen::Run(run) = merged {
            *self.run.lock() = Some(Arc::downgrade(&run));
        }
    }

    /// Up to where the log is free when a checkpoint needs it from `wanted` on.
    pub(crate) fn free_up_to(&self, wanted: Lsn) -> Lsn {
        let mut run = self.run.lock();
        match run.as_ref().map(Weak::strong_count) {
            Some(1..) => self.start.min(wanted),
            Some(0) => {
                *run = None;
                wanted
            }
            None => wanted,
        }
    }
}
