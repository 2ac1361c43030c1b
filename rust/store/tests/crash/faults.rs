//! A device that fails: the volume turns read-only or nothing has happened, and the next open finds all that was
//! acknowledged. A host without space: what was tried is given up, and all goes on.

use std::sync::Arc;

use vexfs_device::Image;
use vexfs_device::sim::{CrashState, Fault, Injection, Op, Sampling, SimDevice};
use vexfs_format::BLOCK_SIZE;
use vexfs_store::{Durability, Error, Isolation, Options, Request, Store};

use crate::workload::*;

const STEPS: usize = 22;

fn begin(base: &Image, number: u64) -> Work {
    let sim = Arc::new(SimDevice::from_image(base.clone()));
    Work::open(&sim, options(), History::of(vec![Model::new()]), seed(number)).unwrap()
}

/// The states in which the power fails now.
fn last_states(sim: &SimDevice, number: u64) -> Vec<(CrashState, Image)> {
    let trace = sim.trace();
    let all = trace.subsets(Sampling { exhaustive: 2, samples: 4, seed: seed(number) });
    let states = all.filter(|(state, _)| state.acknowledged == trace.events().len());
    states.collect()
}

/// Works until something fails, or to the end; says what failed.
fn work_until_failure(work: &mut Work) -> Option<Error> {
    (0..STEPS).find_map(|_| work.step().err())
}

/// Nothing can be written any more, and all that was visible can be read.
fn check_failed(work: &Work, what: &dyn std::fmt::Debug) {
    let store = &work.store;
    let results = [
        store.begin(Isolation::Snapshot).map(drop),
        store.sync(),
        store.checkpoint(Default::default()).map(drop),
        store.relieve().map(drop),
    ];
    for result in results {
        assert_eq!(result.unwrap_err().code(), "failed", "{what:?}");
    }
    assert!(!store.is_writable());
    let found = content(store);
    let number = counter(&found);
    assert!(number + 2 >= work.history.models.len(), "{what:?}");
    assert_eq!(found, work.history.models[number], "{what:?}: what was visible can be read");
    assert_eq!(store.close().unwrap_err().code(), "failed", "{what:?}");
}

/// Opens the device again without a crash between, goes on, and then the power fails.
fn reopen_and_go_on(work: Work, what: &dyn std::fmt::Debug) {
    let Work { sim, store, history, .. } = work;
    sim.heal();
    drop(store);
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    let prefix = counter(&content(&store));
    let must = history.acknowledged.last().unwrap().1;
    assert!(prefix >= must, "{what:?}: {must} had been acknowledged, {prefix} is what is there");
    drop(store);
    let again = History::of(history.models[..=prefix].to_vec());
    let again = go_on(&sim, again, seed(prefix as u64), 6);
    for (state, image) in last_states(&sim, 3) {
        check(&image, &again, state.acknowledged, &(what, state));
    }
}

#[test]
fn a_failed_write_or_flush_costs_nothing_that_was_acknowledged() {
    let base = formatted(3 << 20);
    let faults = [(Op::Write, Fault::Io), (Op::Flush, Fault::Io), (Op::Any, Fault::Io)];
    let mut failures = 0;
    for ((op, fault), lasting) in faults.into_iter().flat_map(|fault| [(fault, false), (fault, true)]) {
        for at in 0.. {
            let mut work = begin(&base, 31);
            let injection = Injection::new(op, fault).after(at);
            work.sim.inject(if lasting { injection.lasting() } else { injection });
            let error = work_until_failure(&mut work);
            if work.sim.struck() == 0 {
                break;
            }
            let what = (op, fault, lasting, at, error.map(|error| error.code()));
            work.sim.heal();
            if work.store.begin(Isolation::Snapshot).is_err() {
                check_failed(&work, &what);
                failures += 1;
            }
            for (state, image) in last_states(&work.sim, 2) {
                check(&image, &work.history, state.acknowledged, &(what, state));
            }
            reopen_and_go_on(work, &what);
        }
    }
    assert!(failures > 20, "{failures}");
}

#[test]
fn a_commit_or_sync_whose_flush_fails_says_so_and_is_the_last() {
    for durable in [false, true] {
        let mut work = begin(&formatted(3 << 20), 32);
        (0..3).for_each(|_| work.step().unwrap());
        work.store.sync().unwrap();
        work.sim.inject(Injection::new(Op::Any, Fault::Io));
        let mut tx = work.store.begin(Isolation::Snapshot).unwrap();
        tx.put(key(1), b"never acknowledged".to_vec());
        let error = match durable {
            true => tx.commit(Durability::Durable).unwrap_err(),
            false => {
                tx.commit(Durability::Visible).unwrap();
                work.store.sync().unwrap_err()
            }
        };
        assert!(matches!(&error, Error::Failed { reason } if !reason.is_empty()), "{error}");
        assert_eq!(work.store.sync().unwrap_err().code(), "failed", "it is not tried again");
        assert_eq!(work.store.close().unwrap_err().code(), "failed");
    }
}

/// No space on the host while a checkpoint is made: it is given up, nothing is lost and no block leaks.
#[test]
fn a_checkpoint_that_finds_no_room_on_the_host_is_given_up() {
    let base = formatted(3 << 20);
    let mut given_up = 0;
    for at in 0.. {
        let sim = Arc::new(SimDevice::from_image(base.clone()));
        let options = Options { retain: 0, ..options() };
        let mut work = Work::open(&sim, options.clone(), History::of(vec![Model::new()]), seed(33)).unwrap();
        work.checkpoints = false;
        (0..12).for_each(|_| work.step().unwrap());
        work.store.sync().unwrap();
        sim.inject(Injection::new(Op::Write, Fault::NoSpace).after(at));
        let made = work.store.checkpoint(Default::default());
        if sim.struck() == 0 {
            break;
        }
        let error = made.unwrap_err();
        let last = work.history.models.last().unwrap().clone();
        assert_eq!(content(&work.store), last, "write {at}: {error}");
        if work.store.begin(Isolation::Snapshot).is_ok() {
            given_up += 1;
            (0..3).for_each(|_| work.step().unwrap());
            assert!(work.store.checkpoint(Default::default()).unwrap());
            while work.store.checkpoint(Default::default()).unwrap() {}
            let free = work.store.space_status().free_blocks;
            std::mem::forget(work.store);
            let again = Store::open(Arc::clone(&sim) as _, options).unwrap();
            assert_eq!(again.space_status().free_blocks, free, "write {at}: blocks leaked");
            std::mem::forget(again);
        } else {
            // The descriptor, of which nobody knows whether it is there.
            assert_eq!(error.code(), "failed", "write {at}");
        }
        let acknowledged = work.history.acknowledged.last().unwrap().1;
        for (state, image) in last_states(&sim, 4) {
            let prefix = check(&image, &work.history, state.acknowledged, &(at, state));
            assert!(prefix >= acknowledged);
        }
    }
    assert!(given_up > 0, "{given_up} of them");
}

#[test]
fn blocks_that_could_not_be_written_are_given_back() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let store = Store::open(Arc::clone(&sim) as _, options()).unwrap();
    let free = store.space_status().free_blocks;
    let block = [7; BLOCK_SIZE];
    let sum = crc32c::crc32c(&block);
    for fault in [Fault::Io, Fault::NoSpace] {
        let mut tx = store.begin(Isolation::Snapshot).unwrap();
        // The second write does not follow the first, which therefore goes to the device first: and fails.
        let mut first = tx.reserve(&Request::data(1, 1)).unwrap();
        let gap = tx.reserve(&Request::data(1, 1)).unwrap();
        let mut second = tx.reserve(&Request::data(1, 1)).unwrap();
        tx.write_blocks(&mut first, &block, &[sum]).unwrap();
        sim.inject(Injection::new(Op::Write, fault).lasting());
        assert!(tx.write_blocks(&mut second, &block, &[sum]).is_err());
        drop((gap, second));
        assert_eq!(store.space_status().free_blocks, free - 1, "only the first is still held");
        tx.put(key(1), b"names what is not there".to_vec());
        assert!(tx.commit(Durability::Visible).is_err(), "there is no commit without its data");
        sim.heal();
        assert_eq!(store.space_status().free_blocks, free);
        assert_eq!(content(&store), Model::new());
    }
    let mut tx = store.begin(Isolation::Snapshot).unwrap();
    let mut place = tx.reserve(&Request::data(2, 2)).unwrap();
    assert_eq!(tx.write_blocks(&mut place, &block, &[sum, sum]).unwrap_err().code(), "corrupt");
    drop((place, tx));
    assert_eq!(store.space_status().free_blocks, free, "what nobody placed is nobody's");
}

/// What recovery does to the device may fail as well: then the volume does not open, and next time it does.
#[test]
fn recovery_that_fails_can_be_tried_again() {
    let sim = Arc::new(SimDevice::from_image(formatted(3 << 20)));
    let history = run(&sim, seed(34), 30);
    let lossy =
        sim.trace().subsets(Sampling { exhaustive: 0, samples: 1, seed: 9 }).step_by(9).collect::<Vec<_>>();
    for (state, image) in lossy {
        let prefix = check(&image, &history, state.acknowledged, &state);
        for at in 0.. {
            let again = Arc::new(SimDevice::from_image(image.clone()));
            again.inject(Injection::new(Op::Any, Fault::Io).after(at));
            let opened = Store::open(Arc::clone(&again) as _, options());
            if again.struck() == 0 {
                break;
            }
            assert!(opened.is_err(), "{state}: operation {at} failed");
            again.heal();
            let opened = Store::open(Arc::clone(&again) as _, options()).unwrap();
            assert_eq!(counter(&content(&opened)), prefix, "{state}: operation {at} failed");
            std::mem::forget(opened);
            for (second, image) in last_states(&again, at) {
                assert_eq!(check(&image, &history, state.acknowledged, &(&state, second)), prefix);
            }
        }
    }
}
