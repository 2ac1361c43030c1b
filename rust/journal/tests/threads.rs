//! Many threads on one log.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Random, Session, Volume, check_prefix};
use parking_lot::{Condvar, Mutex};
use vexfs_format::Seq;
use vexfs_journal::{Class, Data, Ending, Error};

const THREADS: u64 = 16;
const EACH: u64 = 400;

/// What a store has around the log: the lock that orders commits, and the wait for a checkpoint.
struct Store<'a> {
    session: Session<'a>,
    seq: Mutex<u64>,
    full: Mutex<u64>,
    released: Condvar,
    done: AtomicBool,
}

impl Store<'_> {
    fn commit(&self, size: usize, durable: bool) -> u64 {
        let log = &self.session.log;
        let bytes = common::record(0, size, false, 0).len() as u64;
        let reservation = loop {
            let generation = *self.full.lock();
            match log.reserve(bytes, Class::Ordinary) {
                Ok(reservation) => break reservation,
                Err(Error::Full { .. }) => {
                    let mut now = self.full.lock();
                    if *now == generation {
                        self.released.wait_for(&mut now, Duration::from_millis(5));
                    }
                }
                Err(error) => panic!("{error}"),
            }
        };
        let (seq, ticket) = {
            let mut last = self.seq.lock();
            *last += 1;
            let record = common::record(*last, size, false, 0);
            (*last, log.enqueue(reservation, record, Seq(*last), Data::default()).unwrap())
        };
        if durable {
            log.wait(ticket).unwrap()
        } else {
            log.relieve().unwrap()
        }
        seq
    }

    fn checkpoint(&self) {
        let log = &self.session.log;
        let (seq, position) = log
            .cut(|cut| {
                let last = self.seq.lock();
                cut.seal();
                *last
            })
            .unwrap();
        let id = self.session.volume.write_descriptor(position, seq);
        log.set_durable_checkpoint(id, position.lsn);
        log.mark().unwrap();
        *self.full.lock() += 1;
        self.released.notify_all();
    }
}

#[test]
fn sixteen_threads_with_checkpoints_lose_nothing_they_waited_for() {
    let mut volume = Volume::new(128 << 10, 0);
    volume.options.queue_bytes = 4096;
    let session = volume.open(&volume.recover(), 7);
    let store = Store {
        session,
        seq: Mutex::new(0),
        full: Mutex::new(0),
        released: Condvar::new(),
        done: AtomicBool::new(false),
    };
    let acks = Mutex::new(vec![(0, 0)]);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (store, acks, volume) = (&store, &acks, &volume);
                scope.spawn(move || {
                    let mut random = Random(thread);
                    for _ in 0..EACH {
                        let durable = random.below(3) > 0;
                        let seq = store.commit(random.below(600) as usize, durable);
                        if durable {
                            acks.lock().push((volume.device.position(), seq));
                        }
                        if random.below(50) == 0 {
                            store.session.log.flush_queue().unwrap();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !store.done.load(Ordering::Acquire) {
                if store.session.log.used() > 48 << 10 {
                    store.checkpoint();
                }
                std::thread::yield_now();
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        store.done.store(true, Ordering::Release);
    });
    store.session.log.flush_queue().unwrap();
    let scan = volume.scan().unwrap();
    assert_eq!(scan.ending, Ending::Clean);
    assert_eq!(check_prefix(&scan, volume.descriptor().seq), THREADS * EACH);
    let acks = acks.into_inner();
    let states: Vec<_> = volume.device.trace().prefixes().collect();
    for (state, image) in states.iter().step_by(7) {
        let crashed = volume.after_crash(image.clone());
        let last = check_prefix(&crashed.recover(), crashed.descriptor().seq);
        let promised = acks.iter().filter(|ack| ack.0 <= state.acknowledged).map(|ack| ack.1).max();
        assert!(Some(last) >= promised, "{state}: {last} survived, {promised:?} was promised");
    }
}

#[test]
fn followers_share_the_leaders_write() {
    let mut volume = Volume::new(4 << 20, 0);
    volume.options.gather = Duration::from_millis(2);
    let session = volume.open(&volume.recover(), 7);
    let seq = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let ticket = {
                        let mut last = seq.lock();
                        *last += 1;
                        session.enqueue(*last, 100, false).unwrap()
                    };
                    session.log.wait(ticket).unwrap();
                }
            });
        }
    });
    let counters = session.log.stats().counters;
    assert_eq!(counters.records, 160);
    assert!(counters.rounds < 100, "{} rounds for 160 commits of 8 threads", counters.rounds);
}
