//! The promise of the log: after any crash it holds a prefix of what was queued, and in that prefix everything
//! that had been waited for. Also after a crash during the epoch that follows a crash.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{Random, Session, Volume, check_prefix};
use vexfs_device::Image;
use vexfs_device::sim::{CrashState, Sampling};
use vexfs_journal::{Ending, Error, ScanOptions};

/// What was promised: at so many events, everything up to this record is durable.
type Acks = Vec<(usize, u64)>;

/// Queues `count` records behind `seq` of many sizes, durable and not, with data and without, with checkpoints
/// when the log is full and now and then.
fn work(session: &Session<'_>, seq: u64, count: u64, random: &mut Random) -> Acks {
    let device = &session.volume.device;
    let mut acks = vec![(0, seq)];
    for seq in seq + 1..=seq + count {
        let size = match random.below(20) {
            0 => random.below(session.log.max_record() - 200) as usize,
            1..=4 => random.below(9000) as usize,
            _ => random.below(300) as usize,
        };
        let data = random.below(4) == 0;
        let ticket = loop {
            match session.enqueue(seq, size, data) {
                Ok(ticket) => break ticket,
                Err(Error::Full { .. }) => {
                    session.checkpoint(seq - 1).unwrap();
                    acks.push((device.position(), seq - 1));
                }
                Err(error) => panic!("{error}"),
            }
        };
        match random.below(12) {
            0..=4 => {
                session.log.wait(ticket).unwrap();
                acks.push((device.position(), seq));
            }
            5 => {
                session.log.flush_queue().unwrap();
                acks.push((device.position(), seq));
            }
            6 => {
                session.log.mark().unwrap();
                acks.push((device.position(), seq));
            }
            7 if random.below(3) == 0 => {
                session.checkpoint(seq).unwrap();
                acks.push((device.position(), seq));
            }
            _ => session.log.relieve().unwrap(),
        }
    }
    acks
}

/// Recovers one state and checks the promise; returns the last record that survived.
fn check(volume: &Volume, state: &CrashState, image: Image, acks: &Acks) -> (Volume, u64) {
    let crashed = volume.after_crash(image);
    let before = crashed.scan().unwrap();
    assert!(!matches!(before.ending, Ending::Damage { .. }), "{state}: {:?}", before.ending);
    let scan = crashed.recover();
    let last = check_prefix(&scan, crashed.descriptor().seq);
    let promised = acks.iter().filter(|ack| ack.0 <= state.acknowledged).map(|ack| ack.1).max().unwrap();
    assert!(last >= promised, "{state}: {last} survived, {promised} was promised");
    let again = crashed.recover();
    assert_eq!(check_prefix(&again, crashed.descriptor().seq), last, "{state}: recovering twice differs");
    assert_eq!(again.end, scan.end);
    (crashed, last)
}

fn states(volume: &Volume, samples: usize, seed: u64) -> Vec<(CrashState, Image)> {
    let trace = volume.device.trace();
    let sampling = Sampling { exhaustive: 4, samples, seed };
    trace.prefixes().chain(trace.subsets(sampling)).chain(trace.tears(sampling)).collect()
}

#[test]
fn any_crash_over_many_laps_leaves_a_prefix_with_all_that_was_promised() {
    for seed in 0..4 {
        let mut volume = Volume::new(128 << 10, 400);
        volume.options.queue_bytes = 4096;
        let mut random = Random(seed);
        let session = volume.open(&volume.recover(), 7);
        let acks = work(&session, 0, 150, &mut random);
        assert!(session.log.stats().counters.bytes > 3 * volume.region.bytes, "too little was written");
        for (state, image) in states(&volume, 3, seed) {
            check(&volume, &state, image, &acks);
        }
    }
}

#[test]
fn a_crash_in_the_epoch_after_a_crash_leaves_a_prefix_too() {
    let mut random = Random(99);
    let mut volume = Volume::new(128 << 10, 400);
    volume.options.queue_bytes = 4096;
    let session = volume.open(&volume.recover(), 7);
    let acks = work(&session, 0, 60, &mut random);
    let first = states(&volume, 2, 5);
    let picked = (0..15).map(|_| random.below(first.len() as u64) as usize).collect::<Vec<_>>();
    for pick in picked {
        let (state, image) = &first[pick];
        let (crashed, last) = check(&volume, state, image.clone(), &acks);
        let scan = crashed.recover();
        crashed.device.restart();
        let session = crashed.open(&scan, 8);
        let acks = work(&session, last, 12, &mut random);
        for (state, image) in states(&crashed, 2, 6) {
            let (again, last) = check(&crashed, &state, image, &acks);
            let session = again.open(&again.recover(), 9);
            work(&session, last, 2, &mut random);
            session.log.flush_queue().unwrap();
            let scan = again.scan().unwrap();
            assert_eq!(check_prefix(&scan, again.descriptor().seq), last + 2);
        }
    }
}

#[test]
fn a_crash_while_recovery_writes_changes_nothing() {
    let mut random = Random(3);
    let mut volume = Volume::new(128 << 10, 100);
    volume.options.queue_bytes = 4096;
    let session = volume.open(&volume.recover(), 7);
    work(&session, 0, 40, &mut random);
    for (state, image) in states(&volume, 1, 1).into_iter().step_by(5) {
        let crashed = volume.after_crash(image);
        let scan = crashed.recover();
        let last = check_prefix(&scan, crashed.descriptor().seq);
        for (inner, image) in states(&crashed, 2, 2) {
            let (_, survived) = check(&crashed, &inner, image, &vec![(0, last)]);
            assert_eq!(survived, last, "{state}, then {inner}");
        }
    }
}

#[test]
fn every_number_of_workers_reads_the_same() {
    let mut volume = Volume::new(4 << 20, 600);
    volume.options.queue_bytes = 4096;
    let session = volume.open(&volume.recover(), 7);
    let mut random = Random(12);
    let mut seq = 0;
    while session.log.used() < 3 << 20 {
        seq += 1;
        let ticket = session.enqueue(seq, random.below(3000) as usize, false).unwrap();
        if random.below(3) == 0 {
            session.log.wait(ticket).unwrap();
        }
    }
    for broken in [false, true] {
        if broken {
            let scan = volume.scan().unwrap();
            let victim = scan.frames[scan.frames.len() * 2 / 3];
            let offset = volume.region.device_offset(victim.lsn) + 1000;
            volume.device.damage(offset, vexfs_device::sim::Damage::BitFlip { bit: 3 });
        }
        let read = |workers| {
            let options = ScanOptions { workers, parallel_bytes: 0, ..ScanOptions::default() };
            let scan = volume.scan_with(&options).unwrap();
            (common::found(&scan), scan.end, scan.ending, scan.known_durable, scan.frames)
        };
        let one = read(1);
        assert_eq!(broken, matches!(one.2, Ending::Damage { .. }), "{:?}", one.2);
        for workers in [2, 5, 16] {
            assert_eq!(read(workers), one, "{workers} workers");
        }
    }
}
