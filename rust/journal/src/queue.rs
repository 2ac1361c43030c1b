//! What waits to be written, already cut into frames. Invariant: each frame queued costs what [`Room`] counts
//! for it, so it is known at any time that all of it can be written.

use std::mem;

use vexfs_format::frame::frame_bytes;
use vexfs_format::{CheckpointId, Lsn, Seq};

use crate::room::{Room, frame_cost};
use crate::stats::Counters;

/// The records of one frame.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Vec<u8>>,
    /// Their bytes.
    pub(crate) payload: u64,
    pub(crate) first_seq: Seq,
    /// How much data must be durable so that all that the records name is.
    pub(crate) data_mark: u64,
}

/// A batch with its place in the log.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) batch: Batch,
    /// Bytes of pad before it; `None` if it would overwrite what is needed.
    pub(crate) pad: Option<u64>,
}

/// Everything that callers and the writer share under the lock.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) room: Room,
    pub(crate) checkpoint: CheckpointId,
    pub(crate) durable: Lsn,
    pub(crate) counters: Counters,
    frame_max: u64,
    batches: Vec<Batch>,
    /// Bytes of records queued.
    bytes: u64,
}

impl Queue {
    pub(crate) fn new(room: Room, checkpoint: CheckpointId, durable: Lsn, frame_max: u64) -> Self {
        let counters = Counters::default();
        Self { room, checkpoint, durable, counters, frame_max, batches: Vec::new(), bytes: 0 }
    }

    /// Bytes of records queued.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a record whose reservation cost `cost`.
    pub(crate) fn push(&mut self, cost: u64, record: Vec<u8>, seq: Seq, data_mark: u64) {
        let bytes = record.len() as u64;
        self.bytes = self.bytes.saturating_add(bytes);
        let frame_max = self.frame_max;
        let open = self
            .batches
            .last_mut()
            .filter(|batch| frame_bytes(batch.payload.saturating_add(bytes)) <= frame_max);
        if let Some(batch) = open {
            let before = frame_bytes(batch.payload);
            batch.payload = batch.payload.saturating_add(bytes);
            batch.records.push(record);
            batch.data_mark = batch.data_mark.max(data_mark);
            self.room.queue(cost, frame_bytes(batch.payload).saturating_sub(before));
        } else {
            self.room.queue(cost, frame_cost(bytes));
            self.batches.push(Batch { records: vec![record], payload: bytes, first_seq: seq, data_mark });
        }
    }

    /// Takes all batches and gives them their places.
    pub(crate) fn take(&mut self) -> Vec<Placed> {
        self.bytes = 0;
        let batches = mem::take(&mut self.batches);
        batches
            .into_iter()
            .map(|batch| Placed { pad: self.room.place(frame_cost(batch.payload)), batch })
            .collect()
    }
}
