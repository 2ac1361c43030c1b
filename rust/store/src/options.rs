//! What can be chosen when a store is made or opened.

use std::time::Duration;

use vexfs_format::Key;
use vexfs_journal::ScanOptions;

use crate::progress::RecoveryWatch;

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// To read and write; recovers first.
    #[default]
    Write,
    /// To read; a crashed volume is recovered in memory and nothing is written.
    Read,
    /// To read the last checkpoint beside a process that writes.
    Beside,
}

/// Options of an open store.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it is opened.
    pub mode: Mode,
    /// Threads of recovery; `None`: one a core, at most 16.
    pub workers: Option<usize>,
    /// A log with less than so many bytes is read by one thread.
    pub parallel_bytes: u64,
    /// Bytes of committed changes in memory from which on a checkpoint begins. Twice as many make writers wait.
    pub memtable_bytes: u64,
    /// Bytes of tree nodes kept in memory at most. Usually an eighth of what the machine has, or this process may
    /// have, within 64 MiB and 1 GiB; only what is read comes to stay.
    pub cache_bytes: u64,
    /// How long a visible commit may stay undurable.
    pub commit_interval: Duration,
    /// How long until a checkpoint is made although nothing presses.
    pub checkpoint_interval: Duration,
    /// Whether freed space is given back to the host (a hole in the image file) after its checkpoint.
    pub discard: bool,
    /// How many past checkpoints are kept at most, the newest not counted.
    pub retain: usize,
    /// Whether threads commit, checkpoint and reclaim in the background. Without, only calls do.
    pub background: bool,
    /// Told how far recovery has come; says whether to go on.
    pub watch: Option<RecoveryWatch>,
    /// What the log batches; see [`vexfs_journal::Options`].
    pub journal: vexfs_journal::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Write,
            workers: None,
            parallel_bytes: ScanOptions::default().parallel_bytes,
            memtable_bytes: 32 << 20,
            cache_bytes: (memory() / 8).clamp(64 << 20, 1 << 30),
            commit_interval: Duration::from_secs(5),
            checkpoint_interval: Duration::from_secs(300),
            discard: false,
            retain: 63,
            background: true,
            watch: None,
            journal: vexfs_journal::Options::default(),
        }
    }
}

/// Bytes of memory that this process may use.
fn memory() -> u64 {
    let machine = rustix::system::sysinfo();
    let machine = (machine.totalram as u64).saturating_mul(machine.mem_unit.into());
    // No number, as "max", means that there is no limit.
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    limit.and_then(|limit| limit.trim().parse().ok()).map_or(machine, |limit: u64| limit.min(machine))
}

/// Options of a new store.
#[derive(Clone, Debug, Default)]
pub struct FormatOptions {
    /// The volume's name for people, at most 64 bytes of UTF-8.
    pub label: String,
    /// Bytes of the log; `None`: 1/32 of the volume within 256 KiB and 1 GiB.
    pub journal_bytes: Option<u64>,
    /// The volume's UUID; `None`: a random one.
    pub uuid: Option<[u8; 16]>,
    /// Seed of the hash of names; `None`: random.
    pub hash_seed: Option<[u8; 16]>,
    /// When the volume was made, nanoseconds since 1970; `None`: now.
    pub created_ns: Option<i64>,
    /// The items that the new volume begins with.
    pub items: Vec<(Key, Vec<u8>)>,
    /// Inodes among those items.
    pub inodes: u64,
    /// The highest unique number that those items use.
    pub unique_high: u64,
}
