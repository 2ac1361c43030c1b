//! Threads that move money between accounts: whoever looks, at any moment and after any crash, finds all of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use vexfs_device::sim::SimDevice;
use vexfs_format::{Key, kinds};
use vexfs_store::{Durability, Error, FormatOptions, Isolation, Mode, Options, Read, Store};

const ACCOUNTS: u64 = 8;
const EACH: u64 = 1000;
const THREADS: u64 = 4;
const TRANSFERS: u64 = 600;

fn key(account: u64) -> Key {
    Key::new(100, kinds::INODE, account)
}

fn balance(reader: &impl Read, account: u64) -> u64 {
    u64::from_le_bytes(reader.get(key(account)).unwrap().unwrap()[..].try_into().unwrap())
}

fn sum(reader: &impl Read) -> u64 {
    let items = reader.range(key(0), key(ACCOUNTS - 1));
    items.map(|item| u64::from_le_bytes(item.unwrap().1[..].try_into().unwrap())).sum()
}

fn open(sim: &Arc<SimDevice>, mode: Mode, background: bool) -> Store {
    let options = Options { mode, background, memtable_bytes: 16 << 10, retain: 2, ..Options::default() };
    Store::open(Arc::clone(sim) as _, options).unwrap()
}

/// Moves an amount, in a transaction that is run again when it conflicts.
fn transfer(store: &Store, from: u64, to: u64, isolation: Isolation, durability: Durability) {
    loop {
        let mut tx = store.begin(isolation).unwrap();
        let amount = balance(&tx, from).min(7);
        tx.put(key(from), (balance(&tx, from) - amount).to_le_bytes().to_vec());
        tx.put(key(to), (balance(&tx, to) + amount).to_le_bytes().to_vec());
        assert_eq!(sum(&tx), ACCOUNTS * EACH);
        match tx.commit(durability) {
            Ok(_) => return,
            Err(error) => assert!(matches!(error, Error::Conflict | Error::TooOld), "{error}"),
        }
    }
}

fn work(store: &Store, thread: u64) {
    for n in 0..TRANSFERS {
        let isolation = if n % 2 == 0 { Isolation::Snapshot } else { Isolation::Serializable };
        let durability = if n % 3 == 0 { Durability::Durable } else { Durability::Visible };
        let from = (n * 5 + thread * 3) % ACCOUNTS;
        transfer(store, from, (from + 1 + n % 3) % ACCOUNTS, isolation, durability);
    }
}

#[test]
fn threads_that_transfer_never_make_or_lose_anything() {
    let sim = Arc::new(SimDevice::new(8 << 20));
    Store::mkfs(Arc::clone(&sim) as _, &FormatOptions::default()).unwrap();
    let store = open(&sim, Mode::Write, true);
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    (0..ACCOUNTS).for_each(|account| tx.put(key(account), EACH.to_le_bytes().to_vec()));
    tx.commit(Durability::Durable).unwrap();
    sim.restart();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let store = store.clone();
                    move || work(&store, thread)
                })
            })
            .collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            let view = store.view();
            assert_eq!(sum(&view), ACCOUNTS * EACH);
            std::thread::yield_now();
            assert_eq!(sum(&view), ACCOUNTS * EACH, "the same view a little later");
        }
    });
    let end: Vec<u64> = (0..ACCOUNTS).map(|account| balance(&store.view(), account)).collect();
    store.sync().unwrap();
    std::mem::forget(store);
    for (state, image) in sim.trace().prefixes().step_by(23) {
        let crashed = Arc::new(SimDevice::from_image(image).read_only());
        assert_eq!(sum(&open(&crashed, Mode::Read, false).view()), ACCOUNTS * EACH, "{state}");
    }
    let again = open(&sim, Mode::Write, false);
    let found: Vec<u64> = (0..ACCOUNTS).map(|account| balance(&again.view(), account)).collect();
    assert_eq!(found, end);
}
