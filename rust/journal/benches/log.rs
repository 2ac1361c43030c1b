//! What a commit and a recovery scan cost. `cargo bench -p vexfs-journal`; the file lies in `VEXFS_BENCH_DIR`, or
//! in the directory for temporary files: choose one on a disk.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that panics has failed"
)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vexfs_device::{AlignedBuf, Device, FileDevice};
use vexfs_format::redo::RecordBuilder;
use vexfs_format::{CheckpointId, Key, Lsn, Seq};
use vexfs_journal::{
    Class, Data, Log, Options, Position, Region, ScanFrom, ScanOptions, Start, format, scan,
};

const VOLUME: u64 = 77;

fn directory() -> PathBuf {
    std::env::var_os("VEXFS_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// A log in a file of its own, removed with it.
struct Bench {
    _directory: tempfile::TempDir,
    device: Arc<dyn Device>,
    region: Region,
    log: Log,
    /// The lock that orders commits: the last sequence number.
    seq: Mutex<u64>,
}

impl Bench {
    fn new(bytes: u64, queue_bytes: u64) -> Self {
        let directory = tempfile::tempdir_in(directory()).unwrap();
        let device = FileDevice::create(directory.path().join("log"), bytes, false).unwrap();
        let device = Arc::new(device) as Arc<dyn Device>;
        let region = Region::new(0, bytes);
        format(&*device, region).unwrap();
        device.flush().unwrap();
        let start = Start {
            volume: VOLUME,
            epoch: 1,
            at: Position::START,
            checkpoint: CheckpointId(0),
            tail: Lsn(0),
        };
        let options = Options { queue_bytes, ..Options::default() };
        let log = Log::start(Arc::clone(&device), region, &start, Arc::default(), &options).unwrap();
        Self { _directory: directory, device, region, log, seq: Mutex::new(0) }
    }

    fn commit(&self, size: usize, durable: bool) {
        let reservation = loop {
            match self.log.reserve(size as u64 + 100, Class::Ordinary) {
                Ok(reservation) => break reservation,
                Err(_) => {
                    let ((), position) = self.log.cut(|cut| cut.seal()).unwrap();
                    self.log.set_durable_checkpoint(CheckpointId(1), position.lsn);
                }
            }
        };
        let mut builder = RecordBuilder::with_capacity(size + 100);
        builder.put(Key::new(size as u64, 1, 0), &vec![7; size]);
        let record = builder.finish();
        let ticket = {
            let mut seq = self.seq.lock().unwrap();
            *seq += 1;
            self.log.enqueue(reservation, record, Seq(*seq), Data::default()).unwrap()
        };
        if durable { self.log.wait(ticket).unwrap() } else { self.log.relieve().unwrap() }
    }

    /// Fills `bytes` bytes of log with records of `size` bytes.
    fn fill(&self, bytes: u64, size: usize) {
        while self.log.used() + (8 << 20) < bytes {
            self.commit(size, false);
        }
        self.log.flush_queue().unwrap();
    }

    fn scan(&self, workers: usize) -> u64 {
        let from = ScanFrom { volume: VOLUME, position: Position::START, checkpoint: CheckpointId(1) };
        let options = ScanOptions { workers, ..ScanOptions::default() };
        let decode = |entries: &mut Vec<(Key, u64)>, record: &vexfs_journal::Record<'_>| {
            entries.extend(record.ops().map(|(position, op)| (op.key, position.0)));
        };
        let scan = scan(&*self.device, self.region, from, &options, decode).unwrap();
        scan.parts.iter().map(|part| part.len() as u64).sum()
    }
}

/// One 4 KiB write that is durable on return, to places already written: what a commit cannot beat.
fn raw(device: &dyn Device, count: u64) -> Duration {
    let buffer = AlignedBuf::zeroed(4096);
    let blocks = device.len() / 4096;
    let start = Instant::now();
    for i in 0..count {
        device.write_durable(&buffer, i % blocks * 4096).unwrap();
    }
    start.elapsed()
}

fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit");
    group.measurement_time(Duration::from_secs(4)).sample_size(20).throughput(Throughput::Elements(1));
    let bench = Bench::new(64 << 20, 1 << 20);
    let other = Bench::new(64 << 20, 1 << 20);
    group.bench_function("raw durable write", |b| b.iter_custom(|count| raw(&*other.device, count)));
    for size in [200, 3500] {
        for threads in [1, 16] {
            let name = BenchmarkId::new(format!("{size} bytes"), format!("{threads} threads"));
            group.bench_function(name, |b| b.iter_custom(|count| on_threads(&bench, threads, count, size)));
        }
    }
    group.bench_function("200 bytes, not durable", |b| b.iter(|| bench.commit(200, false)));
    group.finish();
}

/// How long `threads` threads need for `count` commits.
fn on_threads(bench: &Bench, threads: u64, count: u64, size: usize) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mine = count / threads + u64::from(thread < count % threads);
            scope.spawn(move || (0..mine).for_each(|_| bench.commit(size, true)));
        }
    });
    start.elapsed()
}

fn scans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    group.measurement_time(Duration::from_secs(5)).sample_size(10);
    for (name, size, queue_bytes) in [("200 B in 1 MiB", 200, 1 << 20), ("3500 B in 4 KiB", 3500, 0)] {
        let bench = Bench::new(1 << 30, queue_bytes);
        bench.fill(1 << 30, size);
        let used = bench.log.used();
        group.throughput(Throughput::Bytes(used));
        for workers in [1, 2] {
            let id = BenchmarkId::new(format!("{} MiB of {name}", used >> 20), format!("{workers} workers"));
            group.bench_function(id, |b| b.iter(|| bench.scan(workers)));
        }
    }
    group.finish();
}

criterion_group!(benches, commits, scans);
criterion_main!(benches);
