//! What reading and writing one file costs, beside the same on a plain file in the same directory of the host: time
//! on the clock, and processor time of the whole process (which a busy machine changes less). Medians of three
//! interleaved rounds. `cargo bench -p vexfs-fs --bench data -- DIRECTORY MIB`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use vexfs_device::{Device, FileDevice};
use vexfs_fs::{Caller, FormatOptions, Fs, Ino, Options, RootOptions};

const ROUNDS: usize = 3;
const SMALL: usize = 4096;

/// The two sides of a comparison.
struct Sides {
    fs: Fs,
    caller: Caller,
    ino: Ino,
    plain: File,
    /// Bytes of the file.
    len: u64,
    data: Vec<u8>,
}

/// Time on the clock and of the processor, by what was measured; ours and the plain file's.
type Results = BTreeMap<&'static str, Vec<[(Duration, Duration); 2]>>;

fn timed(work: impl FnOnce()) -> (Duration, Duration) {
    let processor = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let (clock, before) = (Instant::now(), processor());
    work();
    (clock.elapsed(), processor() - before)
}

/// The same sequence of offsets for both sides.
fn scattered(len: u64) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len / SMALL as u64).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % (len / SMALL as u64) * SMALL as u64
    })
}

fn in_order(len: u64, step: usize) -> impl Iterator<Item = u64> {
    (0..len).step_by(step)
}

impl Sides {
    fn new(directory: &Path, len: u64) -> Self {
        let (image, plain) = (directory.join("bench.vexfs"), directory.join("bench.plain"));
        let device: Arc<dyn Device> = Arc::new(FileDevice::create(&image, 4 * len, true).unwrap());
        Fs::mkfs(Arc::clone(&device), FormatOptions::default(), RootOptions::default()).unwrap();
        let fs = Fs::open(device, Options::default()).unwrap();
        let caller = Caller::root();
        let ino = fs.auto(&caller, |tx| tx.create(Ino(1), b"file", 0o644)).unwrap().ino;
        let plain =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(plain).unwrap();
        let data = (0..1_u32 << 18).flat_map(|i| i.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
        Self { fs, caller, ino, plain, len, data }
    }

    fn write(&self, offsets: impl Iterator<Item = u64>, step: usize) {
        let _hold = self.fs.hold(self.ino, None).unwrap();
        let data = &self.data[..step];
        offsets.for_each(|at| self.fs.auto(&self.caller, |tx| tx.write(self.ino, at, data)).unwrap());
        self.fs.sync().unwrap();
    }

    fn write_plain(&self, offsets: impl Iterator<Item = u64>, step: usize) {
        offsets.for_each(|at| self.plain.write_all_at(&self.data[..step], at).unwrap());
        self.plain.sync_data().unwrap();
    }

    fn read(&self, offsets: impl Iterator<Item = u64>, step: usize) {
        let mut into = vec![0; step];
        for at in offsets {
            let view = self.fs.view(&self.caller).unwrap();
            assert_eq!(view.read(self.ino, at, &mut into).unwrap(), step);
        }
    }

    fn read_plain(&self, offsets: impl Iterator<Item = u64>, step: usize) {
        let mut into = vec![0; step];
        offsets.for_each(|at| self.plain.read_exact_at(&mut into, at).unwrap());
    }

    fn round(&self, results: &mut Results) {
        let mut add = |what, ours, plain| results.entry(what).or_default().push([ours, plain]);
        let (len, large) = (self.len, self.data.len());
        self.fs.auto(&self.caller, |tx| tx.truncate(self.ino, 0)).unwrap();
        self.plain.set_len(0).unwrap();
        let ours = timed(|| self.write(in_order(len, large), large));
        add("write 1 MiB in order + sync", ours, timed(|| self.write_plain(in_order(len, large), large)));
        for (what, step) in [
            ("read 1 MiB in order", large),
            ("read 128 KiB in order", 128 << 10),
            ("read 8 KiB in order", 8192),
        ] {
            let ours = timed(|| self.read(in_order(len, step), step));
            add(what, ours, timed(|| self.read_plain(in_order(len, step), step)));
        }
        let ours = timed(|| self.read(scattered(len), SMALL));
        add("read 4 KiB at random", ours, timed(|| self.read_plain(scattered(len), SMALL)));
        let ours = timed(|| self.write(scattered(len), SMALL));
        add("write 4 KiB at random + sync", ours, timed(|| self.write_plain(scattered(len), SMALL)));
        let ours = timed(|| self.read(scattered(len), SMALL));
        add("read 4 KiB at random, after", ours, timed(|| self.read_plain(scattered(len), SMALL)));
        let ours = timed(|| self.read(in_order(len, large), large));
        add("read 1 MiB in order, after", ours, timed(|| self.read_plain(in_order(len, large), large)));
    }
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64()
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let directory = arguments.first().map_or_else(std::env::temp_dir, PathBuf::from);
    let mib: u64 = arguments.get(1).map_or(512, |mib| mib.parse().unwrap());
    let sides = Sides::new(&directory, mib << 20);
    let mut results = Results::new();
    (0..ROUNDS).for_each(|_| sides.round(&mut results));
    println!(
        "{:32} {:>12} {:>12} {:>6}   {:>10} {:>10}",
        "", "ours", "plain", "ratio", "ours cpu", "plain cpu"
    );
    for (what, rounds) in results {
        let column = |side: usize, pick: fn(&(Duration, Duration)) -> Duration| {
            median(rounds.iter().map(|round| pick(&round[side])).collect())
        };
        let (ours, plain) = (column(0, |time| time.0), column(1, |time| time.0));
        let (ours_cpu, plain_cpu) = (column(0, |time| time.1), column(1, |time| time.1));
        let rate = |seconds: f64| format!("{:.0} MiB/s", mib as f64 / seconds);
        println!(
            "{what:32} {:>12} {:>12} {:>6.2}   {ours_cpu:>8.3} s {plain_cpu:>8.3} s",
            rate(ours),
            rate(plain),
            plain / ours
        );
    }
    drop(sides);
    for name in ["bench.vexfs", "bench.plain"] {
        let _ = std::fs::remove_file(directory.join(name));
    }
}
