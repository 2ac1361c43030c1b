//! Durable commits in one second: one client and sixteen, 200 bytes and a page.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::stores::{self, Store};

/// One round over all stores, sizes and numbers of threads; `turn` decides who goes first. Each contest has its own
/// new file and is left alone for a tenth of its time before it counts.
pub fn round(directory: &Path, time: Duration, turn: usize) -> Result<()> {
    let stores = stores::all();
    for offset in 0..stores.len() {
        let (name, most_threads, open) = stores[(turn + offset) % stores.len()];
        for bytes in [200, 4096] {
            for threads in [1, 16].into_iter().filter(|&threads| threads <= most_threads) {
                let folder = directory.join(format!("{name}-{bytes}-{threads}"));
                std::fs::create_dir_all(&folder)?;
                let rate = contest(&*open(&folder, bytes)?, bytes, threads, time)?;
                println!("{name} {bytes} {threads} {rate:.1}");
                std::fs::remove_dir_all(&folder)?;
            }
        }
    }
    Ok(())
}

/// Commits a second.
fn contest(store: &dyn Store, bytes: usize, threads: u64, time: Duration) -> Result<f64> {
    let (done, counting, over) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let client = |thread: u64| -> Result<()> {
        let value = vec![thread as u8 + 1; bytes];
        for number in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            store.commit(thread << 40 | number, &value)?;
            if counting.load(Ordering::Relaxed) {
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let client = &client;
        let clients: Vec<_> = (0..threads).map(|thread| scope.spawn(move || client(thread))).collect();
        std::thread::sleep(time / 10);
        let begin = Instant::now();
        counting.store(true, Ordering::Relaxed);
        std::thread::sleep(time);
        let count = done.load(Ordering::Relaxed);
        let elapsed = begin.elapsed();
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(count as f64 / elapsed.as_secs_f64())
    })
}
