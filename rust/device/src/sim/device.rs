//! The simulated device itself.

use parking_lot::Mutex;
use rustix::io::Errno;
use vexfs_format::BLOCK_SIZE;

use super::fault::{Damage, Fault, Injection, Injections, Op};
use super::random::Random;
use super::trace::{Event, FlushKind, Trace, WriteKind};
use crate::{Device, Error, Image, Map, Result, check_range, total_len};

/// How often each kind of operation was called, failed calls included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `read_at`, `read_device` and `map`.
    pub reads: u64,
    /// All writes.
    pub writes: u64,
    /// Those of them that were `write_durable`.
    pub durable_writes: u64,
    /// Bytes of all writes.
    pub bytes_written: u64,
    /// `flush`.
    pub flushes: u64,
    /// `discard`.
    pub discards: u64,
}

/// A device in memory that records, fails and lies. See [`sim`](crate::sim).
#[derive(Debug)]
pub struct SimDevice {
    inner: Mutex<Inner>,
    len: u64,
    read_only: bool,
    discard_keeps: bool,
}

#[derive(Debug)]
struct Inner {
    base: Image,
    live: Image,
    events: Vec<Event>,
    injections: Injections,
    counts: Counts,
}

impl SimDevice {
    /// A device of `len` zeros.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self::from_image(Image::new(len))
    }

    /// A device that begins as `image`, which is durable.
    #[must_use]
    pub fn from_image(image: Image) -> Self {
        let len = image.len();
        let live = image.clone();
        let inner = Inner {
            base: image,
            live,
            events: Vec::new(),
            injections: Injections::default(),
            counts: Counts::default(),
        };
        Self { inner: Mutex::new(inner), len, read_only: false, discard_keeps: false }
    }

    /// Refuses writes from now on, as a device opened for reading does.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Discarded ranges keep their bytes, rather than reading as zeros.
    #[must_use]
    pub const fn discard_keeps(mut self) -> Self {
        self.discard_keeps = true;
        self
    }

    /// What a reader sees now.
    #[must_use]
    pub fn image(&self) -> Image {
        self.inner.lock().live.clone()
    }

    /// Everything since the device was made or [`restart`](Self::restart)ed.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let inner = self.inner.lock();
        Trace { base: inner.base.clone(), events: inner.events.clone() }
    }

    /// How many events the trace has. What was acknowledged by now must survive each
    /// [`CrashState`](super::CrashState) whose `acknowledged` is not less.
    #[must_use]
    pub fn position(&self) -> usize {
        self.inner.lock().events.len()
    }

    /// Makes everything so far durable and begins a new trace.
    pub fn restart(&self) {
        let mut inner = self.inner.lock();
        inner.base = inner.live.clone();
        inner.events.clear();
    }

    /// How often it was called.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.lock().counts
    }

    /// Arranges for an operation to go wrong.
    pub fn inject(&self, injection: Injection) {
        self.inner.lock().injections.add(injection);
    }

    /// Ends all injections.
    pub fn heal(&self) {
        self.inner.lock().injections.clear();
    }

    /// How many operations were hit by an injection.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.inner.lock().injections.struck
    }

    /// Spoils what lies at `offset`.
    pub fn damage(&self, offset: u64, damage: Damage) {
        self.inner.lock().damage(offset, damage);
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        check_range(&|| self.name(), offset, len, self.len)
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<()> {
        if self.read_only {
            return Err(Error::ReadOnly { name: self.name() });
        }
        self.check(offset, len)
    }

    fn failed(&self, fault: Fault, action: String) -> Error {
        let errno = if fault == Fault::NoSpace { Errno::NOSPC } else { Errno::IO };
        Error::from_errno(self.name(), action, errno)
    }

    fn write(&self, bufs: &[&[u8]], offset: u64, op: Op) -> Result<()> {
        let len = total_len(bufs);
        self.check_write(offset, len)?;
        let mut inner = self.inner.lock();
        inner.counts.writes += 1;
        inner.counts.durable_writes += u64::from(op == Op::DurableWrite);
        inner.counts.bytes_written += len;
        let fault = inner.injections.strike(op, offset, len);
        let mut data = bufs.concat();
        let mut kind = if op == Op::DurableWrite { WriteKind::Durable } else { WriteKind::Cached };
        let mut at = offset;
        match fault {
            Some(Fault::Io | Fault::NoSpace) => kind = WriteKind::Failed,
            Some(Fault::Lost) => return Ok(()),
            Some(Fault::Lie) => kind = WriteKind::DurableLie,
            _ => at = spoil(&mut data, offset, fault),
        }
        if !data.is_empty() {
            inner.record(Event::Write { offset: at, data: data.into(), kind });
        }
        match (kind, fault) {
            (WriteKind::Failed, Some(fault)) => {
                Err(self.failed(fault, format!("write {len} bytes at {offset}")))
            }
            _ => Ok(()),
        }
    }
}

impl Inner {
    fn record(&mut self, event: Event) {
        if event.is_visible() {
            event.apply(&mut self.live);
        }
        self.events.push(event);
    }

    fn damage(&mut self, offset: u64, damage: Damage) {
        let take = |image: &Image, at: u64, len: u64| {
            let room = image.len().saturating_sub(at.max(offset)).min(len);
            let mut bytes = vec![0; usize::try_from(room).unwrap_or(0)];
            image.read(&mut bytes, at);
            bytes
        };
        let (at, data) = match damage {
            Damage::BitFlip { bit } => {
                let at = offset.saturating_add(bit / 8);
                let mut byte = take(&self.live, at, 1);
                flip(&mut byte, bit % 8);
                (at, byte)
            }
            Damage::Zeroed { len } => (offset, vec![0; take(&self.live, offset, len).len()]),
            Damage::Stale { len } => {
                let mut bytes = take(&self.live, offset, len);
                self.read_stale(&mut bytes, offset);
                (offset, bytes)
            }
            Damage::CopyOf { from, len } => (offset, take(&self.live, from, len)),
            Damage::Garbage { len, seed } => {
                let mut random = Random::new(seed);
                let mut bytes = take(&self.live, offset, len);
                bytes.iter_mut().for_each(|b| *b = random.next() as u8);
                (offset, bytes)
            }
        };
        if !data.is_empty() {
            self.record(Event::Write { offset: at, data: data.into(), kind: WriteKind::Damage });
        }
    }

    /// Fills `buf` with what each of its blocks held before the last event that changed it.
    fn read_stale(&self, buf: &mut [u8], offset: u64) {
        let block = BLOCK_SIZE as u64;
        let end = offset.saturating_add(buf.len() as u64);
        for index in offset / block..end.div_ceil(block) {
            let (start, stop) = (index * block, (index + 1) * block);
            let touches = |event: &Event| {
                event.is_visible()
                    && event.range().is_some_and(|(at, n)| at < stop && start < at.saturating_add(n))
            };
            let mut image = self.base.clone();
            let mut changes = self.events.iter().filter(|e| touches(e)).peekable();
            while let Some(event) = changes.next() {
                if changes.peek().is_some() {
                    event.apply(&mut image);
                }
            }
            let (from, to) = (start.max(offset), stop.min(end));
            let range = (from - offset) as usize..(to - offset) as usize;
            if let Some(piece) = buf.get_mut(range) {
                image.read(piece, from);
            }
        }
    }
}

impl Device for SimDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.check(offset, buf.len() as u64)?;
        let mut inner = self.inner.lock();
        inner.counts.reads += 1;
        let fault = inner.injections.strike(Op::Read, offset, buf.len() as u64);
        match fault {
            Some(fault @ (Fault::Io | Fault::NoSpace)) => {
                return Err(self.failed(fault, format!("read {} bytes at {offset}", buf.len())));
            }
            Some(Fault::Misdirected { to }) => inner.live.read(buf, to),
            Some(Fault::Stale) => inner.read_stale(buf, offset),
            _ => {
                inner.live.read(buf, offset);
                spoil(buf, offset, fault);
            }
        }
        Ok(())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.write(&[buf], offset, Op::Write)
    }

    fn write_all_at(&self, bufs: &[&[u8]], offset: u64) -> Result<()> {
        self.write(bufs, offset, Op::Write)
    }

    fn write_durable(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.write(&[buf], offset, Op::DurableWrite)
    }

    fn flush(&self) -> Result<()> {
        if self.read_only {
            return Ok(());
        }
        let mut inner = self.inner.lock();
        inner.counts.flushes += 1;
        match inner.injections.strike(Op::Flush, 0, 0) {
            Some(fault @ (Fault::Io | Fault::NoSpace)) => {
                inner.record(Event::Flush(FlushKind::Failed));
                return Err(self.failed(fault, "flush".into()));
            }
            Some(Fault::Lie) => inner.record(Event::Flush(FlushKind::Lie)),
            _ => inner.record(Event::Flush(FlushKind::Honest)),
        }
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.check_write(offset, len)?;
        let mut inner = self.inner.lock();
        inner.counts.discards += 1;
        match inner.injections.strike(Op::Discard, offset, len) {
            Some(fault @ (Fault::Io | Fault::NoSpace)) => {
                return Err(self.failed(fault, format!("discard {len} bytes at {offset}")));
            }
            Some(Fault::Lost) => {}
            _ => inner.record(Event::Discard { offset, len, zeros: !self.discard_keeps }),
        }
        Ok(())
    }

    fn read_device(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.read_at(buf, offset)
    }

    fn map(&self, offset: u64, len: u64) -> Result<Map> {
        Map::copy_of(self, offset, len)
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn name(&self) -> String {
        "(simulation)".into()
    }
}

/// Does to a buffer what the fault says, and says where it goes.
fn spoil(data: &mut [u8], offset: u64, fault: Option<Fault>) -> u64 {
    match fault {
        Some(Fault::Zeroed) => data.fill(0),
        Some(Fault::BitFlip { bit }) => flip(data, bit),
        Some(Fault::Misdirected { to }) => return to,
        _ => {}
    }
    offset
}

/// Turns one bit of a buffer, counted modulo its length.
fn flip(data: &mut [u8], bit: u64) {
    let bits = (data.len() as u64).saturating_mul(8);
    if let Some(bit) = bit.checked_rem(bits)
        && let Some(byte) = data.get_mut((bit / 8) as usize)
    {
        *byte ^= 1 << (bit % 8);
    }
}
