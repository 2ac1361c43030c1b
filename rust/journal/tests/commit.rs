//! What a commit costs, what the account of log space grants, and what a failure does.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::sync::atomic::Ordering;

use common::{Volume, check_prefix, found, record};
use vexfs_device::Device;
use vexfs_device::sim::{Fault, Injection, Op};
use vexfs_format::frame::{FLAG_DATA_FLUSHED, FLAG_FIRST, FLAG_PAD};
use vexfs_format::{Lsn, Seq};
use vexfs_journal::{Class, Data, Error, Log, Position, Region};

const LOG: u64 = 256 << 10;

fn volume() -> Volume {
    Volume::new(LOG, 64)
}

/// Writes, durable writes and flushes of the device during `f`.
fn cost(volume: &Volume, f: impl FnOnce()) -> (u64, u64, u64) {
    let before = volume.device.counts();
    f();
    let after = volume.device.counts();
    (
        after.writes - before.writes,
        after.durable_writes - before.durable_writes,
        after.flushes - before.flushes,
    )
}

#[test]
fn a_commit_without_data_is_one_durable_write_and_no_flush() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    for seq in 1..=5 {
        assert_eq!(cost(&volume, || session.commit(seq, 100)), (1, 1, 0));
    }
}

#[test]
fn a_commit_with_data_is_one_write_and_one_flush() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    let ticket = session.enqueue(2, 100, true).unwrap();
    assert_eq!(cost(&volume, || session.log.wait(ticket).unwrap()), (1, 0, 1));
    assert_eq!(cost(&volume, || session.commit(3, 100)), (1, 1, 0), "the data is covered by then");
}

#[test]
fn data_that_no_frame_names_yet_costs_a_commit_nothing() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    session.log.note_data_written(1 << 20);
    assert_eq!(cost(&volume, || session.commit(1, 100)), (1, 1, 0));
}

#[test]
fn a_commit_behind_a_frame_not_yet_durable_flushes_both() {
    let mut volume = volume();
    volume.options.queue_bytes = 0;
    let session = volume.open(&volume.recover(), 7);
    session.enqueue(1, 100, false).unwrap();
    session.enqueue(2, 100, false).unwrap();
    assert_eq!(cost(&volume, || session.log.relieve().unwrap()), (1, 0, 0));
    assert_eq!(session.log.durable_lsn(), Lsn(0));
    assert_eq!(cost(&volume, || session.commit(3, 100)), (1, 0, 1));
    assert_eq!(session.log.durable_lsn(), volume.scan().unwrap().end.lsn);
}

#[test]
fn waiting_for_what_was_written_and_not_flushed_costs_a_flush_alone() {
    let mut volume = volume();
    volume.options.queue_bytes = 0;
    let session = volume.open(&volume.recover(), 7);
    let ticket = session.enqueue(1, 100, false).unwrap();
    session.log.relieve().unwrap();
    assert_eq!(cost(&volume, || session.log.wait(ticket).unwrap()), (0, 0, 1));
    assert_eq!(cost(&volume, || session.log.wait(ticket).unwrap()), (0, 0, 0));
    assert_eq!(cost(&volume, || assert!(session.log.flush_queue().is_ok())), (0, 0, 0));
}

#[test]
fn much_data_is_flushed_before_the_frame_that_names_it_and_the_frame_says_so() {
    let mut volume = volume();
    volume.options.data_bytes = 4096;
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    let little = session.enqueue(2, 100, true).unwrap();
    session.log.wait(little).unwrap();
    session.log.note_data_written(8192);
    let much = session.enqueue(3, 100, true).unwrap();
    assert_eq!(cost(&volume, || session.log.wait(much).unwrap()), (1, 1, 1));
    let scan = volume.scan().unwrap();
    let flushed: Vec<bool> = scan.frames.iter().map(|frame| frame.is(FLAG_DATA_FLUSHED)).collect();
    assert_eq!(flushed, [true, false, true]);
    assert_eq!(scan.data_durable, scan.end.lsn, "nothing is left to verify");
}

#[test]
fn all_that_is_queued_becomes_one_frame() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    for seq in 1..=40 {
        session.enqueue(seq, 200, false).unwrap();
    }
    assert_eq!(cost(&volume, || session.commit(41, 200)), (1, 1, 0));
    let scan = volume.scan().unwrap();
    assert_eq!((scan.frames.len(), check_prefix(&scan, 0)), (1, 41));
    let frame = scan.frames[0];
    assert_eq!((frame.records, frame.first_seq), (41, Seq(1)));
}

#[test]
fn a_small_log_takes_as_many_small_records_as_their_bytes_allow() {
    let volume = Volume::new(128 << 10, 0);
    let session = volume.open(&volume.recover(), 7);
    let mut seq = 0;
    while session.enqueue(seq + 1, 100, false).is_ok() {
        seq += 1;
    }
    let bytes = seq * record(1, 100, false, 0).len() as u64;
    assert!(bytes > (128 << 10) * 3 / 4, "only {bytes} bytes of records fit");
    session.log.flush_queue().unwrap();
    assert_eq!(check_prefix(&volume.scan().unwrap(), 0), seq);
}

#[test]
fn a_frame_never_straddles_the_end_and_a_pad_fills_it() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    for seq in 1..=60 {
        session.commit(seq, 11_000);
        if seq % 8 == 0 {
            session.checkpoint(seq).unwrap();
        }
    }
    let counters = session.log.stats().counters;
    assert!(counters.pads >= 2, "{counters:?}");
    let mut pads = 0;
    for seq in 61..=75 {
        session.commit(seq, 11_000);
    }
    for frame in &volume.scan().unwrap().frames {
        assert!(u64::from(frame.length) <= volume.region.rest(frame.lsn));
        assert!(!frame.is(FLAG_PAD) || frame.records == 0);
        pads += u64::from(frame.is(FLAG_PAD));
    }
    assert!(pads > 0, "the scan saw no pad");
    assert_eq!(check_prefix(&volume.scan().unwrap(), volume.descriptor().seq), 75);
}

#[test]
fn a_record_of_a_quarter_of_the_log_fits_and_a_larger_one_says_so() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    let most = session.log.max_record();
    let overhead = record(1, 1, false, 0).len() as u64 - 1;
    session.commit(1, (most - overhead) as usize);
    assert_eq!(volume.scan().unwrap().end.lsn, Lsn(LOG / 4));
    let error = session.log.reserve(most + 1, Class::Ordinary).unwrap_err();
    assert_eq!(error.code(), "too_large");
    for seq in 2..=20 {
        session.checkpoint(seq - 1).unwrap();
        session.commit(seq, (most - overhead) as usize);
    }
}

#[test]
fn a_full_log_says_how_much_room_there_is_and_maintenance_has_some_more() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    let mut held = Vec::new();
    let room = loop {
        match session.log.reserve(3500, Class::Ordinary) {
            Ok(reservation) => held.push(reservation),
            Err(Error::Full { room, .. }) => break room,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(room < 3500);
    let maintenance = session.log.reserve(3000, Class::Maintenance).unwrap();
    held.pop();
    assert!(session.log.reserve(3500, Class::Ordinary).is_err(), "maintenance took what was free");
    drop(maintenance);
    assert!(session.log.reserve(3500, Class::Ordinary).is_ok(), "a dropped reservation is free again");
    drop(held);
    assert_eq!(session.log.used(), 0);
}

#[test]
fn a_checkpoint_makes_room_at_once() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    let mut seq = 0;
    while session.enqueue(seq + 1, 3000, false).is_ok() {
        seq += 1;
    }
    session.checkpoint(seq).unwrap();
    assert_eq!(session.log.used(), 0);
    session.commit(seq + 1, 3000);
}

#[test]
fn a_cut_covers_what_was_queued_before_its_seal_and_nothing_else() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    session.enqueue(1, 100, false).unwrap();
    let ((), position) = session
        .log
        .cut(|cut| {
            session.enqueue(2, 100, false).unwrap();
            cut.seal();
            session.enqueue(3, 100, false).unwrap();
        })
        .unwrap();
    assert_eq!(session.log.durable_lsn(), position.lsn);
    session.log.flush_queue().unwrap();
    let scan = volume.scan().unwrap();
    let behind = |entry: &(u64, Lsn, _, _)| entry.1 >= position.lsn;
    let seqs: Vec<(u64, bool)> = found(&scan).iter().map(|entry| (entry.0, behind(entry))).collect();
    assert_eq!(seqs, [(1, false), (2, false), (3, true)]);
    assert_eq!(scan.position_of(1), position, "a cut is a frame boundary");
}

#[test]
fn a_cut_of_an_idle_log_writes_nothing() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    let end = volume.scan().unwrap().end;
    let io = cost(&volume, || assert_eq!(session.log.cut(|cut| cut.seal()).unwrap().1, end));
    assert_eq!(io, (0, 0, 0));
}

#[test]
fn a_mark_is_one_durable_write_and_the_same_mark_is_not_written_twice() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    assert_eq!(cost(&volume, || session.log.mark().unwrap()), (1, 1, 0));
    assert_eq!(cost(&volume, || session.log.mark().unwrap()), (0, 0, 0));
    session.commit(2, 100);
    assert_eq!(cost(&volume, || session.log.mark().unwrap()), (1, 1, 0));
}

#[test]
fn frames_carry_the_unique_high_and_epochs_name_their_predecessor() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    session.unique.store(41, Ordering::Release);
    session.commit(1, 100);
    session.commit(2, 100);
    let first = volume.scan().unwrap();
    assert_eq!(first.unique_high, 43);
    let session = volume.open(&first, 8);
    session.commit(3, 100);
    let scan = volume.scan().unwrap();
    let [_, second, third] = scan.frames[..] else { panic!("{} frames", scan.frames.len()) };
    assert!(third.is(FLAG_FIRST));
    assert_eq!((third.epoch, third.predecessor_epoch, third.predecessor_crc), (8, 7, second.crc));
    assert_eq!((third.epoch_lsn, third.lsn), (second.end(), second.end()));
}

#[test]
fn an_epoch_is_never_used_twice_in_a_row() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    let scan = volume.recover();
    for epoch in [0, 7] {
        let start = vexfs_journal::Start {
            volume: common::VOLUME,
            epoch,
            at: scan.end,
            checkpoint: vexfs_format::CheckpointId(0),
            tail: Lsn(0),
        };
        let device = std::sync::Arc::clone(&volume.device) as std::sync::Arc<dyn Device>;
        let error = Log::start(device, volume.region, &start, Default::default(), &volume.options);
        assert_eq!(error.unwrap_err().code(), "bad_epoch");
    }
}

#[test]
fn a_failed_write_or_flush_ends_the_log_for_good_and_keeps_what_was_durable() {
    let data = Data::default();
    for (op, with_data) in [(Op::Write, false), (Op::Flush, true), (Op::Write, true)] {
        let volume = volume();
        let session = volume.open(&volume.recover(), 7);
        let first = session.enqueue(1, 100, false).unwrap();
        session.log.wait(first).unwrap();
        let reservation = session.log.reserve(100, Class::Ordinary).unwrap();
        let second = session.enqueue(2, 100, with_data).unwrap();
        let third = session.enqueue(3, 100, false).unwrap();
        volume.device.inject(Injection::new(op, Fault::Io));
        for ticket in [second, third, second] {
            assert_eq!(session.log.wait(ticket).unwrap_err().code(), "log_failed");
        }
        let writes = volume.device.counts();
        session.log.wait(first).unwrap();
        let failures = [
            session.log.check().unwrap_err(),
            session.log.flush_queue().unwrap_err(),
            session.log.mark().unwrap_err(),
            session.log.relieve().unwrap_err(),
            session.log.cut(|_| panic!("a failed log must not be cut")).map(|((), _)| ()).unwrap_err(),
            session.log.reserve(10, Class::Ordinary).unwrap_err(),
            session.log.enqueue(reservation, record(4, 10, false, 0), Seq(4), data).unwrap_err(),
        ];
        for error in failures {
            assert!(matches!(&error, Error::Poisoned { .. }), "{error:?}");
            assert!(error.to_string().contains("open it again"), "{error}");
        }
        assert_eq!(volume.device.counts(), writes, "something was written after the failure");
        let last = check_prefix(&volume.scan().unwrap(), 0);
        assert!((1..=3).contains(&last));
    }
}

#[test]
fn a_panic_during_a_cut_ends_the_log_and_hangs_nobody() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    let ticket = session.enqueue(1, 100, false).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = session.log.cut(|_| panic!("as planned"));
    }));
    assert!(panicked.is_err());
    assert_eq!(session.log.wait(ticket).unwrap_err().code(), "log_failed");
}

#[test]
fn more_than_was_reserved_is_refused() {
    let volume = volume();
    let session = volume.open(&volume.recover(), 7);
    let reservation = session.log.reserve(100, Class::Ordinary).unwrap();
    let error = session.log.enqueue(reservation, vec![0; 101], Seq(1), Data::default()).unwrap_err();
    assert_eq!(error.code(), "log_overdrawn");
    assert_eq!(session.log.stats().queued, 0);
}

#[test]
fn a_region_that_cannot_be_a_log_is_refused() {
    let volume = volume();
    let scan = volume.recover();
    let device = || std::sync::Arc::clone(&volume.device) as std::sync::Arc<dyn Device>;
    for region in [Region::new(100, LOG), Region::new(8192, 4096), Region::new(8192, LOG * 100)] {
        assert_eq!(vexfs_journal::format(&*device(), region).unwrap_err().code(), "bad_journal_region");
    }
    let start = vexfs_journal::Start {
        volume: common::VOLUME,
        epoch: 9,
        at: Position { lsn: Lsn(4096), ..scan.end },
        checkpoint: vexfs_format::CheckpointId(0),
        tail: Lsn(8192),
    };
    let log = Log::start(device(), volume.region, &start, Default::default(), &volume.options);
    assert_eq!(log.unwrap_err().code(), "bad_journal_region");
}
