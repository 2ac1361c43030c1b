//! Keeps the log behind a recovered run from being written again while somebody still reads it.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vexfs_format::{CheckpointId, Lsn};

use crate::run::Run;
use crate::state::Frozen;

/// The run that recovery made, and where its log begins.
#[derive(Debug)]
pub(crate) struct Pinned {
    start: Lsn,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The run, once it is merged: only readers hold it now.
    run: Option<Weak<Run>>,
    /// Up to where the log would be free without it.
    wanted: Option<(CheckpointId, Lsn)>,
}

impl Pinned {
    /// `start`: where the log of the recovered run begins.
    pub(crate) fn new(start: Lsn) -> Self {
        Self { start, held: Mutex::default() }
    }

    /// The layer is merged: if it is the run, its log goes with its last reader.
    pub(crate) fn hold(&self, merged: &Frozen) {
        if let Frozen::Run(run) = merged {
            self.held.lock().run = Some(Arc::downgrade(run));
        }
    }

    /// Up to where the log is free now that checkpoint `id` needs it only from `wanted` on.
    pub(crate) fn free_up_to(&self, id: CheckpointId, wanted: Lsn) -> Lsn {
        let mut held = self.held.lock();
        match &held.run {
            Some(_) => {
                held.wanted = Some((id, wanted));
                self.start.min(wanted)
            }
            None => wanted,
        }
    }

    /// What became free because the last reader of the run is gone; told once.
    pub(crate) fn take_released(&self) -> Option<(CheckpointId, Lsn)> {
        let mut held = self.held.lock();
        if held.run.as_ref().is_some_and(|run| run.strong_count() > 0) {
            return None;
        }
        held.run = None;
        held.wanted.take()
    }
}
