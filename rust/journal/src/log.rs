//! The log as the store sees it: reserve, queue, wait; cut for a checkpoint, mark when idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vexfs_device::Device;
use vexfs_format::redo::set_seq;
use vexfs_format::{CheckpointId, Lsn, Seq};

use crate::error::{Error, Result};
use crate::group::{Group, Leader, Round, Taken};
use crate::options::{Options, Start};
use crate::position::{Position, Region};
use crate::queue::Queue;
use crate::room::{Class, Room};
use crate::stats::Stats;
use crate::writer::{RoundBatch, Writer};

/// The log, open for writing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    group: Group<Writer>,
    region: Region,
    queue_bytes: u64,
    data: Arc<AtomicU64>,
}

/// The round of group commit that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(Round);

/// What data a record names: bytes that lie on the device outside the log, and not in the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// How many bytes; their writes have returned, and were told to [`Log::note_data_written`].
    pub bytes: u64,
}

/// Log space promised to one record. Dropped, it is free again.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    log: Log,
    bytes: u64,
    cost: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.cost > 0 {
            self.log.0.group.with(|queue| queue.room.release(self.cost));
        }
    }
}

impl Reservation {
    /// Bytes that the record may have.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The moment at which a checkpoint cuts the log: see [`Log::cut`].
#[derive(Debug)]
pub struct Cut<'a, 'b> {
    leader: &'b mut Leader<'a, Writer>,
    taken: Option<Taken<RoundBatch>>,
}

impl Cut<'_, '_> {
    /// Ends the part of the log that the checkpoint covers: what was queued before belongs to it, what is queued
    /// from now on does not. Only the first call counts.
    pub fn seal(&mut self) {
        if self.taken.is_none() {
            self.taken = self.leader.take(true);
        }
    }
}

impl Log {
    /// Starts a new epoch of the log at `start.at`. `unique` is the volume's supply of unique numbers, of which
    /// every frame records the highest given out.
    pub fn start(
        device: Arc<dyn Device>,
        region: Region,
        start: &Start,
        unique: Arc<AtomicU64>,
        options: &Options,
    ) -> Result<Self> {
        region.check(&*device)?;
        let Start { epoch, at, tail, checkpoint, .. } = *start;
        if epoch == 0 || epoch == at.epoch {
            return Err(Error::BadEpoch { epoch });
        }
        if tail > at.lsn || at.lsn.0.saturating_sub(tail.0) > region.bytes {
            let Region { offset, bytes } = region;
            return Err(Error::BadRegion { offset, bytes, reason: "its end and its beginning do not fit" });
        }
        let options = options.within(region);
        let data = Arc::new(AtomicU64::new(0));
        let room = Room::new(region, at.lsn, tail, options.batch_bytes, options.kept_bytes);
        let queue = Queue::new(room, checkpoint, at.lsn, options.batch_bytes);
        let writer = Writer::new(device, region, start, unique, Arc::clone(&data), &options);
        let group = Group::new(queue, writer);
        Ok(Self(Arc::new(Inner { group, region, queue_bytes: options.queue_bytes, data })))
    }

    /// Promises log space to a record of up to `bytes` bytes. Never blocks: [`Error::Full`] says that a
    /// checkpoint must release log first, [`Error::TooLarge`] that no log of this size takes it.
    pub fn reserve(&self, bytes: u64, class: Class) -> Result<Reservation> {
        let (cost, _) = self.0.group.enter(|queue| queue.room.reserve(bytes, class))?;
        Ok(Reservation { log: self.clone(), bytes, cost })
    }

    /// Queues a record under its sequence number, which is written into it here. Nothing is written yet: fit for
    /// a critical section. The order of calls is the order in the log.
    pub fn enqueue(
        &self,
        reservation: Reservation,
        mut record: Vec<u8>,
        seq: Seq,
        data: Data,
    ) -> Result<Ticket> {
        let (bytes, reserved) = (record.len() as u64, reservation.bytes);
        if bytes > reserved {
            return Err(Error::Overdrawn { bytes, reserved });
        }
        set_seq(&mut record, seq);
        let data_mark = if data.bytes > 0 { self.0.data.load(Ordering::Acquire) } else { 0 };
        let mut reservation = reservation;
        let cost = reservation.cost;
        let ((), round) = self.0.group.enter(|queue| {
            queue.push(cost, record, seq, data_mark);
            Ok(())
        })?;
        reservation.cost = 0;
        Ok(Ticket(round))
    }

    /// Returns when the ticket's record, and so everything queued before it, is durable.
    pub fn wait(&self, ticket: Ticket) -> Result<()> {
        self.0.group.wait(ticket.0)
    }

    /// Makes all that is queued durable; returns up to where the log is.
    pub fn flush_queue(&self) -> Result<Lsn> {
        self.0.group.wait_all()?;
        Ok(self.durable_lsn())
    }

    /// Writes the queue, not durably, if it has grown beyond its limit and nobody is writing. To be called after
    /// a commit that does not wait, outside all locks.
    pub fn relieve(&self) -> Result<()> {
        self.0.group.relieve(|queue| queue.bytes() > self.0.queue_bytes)
    }

    /// Cuts the log for a checkpoint. `freeze` runs while nothing else is being written: it takes the store's
    /// commit lock, swaps the memtable and calls [`Cut::seal`] **before it lets the lock go**. What was queued
    /// until then is made durable, and the position behind it, a frame boundary, is returned.
    pub fn cut<R>(&self, freeze: impl FnOnce(&mut Cut<'_, '_>) -> R) -> Result<(R, Position)> {
        let mut leader = self.0.group.claim()?;
        let mut cut = Cut { leader: &mut leader, taken: None };
        let result = freeze(&mut cut);
        cut.seal();
        let taken = cut.taken.take();
        leader.write(taken)?;
        let position = leader.act(|writer| Ok(writer.position()))?;
        Ok((result, position))
    }

    /// Makes all that is queued durable and records in the log, durably, what is, and the newest checkpoint.
    /// For an idle log: the next frame takes the mark's place.
    pub fn mark(&self) -> Result<()> {
        let mut leader = self.0.group.claim()?;
        let taken = leader.take(true);
        leader.write(taken)?;
        let fits = self.0.group.with(|queue| queue.room.fits_mark());
        leader.act(|writer| writer.mark(fits))
    }

    /// A write of file data of so many bytes has returned.
    pub fn note_data_written(&self, bytes: u64) {
        self.0.data.fetch_add(bytes, Ordering::AcqRel);
    }

    /// The checkpoint is durable: frames name it from now on, and the log before `lsn` is free.
    pub fn set_durable_checkpoint(&self, id: CheckpointId, lsn: Lsn) {
        self.0.group.with(|queue| {
            queue.checkpoint = queue.checkpoint.max(id);
            queue.room.set_tail(lsn);
        });
    }

    /// Bytes of log.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.0.region.bytes
    }

    /// Bytes of log in use, those of the queue included.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.group.with(|queue| queue.room.used_or_queued())
    }

    /// The most bytes that a record may have.
    #[must_use]
    pub fn max_record(&self) -> u64 {
        Room::record_max(self.0.region)
    }

    /// Whether somebody is writing, so that what is queued now shares its flush with what others queue meanwhile.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.0.group.is_busy()
    }

    /// Everything before it is durable.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        self.0.group.with(|queue| queue.durable)
    }

    /// The error that every call answers with once a write or a flush has failed.
    pub fn check(&self) -> Result<()> {
        self.0.group.check()
    }

    /// What the log has done and how full it is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.group.with(|queue| Stats {
            counters: queue.counters,
            capacity: self.0.region.bytes,
            used: queue.room.used_or_queued(),
            queued: queue.bytes(),
            durable_lsn: queue.durable,
            checkpoint: queue.checkpoint,
        })
    }
}
