//! Where the log ends, and whether that is a crash or damage: each case by name.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{Random, VOLUME, Volume, check_prefix};
use vexfs_device::sim::{Damage, Fault, Injection, Op};
use vexfs_device::{AlignedBuf, Device};
use vexfs_format::frame::{FLAG_FIRST, FLAG_MARK, FRAME_HEADER, LONG_FRAME};
use vexfs_format::redo::set_seq;
use vexfs_format::{BLOCK_SIZE, CheckpointId, Lsn, Seq};
use vexfs_journal::{Ending, Frame, Reason, ScanOptions, beyond};

const LOG: u64 = 256 << 10;

/// A volume with `count` records, each committed durably in a frame of its own.
fn with_records(count: u64) -> Volume {
    let volume = Volume::new(LOG, 64);
    let session = volume.open(&volume.recover(), 7);
    for seq in 1..=count {
        session.commit(seq, 100);
    }
    volume
}

/// Spoils a byte of what lies at a log position.
fn spoil(volume: &Volume, lsn: Lsn, byte: u64) {
    volume.device.damage(volume.region.device_offset(lsn) + byte, Damage::BitFlip { bit: 0 });
}

fn frame_of(volume: &Volume, index: usize) -> Frame {
    volume.scan().unwrap().frames[index]
}

/// How the log ends and which record is the last.
fn ending(volume: &Volume) -> (Ending, u64) {
    let scan = volume.scan().unwrap();
    let last = check_prefix(&scan, volume.descriptor().seq);
    (scan.ending, last)
}

#[track_caller]
fn assert_damage(volume: &Volume, last_expected: u64) -> Reason {
    match ending(volume) {
        (Ending::Damage { reason, .. }, last) if last == last_expected => reason,
        other => panic!("not damage behind {last_expected}: {other:?}"),
    }
}

#[track_caller]
fn assert_cut(volume: &Volume, last_expected: u64) {
    match ending(volume) {
        (Ending::Cut { .. }, last) if last == last_expected => {}
        other => panic!("not cut behind {last_expected}: {other:?}"),
    }
}

#[test]
fn a_log_never_written_is_clean_and_empty() {
    let volume = Volume::new(LOG, 0);
    let scan = volume.scan().unwrap();
    assert_eq!((scan.ending, scan.frames.len(), scan.end), (Ending::Clean, 0, scan.start));
}

#[test]
fn a_log_that_stopped_between_two_frames_is_clean() {
    assert_eq!(ending(&with_records(5)), (Ending::Clean, 5));
}

#[test]
fn frames_of_the_lap_before_never_count() {
    let volume = Volume::new(LOG, 0);
    let session = volume.open(&volume.recover(), 7);
    for seq in 1..=150 {
        session.commit(seq, 3000);
        if seq % 30 == 0 {
            session.checkpoint(seq).unwrap();
        }
    }
    session.commit(151, 10);
    assert!(session.log.stats().counters.bytes > 2 * LOG);
    assert_eq!(ending(&volume), (Ending::Clean, 151));
}

#[test]
fn a_mark_tells_that_all_is_durable_and_is_no_frame() {
    let volume = with_records(3);
    let scan = volume.scan().unwrap();
    assert!(scan.known_durable < scan.end.lsn, "the last frame cannot know that it is durable");
    let session = volume.open(&scan, 8);
    session.log.mark().unwrap();
    let marked = volume.scan().unwrap();
    assert_eq!((marked.ending, marked.frames.len()), (Ending::Clean, 3));
    assert_eq!((marked.known_durable, marked.end), (scan.end.lsn, scan.end));
    session.commit(4, 100);
    assert_eq!(ending(&volume), (Ending::Clean, 4));
}

#[test]
fn a_torn_last_frame_is_a_cut() {
    let volume = with_records(5);
    let last = frame_of(&volume, 4);
    spoil(&volume, last.lsn, 300);
    assert_cut(&volume, 4);
}

#[test]
fn a_torn_last_header_is_a_cut() {
    let volume = with_records(5);
    let last = frame_of(&volume, 4);
    spoil(&volume, last.lsn, 90);
    assert_cut(&volume, 4);
}

#[test]
fn a_frame_lost_before_any_flush_is_a_cut_even_if_later_ones_are_there() {
    let mut volume = Volume::new(LOG, 0);
    volume.options.queue_bytes = 0;
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    for seq in 2..=6 {
        session.enqueue(seq, 3000, false).unwrap();
        session.log.relieve().unwrap();
    }
    assert_eq!(session.log.stats().counters.frames, 6);
    assert_eq!(ending(&volume), (Ending::Clean, 6));
    spoil(&volume, frame_of(&volume, 2).lsn, 2000);
    assert_cut(&volume, 2);
}

#[test]
fn a_bad_frame_that_a_later_one_declares_durable_is_damage() {
    for byte in [0, 4, 30, 100, 139, 200, 4000] {
        let volume = with_records(6);
        spoil(&volume, frame_of(&volume, 2).lsn, byte);
        let reason = assert_damage(&volume, 2);
        assert!(matches!(reason, Reason::WasDurable { .. }), "byte {byte}: {reason:?}");
    }
}

#[test]
fn a_bad_first_frame_of_an_epoch_is_damage_if_the_epoch_went_on() {
    let volume = with_records(3);
    let session = volume.open(&volume.recover(), 8);
    for seq in 4..=6 {
        session.commit(seq, 100);
    }
    spoil(&volume, frame_of(&volume, 3).lsn, 1);
    assert!(matches!(assert_damage(&volume, 3), Reason::WasDurable { .. }));
}

#[test]
fn a_bad_first_frame_of_an_epoch_is_a_cut_if_nothing_followed() {
    let volume = with_records(3);
    let session = volume.open(&volume.recover(), 8);
    session.commit(4, 100);
    spoil(&volume, frame_of(&volume, 3).lsn, 300);
    assert_cut(&volume, 3);
}

#[test]
fn a_bad_last_frame_is_damage_if_a_mark_says_that_it_was_durable() {
    let volume = Volume::new(LOG, 0);
    let session = volume.open(&volume.recover(), 7);
    (1..=5).for_each(|seq| session.commit(seq, 100));
    session.log.mark().unwrap();
    spoil(&volume, frame_of(&volume, 4).lsn, 300);
    assert!(matches!(assert_damage(&volume, 4), Reason::WasDurable { .. }));
}

#[test]
fn a_bad_frame_is_damage_if_a_later_epoch_began_behind_it() {
    let volume = with_records(5);
    let last = frame_of(&volume, 4);
    let session = volume.open(&volume.recover(), 8);
    session.log.mark().unwrap();
    spoil(&volume, last.lsn, 300);
    assert!(matches!(assert_damage(&volume, 4), Reason::WasDurable { .. }));
}

#[test]
fn a_log_that_goes_on_behind_damage_begins_beyond_everything_it_held() {
    let volume = with_records(20);
    spoil(&volume, frame_of(&volume, 10).lsn, 300);
    assert_damage(&volume, 10);
    let at = beyond(&*volume.device, volume.region, VOLUME).unwrap();
    assert_eq!(at.lsn, Lsn(20 * BLOCK_SIZE as u64));
    volume.write_descriptor(at, 0);
    let session = volume.open(&volume.recover(), 8);
    (1..=3).for_each(|seq| session.commit(seq, 100));
    assert_eq!(ending(&volume), (Ending::Clean, 3));
    spoil(&volume, frame_of(&volume, 2).lsn, 300);
    assert_cut(&volume, 2);
}

#[test]
fn a_large_bad_range_is_damage_if_the_log_went_on_behind_it() {
    let volume = Volume::new(32 << 20, 0);
    let session = volume.open(&volume.recover(), 7);
    (1..=200).for_each(|seq| session.commit(seq, 100_000));
    let victim = frame_of(&volume, 20);
    volume.device.write_at(&vec![0; 4 << 20], volume.region.device_offset(victim.lsn)).unwrap();
    assert!(matches!(assert_damage(&volume, 20), Reason::WasDurable { .. }));
}

#[test]
fn a_bad_long_frame_is_damage_if_the_log_went_on_behind_it() {
    let long = LONG_FRAME + (6 << 20);
    let volume = Volume::new(64 << 20, 0);
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    session.commit(2, long as usize);
    session.commit(3, 100);
    session.log.mark().unwrap();
    let announcement = frame_of(&volume, 1);
    let frame = frame_of(&volume, 2);
    assert_eq!((announcement.records, announcement.ahead), (0, frame.end()));
    assert_eq!(ending(&volume), (Ending::Clean, 3));
    let look_ahead = ScanOptions::default().look_ahead;
    assert!(look_ahead > LONG_FRAME && look_ahead < frame.length.into(), "what lies behind is out of sight");
    // Its header, a byte of it, the announcement: whichever is lost, the next frame is found.
    for place in [frame.lsn, Lsn(frame.lsn.0 + 5_000_000), announcement.lsn] {
        let spoiled = volume.after_crash(volume.device.image());
        spoil(&spoiled, place, 0);
        assert!(matches!(assert_damage(&spoiled, 1), Reason::WasDurable { .. }));
    }
}

#[test]
fn a_bad_head_of_a_long_pad_is_damage_if_the_log_went_on_behind_it() {
    let volume = Volume::new(64 << 20, 0);
    let session = volume.open(&volume.recover(), 7);
    (1..=3).for_each(|seq| session.commit(seq, 15 << 20));
    session.commit(4, 7 << 20);
    session.checkpoint(4).unwrap();
    session.commit(5, 15 << 20);
    session.commit(6, 100);
    session.log.mark().unwrap();
    let pad = frame_of(&volume, 0);
    let rest = (64 << 20) - pad.lsn.0;
    assert!(pad.records == 0 && rest > ScanOptions::default().look_ahead, "{rest} bytes are padded");
    assert_eq!(ending(&volume), (Ending::Clean, 6));
    spoil(&volume, pad.lsn, 0);
    assert!(matches!(assert_damage(&volume, 4), Reason::WasDurable { .. }));
}

#[test]
fn a_long_frame_that_was_not_durable_is_a_cut() {
    let volume = Volume::new(64 << 20, 0);
    let session = volume.open(&volume.recover(), 7);
    session.commit(1, 100);
    session.commit(2, (LONG_FRAME + (3 << 20)) as usize);
    let last = frame_of(&volume, 2);
    spoil(&volume, last.lsn, 5_000_000);
    assert_cut(&volume, 1);
    spoil(&volume, last.lsn, 0);
    assert_eq!(ending(&volume), (Ending::Clean, 1), "an announcement of nothing is the end");
}

#[test]
fn a_flush_that_lied_shows_as_damage() {
    let volume = with_records(3);
    let session = volume.open(&volume.recover(), 8);
    volume.device.inject(Injection::new(Op::DurableWrite, Fault::Lost));
    (4..=6).for_each(|seq| session.commit(seq, 100));
    assert!(matches!(assert_damage(&volume, 3), Reason::WasDurable { .. }));
}

/// Makes the newest checkpoint's descriptor unreadable.
fn lose_descriptor(volume: &Volume) {
    let slot = volume.descriptor().id % 2 * BLOCK_SIZE as u64;
    volume.device.write_at(&vec![0; BLOCK_SIZE], slot).unwrap();
}

#[test]
fn a_frame_that_names_a_checkpoint_that_cannot_be_read_is_damage() {
    let volume = with_records(3);
    let session = volume.open(&volume.recover(), 8);
    session.checkpoint(3).unwrap();
    (4..=6).for_each(|seq| session.commit(seq, 100));
    lose_descriptor(&volume);
    let reason = assert_damage(&volume, 6);
    assert!(matches!(reason, Reason::NewerCheckpoint { checkpoint: CheckpointId(1), .. }), "{reason:?}");
}

#[test]
fn a_mark_that_names_a_checkpoint_that_cannot_be_read_is_damage() {
    let volume = with_records(3);
    let session = volume.open(&volume.recover(), 8);
    session.checkpoint(3).unwrap();
    assert_eq!(ending(&volume), (Ending::Clean, 3));
    lose_descriptor(&volume);
    assert!(matches!(assert_damage(&volume, 3), Reason::NewerCheckpoint { .. }));
}

#[test]
fn a_log_overwritten_since_the_checkpoint_is_damage() {
    let volume = with_records(3);
    let session = volume.open(&volume.recover(), 8);
    for seq in 4..=100 {
        session.commit(seq, 5000);
        if seq % 10 == 0 {
            session.checkpoint(seq).unwrap();
        }
    }
    // Both readable descriptors are gone; what remains is mkfs's.
    let zero = vec![0; 2 * BLOCK_SIZE];
    volume.device.write_at(&zero, 0).unwrap();
    volume.device.write_at(&Volume::new(LOG, 0).device.image_bytes(0, BLOCK_SIZE), 0).unwrap();
    assert!(matches!(assert_damage(&volume, 0), Reason::NewerCheckpoint { .. }));
}

#[test]
fn what_an_epoch_left_behind_its_cut_never_counts() {
    let volume = with_records(20);
    // The crash: frame 10 never reached the device, and none of the later ones knew it to be durable.
    let scan = volume.scan_until(frame_of(&volume, 10).lsn);
    let session = volume.open(&scan, 8);
    session.log.wait(session.enqueue(11, 200, false).unwrap()).unwrap();
    let (ending, last) = ending(&volume);
    assert_eq!(last, 11);
    assert!(matches!(ending, Ending::Cut { reason: Reason::NotNext, .. }), "{ending:?}");
}

#[test]
fn frames_of_another_volume_never_count() {
    let volume = with_records(4);
    let mut from = volume.from();
    from.volume = VOLUME + 1;
    let options = ScanOptions::default();
    let scan = vexfs_journal::scan(&*volume.device, volume.region, from, &options, |(): &mut (), _| ());
    let scan = scan.unwrap();
    assert_eq!((scan.ending, scan.frames.len()), (Ending::Clean, 0));
}

#[test]
fn a_device_that_cannot_read_the_log_is_an_error() {
    let volume = with_records(4);
    volume.device.inject(Injection::new(Op::Read, Fault::Io).after(2));
    let error = volume.scan().unwrap_err();
    assert_eq!(error.code(), "io");
}

/// Writes a frame of our own making, sealed as if it were genuine, behind the log.
fn forge(volume: &Volume, change: impl FnOnce(&mut Frame), payload: &[u8]) {
    let end = volume.scan().unwrap().end;
    let mut bytes = AlignedBuf::zeroed(BLOCK_SIZE);
    bytes[FRAME_HEADER..FRAME_HEADER + payload.len()].copy_from_slice(payload);
    let mut frame = Frame {
        volume: VOLUME,
        lsn: end.lsn,
        crc: 0,
        previous_crc: end.crc,
        epoch: 99,
        epoch_lsn: end.lsn,
        predecessor_epoch: end.epoch,
        predecessor_crc: end.crc,
        flags: FLAG_FIRST,
        length: BLOCK_SIZE as u32,
        payload: payload.len() as u32,
        records: 1,
        durable_lsn: end.lsn,
        checkpoint: CheckpointId(0),
        first_seq: Seq(0),
        unique_high: 0,
        ahead: Lsn(0),
    };
    change(&mut frame);
    frame.seal(&mut bytes);
    volume.device.write_at(&bytes, volume.region.device_offset(end.lsn)).unwrap();
}

#[test]
fn a_genuine_frame_with_records_that_are_none_is_damage() {
    let volume = with_records(3);
    forge(&volume, |_| (), &[0xff; 500]);
    assert!(matches!(assert_damage(&volume, 3), Reason::Record(_)));

    let volume = with_records(3);
    let mut payload = common::record(4, 50, false, 0);
    set_seq(&mut payload, Seq(4));
    payload.extend([0xff; 100]);
    forge(&volume, |frame| frame.records = 2, &payload);
    assert!(matches!(assert_damage(&volume, 3), Reason::Record(_)));
    let parts = volume.scan().unwrap().parts;
    assert!(parts.iter().all(|part| part.0.iter().all(|entry| entry.0 < 4)), "part of the frame was decoded");
}

#[test]
fn no_length_that_a_header_claims_is_believed() {
    for length in [u32::MAX / 4096 * 4096, LOG as u32, LOG as u32 * 2] {
        let volume = with_records(3);
        forge(&volume, |frame| frame.length = length, &[]);
        assert!(matches!(assert_damage(&volume, 3), Reason::OutOfBounds { .. }));
    }
    let volume = with_records(3);
    forge(&volume, |frame| frame.payload = u32::MAX, &[]);
    assert_damage(&volume, 3);
}

#[test]
fn impossible_fields_of_a_sealed_header_are_damage_and_never_a_panic() {
    let mut random = Random(5);
    for _ in 0..3000 {
        let volume_bits = VOLUME;
        let volume = with_records_cached();
        forge(
            &volume,
            |frame| {
                let n = random.next();
                match random.below(9) {
                    0 => frame.length = n as u32,
                    1 => frame.payload = n as u32,
                    2 => frame.records = n as u32,
                    3 => frame.durable_lsn = Lsn(n),
                    4 => frame.epoch_lsn = Lsn(n),
                    5 => frame.flags = n as u32 & 31,
                    6 => frame.lsn = Lsn(n),
                    7 => frame.flags = FLAG_MARK,
                    _ => frame.previous_crc = n as u32,
                }
                frame.volume = volume_bits;
            },
            &[],
        );
        let (_, last) = ending(&volume);
        assert_eq!(last, 3);
    }
}

/// As `with_records(3)`, quickly.
fn with_records_cached() -> Volume {
    thread_local!(static BASE: Volume = with_records(3));
    BASE.with(|base| base.after_crash(base.device.image()))
}

/// Bytes of a device's image.
trait ImageBytes {
    fn image_bytes(&self, offset: u64, len: usize) -> Vec<u8>;
}

impl<D: Device> ImageBytes for D {
    fn image_bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read_at(&mut bytes, offset).unwrap();
        bytes
    }
}

#[test]
fn whatever_is_done_to_the_bytes_no_changed_frame_is_accepted() {
    let mut volume = Volume::new(LOG, 64);
    volume.options.queue_bytes = 2000;
    let session = volume.open(&volume.recover(), 7);
    let mut random = Random(1);
    let mut seq = 0;
    while session.log.used() < LOG * 3 / 4 {
        seq += 1;
        session.enqueue(seq, random.below(2500) as usize, false).unwrap();
        session.log.relieve().unwrap();
    }
    session.log.flush_queue().unwrap();
    let image = volume.device.image();
    let blocks = LOG / BLOCK_SIZE as u64;
    for round in 0..4000 {
        let spoiled = volume.after_crash(image.clone());
        for _ in 0..=random.below(3) {
            let offset = volume.region.offset + random.below(LOG - 64);
            match random.below(4) {
                0 => spoiled.device.damage(offset, Damage::BitFlip { bit: random.below(8) }),
                1 => {
                    let noise: Vec<u8> = (0..=random.below(63)).map(|_| random.next() as u8).collect();
                    spoiled.device.write_at(&noise, offset).unwrap();
                }
                _ => {
                    let place = |n: u64| volume.region.offset + n * BLOCK_SIZE as u64;
                    let block = spoiled.device.image_bytes(place(random.below(blocks)), BLOCK_SIZE);
                    spoiled.device.write_at(&block, place(random.below(blocks))).unwrap();
                }
            }
        }
        let options = ScanOptions { workers: 1 + (round % 64 == 0) as usize, ..ScanOptions::default() };
        check_prefix(&spoiled.scan_with(&options).unwrap(), 0);
    }
}
