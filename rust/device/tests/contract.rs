//! Every device keeps the same promises: a random run of operations against a plain vector.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;

use proptest::prelude::*;
use vexfs_device::{Access, AlignedBuf, Device, Error, FileDevice, MemoryDevice, SimDevice};

const LEN: u64 = 256 * 1024;

#[derive(Clone, Debug)]
enum Step {
    Write { offset: u64, len: usize, seed: u8 },
    Gather { offset: u64, lens: Vec<usize>, seed: u8 },
    Durable { offset: u64, len: usize, seed: u8, aligned: bool },
    Discard { offset: u64, len: u64 },
    Read { offset: u64, len: usize },
    ReadDevice { offset: u64, len: usize },
    Map { offset: u64, len: u64 },
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0..LEN + 5000;
    prop_oneof![
        (place.clone(), 0..30_000_usize, any::<u8>()).prop_map(|(offset, len, seed)| Step::Write {
            offset,
            len,
            seed
        }),
        (place.clone(), prop::collection::vec(0..3000_usize, 0..6), any::<u8>())
            .prop_map(|(offset, lens, seed)| Step::Gather { offset, lens, seed }),
        (place.clone(), 0..30_000_usize, any::<u8>(), any::<bool>())
            .prop_map(|(offset, len, seed, aligned)| Step::Durable { offset, len, seed, aligned }),
        (place.clone(), 0..50_000_u64).prop_map(|(offset, len)| Step::Discard { offset, len }),
        (place.clone(), 0..30_000_usize).prop_map(|(offset, len)| Step::Read { offset, len }),
        (place.clone(), 0..30_000_usize).prop_map(|(offset, len)| Step::ReadDevice { offset, len }),
        (place, 0..60_000_u64).prop_map(|(offset, len)| Step::Map { offset, len }),
        Just(Step::Flush),
    ]
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

/// Checks the answer to a request of this range, and says whether it was let through.
fn let_through<T: std::fmt::Debug>(answer: &Result<T, Error>, offset: u64, len: u64) -> bool {
    if offset + len <= LEN {
        assert!(answer.is_ok(), "{answer:?}");
        return true;
    }
    assert_eq!(answer.as_ref().unwrap_err().code(), "truncated");
    false
}

/// Runs the steps; a discarded byte may be zero or old, so it is taken over as it is read.
fn run(device: &dyn Device, steps: &[Step]) {
    let mut model = vec![0_u8; LEN as usize];
    let range = |offset: u64, len: usize| offset as usize..offset as usize + len;
    let read = |model: &[u8], offset: u64, len: usize, past_cache: bool| {
        let mut buf = vec![0xee; len];
        let answer =
            if past_cache { device.read_device(&mut buf, offset) } else { device.read_at(&mut buf, offset) };
        if let_through(&answer, offset, len as u64) {
            assert!(buf == model[range(offset, len)], "{len} bytes at {offset} differ");
        }
    };
    for step in steps {
        match step.clone() {
            Step::Write { offset, len, seed } => {
                let data = bytes(len, seed);
                if let_through(&device.write_at(&data, offset), offset, len as u64) {
                    model[range(offset, len)].copy_from_slice(&data);
                }
            }
            Step::Gather { offset, lens, seed } => {
                let parts: Vec<Vec<u8>> = lens.iter().map(|n| bytes(*n, seed)).collect();
                let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                let data = slices.concat();
                if let_through(&device.write_all_at(&slices, offset), offset, data.len() as u64) {
                    model[range(offset, data.len())].copy_from_slice(&data);
                }
            }
            Step::Durable { offset, len, seed, aligned } => {
                let (offset, len) = if aligned { (offset & !4095, len & !4095) } else { (offset, len) };
                let data = AlignedBuf::from(&bytes(len, seed)[..]);
                if let_through(&device.write_durable(&data, offset), offset, len as u64) {
                    model[range(offset, len)].copy_from_slice(&data);
                }
            }
            Step::Discard { offset, len } => {
                if let_through(&device.discard(offset, len), offset, len) {
                    let mut now = vec![0; len as usize];
                    device.read_at(&mut now, offset).unwrap();
                    let old = &model[range(offset, len as usize)];
                    assert!(now.iter().zip(old).all(|(now, old)| *now == 0 || now == old));
                    model[range(offset, len as usize)].copy_from_slice(&now);
                }
            }
            Step::Read { offset, len } => read(&model, offset, len, false),
            Step::ReadDevice { offset, len } => read(&model, offset, len, true),
            Step::Map { offset, len } => {
                let map = device.map(offset, len);
                if let_through(&map, offset, len) {
                    let map = map.unwrap();
                    assert!(map[..] == model[range(offset, len as usize)]);
                    map.check().unwrap();
                }
            }
            Step::Flush => device.flush().unwrap(),
        }
    }
    assert_eq!(device.len(), LEN);
    read(&model, 0, LEN as usize, false);
    read(&model, 0, LEN as usize, true);
}

fn run_on_file(directory: &Path, steps: &[Step], copied_maps: bool) {
    let directory = tempfile::tempdir_in(directory).unwrap();
    let path = directory.path().join("volume");
    let device = FileDevice::create(&path, LEN, false).unwrap();
    let device = if copied_maps { device.with_copied_maps() } else { device };
    run(&device, steps);
    drop(device);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), LEN);
    assert_eq!(FileDevice::open(&path, Access::Read).unwrap().len(), LEN);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_holds_what_was_written(steps in prop::collection::vec(step(), 1..40), copied in any::<bool>()) {
        run_on_file(&std::env::temp_dir(), &steps, copied);
    }

    #[test]
    fn a_file_on_tmpfs_holds_what_was_written(steps in prop::collection::vec(step(), 1..40)) {
        if Path::new("/dev/shm").is_dir() {
            run_on_file(Path::new("/dev/shm"), &steps, false);
        }
    }

    #[test]
    fn memory_holds_what_was_written(steps in prop::collection::vec(step(), 1..40)) {
        run(&MemoryDevice::new(LEN), &steps);
    }

    #[test]
    fn a_simulation_holds_what_was_written(steps in prop::collection::vec(step(), 1..40), keeps in any::<bool>()) {
        let device = SimDevice::new(LEN);
        let device = if keeps { device.discard_keeps() } else { device };
        run(&device, &steps);
        let trace = device.trace();
        let (_, last) = trace.prefixes().last().unwrap();
        prop_assert_eq!(last, device.image());
    }
}

#[test]
fn a_gathered_write_of_more_buffers_than_the_host_takes_at_once_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let device = FileDevice::create(directory.path().join("volume"), LEN, false).unwrap();
    let parts: Vec<[u8; 3]> = (0..5000_u16).map(|i| [i as u8, (i >> 8) as u8, 7]).collect();
    let slices: Vec<&[u8]> = parts.iter().map(|p| &p[..]).collect();
    device.write_all_at(&slices, 11).unwrap();
    let mut back = vec![0; 15_000];
    device.read_at(&mut back, 11).unwrap();
    assert!(back == parts.concat());
}

#[test]
fn ranges_that_overflow_are_refused_by_every_device() {
    let directory = tempfile::tempdir().unwrap();
    let file = FileDevice::create(directory.path().join("volume"), LEN, false).unwrap();
    let devices: [&dyn Device; 3] = [&file, &MemoryDevice::new(LEN), &SimDevice::new(LEN)];
    for device in devices {
        for offset in [LEN, LEN - 1, u64::MAX - 1, u64::MAX] {
            let codes = [
                device.read_at(&mut [0; 2], offset).unwrap_err().code(),
                device.write_at(&[0; 2], offset).unwrap_err().code(),
                device.write_all_at(&[&[0], &[0]], offset).unwrap_err().code(),
                device.write_durable(&[0; 2], offset).unwrap_err().code(),
                device.read_device(&mut [0; 2], offset).unwrap_err().code(),
                device.discard(offset, 2).unwrap_err().code(),
                device.map(offset, 2).unwrap_err().code(),
            ];
            assert_eq!(codes, ["truncated"; 7], "{} at {offset}", device.name());
            device.start_writeback(offset, u64::MAX);
        }
        device.read_at(&mut [], LEN).unwrap();
        assert!(device.map(LEN, 0).unwrap().is_empty());
    }
}
