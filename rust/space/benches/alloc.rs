//! What an allocation costs on half-full groups, by strategy, and what two threads do together.
//!
//! `cargo bench -p vexfs-space`. The bars: a block run in under 200 ns, two threads at least 1.6 times one. Time is
//! processor time of the thread, so that a busy machine shows the same figures; only what two threads do together
//! is measured by the clock, as the best of many short rounds.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use vexfs_device::MemoryDevice;
use vexfs_format::{BlockRun, Geometry};
use vexfs_space::{Request, Space, Strategy};

const VOLUME: u64 = 7;
const GROUP: u64 = 32256;

/// A sequence of numbers that is the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A volume of which half of every group is in use, in runs of 1 to `longest` blocks.
fn half_full(groups: u64, longest: u64) -> Space {
    let blocks = groups * GROUP;
    let geometry = Geometry::plan(blocks, Some(1 << 20)).unwrap();
    let device = Arc::new(MemoryDevice::new(blocks * 4096));
    let state = Space::format(&*device, &geometry, VOLUME).unwrap();
    let space = Space::open(device, &geometry, VOLUME, state.side, state.crc).unwrap();
    let mut numbers = Numbers(42);
    let mut at = 0;
    while at < blocks {
        let run = BlockRun::new(at, (1 + numbers.below(longest)) as u32);
        if geometry.holds(run) {
            space.mark_busy(run).unwrap();
        }
        at = run.end() + 1 + numbers.below(longest);
    }
    space
}

fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The time of `times` allocations, without that of the releases between the batches.
fn time_allocations(space: &Space, request: &Request, times: u64) -> Duration {
    let mut runs = Vec::with_capacity(512);
    let mut total = Duration::ZERO;
    let mut left = times;
    let an_eighth = space.free_blocks() / u64::from(request.max) / 8;
    while left > 0 {
        let batch = left.min(512).min(an_eighth);
        let begin = processor_time();
        for _ in 0..batch {
            runs.push(space.alloc(black_box(request)).unwrap());
        }
        total += processor_time() - begin;
        left -= batch;
        for run in runs.drain(..) {
            space.release(run).unwrap();
        }
    }
    total
}

fn strategies(criterion: &mut Criterion) {
    let data = Request::data;
    let requests = [
        ("first_fit_1", 16, data(1, 1)),
        ("first_fit_8", 16, data(8, 8)),
        ("first_fit_up_to_256", 600, data(1, 256)),
        ("next_zero_1", 16, data(1, 1).by(Strategy::NextZero)),
        ("best_fit_64", 600, data(64, 64).by(Strategy::BestFit)),
        ("aligned_4", 16, Request::meta(4, 4)),
        ("buddy_4", 16, data(4, 4).by(Strategy::Buddy)),
    ];
    let mut group = criterion.benchmark_group("half_full");
    for (name, longest, request) in requests {
        group.bench_function(name, |bencher| {
            let space = half_full(1 + u64::from(request.max > 8) * 7, longest);
            bencher.iter_custom(|times| time_allocations(&space, &request, times));
        });
    }
    let space = half_full(1, 16);
    group.bench_function("first_fit_1_and_release", |bencher| {
        bencher.iter_custom(|times| {
            let begin = processor_time();
            for _ in 0..times {
                space.release(space.alloc(&data(1, 1)).unwrap()).unwrap();
            }
            processor_time() - begin
        });
    });
    group.bench_function("inode_and_release", |bencher| {
        bencher.iter_custom(|times| {
            let begin = processor_time();
            for _ in 0..times {
                space.release_inode(space.alloc_inode(None, false).unwrap()).unwrap();
            }
            processor_time() - begin
        });
    });
    group.bench_function("mark_busy", |bencher| {
        let space = half_full(1, 16);
        bencher.iter_custom(|times| {
            time_marking(&space, times, |runs| {
                runs.iter().for_each(|run| space.mark_busy(*run).unwrap());
            })
        });
    });
    group.bench_function("mark_all_busy", |bencher| {
        let space = half_full(1, 16);
        bencher.iter_custom(|times| {
            time_marking(&space, times, |runs| {
                space.mark_all_busy(runs.iter().copied()).unwrap();
            })
        });
    });
    group.finish();
}

/// The time in which recovery marks `times` runs of one block.
fn time_marking(space: &Space, times: u64, mark: impl Fn(&[BlockRun])) -> Duration {
    let runs: Vec<BlockRun> = (0..512).map(|_| space.alloc(&Request::data(1, 1)).unwrap()).collect();
    let mut total = Duration::ZERO;
    for batch in (0..times).step_by(512) {
        runs.iter().for_each(|run| space.release(*run).unwrap());
        let some = &runs[..512.min(times - batch) as usize];
        let begin = processor_time();
        mark(some);
        total += processor_time() - begin;
        runs.iter().skip(some.len()).for_each(|run| space.mark_busy(*run).unwrap());
    }
    runs.iter().for_each(|run| space.release(*run).unwrap());
    total
}

/// Allocations, and as many releases, in one round of one thread.
const TURNS: u64 = 4096;
const ROUNDS: u64 = 2000;

/// The shortest time in which every thread, each on the space that it is given, has done one round. A round begins
/// when all threads are seen to be running, and is short: on a busy machine some rounds remain undisturbed.
fn together(spaces: &[&Space]) -> Duration {
    let arrived = AtomicU64::new(0);
    let threads = spaces.len() as u64;
    let rounds = |space: &Space| -> Vec<Duration> {
        let mut runs = Vec::with_capacity(512);
        let round = |round| {
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < (round + 1) * threads {
                std::hint::spin_loop();
            }
            let begin = Instant::now();
            for turn in 0..TURNS {
                runs.push(space.alloc(&Request::data(1, 1 + (turn % 8) as u32)).unwrap());
                if runs.len() == 512 {
                    runs.drain(..).for_each(|run| space.release(run).unwrap());
                }
            }
            begin.elapsed()
        };
        (0..ROUNDS).map(round).collect()
    };
    let times: Vec<Vec<Duration>> = std::thread::scope(|scope| {
        let rounds = &rounds;
        let all: Vec<_> = spaces.iter().map(|space| scope.spawn(move || rounds(space))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let slowest = |round| times.iter().map(|times| times[round]).max().unwrap_or_default();
    (0..ROUNDS as usize).map(slowest).min().unwrap_or_default()
}

fn threads(_: &mut Criterion) {
    if std::env::args().skip(1).any(|arg| !arg.starts_with('-') && arg != "threads") {
        return;
    }
    let (space, other) = (half_full(8, 16), half_full(8, 16));
    let (one, two, apart) = (together(&[&space]), together(&[&space, &space]), together(&[&space, &other]));
    let each = |time: Duration| time.as_nanos() as f64 / TURNS as f64;
    println!("allocation and release: {:.0} ns, in each of two threads {:.0} ns", each(one), each(two));
    println!("two threads do {:.2} times the work of one", 2.0 * one.as_secs_f64() / two.as_secs_f64());
    println!(
        "(on a volume each {:.2} times: what the machine gives)",
        2.0 * one.as_secs_f64() / apart.as_secs_f64()
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = strategies, threads
}
criterion_main!(benches);
