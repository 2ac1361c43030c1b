//! What can be tuned, and what a log starts from.

use std::time::Duration;

use vexfs_format::frame::{FRAME_HEADER, LONG_FRAME};
use vexfs_format::{BLOCK_SIZE, CheckpointId, Lsn};

use crate::position::{Position, Region};

/// How the log writes.
#[derive(Clone, Debug)]
pub struct Options {
    /// No frame of more than one transaction is longer, in bytes. Within 8 KiB and the lesser of a sixteenth of the log
    /// and 4 MiB.
    pub batch_bytes: u64,
    /// How long a leader waits for others to join it. Zero: not at all; each commit then takes at least a flush,
    /// and those that come meanwhile are the next batch.
    pub gather: Duration,
    /// [`Log::relieve`](crate::Log::relieve) writes the queue when it has more bytes. At most an eighth of the log.
    pub queue_bytes: u64,
    /// Data of more bytes is flushed before the frame that names it, so that recovery need not verify it.
    pub data_bytes: u64,
    /// Bytes of log that only [`Class::Maintenance`](crate::Class::Maintenance) may use. At most a sixteenth of the log.
    pub kept_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_bytes: 1 << 20,
            gather: Duration::ZERO,
            queue_bytes: 1 << 20,
            data_bytes: 64 << 20,
            kept_bytes: 4 << 20,
        }
    }
}

impl Options {
    /// The options as they apply to a log of this size.
    pub(crate) fn within(&self, region: Region) -> Self {
        let blocks = |bytes: u64| (bytes / BLOCK_SIZE as u64).saturating_mul(BLOCK_SIZE as u64);
        let share = |part: u64| blocks(region.bytes.checked_div(part).unwrap_or(0));
        Self {
            batch_bytes: blocks(self.batch_bytes).min(share(16)).min(LONG_FRAME).max(2 * BLOCK_SIZE as u64),
            queue_bytes: self.queue_bytes.min(share(8)).max(FRAME_HEADER as u64),
            kept_bytes: blocks(self.kept_bytes).min(share(16)),
            ..self.clone()
        }
    }
}

/// Where a log goes on: what the newest durable checkpoint and recovery say.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The volume's bits, as in every stamp.
    pub volume: u64,
    /// The epoch that begins: a random number, never 0 and never the one before.
    pub epoch: u64,
    /// Where the next frame goes. Everything before it must be durable.
    pub at: Position,
    /// The newest durable checkpoint.
    pub checkpoint: CheckpointId,
    /// Where that checkpoint's log begins: from here on the log is still needed.
    pub tail: Lsn,
}
