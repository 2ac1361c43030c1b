//! Reads the log back: hop over the headers, verify and decode in parallel, and find where it ends.
//!
//! Invariants: a frame is accepted only if every frame before it is, if it continues them, and if each of its
//! bytes is the one that was written; nothing is allocated by what was not verified; every byte of the log is
//! summed at most once; the result is the same for any number of workers.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use vexfs_device::Device;
use vexfs_format::frame::{FLAG_DATA_FLUSHED, FLAG_MARK, FRAME, FRAME_HEADER, Frame, LONG_FRAME};
use vexfs_format::redo::{Carried, Op, RecordView};
use vexfs_format::{BLOCK_SIZE, CheckpointId, Lsn};

use crate::ending::{Ending, Witness, judge};
use crate::error::{Error, Reason, Result};
use crate::position::{Position, Region};
use crate::view::LogMap;

/// Bytes of frames that one task verifies.
const TASK_BYTES: u64 = 1 << 20;
/// Bytes that are asked for at once.
const PREFETCH: u64 = 2 << 20;
/// How far ahead of the headers the log is asked for: enough to keep a device busy. What lies behind the end of the
/// log is looked at anyway, see [`ScanOptions::look_ahead`].
const PREFETCH_AHEAD: u64 = 8 << 20;

/// How a log is read.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// How many threads verify and decode. 0: as many as there are processors, up to 16.
    pub workers: usize,
    /// A log with less than so many bytes of frames is read by one thread.
    pub parallel_bytes: u64,
    /// How far behind the end, and behind a long frame that was announced there, to look for frames that tell damage
    /// from a crash. It is looked farther while there are some. Damage of `look_ahead - LONG_FRAME` bytes hides none,
    /// unless it takes the announcement of a long frame and the head of that frame together.
    /// A checker takes `u64::MAX`.
    pub look_ahead: u64,
    /// Where to end: at the first frame whose data is known not to be what was written.
    pub until: Lsn,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { workers: 0, parallel_bytes: 2 << 20, look_ahead: 2 * LONG_FRAME, until: Lsn(u64::MAX) }
    }
}

/// What to read and what is known.
#[derive(Clone, Copy, Debug)]
pub struct ScanFrom {
    /// The volume's bits.
    pub volume: u64,
    /// Where the checkpoint's log begins.
    pub position: Position,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
}

/// An accepted record, as it is handed to the decoder.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it begins in the log.
    pub position: Lsn,
    /// What it says.
    pub view: RecordView<'a>,
    /// The frame that it lies in.
    pub frame: &'a Frame,
}

impl<'a> Record<'a> {
    /// The operations with their log positions: [`LogMap::op`] gives one again.
    pub fn ops(&self) -> impl Iterator<Item = (Lsn, Op<'a>)> + 'a {
        let base = self.position.0;
        self.view.ops().map(move |op| (Lsn(base.saturating_add(op.offset as u64)), op))
    }

    /// The runs of blocks whose bytes it carries, with the log positions of those bytes.
    pub fn carried(&self) -> impl Iterator<Item = (Lsn, Carried<'a>)> + 'a {
        let base = self.position.0;
        self.view.carried().map(move |run| (Lsn(base.saturating_add(run.offset as u64)), run))
    }
}

/// What the log holds.
#[derive(Debug)]
pub struct Scan<T> {
    /// Its bytes.
    pub log: LogMap,
    /// Where it began.
    pub start: Position,
    /// Where the next frame goes.
    pub end: Position,
    /// Every accepted frame, in order.
    pub frames: Vec<Frame>,
    /// What the decoder made of the accepted records, in order.
    pub parts: Vec<T>,
    /// Everything before is known to be durable, with its data.
    pub known_durable: Lsn,
    /// The data named before is known to be durable; the frames themselves up to `known_durable` only.
    pub data_durable: Lsn,
    /// The newest checkpoint that the log names.
    pub newest_checkpoint: CheckpointId,
    /// The highest unique number that the log knows of.
    pub unique_high: u64,
    /// How it ends.
    pub ending: Ending,
}

impl<T> Scan<T> {
    /// Where frame `index` begins and what it chains to; the end if there are fewer frames.
    #[must_use]
    pub fn position_of(&self, index: usize) -> Position {
        if index >= self.frames.len() {
            return self.end;
        }
        index.checked_sub(1).and_then(|last| self.frames.get(last)).map_or(self.start, Position::after)
    }
}

/// Reads the log of `device` in `region`. `decode` is called for every record in turn, in parallel for parts of
/// the log that each have their own `T`; what it makes of frames that turn out not to count is dropped.
pub fn scan<T: Default + Send>(
    device: &dyn Device,
    region: Region,
    from: ScanFrom,
    options: &ScanOptions,
    decode: impl Fn(&mut T, &Record<'_>) + Sync,
) -> Result<Scan<T>> {
    scan_in_parts(device, region, from, options, decode, |_| ControlFlow::Continue(()))
}

/// As [`scan`]; `finish` is called for each part once all its records were decoded, by the thread that did it, and says
/// whether to go on: otherwise the scan ends with [`Error::Cancelled`].
pub fn scan_in_parts<T: Default + Send>(
    device: &dyn Device,
    region: Region,
    from: ScanFrom,
    options: &ScanOptions,
    decode: impl Fn(&mut T, &Record<'_>) + Sync,
    finish: impl Fn(&mut T) -> ControlFlow<()> + Sync,
) -> Result<Scan<T>> {
    region.check(device)?;
    let start = from.position;
    let Region { offset, bytes } = region;
    let limit = start.lsn.0.checked_add(bytes).filter(|_| start.lsn.0.is_multiple_of(BLOCK_SIZE as u64));
    let Some(limit) = limit else {
        return Err(Error::BadRegion { offset, bytes, reason: "the checkpoint's position in it is none" });
    };
    let log = LogMap::new(device.map(offset, bytes)?, region);
    let mut hop = Hop {
        log: &log,
        volume: from.volume,
        position: start,
        limit,
        until: options.until,
        asked: start.lsn.0,
        mark: None,
        stop: None,
    };
    let reader = Reader {
        log: &log,
        decode,
        finish,
        failed: AtomicUsize::new(usize::MAX),
        cancelled: AtomicBool::new(false),
        done: Mutex::new(Vec::new()),
    };
    reader.run(&mut hop, options)?;
    let (mark, stop) = (hop.mark, hop.stop);
    let position = hop.position;
    let (frames, parts, failure) = reader.into_parts();
    let (end, stop) = match failure {
        Some(reason) => (frames.last().map_or(start, Position::after), Some(reason)),
        None => (position, stop),
    };
    let mark = mark.filter(|mark: &Frame| mark.lsn == end.lsn);
    let said = || frames.iter().chain(&mark);
    let known_durable = said().map(|frame| frame.durable_lsn).fold(start.lsn, Lsn::max);
    let data_flushed = said().rev().find(|frame| frame.is(FLAG_DATA_FLUSHED));
    let data_durable =
        data_flushed.map_or(known_durable, |frame| known_durable.max(frame.end().min(end.lsn)));
    let newest_checkpoint = said().map(|frame| frame.checkpoint).fold(from.checkpoint, CheckpointId::max);
    let unique_high = said().map(|frame| frame.unique_high).max().unwrap_or(0);
    let announced = frames.last().map(|frame| frame.ahead).filter(|ahead| *ahead > end.lsn);
    let witness = Witness { log: &log, from, end, limit, look_ahead: options.look_ahead, announced };
    let ending = judge(&witness, said(), stop);
    Ok(Scan {
        start,
        end,
        frames,
        parts,
        known_durable,
        data_durable,
        newest_checkpoint,
        unique_high,
        ending,
        log,
    })
}

/// Follows the headers, each of which names the one before. Says nothing about the frames' other bytes.
struct Hop<'a> {
    log: &'a LogMap,
    volume: u64,
    position: Position,
    /// No frame ends behind: the log would have come round to its own beginning.
    limit: u64,
    /// The data of the frame here is not what was written.
    until: Lsn,
    /// Up to where the log was asked for.
    asked: u64,
    /// The mark that lies where it stopped.
    mark: Option<Frame>,
    /// Why it stopped; `None` while it has not, or if the log is full to the last byte.
    stop: Option<Reason>,
}

impl Hop<'_> {
    fn try_next(&mut self) -> std::result::Result<Option<Frame>, Reason> {
        let position = self.position;
        if position.lsn >= self.until {
            return Err(Reason::Data);
        }
        if position.lsn.0 >= self.limit {
            return Ok(None);
        }
        self.prefetch();
        let frame = Frame::parse(self.log.from(position.lsn), self.volume, position.lsn)?;
        position.check_next(&frame, self.log.region())?;
        if frame.end().0 > self.limit {
            return Err(Reason::OutOfBounds { length: frame.length.into() });
        }
        if frame.is(FLAG_MARK) {
            self.mark = Some(frame);
            return Ok(None);
        }
        self.position = Position::after(&frame);
        Ok(Some(frame))
    }

    fn prefetch(&mut self) {
        let ahead = self.position.lsn.0.saturating_add(PREFETCH_AHEAD).min(self.limit);
        while self.asked < ahead {
            let at = Lsn(self.asked);
            let len = PREFETCH.min(self.log.region().rest(at));
            self.log.prefetch(at, len);
            self.asked = self.asked.saturating_add(len.max(1));
        }
    }

    /// The next frames, as many as one task verifies; none at the end.
    fn next_task(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut bytes = 0_u64;
        while self.stop.is_none() && bytes < TASK_BYTES {
            match self.try_next() {
                Ok(Some(frame)) => {
                    bytes = bytes.saturating_add(frame.length.into());
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(reason) => self.stop = Some(reason),
            }
        }
        frames
    }
}

/// What one task found.
struct Part<T> {
    index: usize,
    frames: Vec<Frame>,
    value: T,
    failure: Option<Reason>,
}

/// Verifies and decodes.
struct Reader<'a, T, F, G> {
    log: &'a LogMap,
    decode: F,
    finish: G,
    /// The first task that found a bad frame: those behind it need not run.
    failed: AtomicUsize,
    /// Nobody wants the result any more.
    cancelled: AtomicBool,
    done: Mutex<Vec<Part<T>>>,
}

impl<T, F, G> Reader<'_, T, F, G>
where
    T: Default + Send,
    F: Fn(&mut T, &Record<'_>) + Sync,
    G: Fn(&mut T) -> ControlFlow<()> + Sync,
{
    fn run(&self, hop: &mut Hop<'_>, options: &ScanOptions) -> Result<()> {
        let mut first = Vec::new();
        let mut bytes = 0;
        let begin = hop.position.lsn.0;
        while bytes < options.parallel_bytes {
            let frames = hop.next_task();
            if frames.is_empty() {
                break;
            }
            first.push(frames);
            bytes = hop.position.lsn.0.saturating_sub(begin);
        }
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get().min(16)),
            workers => workers,
        };
        let pool = (workers > 1 && bytes >= options.parallel_bytes)
            .then(|| rayon::ThreadPoolBuilder::new().num_threads(workers).build().ok())
            .flatten();
        let tasks = first.into_iter().chain(std::iter::from_fn(|| {
            let frames = hop.next_task();
            (!frames.is_empty()).then_some(frames)
        }));
        match pool {
            Some(pool) => pool.in_place_scope(|scope| {
                for (index, frames) in tasks.enumerate().take_while(|_| self.goes_on()) {
                    scope.spawn(move |_| self.task(index, frames));
                }
            }),
            None => tasks
                .enumerate()
                .take_while(|_| self.goes_on())
                .for_each(|(index, frames)| self.task(index, frames)),
        }
        match self.goes_on() {
            true => Ok(()),
            false => Err(Error::Cancelled),
        }
    }

    fn goes_on(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed)
    }

    fn task(&self, index: usize, mut frames: Vec<Frame>) {
        if self.failed.load(Ordering::Relaxed) < index || !self.goes_on() {
            return;
        }
        let mut value = T::default();
        let mut failure = None;
        let mut good = 0;
        for frame in &frames {
            if let Err(reason) = self.verify(frame).and_then(|()| self.decode(frame, &mut value)) {
                self.failed.fetch_min(index, Ordering::Relaxed);
                failure = Some(reason);
                break;
            }
            good += 1;
        }
        frames.truncate(good);
        if matches!(failure, Some(Reason::Record(_))) {
            // Some records of the bad frame were decoded before it showed.
            value = T::default();
            failure = frames.iter().find_map(|frame| self.decode(frame, &mut value).err()).or(failure);
        }
        if (self.finish)(&mut value).is_break() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        self.done.lock().push(Part { index, frames, value, failure });
    }

    fn bytes(&self, frame: &Frame) -> std::result::Result<&[u8], Reason> {
        let short = Reason::OutOfBounds { length: frame.length.into() };
        self.log.bytes(frame.lsn, frame.length.into()).ok_or(short)
    }

    /// Checks that every byte of the frame is the one that was written.
    fn verify(&self, frame: &Frame) -> std::result::Result<(), Reason> {
        Ok(frame.verify(self.bytes(frame)?)?)
    }

    /// Hands out the records of a frame that was verified, each once its structure is checked.
    fn decode(&self, frame: &Frame, value: &mut T) -> std::result::Result<(), Reason> {
        let bytes = self.bytes(frame)?;
        let end = FRAME_HEADER.saturating_add(frame.payload as usize);
        let mut at = FRAME_HEADER;
        for _ in 0..frame.records {
            let rest = bytes.get(at..end).unwrap_or_default();
            let view = RecordView::parse(rest).map_err(Reason::Record)?;
            let position = Lsn(frame.lsn.0.saturating_add(at as u64));
            at = at.saturating_add(view.encoded_len());
            (self.decode)(value, &Record { position, view, frame });
        }
        match at {
            at if at == end => Ok(()),
            _ => Err(Reason::Record(FRAME.bad("payload", frame.payload.into()))),
        }
    }

    /// The frames and parts that count, and what ended them if it was a bad frame.
    fn into_parts(self) -> (Vec<Frame>, Vec<T>, Option<Reason>) {
        let mut done = self.done.into_inner();
        done.sort_unstable_by_key(|part| part.index);
        let (mut frames, mut parts) = (Vec::new(), Vec::new());
        for mut part in done {
            frames.append(&mut part.frames);
            parts.push(part.value);
            if part.failure.is_some() {
                return (frames, parts, part.failure);
            }
        }
        (frames, parts, None)
    }
}
