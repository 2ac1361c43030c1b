//! What one name costs: creating, looking up, listing and removing, on a memory device, in transactions of 1,000 and
//! one by one. Figures are the medians of a few runs of 100,000 operations each, in processor time of the thread, so
//! that a busy machine shows the same.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use vexfs_device::{Device, MemoryDevice};
use vexfs_fs::{Caller, Durability, Follow, FormatOptions, Fs, FsTx, Isolation, Options, RootOptions};

const FILES: usize = 100_000;
const BATCH: usize = 1000;
const RUNS: usize = 3;

fn volume() -> Fs {
    let device: Arc<dyn Device> = Arc::new(MemoryDevice::new(2 << 30));
    Fs::mkfs(Arc::clone(&device), FormatOptions::default(), RootOptions::default()).unwrap();
    Fs::open(device, Options::default()).unwrap()
}

fn caller() -> Caller {
    Caller::privileged(0, 0, 0o022)
}

fn path(i: usize) -> Vec<u8> {
    format!("/dir{}/file{i}", i % 100).into_bytes()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = processor_time();
    work();
    processor_time() - start
}

fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn in_batches(fs: &Fs, mut operation: impl FnMut(&mut FsTx, usize)) -> Duration {
    timed(|| {
        for batch in (0..FILES).step_by(BATCH) {
            let mut tx = fs.begin(&caller(), Isolation::Snapshot).unwrap();
            (batch..batch + BATCH).for_each(|i| operation(&mut tx, i));
            tx.commit(Durability::Visible).unwrap();
        }
    })
}

fn one_by_one(fs: &Fs, mut operation: impl FnMut(&mut FsTx, usize) -> vexfs_fs::Result<()>) -> Duration {
    timed(|| (0..FILES).for_each(|i| fs.auto(&caller(), |tx| operation(tx, i)).unwrap()))
}

fn reading(fs: &Fs) -> [(&'static str, Duration); 3] {
    let stat = timed(|| {
        (0..FILES).for_each(|i| {
            fs.view(&caller()).unwrap().stat(&path(i * 7919 % FILES), Follow::Always).unwrap();
        })
    });
    let missing = timed(|| {
        (0..FILES).for_each(|_| {
            assert!(fs.view(&caller()).unwrap().try_stat(b"/dir5/none", Follow::Always).unwrap().is_none());
        })
    });
    let list = timed(|| {
        let view = fs.view(&caller()).unwrap();
        let listed: usize =
            (0..100).map(|i| view.list_path(format!("/dir{i}").as_bytes()).unwrap().len()).sum();
        assert_eq!(listed, FILES);
    });
    [("stat", stat), ("stat of a missing name", missing), ("list, an entry", list)]
}

fn run() -> Vec<(&'static str, Duration)> {
    let mut figures = Vec::new();
    let fs = volume();
    for i in 0..100 {
        fs.auto(&caller(), |tx| tx.mkdir_path(format!("/dir{i}").as_bytes(), 0o755)).unwrap();
    }
    let create = |tx: &mut FsTx, i| tx.create_path(&path(i), 0o644).map(drop);
    let remove = |tx: &mut FsTx, i| tx.unlink_path(&path(i));
    figures.push(("create, in transactions of 1000", in_batches(&fs, |tx, i| create(tx, i).unwrap())));
    figures.extend(reading(&fs));
    fs.store().checkpoint(Default::default()).unwrap();
    figures.extend(reading(&fs).map(|(name, time)| match name {
        "stat" => ("stat, after a checkpoint", time),
        "list, an entry" => ("list, an entry, after a checkpoint", time),
        _ => ("stat of a missing name, after a checkpoint", time),
    }));
    figures.push(("remove, in transactions of 1000", in_batches(&fs, |tx, i| remove(tx, i).unwrap())));
    figures.push(("create, one by one", one_by_one(&fs, create)));
    figures.push(("remove, one by one", one_by_one(&fs, remove)));
    figures
}

fn main() {
    let runs: Vec<_> = (0..RUNS).map(|_| run()).collect();
    for (i, (name, _)) in runs.first().into_iter().flatten().enumerate() {
        let mut times: Vec<Duration> =
            runs.iter().filter_map(|run| run.get(i)).map(|(_, time)| *time).collect();
        times.sort();
        let median = times.get(RUNS / 2).copied().unwrap_or_default();
        println!("{name:45} {:8.2} us", median.as_secs_f64() * 1e6 / FILES as f64);
    }
}
