//! A small volume around a log: two descriptor blocks, the log, and data blocks, one for each record that has
//! data. What record `n` holds follows from `n` and its size alone, so that a reader can tell a prefix.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vexfs_device::{Device, Image, SimDevice};
use vexfs_format::redo::{RecordBuilder, SetRun};
use vexfs_format::{BLOCK_SIZE, BlockRun, CheckpointId, Key, Lsn, Seq};
use vexfs_journal::{
    Class, Data, Log, Options, Position, Region, Result, Scan, ScanFrom, ScanOptions, Start, Ticket, format,
    rewrite, scan,
};

pub const VOLUME: u64 = 0x1234_5678_9abc_def0;
const BLOCK: u64 = BLOCK_SIZE as u64;
const DESCRIPTOR_BYTES: u64 = 2 * BLOCK;

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

/// What a checkpoint's descriptor says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    pub id: u64,
    pub position: Position,
    pub seq: u64,
}

impl Descriptor {
    fn write(&self, device: &dyn Device) {
        let Position { lsn, crc, epoch } = self.position;
        let words = [self.id, lsn.0, crc.into(), epoch, self.seq];
        let mut block = vec![0; BLOCK_SIZE];
        for (i, word) in words.iter().enumerate() {
            block[8 * i..][..8].copy_from_slice(&word.to_le_bytes());
        }
        let sum = words.iter().fold(1_u64, |sum, word| sum.rotate_left(7) ^ word.wrapping_mul(0x9e37_79b9));
        block[40..48].copy_from_slice(&sum.to_le_bytes());
        device.write_durable(&block, self.id % 2 * BLOCK).unwrap();
    }

    pub fn newest(device: &dyn Device) -> Self {
        let slots = [0, BLOCK].map(|offset| {
            let mut block = vec![0; BLOCK_SIZE];
            device.read_at(&mut block, offset).unwrap();
            let word = |i: usize| u64::from_le_bytes(block[8 * i..][..8].try_into().unwrap());
            let words = [0, 1, 2, 3, 4].map(word);
            let sum = words.iter().fold(1_u64, |sum, w| sum.rotate_left(7) ^ w.wrapping_mul(0x9e37_79b9));
            let [id, lsn, crc, epoch, seq] = words;
            let position = Position { lsn: Lsn(lsn), crc: crc as u32, epoch };
            (sum == word(5)).then_some(Self { id, position, seq })
        });
        slots.into_iter().flatten().max_by_key(|descriptor| descriptor.id).unwrap()
    }
}

/// A volume of nothing but a log.
#[derive(Debug)]
pub struct Volume {
    pub device: Arc<SimDevice>,
    pub region: Region,
    pub options: Options,
}

impl Volume {
    /// A new volume with a log of `bytes` bytes and room for `data_blocks` blocks of data.
    pub fn new(bytes: u64, data_blocks: u64) -> Self {
        let region = Region::new(DESCRIPTOR_BYTES, bytes);
        let device = Arc::new(SimDevice::new(DESCRIPTOR_BYTES + bytes + data_blocks * BLOCK));
        format(&*device, region).unwrap();
        Descriptor::default().write(&*device);
        device.flush().unwrap();
        device.restart();
        Self { device, region, options: Options::default() }
    }

    /// The same volume as a crash left it.
    pub fn after_crash(&self, image: Image) -> Self {
        let device = Arc::new(SimDevice::from_image(image));
        Self { device, region: self.region, options: self.options.clone() }
    }

    pub fn data_offset(&self, seq: u64) -> u64 {
        self.region.offset + self.region.bytes + seq * BLOCK
    }

    pub fn descriptor(&self) -> Descriptor {
        Descriptor::newest(&*self.device)
    }

    /// Writes the next checkpoint's descriptor, durably.
    pub fn write_descriptor(&self, position: Position, seq: u64) -> CheckpointId {
        let id = self.descriptor().id + 1;
        Descriptor { id, position, seq }.write(&*self.device);
        CheckpointId(id)
    }

    pub fn from(&self) -> ScanFrom {
        let Descriptor { id, position, .. } = self.descriptor();
        ScanFrom { volume: VOLUME, position, checkpoint: CheckpointId(id) }
    }

    /// What the log holds, as it is.
    pub fn scan(&self) -> Result<Scan<Found>> {
        self.scan_with(&ScanOptions { workers: 1, ..ScanOptions::default() })
    }

    pub fn scan_with(&self, options: &ScanOptions) -> Result<Scan<Found>> {
        scan(&*self.device, self.region, self.from(), options, |found: &mut Found, record| {
            for (position, op) in record.ops() {
                let value = op.value.unwrap().to_vec();
                found.0.push((record.view.seq().0, position, op.key, value));
            }
        })
    }

    /// What the log holds before a frame whose data is not there.
    pub fn scan_until(&self, until: Lsn) -> Scan<Found> {
        self.scan_with(&ScanOptions { workers: 1, until, ..ScanOptions::default() }).unwrap()
    }

    /// Reads the log as recovery does: cut at the first frame whose data is not there, and made durable.
    pub fn recover(&self) -> Scan<Found> {
        let mut scan = self.scan().unwrap();
        for index in 0..scan.frames.len() {
            let frame = scan.frames[index];
            let must = frame.end() <= scan.data_durable;
            let good = seqs_of_frame(&scan, index).iter().all(|&seq| self.data_is_there(&scan, seq));
            assert!(good || !must, "frame at {} has lost data that was durable", frame.lsn);
            if !good {
                scan = self.scan_until(frame.lsn);
                break;
            }
        }
        rewrite(&*self.device, &scan, scan.known_durable).unwrap();
        self.device.flush().unwrap();
        scan
    }

    fn data_is_there(&self, scan: &Scan<Found>, seq: u64) -> bool {
        let part = found(scan).into_iter().find(|entry| entry.0 == seq).unwrap();
        let record_value = part.3;
        if record_value.first() != Some(&1) {
            return true;
        }
        let mut block = vec![0; BLOCK_SIZE];
        self.device.read_at(&mut block, self.data_offset(seq)).unwrap();
        block == data_block(seq)
    }

    /// Opens the log behind what was recovered.
    pub fn open<T>(&self, scan: &Scan<T>, epoch: u64) -> Session<'_> {
        let Descriptor { id, position, .. } = self.descriptor();
        let start =
            Start { volume: VOLUME, epoch, at: scan.end, checkpoint: CheckpointId(id), tail: position.lsn };
        let unique = Arc::new(AtomicU64::new(scan.unique_high));
        let device = Arc::clone(&self.device) as Arc<dyn Device>;
        let log = Log::start(device, self.region, &start, Arc::clone(&unique), &self.options).unwrap();
        Session { volume: self, log, unique }
    }
}

/// What the reader found: sequence number, position, key and value.
#[derive(Debug, Default)]
pub struct Found(pub Vec<(u64, Lsn, Key, Vec<u8>)>);

/// All that was found in front of the end.
pub fn found(scan: &Scan<Found>) -> Vec<(u64, Lsn, Key, Vec<u8>)> {
    let all = scan.parts.iter().flat_map(|part| part.0.iter().cloned());
    all.filter(|entry| entry.1 < scan.end.lsn).collect()
}

fn seqs_of_frame(scan: &Scan<Found>, index: usize) -> Vec<u64> {
    let frame = scan.frames[index];
    let within = |entry: &&(u64, Lsn, Key, Vec<u8>)| frame.lsn <= entry.1 && entry.1 < frame.end();
    scan.parts.iter().flat_map(|part| part.0.iter()).filter(within).map(|entry| entry.0).collect()
}

/// The log of a volume, open for writing.
#[derive(Debug)]
pub struct Session<'a> {
    pub volume: &'a Volume,
    pub log: Log,
    pub unique: Arc<AtomicU64>,
}

impl Session<'_> {
    /// Queues record `seq` with a value of `size` bytes, and with a block of data if `data`.
    pub fn enqueue(&self, seq: u64, size: usize, data: bool) -> Result<Ticket> {
        let record = record(seq, size, data, self.volume.data_offset(seq) / BLOCK);
        let reservation = self.log.reserve(record.len() as u64, Class::Ordinary)?;
        if data {
            self.volume.device.write_at(&data_block(seq), self.volume.data_offset(seq)).unwrap();
            self.log.note_data_written(BLOCK);
        }
        self.unique.fetch_add(1, Ordering::AcqRel);
        self.log.enqueue(reservation, record, Seq(seq), Data { bytes: if data { BLOCK } else { 0 } })
    }

    /// As `enqueue`, and durable on return.
    pub fn commit(&self, seq: u64, size: usize) {
        let ticket = self.enqueue(seq, size, false).unwrap();
        self.log.wait(ticket).unwrap();
    }

    /// A whole checkpoint: cut, descriptor, mark. `seq` is the newest that was queued.
    pub fn checkpoint(&self, seq: u64) -> Result<()> {
        let ((), position) = self.log.cut(|cut| cut.seal())?;
        let id = self.volume.write_descriptor(position, seq);
        self.log.set_durable_checkpoint(id, position.lsn);
        self.log.mark()
    }
}

/// The record of transaction `seq`.
pub fn record(seq: u64, size: usize, data: bool, block: u64) -> Vec<u8> {
    let mut builder = RecordBuilder::default();
    builder.put(Key::new(seq, 4, seq ^ 1), &value(seq, size, data));
    if data {
        let crc = Some(seq as u32);
        builder.set(SetRun { run: BlockRun::new(block, 1), crc });
    }
    builder.finish()
}

/// The value that record `seq` gives its key; its first byte tells whether it has data.
pub fn value(seq: u64, size: usize, data: bool) -> Vec<u8> {
    let mut random = Random(seq);
    let mut bytes: Vec<u8> = (0..size.max(1)).map(|_| random.next() as u8).collect();
    bytes[0] = u8::from(data);
    bytes
}

pub fn data_block(seq: u64) -> Vec<u8> {
    let mut random = Random(seq ^ 0xdada);
    (0..BLOCK_SIZE / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

/// Checks that the log holds exactly the records behind the checkpoint's up to some number, each as it was
/// written, and returns that number.
pub fn check_prefix(scan: &Scan<Found>, after: u64) -> u64 {
    let mut last = after;
    for (seq, position, key, bytes) in found(scan) {
        assert_eq!(seq, last + 1, "the records are not a prefix");
        assert_eq!(key, Key::new(seq, 4, seq ^ 1));
        let data = bytes[0] == 1;
        assert_eq!(bytes, value(seq, bytes.len(), data), "record {seq} is not what was written");
        let op = scan.log.op(position).unwrap();
        assert_eq!((op.key, op.value.unwrap()), (key, &bytes[..]), "a position leads elsewhere");
        last = seq;
    }
    last
}
