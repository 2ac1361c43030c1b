//! The tree with a million keys, on a file in the host's page cache.
//!
//! `cargo bench -p vexfs-tree`; `VEXFS_BENCH_DIR` says where the file goes (default: the system's temporary place).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use vexfs_device::{Device, FileDevice};
use vexfs_format::{BLOCK_SIZE, BlockRun, Key, Seq};
use vexfs_tree::{AllocError, Change, NodeAlloc, NodeCache, Reader, Root};

const KEYS: u64 = 1_000_000;
const VALUE: [u8; 100] = [7; 100];

/// Hands out blocks one after the other; the bench starts over where the old root ends.
struct Bump {
    next: u64,
    end: u64,
}

impl NodeAlloc for Bump {
    fn alloc(&mut self, min: u32, max: u32, align: u32) -> Result<BlockRun, AllocError> {
        let start = self.next.next_multiple_of(align.into());
        let len = max / min * min;
        self.next = start + u64::from(len);
        if self.next > self.end { Err(AllocError::NoSpace) } else { Ok(BlockRun::new(start, len)) }
    }
}

struct Bench {
    reader: Reader,
    root: Root,
    alloc: Bump,
    seq: u64,
}

impl Bench {
    fn new(path: &std::path::Path) -> Self {
        let device: Arc<dyn Device> = Arc::new(FileDevice::create(path, 2 << 30, true).unwrap());
        let end = device.len() / BLOCK_SIZE as u64;
        let reader = Reader::new(device, Arc::new(NodeCache::new(512 << 20)), 1);
        Self { reader, root: Root::empty(), alloc: Bump { next: 64, end }, seq: 0 }
    }

    fn apply(&mut self, batch: &[(Key, Change<&[u8]>)]) -> Root {
        self.seq += 1;
        let mut changes = batch.iter().copied();
        self.reader.apply(&self.root, &mut changes, Seq(self.seq), &mut self.alloc).unwrap().root
    }
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Names of one directory, by hash.
fn dirent(state: &mut u64) -> Key {
    Key::new(1, 2, random(state) >> 1 << 8 >> 1)
}

/// Inodes, by number.
const fn inode(number: u64) -> Key {
    Key::new(number, 1, 0)
}

fn sorted(mut keys: Vec<Key>) -> Vec<(Key, Change<&'static [u8]>)> {
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(|key| (key, Change::Put(&VALUE[..]))).collect()
}

fn gets(criterion: &mut Criterion, name: &str, bench: &Bench, keys: &[Key]) {
    let mut group = criterion.benchmark_group("get");
    let mut at = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            at = (at + 1) % keys.len();
            black_box(bench.reader.get(&bench.root, keys[at]).unwrap())
        });
    });
    group.bench_function(format!("{name}, 2 threads, each"), |bencher| {
        bencher.iter_custom(|count| {
            let start = std::time::Instant::now();
            std::thread::scope(|scope| {
                for half in 0..2 {
                    let keys = keys.iter().cycle().skip(half * keys.len() / 2).take(count as usize);
                    scope.spawn(move || {
                        for key in keys {
                            black_box(bench.reader.get(&bench.root, *key).unwrap());
                        }
                    });
                }
            });
            start.elapsed()
        });
    });
}

fn main() {
    let directory = std::env::var_os("VEXFS_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = directory.join(format!("vexfs-tree-bench-{}", std::process::id()));
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut state = 1;

    let mut bench = Bench::new(&path);
    let load = sorted((0..KEYS).map(|_| dirent(&mut state)).collect());
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(KEYS));
    group.bench_function("load of 1M keys", |bencher| {
        bencher.iter(|| {
            bench.alloc.next = 64;
            bench.root = Root::empty();
            bench.root = bench.apply(&load);
        });
    });
    bench.alloc.next = 64;
    bench.root = Root::empty();
    bench.root = bench.apply(&load);
    for (name, count) in [("100k", 100_000), ("1k", 1000)] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("{name} random puts into 1M keys"), |bencher| {
            let after = bench.alloc.next;
            let batch = |state: &mut u64| sorted((0..count).map(|_| dirent(state)).collect());
            bencher.iter_batched(
                || batch(&mut state),
                |batch| {
                    bench.alloc.next = after;
                    black_box(bench.apply(&batch))
                },
                BatchSize::PerIteration,
            );
            bench.alloc.next = after;
        });
    }
    group.finish();

    let mut keys: Vec<Key> = load.iter().map(|(key, _)| *key).collect();
    for index in 0..keys.len() {
        let other = (random(&mut state) % keys.len() as u64) as usize;
        keys.swap(index, other);
    }
    gets(&mut criterion, "name of 1M by hash, warm", &bench, &keys);
    let few: Vec<Key> = keys.iter().take(1000).copied().collect();
    gets(&mut criterion, "one of 1000 hot names of 1M", &bench, &few);

    let mut group = criterion.benchmark_group("range");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("scan of 1M keys", |bencher| {
        bencher.iter(|| {
            bench.reader.range(&bench.root, Key::MIN, Key::MAX).map(|i| i.unwrap().1.len()).sum::<usize>()
        });
    });
    group.finish();

    let load = sorted((0..KEYS).map(inode).collect());
    bench.alloc.next = 64;
    bench.root = Root::empty();
    bench.root = bench.apply(&load);
    let keys: Vec<Key> = (0..KEYS).map(|_| inode(random(&mut state) % KEYS)).collect();
    gets(&mut criterion, "inode of 1M by number, warm", &bench, &keys);
    criterion.final_summary();
    std::fs::remove_file(path).unwrap();
}
