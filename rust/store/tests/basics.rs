//! What a store promises to whoever uses it: views, conflicts, savepoints, durability, checkpoints.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use vexfs_device::{Device, MemoryDevice};
use vexfs_format::{BLOCK_SIZE, Key, kinds};
use vexfs_store::{Durability, Error, FormatOptions, Isolation, Merge, Options, Read, Request, Store};

fn options() -> Options {
    Options { background: false, ..Options::default() }
}

fn formatted(bytes: u64) -> Arc<dyn Device> {
    let device: Arc<dyn Device> = Arc::new(MemoryDevice::new(bytes));
    Store::mkfs(Arc::clone(&device), &FormatOptions::default()).unwrap();
    device
}

fn open(device: &Arc<dyn Device>) -> Store {
    Store::open(Arc::clone(device), options()).unwrap()
}

fn key(offset: u64) -> Key {
    Key::new(100, kinds::INODE, offset)
}

fn put(store: &Store, at: Key, value: &[u8], durability: Durability) {
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    tx.put(at, value.to_vec());
    tx.commit(durability).unwrap();
}

fn text(store: &impl Read, at: Key) -> Option<String> {
    store.get(at).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn a_view_keeps_its_moment_while_others_commit_and_checkpoint() {
    let device = formatted(4 << 20);
    let store = open(&device);
    put(&store, key(1), b"old", Durability::Visible);
    let before = store.view();
    put(&store, key(1), b"new", Durability::Visible);
    store.checkpoint(Default::default()).unwrap();
    put(&store, key(2), b"later", Durability::Visible);
    store.checkpoint(Default::default()).unwrap();
    assert_eq!(text(&before, key(1)).as_deref(), Some("old"));
    assert_eq!(text(&before, key(2)), None);
    assert_eq!(text(&store.view(), key(1)).as_deref(), Some("new"));
}

#[test]
fn what_was_committed_is_there_after_closing_and_after_a_crash() {
    let device = formatted(64 << 20);
    let store = open(&device);
    for i in 0..100 {
        put(&store, key(i), format!("value {i}").as_bytes(), Durability::Durable);
    }
    // A crash: the store is forgotten, not closed.
    std::mem::forget(store);
    let store = open(&device);
    assert_eq!(store.recovery().transactions, 100);
    for i in 0..100 {
        assert_eq!(text(&store.view(), key(i)).unwrap(), format!("value {i}"));
    }
    put(&store, key(7), b"again", Durability::Visible);
    store.close().unwrap();
    drop(store);
    let store = open(&device);
    assert!(store.recovery().clean);
    assert_eq!(text(&store.view(), key(7)).unwrap(), "again");
    assert_eq!(store.view().range(key(0), key(99)).count(), 100);
    assert_eq!(store.view().range_rev(key(0), key(99)).next().unwrap().unwrap().0, key(99));
}

#[test]
fn two_writers_of_one_key_conflict_and_the_second_loses() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let mut first = store.begin(Isolation::Snapshot).unwrap();
    let mut second = store.begin(Isolation::Snapshot).unwrap();
    first.put(key(1), b"first".to_vec());
    second.put(key(1), b"second".to_vec());
    first.commit(Durability::Visible).unwrap();
    assert!(matches!(second.commit(Durability::Visible), Err(Error::Conflict)));
    assert_eq!(text(&store.view(), key(1)).unwrap(), "first");
}

#[test]
fn a_conflict_is_seen_across_a_checkpoint() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let mut late = store.begin(Isolation::Snapshot).unwrap();
    put(&store, key(1), b"first", Durability::Visible);
    store.checkpoint(Default::default()).unwrap();
    late.put(key(1), b"late".to_vec());
    assert!(matches!(late.commit(Durability::Visible), Err(Error::Conflict)));
}

#[test]
fn a_serializable_transaction_conflicts_with_changes_of_what_it_read() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let skewed = |isolation| {
        let mut tx = store.begin(isolation).unwrap();
        assert_eq!(tx.range(key(0), key(50)).filter(|item| item.is_err()).count(), 0);
        put(&store, key(10), b"phantom", Durability::Visible);
        tx.put(key(200), b"sum".to_vec());
        tx.commit(Durability::Visible)
    };
    assert!(skewed(Isolation::Snapshot).is_ok());
    assert!(matches!(skewed(Isolation::Serializable), Err(Error::Conflict)));
}

#[derive(Debug)]
struct Add(u64);

impl Merge for Add {
    fn apply(&self, current: Option<&[u8]>) -> Option<Vec<u8>> {
        let old = current.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        Some((old + self.0).to_le_bytes().to_vec())
    }
}

#[test]
fn merges_of_one_key_all_count_and_never_conflict() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let mut open_ones = Vec::new();
    for i in 1..=10 {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        tx.merge(key(1), Arc::new(Add(i)));
        open_ones.push(tx);
    }
    for (i, tx) in open_ones.into_iter().enumerate() {
        if i == 5 {
            store.checkpoint(Default::default()).unwrap();
        }
        tx.commit(Durability::Visible).unwrap();
    }
    let sum = store.view().get(key(1)).unwrap().unwrap();
    assert_eq!(u64::from_le_bytes(sum[..].try_into().unwrap()), 55);
}

#[derive(Debug)]
struct Append;

impl Merge for Append {
    fn apply(&self, current: Option<&[u8]>) -> Option<Vec<u8>> {
        Some([current.unwrap_or_default(), b"!"].concat())
    }
}

#[test]
fn a_merge_into_a_value_that_became_much_longer_conflicts_and_harms_nothing() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let merge = || {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        tx.merge(key(1), Arc::new(Append));
        tx
    };
    let late = merge();
    put(&store, key(1), &[b'x'; 1000], Durability::Visible);
    assert!(matches!(late.commit(Durability::Visible), Err(Error::Conflict)));
    merge().commit(Durability::Durable).unwrap();
    assert_eq!(text(&store.view(), key(1)).unwrap().len(), 1001);
}

#[test]
fn a_savepoint_undoes_what_came_after_it_and_nothing_else() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let free = store.space_status().free_blocks;
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    tx.put(key(1), b"kept".to_vec());
    let savepoint = tx.savepoint();
    tx.put(key(1), b"undone".to_vec());
    tx.delete(key(2));
    let mut blocks = tx.reserve(&Request::data(4, 4)).unwrap();
    tx.write_blocks(&mut blocks, &[7; 4 * BLOCK_SIZE], &[0; 4]).unwrap();
    tx.rollback_to(savepoint);
    assert_eq!(text(&tx, key(1)).unwrap(), "kept");
    tx.commit(Durability::Visible).unwrap();
    assert_eq!(text(&store.view(), key(1)).unwrap(), "kept");
    assert_eq!(store.space_status().free_blocks, free);
}

#[test]
fn an_aborted_transaction_gives_its_blocks_back() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let free = store.space_status().free_blocks;
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    let mut blocks = tx.reserve(&Request::data(16, 16)).unwrap();
    tx.place(&mut blocks, 10, None).unwrap();
    tx.abort();
    drop(blocks);
    assert_eq!(store.space_status().free_blocks, free);
}

#[test]
fn a_durable_commit_that_fits_without_its_data_is_not_too_large_with_it() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    (0..58).for_each(|at| tx.put(key(at), vec![1; 1000]));
    let mut blocks = tx.reserve(&Request::data(3, 3)).unwrap();
    let sum = crc32c::crc32c(&[9; BLOCK_SIZE]);
    let run = tx.write_blocks(&mut blocks, &[9; 3 * BLOCK_SIZE], &[sum; 3]).unwrap();
    tx.commit(Durability::Durable).unwrap();
    let mut found = [0; 3 * BLOCK_SIZE];
    store.read_blocks(run.start, &mut found).unwrap();
    assert_eq!(found, [9; 3 * BLOCK_SIZE]);
}

#[test]
fn freed_blocks_come_back_when_the_last_view_that_reaches_them_is_gone() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    let mut blocks = tx.reserve(&Request::data(8, 8)).unwrap();
    let sum = crc32c::crc32c(&[9; BLOCK_SIZE]);
    let run = tx.write_blocks(&mut blocks, &[9; 8 * BLOCK_SIZE], &[sum; 8]).unwrap();
    let birth = tx.seq();
    tx.put(key(1), b"file".to_vec());
    tx.commit(Durability::Visible).unwrap();
    let view = store.view();
    let free = store.space_status().free_blocks;
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    tx.delete(key(1));
    tx.free(run, birth);
    tx.commit(Durability::Visible).unwrap();
    assert_eq!(store.space_status().free_blocks, free + 8, "what is given up counts as free at once");
    store.checkpoint(Default::default()).unwrap();
    assert!(store.space().unwrap().is_busy(run.start).unwrap());
    assert_eq!(text(&view, key(1)).unwrap(), "file");
    drop(view);
    store.relieve().unwrap();
    assert!(!store.space().unwrap().is_busy(run.start).unwrap());
}

#[test]
fn a_full_volume_says_so_and_can_be_emptied() {
    let device = formatted(2 << 20);
    let store = open(&device);
    let mut written = 0;
    let error = loop {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        tx.put(key(written), vec![written as u8; 1500]);
        match tx.commit(Durability::Visible) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10_000);
    };
    assert!(matches!(error, Error::NoSpace), "{error}");
    assert!(written > 300, "{written}");
    for offset in 0..written {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        tx.set_removal(true);
        tx.delete(key(offset));
        tx.commit(Durability::Visible).unwrap();
    }
    store.checkpoint(Default::default()).unwrap();
    assert_eq!(store.view().range(key(0), key(u64::MAX)).count(), 0);
    for offset in 0..written / 2 {
        put(&store, key(offset), &[1; 1500], Durability::Visible);
    }
    store.close().unwrap();
}

#[test]
fn a_reader_mode_store_recovers_in_memory_and_refuses_to_write() {
    let device = formatted(4 << 20);
    let store = open(&device);
    put(&store, key(1), b"logged", Durability::Durable);
    std::mem::forget(store);
    let options = Options { mode: vexfs_store::Mode::Read, ..options() };
    let store = Store::open(Arc::clone(&device), options).unwrap();
    assert_eq!(text(&store.view(), key(1)).unwrap(), "logged");
    assert!(matches!(store.begin(Isolation::Snapshot), Err(Error::ReadOnly)));
}

#[test]
fn unique_numbers_are_never_repeated_after_a_crash() {
    let device = formatted(4 << 20);
    let store = open(&device);
    let number = store.unique();
    put(&store, key(1), &number.to_le_bytes(), Durability::Durable);
    std::mem::forget(store);
    assert!(open(&device).unique() > number);
}

#[test]
fn a_view_of_the_recovered_log_keeps_it_from_being_overwritten_until_it_ends() {
    let device = formatted(8 << 20);
    let store = open(&device);
    for i in 0..20 {
        put(&store, key(i), format!("logged {i}").as_bytes(), Durability::Durable);
    }
    std::mem::forget(store);
    let store = open(&device);
    let view = store.view();
    let value = view.get(key(3)).unwrap().unwrap();
    store.checkpoint(Default::default()).unwrap();
    // The log is 256 KiB: commits fill it until what is left is what the view reads.
    let refused = (0..200).find_map(|i| {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        tx.put(key(1000 + i), vec![1; 3000]);
        tx.commit(Durability::Durable).err()
    });
    assert!(matches!(refused, Some(Error::Stalled)), "{refused:?}");
    assert_eq!(text(&view, key(7)).unwrap(), "logged 7");
    assert_eq!(&value[..], b"logged 3");
    drop((view, value));
    for i in 0..200 {
        put(&store, key(2000 + i), &[2; 3000], Durability::Durable);
    }
    store.close().unwrap();
}

#[test]
fn a_closed_store_refuses_commits_and_loses_none_before() {
    let device = formatted(16 << 20);
    let store = open(&device);
    let committed = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    let mut done = 0;
                    loop {
                        let Ok(mut tx) = store.begin(Isolation::Snapshot) else { return done };
                        tx.put(key(thread * 100_000 + done), b"x".to_vec());
                        match tx.commit(Durability::Visible) {
                            Ok(_) => done += 1,
                            Err(error) => {
                                assert!(matches!(error, Error::Closed), "{error}");
                                return done;
                            }
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(30));
        store.close().unwrap();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum::<u64>()
    });
    drop(store);
    let store = open(&device);
    assert!(store.recovery().clean);
    assert_eq!(store.view().range(key(0), key(u64::MAX)).count() as u64, committed);
}

#[test]
fn past_checkpoints_give_way_before_there_is_no_space() {
    let device = formatted(16 << 20);
    let store = Store::open(Arc::clone(&device), Options { retain: 8, ..options() }).unwrap();
    let blocks = store.space_status().blocks;
    let piece = |round: u8| {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        let mut place = tx.reserve(&Request::data(32, 32)).unwrap();
        let bytes = vec![round; 32 * BLOCK_SIZE];
        let run = tx.write_blocks(&mut place, &bytes, &[crc32c::crc32c(&bytes[..BLOCK_SIZE]); 32]).unwrap();
        tx.put(key(run.start.0), vec![round]);
        let birth = tx.commit(Durability::Visible).unwrap();
        (run, birth)
    };
    let mut runs: std::collections::VecDeque<_> = (0..blocks * 7 / 10 / 32).map(|_| piece(0)).collect();
    store.checkpoint(Default::default()).unwrap();
    let mut dropped = 0;
    for round in 1..8 {
        // A fifth of the volume at once, while what it replaces is still there and more is kept for the past.
        for _ in 0..blocks / 5 / 32 {
            runs.push_back(piece(round));
        }
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        for (run, birth) in runs.drain(..(blocks / 5 / 32) as usize) {
            tx.delete(key(run.start.0));
            tx.free(run, birth);
        }
        tx.commit(Durability::Visible).unwrap();
        let before = store.stats().reclaimed_blocks;
        store.checkpoint(Default::default()).unwrap();
        dropped += u64::from(store.stats().reclaimed_blocks > before);
    }
    assert!(dropped > 0);
    let status = store.space_status();
    let (held, free) = (runs.len() as u64 * 32, status.free_blocks);
    assert!(
        free > status.blocks - held - 100,
        "{free} free, {held} in use of {}: what is kept for the past counts as free",
        status.blocks
    );
}
