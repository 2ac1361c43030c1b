//! The crash states of the simulation obey the rules of a device, and leave none out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::time::Instant;

use proptest::prelude::*;
use vexfs_device::sim::{
    CrashState, Damage, Event, Fault, FlushKind, Injection, Op, Sampling, Trace, WriteKind,
};
use vexfs_device::{Device, Image, SimDevice};

const BLOCK: u64 = 4096;

fn block(byte: u8) -> Vec<u8> {
    vec![byte; BLOCK as usize]
}

/// The first byte of each block: enough to tell states apart where every write fills a block.
fn show(image: &Image) -> Vec<u8> {
    let first = |i| {
        let mut byte = [0];
        image.read(&mut byte, i * BLOCK);
        byte[0]
    };
    (0..image.len() / BLOCK).map(first).collect()
}

fn device(blocks: u64) -> SimDevice {
    SimDevice::new(blocks * BLOCK)
}

/// The distinct states at the end of the trace.
fn final_states(trace: &Trace) -> BTreeSet<Vec<u8>> {
    let end = trace.events().len();
    trace.subsets(Sampling::default()).filter(|(s, _)| s.acknowledged == end).map(|(_, i)| show(&i)).collect()
}

fn set<const N: usize, const B: usize>(states: [[u8; B]; N]) -> BTreeSet<Vec<u8>> {
    states.into_iter().map(Vec::from).collect()
}

#[test]
fn before_a_flush_every_subset_may_survive_and_after_it_everything_has() {
    let sim = device(3);
    sim.write_at(&block(1), 0).unwrap();
    sim.write_at(&block(2), BLOCK).unwrap();
    sim.write_at(&block(3), 2 * BLOCK).unwrap();
    let all = final_states(&sim.trace());
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|s| s.iter().zip([1, 2, 3]).all(|(now, new)| *now == 0 || *now == new)));
    sim.flush().unwrap();
    assert_eq!(final_states(&sim.trace()), set([[1, 2, 3]]));
}

#[test]
fn a_durable_write_is_durable_alone_and_no_barrier() {
    let sim = device(3);
    sim.write_at(&block(1), 0).unwrap();
    sim.write_durable(&block(2), BLOCK).unwrap();
    sim.write_at(&block(3), 2 * BLOCK).unwrap();
    assert_eq!(final_states(&sim.trace()), set([[0, 2, 0], [1, 2, 0], [0, 2, 3], [1, 2, 3]]));
}

#[test]
fn a_durable_write_under_way_may_have_got_through_or_not() {
    let sim = device(2);
    sim.write_at(&block(1), 0).unwrap();
    sim.write_durable(&block(2), BLOCK).unwrap();
    let under_way = |s: &CrashState| (s.cut, s.acknowledged) == (2, 1);
    let trace = sim.trace();
    let states = trace.subsets(Sampling::default()).filter(|(s, _)| under_way(s)).map(|(_, i)| show(&i));
    assert_eq!(states.collect::<BTreeSet<_>>(), set([[0, 0], [1, 0], [0, 2], [1, 2]]));
}

#[test]
fn an_older_write_never_comes_out_over_a_newer_one_that_is_on_the_device() {
    let sim = device(1);
    sim.write_at(&block(1), 0).unwrap();
    sim.write_durable(&block(2), 0).unwrap();
    assert_eq!(final_states(&sim.trace()), set([[2]]));
    sim.write_at(&block(3), 0).unwrap();
    sim.write_at(&block(4), 0).unwrap();
    assert_eq!(final_states(&sim.trace()), set([[2], [3], [4]]));
}

#[test]
fn a_lying_flush_settles_nothing_and_the_loss_is_reported_as_a_lie() {
    let sim = device(2);
    sim.inject(Injection::new(Op::Flush, Fault::Lie));
    sim.write_at(&block(1), 0).unwrap();
    sim.flush().unwrap();
    sim.write_at(&block(2), BLOCK).unwrap();
    let trace = sim.trace();
    assert_eq!(final_states(&trace), set([[0, 0], [1, 0], [0, 2], [1, 2]]));
    for (state, image) in trace.subsets(Sampling::default()) {
        let lost_what_was_promised = state.acknowledged > 1 && show(&image)[0] == 0;
        assert_eq!(state.lied, lost_what_was_promised, "{state}");
    }
    sim.flush().unwrap();
    assert_eq!(final_states(&sim.trace()), set([[1, 2]]), "an honest flush makes up for it");
}

#[test]
fn a_lying_durable_write_may_be_lost_and_that_is_reported() {
    let sim = device(1);
    sim.inject(Injection::new(Op::DurableWrite, Fault::Lie));
    sim.write_durable(&block(1), 0).unwrap();
    let end: Vec<_> = sim.trace().subsets(Sampling::default()).filter(|(s, _)| s.acknowledged == 1).collect();
    let seen: BTreeSet<_> = end.iter().map(|(s, i)| (show(i)[0], s.lied)).collect();
    assert_eq!(seen, BTreeSet::from([(0, true), (1, false)]));
}

#[test]
fn a_flush_after_a_failed_one_does_not_cover_what_that_gave_up() {
    let sim = device(2);
    sim.inject(Injection::new(Op::Flush, Fault::Io));
    sim.write_at(&block(1), 0).unwrap();
    assert_eq!(sim.flush().unwrap_err().code(), "io");
    sim.write_at(&block(2), BLOCK).unwrap();
    sim.flush().unwrap();
    assert_eq!(final_states(&sim.trace()), set([[0, 2], [1, 2]]));
    let mut seen = [0; 4096];
    sim.read_at(&mut seen, 0).unwrap();
    assert_eq!(seen[0], 1, "the living device still shows it");
}

#[test]
fn a_failed_write_is_not_seen_but_may_come_out_of_a_crash() {
    let sim = device(2);
    sim.inject(Injection::new(Op::Write, Fault::NoSpace).after(1));
    sim.write_at(&block(1), 0).unwrap();
    assert_eq!(sim.write_at(&block(2), BLOCK).unwrap_err().code(), "no_host_space");
    sim.flush().unwrap();
    assert_eq!(show(&sim.image()), [1, 0]);
    assert_eq!(final_states(&sim.trace()), set([[1, 0], [1, 2]]));
    assert_eq!(sim.trace().prefixes().map(|(_, i)| show(&i)).last().unwrap(), [1, 0]);
}

#[test]
fn a_discard_is_lost_like_a_write_and_may_keep_the_bytes() {
    for keeps in [false, true] {
        let sim = SimDevice::from_image(Image::from_bytes(&block(9)));
        let sim = if keeps { sim.discard_keeps() } else { sim };
        sim.discard(0, BLOCK).unwrap();
        assert_eq!(final_states(&sim.trace()), if keeps { set([[9]]) } else { set([[0], [9]]) });
        sim.flush().unwrap();
        assert_eq!(final_states(&sim.trace()), if keeps { set([[9]]) } else { set([[0]]) });
    }
}

#[test]
fn prefixes_show_the_device_as_it_was_before_every_write() {
    let sim = device(2);
    let mut seen = Vec::new();
    for i in 0..20_u8 {
        seen.push(show(&sim.image()));
        sim.write_at(&block(i + 1), u64::from(i % 2) * BLOCK).unwrap();
        if i % 3 == 0 {
            sim.flush().unwrap();
        }
    }
    seen.push(show(&sim.image()));
    let trace = sim.trace();
    let prefixes: Vec<_> = trace.prefixes().collect();
    assert_eq!(prefixes.iter().map(|(_, i)| show(i)).collect::<Vec<_>>(), seen);
    assert!(prefixes.iter().all(|(s, i)| !s.lied && s.lost.is_empty() && trace.image(s) == *i));
    assert_eq!(prefixes.last().unwrap().0.acknowledged, sim.position());
}

#[test]
fn a_torn_write_shows_whole_sectors_of_old_and_new_only() {
    let old = block(1);
    let sim = SimDevice::from_image(Image::from_bytes(&[old.clone(), old].concat()));
    let offset = 700;
    sim.write_at(&[2; 3000], offset).unwrap();
    let trace = sim.trace();
    let mut kept = BTreeSet::new();
    for (state, image) in trace.tears(Sampling::default()) {
        let bytes = image.to_vec();
        let mut sectors = Vec::new();
        for (n, sector) in bytes.chunks(512).enumerate() {
            let start = n as u64 * 512;
            let written: Vec<u8> = (start..start + 512)
                .map(|at| if (offset..offset + 3000).contains(&at) { 2 } else { 1 })
                .collect();
            if sector == written && sector.contains(&2) {
                sectors.push(n as u64 - 1);
            } else {
                assert!(sector.iter().all(|&b| b == 1), "sector {n} is mixed in {state}");
            }
        }
        assert_eq!(state.torn.as_ref().unwrap().kept, sectors);
        assert!(!sectors.is_empty() && sectors.len() < 7, "{state} is torn");
        kept.insert(sectors);
    }
    for head in 1..7 {
        assert!(kept.contains(&(0..head).collect::<Vec<_>>()), "the first {head} sectors alone");
    }
    assert!(kept.iter().any(|k| k.first() != Some(&0)), "a tear that lacks the head");
}

#[test]
fn a_settled_write_is_never_torn() {
    let sim = device(2);
    sim.write_at(&block(1), 0).unwrap();
    sim.flush().unwrap();
    sim.write_durable(&block(2), BLOCK).unwrap();
    for (state, image) in sim.trace().tears(Sampling::default()) {
        let bytes = image.to_vec();
        if state.acknowledged >= 2 {
            assert!(bytes[..4096].iter().all(|&b| b == 1), "{state}");
        }
        if state.acknowledged >= 3 {
            assert!(bytes[4096..].iter().all(|&b| b == 2), "{state}");
        }
    }
}

#[test]
fn a_state_opens_as_a_device_whose_own_crashes_start_from_it() {
    let sim = device(2);
    sim.write_at(&block(1), 0).unwrap();
    sim.flush().unwrap();
    sim.write_at(&block(2), BLOCK).unwrap();
    for (_, image) in sim.trace().subsets(Sampling::default()) {
        let again = SimDevice::from_image(image.clone());
        again.write_at(&block(7), 0).unwrap();
        let states = final_states(&again.trace());
        let second = show(&image)[1];
        assert_eq!(states, BTreeSet::from([show(&image), vec![7, second]]));
    }
    assert_eq!(show(&sim.image()), [1, 2], "what states do stays with them");
}

#[test]
fn restarting_makes_what_is_there_durable() {
    let sim = device(1);
    sim.write_at(&block(1), 0).unwrap();
    sim.restart();
    assert_eq!(sim.position(), 0);
    assert_eq!(final_states(&sim.trace()), set([[1]]));
}

#[test]
fn a_fault_strikes_at_its_operation_once_or_for_good() {
    let sim = device(4);
    sim.inject(Injection::new(Op::Write, Fault::Io).after(2));
    let answers: Vec<bool> = (0..5).map(|i| sim.write_at(&block(i), 0).is_ok()).collect();
    assert_eq!(answers, [true, true, false, true, true]);
    sim.inject(Injection::new(Op::Any, Fault::Io).after(1).lasting());
    let mut buf = [0];
    assert!(sim.read_at(&mut buf, 0).is_ok());
    assert!(sim.read_at(&mut buf, 0).is_err());
    assert!(sim.read_device(&mut buf, 0).is_err());
    assert!(sim.map(0, 1).is_err());
    assert!(sim.write_durable(&buf, 0).is_err());
    assert!(sim.flush().is_err());
    assert!(sim.discard(0, BLOCK).is_err());
    assert_eq!(sim.struck(), 7);
    sim.heal();
    assert!(sim.flush().is_ok());
    sim.inject(Injection::new(Op::Read, Fault::Io).within(BLOCK..2 * BLOCK).lasting());
    assert!(sim.read_at(&mut buf, 0).is_ok());
    assert!(sim.read_at(&mut block(0), BLOCK - 1).is_err());
    assert!(sim.read_at(&mut buf, 2 * BLOCK).is_ok());
    assert!(sim.write_at(&buf, BLOCK).is_ok());
}

#[test]
fn silent_faults_do_what_they_say_and_report_success() {
    let sim = device(4);
    let write = |fault: Fault| {
        sim.inject(Injection::new(Op::Write, fault));
        sim.write_at(&block(5), 0).unwrap();
        show(&sim.image())
    };
    assert_eq!(write(Fault::Lost), [0, 0, 0, 0]);
    assert_eq!(write(Fault::Misdirected { to: 2 * BLOCK }), [0, 0, 5, 0]);
    assert_eq!(write(Fault::BitFlip { bit: 1 }), [7, 0, 5, 0]);
    assert_eq!(write(Fault::Zeroed), [0, 0, 5, 0]);
    sim.write_at(&block(6), 2 * BLOCK).unwrap();
    let read = |fault: Fault| {
        sim.inject(Injection::new(Op::Read, fault));
        let mut buf = [9];
        sim.read_at(&mut buf, 2 * BLOCK).unwrap();
        buf[0]
    };
    assert_eq!(read(Fault::Stale), 5);
    assert_eq!(read(Fault::Zeroed), 0);
    assert_eq!(read(Fault::BitFlip { bit: 8 }), 7);
    assert_eq!(read(Fault::Misdirected { to: 3 * BLOCK }), 0);
    assert_eq!(show(&sim.image()), [0, 0, 6, 0], "reading spoils nothing");
}

#[test]
#[should_panic(expected = "cannot happen")]
fn a_fault_that_cannot_happen_to_an_operation_is_refused() {
    let _ = Injection::new(Op::Read, Fault::Lie);
}

#[test]
fn damage_at_rest_is_in_every_later_state() {
    let sim = device(4);
    sim.write_at(&block(1), 0).unwrap();
    sim.flush().unwrap();
    sim.write_at(&block(2), 0).unwrap();
    sim.flush().unwrap();
    sim.write_at(&block(3), BLOCK).unwrap();
    sim.flush().unwrap();
    sim.damage(0, Damage::Stale { len: BLOCK });
    sim.damage(BLOCK, Damage::BitFlip { bit: 2 });
    sim.damage(2 * BLOCK, Damage::CopyOf { from: BLOCK, len: BLOCK });
    assert_eq!(final_states(&sim.trace()), set([[1, 7, 7, 0]]));
    sim.damage(0, Damage::Zeroed { len: 2 * BLOCK });
    sim.damage(3 * BLOCK, Damage::Garbage { len: u64::MAX, seed: 1 });
    assert_eq!(show(&sim.image())[..3], [0, 0, 7]);
    let mut bytes = block(0);
    sim.read_at(&mut bytes, 3 * BLOCK).unwrap();
    assert!(bytes.iter().collect::<BTreeSet<_>>().len() > 200);
}

#[test]
fn counts_say_what_was_asked_for() {
    let sim = device(2);
    sim.write_at(&block(1), 0).unwrap();
    sim.write_durable(&block(1), 0).unwrap();
    sim.flush().unwrap();
    sim.map(0, BLOCK).unwrap();
    let counts = sim.counts();
    assert_eq!((counts.writes, counts.durable_writes, counts.bytes_written), (2, 1, 2 * BLOCK));
    assert_eq!((counts.flushes, counts.reads, counts.discards), (1, 1, 0));
    let sim = SimDevice::from_image(sim.image()).read_only();
    assert_eq!(sim.write_at(&block(1), 0).unwrap_err().code(), "read_only");
    assert_eq!(sim.discard(0, BLOCK).unwrap_err().code(), "read_only");
    sim.flush().unwrap();
    assert!(sim.is_read_only() && sim.position() == 0);
}

#[test]
fn thousands_of_states_of_4_mib_take_seconds() {
    let sim = SimDevice::new(4 << 20);
    for i in 0..3000_u64 {
        sim.write_at(&block(i as u8), i * 7 % 1024 * BLOCK).unwrap();
        if i % 9 == 0 {
            sim.flush().unwrap();
        }
    }
    let begin = Instant::now();
    let trace = sim.trace();
    let opened = |image: Image| {
        let sim = SimDevice::from_image(image);
        sim.write_at(&block(1), 0).unwrap();
        sim.position()
    };
    let states =
        trace.subsets(Sampling::default()).chain(trace.prefixes()).map(|(_, i)| opened(i)).sum::<usize>();
    let rate = states as f64 / begin.elapsed().as_secs_f64();
    println!("{states} states, {rate:.0} a second");
    assert!(states > 100_000 && rate > 2000.0, "{states} states, {rate:.0} a second");
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, u64, u8),
    Durable(u64, u64, u8),
    Discard(u64, u64),
    Flush,
    Fail(Op, Fault),
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0..16_u64, 1..5_u64);
    prop_oneof![
        6 => (range.clone(), 1..255_u8).prop_map(|((at, len), byte)| Step::Write(at, len, byte)),
        2 => (range.clone(), 1..255_u8).prop_map(|((at, len), byte)| Step::Durable(at, len, byte)),
        1 => range.prop_map(|(at, len)| Step::Discard(at, len)),
        2 => Just(Step::Flush),
        1 => prop_oneof![
            Just(Step::Fail(Op::Flush, Fault::Lie)),
            Just(Step::Fail(Op::Flush, Fault::Io)),
            Just(Step::Fail(Op::DurableWrite, Fault::Lie)),
            Just(Step::Fail(Op::Write, Fault::Io)),
        ],
    ]
}

/// What one sector may hold after a crash, straight from the words of the `Device` trait: what the last settled
/// change of it left, or what any later change leaves that had begun.
fn allowed(events: &[Event], state: &CrashState, sector: u64) -> BTreeSet<u8> {
    let mut bytes = BTreeSet::from([0]);
    for (i, event) in events.iter().enumerate().take(state.cut) {
        let Some((offset, len)) = event.range() else { continue };
        if !(offset / 512..(offset + len) / 512).contains(&sector) {
            continue;
        }
        let returned = &events[(i + 1).min(state.acknowledged)..state.acknowledged];
        let flush = returned.iter().find_map(|e| match e {
            Event::Flush(FlushKind::Lie) => None,
            Event::Flush(kind) => Some(*kind == FlushKind::Honest),
            _ => None,
        });
        let (byte, settled) = match event {
            Event::Write { data, kind: WriteKind::Durable, .. } => (data[0], i < state.acknowledged),
            Event::Write { data, kind: WriteKind::Failed, .. } => (data[0], false),
            Event::Write { data, .. } => (data[0], flush == Some(true)),
            _ => (0, flush == Some(true)),
        };
        if settled {
            bytes.clear();
        }
        bytes.insert(byte);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_state_holds_only_what_the_rules_allow(steps in prop::collection::vec(step(), 1..30), seed: u64) {
        let sim = SimDevice::new(20 * 512);
        let data = |len: u64, byte: u8| vec![byte; len as usize * 512];
        for step in steps {
            let _ = match step {
                Step::Write(at, len, byte) => sim.write_at(&data(len, byte), at * 512),
                Step::Durable(at, len, byte) => sim.write_durable(&data(len, byte), at * 512),
                Step::Discard(at, len) => sim.discard(at * 512, len * 512),
                Step::Flush => sim.flush(),
                Step::Fail(op, fault) => {
                    sim.inject(Injection::new(op, fault));
                    Ok(())
                }
            };
        }
        let trace = sim.trace();
        let sampling = Sampling { exhaustive: 5, samples: 20, seed };
        for (state, image) in trace.prefixes().chain(trace.subsets(sampling)).chain(trace.tears(sampling)) {
            prop_assert!(trace.image(&state) == image, "{} is not made again", state);
            for (sector, bytes) in image.to_vec().chunks(512).enumerate() {
                let allowed = allowed(trace.events(), &state, sector as u64);
                prop_assert!(bytes.iter().all(|b| *b == bytes[0]), "sector {} is mixed in {}", sector, state);
                prop_assert!(allowed.contains(&bytes[0]), "sector {} of {}: {}", sector, state, bytes[0]);
            }
        }
    }
}
