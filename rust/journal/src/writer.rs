//! Writes rounds as frames. Invariants: one write a frame, in order; a frame's `durable_lsn` and its data flag
//! say only what a flush, or a durable write, had already returned for; a durable round costs one flush, or one
//! durable write if there is nothing else to flush.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vexfs_device::{AlignedBuf, Device};
use vexfs_format::frame::{
    FLAG_DATA_FLUSHED, FLAG_FIRST, FLAG_MARK, FLAG_PAD, FRAME_HEADER, Frame, LONG_FRAME, frame_bytes,
};
use vexfs_format::{BLOCK_SIZE, CheckpointId, Lsn};

use crate::error::Cause;
use crate::group::Sink;
use crate::options::{Options, Start};
use crate::position::{Position, Region};
use crate::queue::{Batch, Placed, Queue};
use crate::stats::Counters;

/// A buffer that grew larger is given back after use.
const BUFFER_KEPT: usize = 4 << 20;

type Done<T> = Result<T, Cause>;

#[derive(Debug)]
pub(crate) struct Writer {
    device: Arc<dyn Device>,
    region: Region,
    volume: u64,
    epoch: u64,
    /// Where the epoch began.
    origin: Position,
    /// Where the next frame goes.
    position: Position,
    /// All frames before are durable, with the data they name.
    durable: Lsn,
    checkpoint: CheckpointId,
    /// The volume's supply of unique numbers.
    unique: Arc<AtomicU64>,
    /// Bytes of data that have been written.
    data: Arc<AtomicU64>,
    /// As much of `data` is durable.
    covered: u64,
    /// As much of `data` is named by the frames written.
    named: u64,
    /// What the last mark said.
    marked: Option<(Lsn, CheckpointId)>,
    data_bytes: u64,
    gather: Duration,
    buffer: AlignedBuf,
    counters: Counters,
}

impl Writer {
    pub(crate) fn new(
        device: Arc<dyn Device>,
        region: Region,
        start: &Start,
        unique: Arc<AtomicU64>,
        data: Arc<AtomicU64>,
        options: &Options,
    ) -> Self {
        Self {
            device,
            region,
            volume: start.volume,
            epoch: start.epoch,
            origin: start.at,
            position: start.at,
            durable: start.at.lsn,
            checkpoint: start.checkpoint,
            unique,
            covered: data.load(Ordering::Acquire),
            named: 0,
            data,
            marked: None,
            data_bytes: options.data_bytes,
            gather: options.gather,
            buffer: AlignedBuf::new(),
            counters: Counters::default(),
        }
    }

    /// Where the next frame goes.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    fn flush(&mut self) -> Done<()> {
        let written = self.data.load(Ordering::Acquire);
        self.device.flush()?;
        self.counters.flushes += 1;
        self.covered = written;
        self.durable = self.position.lsn;
        Ok(())
    }

    const fn data_is_durable(&self) -> bool {
        self.named <= self.covered
    }

    /// Writes one frame at the position; durable on return if `last` and nothing else waits for a flush.
    fn write_frame(&mut self, flags: u32, length: u64, batch: &Batch, last: bool) -> Done<()> {
        self.write_frame_ahead(flags, length, batch, last, Lsn(0))
    }

    /// As [`Writer::write_frame`]; `ahead`: where the next frame ends, if this one announces it.
    fn write_frame_ahead(
        &mut self,
        flags: u32,
        length: u64,
        batch: &Batch,
        last: bool,
        ahead: Lsn,
    ) -> Done<()> {
        let frame = self.fill(flags, length, batch, ahead);
        let offset = self.region.device_offset(frame.lsn);
        let alone = last && self.durable == frame.lsn && self.data_is_durable();
        if alone {
            self.device.write_durable(&self.buffer, offset)?;
            self.counters.durable_writes += 1;
        } else {
            self.device.write_at(&self.buffer, offset)?;
        }
        self.position = Position::after(&frame);
        if alone {
            self.durable = self.position.lsn;
        }
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = AlignedBuf::new();
        }
        self.counters.frames += 1;
        self.counters.bytes += length;
        Ok(())
    }

    /// Puts the frame together in the buffer.
    fn fill(&mut self, flags: u32, length: u64, batch: &Batch, ahead: Lsn) -> Frame {
        self.buffer.clear();
        self.buffer.resize(FRAME_HEADER);
        for record in &batch.records {
            self.buffer.extend_from_slice(record);
        }
        self.buffer.resize(usize::try_from(length).unwrap_or(usize::MAX));
        let first = self.position == self.origin;
        let mut frame = Frame {
            volume: self.volume,
            lsn: self.position.lsn,
            crc: 0,
            previous_crc: self.position.crc,
            epoch: self.epoch,
            epoch_lsn: self.origin.lsn,
            predecessor_epoch: self.origin.epoch,
            predecessor_crc: self.origin.crc,
            flags: flags
                | if first { FLAG_FIRST } else { 0 }
                | if self.data_is_durable() { FLAG_DATA_FLUSHED } else { 0 },
            length: u32::try_from(length).unwrap_or(u32::MAX),
            payload: u32::try_from(batch.payload).unwrap_or(u32::MAX),
            records: u32::try_from(batch.records.len()).unwrap_or(u32::MAX),
            durable_lsn: self.durable,
            checkpoint: self.checkpoint,
            first_seq: batch.first_seq,
            unique_high: self.unique.load(Ordering::Acquire),
            ahead,
        };
        frame.crc = frame.seal(&mut self.buffer);
        frame
    }

    fn write_placed(&mut self, placed: &Placed, last: bool) -> Done<()> {
        let lsn = self.position.lsn;
        let Some(pad) = placed.pad else { return Err(Cause::Overrun { lsn }) };
        let batch = &placed.batch;
        self.write_pads(pad)?;
        self.named = self.named.max(batch.data_mark);
        if self.named.saturating_sub(self.covered) > self.data_bytes {
            self.flush()?;
        }
        let length = frame_bytes(batch.payload);
        if length > LONG_FRAME {
            let block = BLOCK_SIZE as u64;
            let ahead = Lsn(self.position.lsn.0.saturating_add(block).saturating_add(length));
            self.write_frame_ahead(FLAG_PAD, block, &Batch::default(), false, ahead)?;
        }
        self.write_frame(0, length, batch, last)?;
        self.counters.records += batch.records.len() as u64;
        self.counters.payload += batch.payload;
        Ok(())
    }

    /// Fills the rest of the region; no frame of it is long, so that a bad one hides little of what lies behind.
    fn write_pads(&mut self, mut left: u64) -> Done<()> {
        while left > 0 {
            let length = left.min(LONG_FRAME);
            self.write_frame(FLAG_PAD, length, &Batch::default(), false)?;
            self.counters.pads += 1;
            left -= length;
        }
        Ok(())
    }

    /// Writes a mark, durably, unless the last one says the same.
    pub(crate) fn mark(&mut self, fits: bool) -> Done<()> {
        if self.durable != self.position.lsn {
            self.flush()?;
        }
        let says = (self.position.lsn, self.checkpoint);
        if !fits || self.marked == Some(says) {
            return Ok(());
        }
        let frame = self.fill(FLAG_MARK, BLOCK_SIZE as u64, &Batch::default(), Lsn(0));
        self.device.write_durable(&self.buffer, self.region.device_offset(frame.lsn))?;
        self.marked = Some(says);
        self.counters.marks += 1;
        Ok(())
    }
}

/// What a round writes.
#[derive(Debug)]
pub(crate) struct RoundBatch {
    frames: Vec<Placed>,
    checkpoint: CheckpointId,
}

impl Sink for Writer {
    type Queue = Queue;
    type Batch = RoundBatch;

    fn take(&mut self, queue: &mut Queue) -> RoundBatch {
        RoundBatch { frames: queue.take(), checkpoint: queue.checkpoint }
    }

    fn write(&mut self, batch: RoundBatch, durable: bool) -> Done<()> {
        self.checkpoint = self.checkpoint.max(batch.checkpoint);
        let begin = self.position.lsn;
        let mut frames = batch.frames.iter().peekable();
        while let Some(placed) = frames.next() {
            let last = durable && frames.peek().is_none();
            self.write_placed(placed, last)?;
        }
        if !durable {
            let bytes = self.position.lsn.0.saturating_sub(begin.0).min(self.region.rest(begin));
            self.device.start_writeback(self.region.device_offset(begin), bytes);
        } else if self.durable != self.position.lsn {
            self.flush()?;
        }
        self.counters.rounds += 1;
        Ok(())
    }

    fn settle(&mut self, queue: &mut Queue) {
        queue.durable = self.durable;
        queue.counters = self.counters;
    }

    fn gather(&self) {
        if !self.gather.is_zero() {
            std::thread::sleep(self.gather);
        }
    }
}
