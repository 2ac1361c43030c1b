//! What the log counts.

use vexfs_format::{CheckpointId, Lsn};

/// What the writer has done since the log was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Rounds of group commit.
    pub rounds: u64,
    /// Frames written, pads included.
    pub frames: u64,
    /// Pads written.
    pub pads: u64,
    /// Marks written.
    pub marks: u64,
    /// Records (transactions) written.
    pub records: u64,
    /// Bytes of records written.
    pub payload: u64,
    /// Bytes of frames written.
    pub bytes: u64,
    /// Flushes of the device.
    pub flushes: u64,
    /// Frames that needed no flush.
    pub durable_writes: u64,
}

/// The state of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What has been written.
    pub counters: Counters,
    /// Bytes of log.
    pub capacity: u64,
    /// Bytes in use, those queued included.
    pub used: u64,
    /// Bytes of records that wait to be written.
    pub queued: u64,
    /// Everything before is durable.
    pub durable_lsn: Lsn,
    /// The newest durable checkpoint that frames name.
    pub checkpoint: CheckpointId,
}
