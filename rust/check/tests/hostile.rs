//! Whatever the bytes are, a check ends, never panics, and sees what it must see.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use vexfs_check::damage::{self, Sample};
use vexfs_check::{Error, Options, Report, Result, check};
use vexfs_device::sim::{Damage, Fault, Injection, Op, SimDevice};
use vexfs_device::{Device, Image, MemoryDevice};
use vexfs_format::bitmap::Bitmap;
use vexfs_format::frame::{FRAME_HEADER, Frame};
use vexfs_format::{BLOCK_SIZE, BitmapKind, CheckpointId, Descriptor, Geometry, group};

static SAMPLES: LazyLock<[Image; 3]> = LazyLock::new(|| {
    [Sample::Plain, Sample::Retained, Sample::Logged].map(|sample| damage::image(sample).unwrap())
});

fn run(image: &Image) -> Result<Report> {
    let device: Arc<dyn Device> = Arc::new(MemoryDevice::from_image(image.clone()));
    check(device, &Options { data: true, workers: Some(1), progress: None })
}

/// The blocks of a closed volume that anybody reads, but for the log, by its own bitmaps.
fn blocks_in_use(image: &Image) -> Vec<u64> {
    let device = MemoryDevice::from_image(image.clone());
    let superblock = vexfs_store::superblock::read(&device).unwrap().superblock;
    let (geometry, volume) = (superblock.geometry().unwrap(), superblock.volume());
    let read = |block: u64| {
        let mut bytes = [0; BLOCK_SIZE];
        device.read_at(&mut bytes, block * BLOCK_SIZE as u64).unwrap();
        bytes
    };
    let all = (0..64).filter_map(|slot| {
        let [place, _] = geometry.descriptor_blocks(CheckpointId(slot));
        Descriptor::parse(&read(place.0), volume, place).ok()
    });
    let newest = all.max_by_key(|found| found.id).unwrap();
    let live = group::block_of(&geometry, newest.table_side, 0);
    let entry = group::parse_block(&geometry, volume, newest.table_side, 0, &read(live.0)).unwrap()[0];
    let slots = [(BitmapKind::Block, entry.block), (BitmapKind::Inode, entry.inode)];
    let slots = slots.map(|(kind, slot)| slot.map(|slot| geometry.slot(0, kind, slot.side).0));
    let place = geometry.slot(0, BitmapKind::Block, entry.block.unwrap().side);
    let crc = entry.block.unwrap().crc;
    let bits = Bitmap::parse(&read(place.0), volume, place, BitmapKind::Block, 0, crc).unwrap().bits;
    let used = |block: u64| bits[block as usize / 64] >> (block % 64) & 1 == 1;
    let data = geometry.journal.end()..geometry.ring[1].0;
    let rings = geometry.ring.into_iter().flat_map(|ring| ring.0..ring.0 + 64);
    geometry
        .superblocks
        .iter()
        .map(|block| block.0)
        .chain(rings)
        .chain([live.0])
        .chain(slots.into_iter().flatten())
        .chain(data.filter(|block| used(*block)))
        .collect()
}

/// The image with every bit of a block changed.
fn spoiled(image: &Image, block: u64) -> Image {
    let mut image = image.clone();
    let mut bytes = [0; BLOCK_SIZE];
    image.read(&mut bytes, block * BLOCK_SIZE as u64);
    bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    image.write(&bytes, block * BLOCK_SIZE as u64);
    image
}

#[test]
fn any_single_corrupt_block_is_found() {
    // Nothing was ever written to blocks that are only reserved for a file, 44 of them in each sample; and a list
    // of what died with a checkpoint also names blocks that came and went between two.
    for (image, unread) in [(&SAMPLES[0], 44..45), (&SAMPLES[1], 44..80)] {
        let found = |block: &u64| !run(&spoiled(image, *block)).unwrap().clean;
        let missed: Vec<u64> = blocks_in_use(image).into_iter().filter(|block| !found(block)).collect();
        assert!(unread.contains(&missed.len()), "{}: {missed:?}", missed.len());
    }
}

#[test]
fn a_corrupt_block_of_the_log_is_found_unless_it_may_be_a_crash() {
    let device = MemoryDevice::from_image(SAMPLES[2].clone());
    let superblock = vexfs_store::superblock::read(&device).unwrap().superblock;
    let (area, volume) = (superblock.geometry().unwrap().journal, superblock.volume());
    let block = |number: u64| {
        let mut bytes = [0; BLOCK_SIZE];
        device.read_at(&mut bytes, number * BLOCK_SIZE as u64).unwrap();
        bytes
    };
    let frames: Vec<Frame> = (area.start.0..area.end())
        .filter_map(|number| Frame::parse_anywhere(&block(number)).ok())
        .filter(|frame| frame.volume == volume)
        .collect();
    let newest = frames.iter().map(|frame| frame.checkpoint).max().unwrap();
    let replayed: Vec<&Frame> = frames.iter().filter(|frame| frame.checkpoint == newest).collect();
    assert!(replayed.len() > 10);
    let (last, earlier) = replayed.split_last().unwrap();
    for frame in earlier {
        let first = area.start.0 + frame.lsn.0 / BLOCK_SIZE as u64;
        for number in first..first + u64::from(frame.length) / BLOCK_SIZE as u64 {
            let report = run(&spoiled(&SAMPLES[2], number)).unwrap();
            assert_eq!(report.numbers(), [301], "block {number} of the frame at {}", frame.lsn);
        }
    }
    let mut torn = SAMPLES[2].clone();
    torn.write(&[0x5a; 100], area.start.byte_offset() + last.lsn.0 + FRAME_HEADER as u64);
    let report = run(&torn).unwrap();
    assert!(report.clean, "nobody has said that it was durable: {:#?}", report.findings);
    assert_eq!(report.journal.ending, "cut");
}

#[test]
fn a_block_that_the_device_cannot_read_is_found_and_hides_no_more_than_itself() {
    let image = &SAMPLES[0];
    for block in blocks_in_use(image).into_iter().step_by(37) {
        let sim = Arc::new(SimDevice::from_image(image.clone()));
        let bytes = block * BLOCK_SIZE as u64..(block + 1) * BLOCK_SIZE as u64;
        sim.inject(Injection::new(Op::Read, Fault::Io).lasting().within(bytes));
        let device: Arc<dyn Device> = Arc::clone(&sim) as _;
        let report = check(device, &Options { data: true, ..Options::default() }).unwrap();
        let found = report.findings.iter().find(|finding| finding.number == 507);
        let expected = (sim.struck() > 0).then_some(block);
        assert_eq!(found.and_then(|found| found.location.block), expected, "{:#?}", report.findings);
        assert!(report.findings.len() < 300, "{:#?}", report.findings);
    }
}

#[test]
fn what_is_no_volume_is_an_error_and_not_a_report() {
    let code = |device: MemoryDevice| check(Arc::new(device), &Options::default()).unwrap_err();
    assert_eq!(code(MemoryDevice::new(0)).code(), "not_a_volume");
    assert_eq!(code(MemoryDevice::new(4 << 20)).code(), "not_a_volume");
    let short = SAMPLES[0].to_vec();
    let error = code(MemoryDevice::from_bytes(&short[..short.len() / 2]));
    assert_eq!((error.code(), error.exit_code()), ("truncated", 8));
}

#[test]
fn whoever_watches_sees_every_pass_and_can_end_it() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let progress: vexfs_check::Watcher = Arc::new(move |progress: vexfs_check::Progress| {
        note.lock().unwrap().push(progress.pass);
        ControlFlow::Continue(())
    });
    let device: Arc<dyn Device> = Arc::new(MemoryDevice::from_image(SAMPLES[2].clone()));
    check(Arc::clone(&device), &Options { data: true, workers: None, progress: Some(progress) }).unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.dedup();
    let all: Vec<&str> = vexfs_check::passes().iter().skip(1).map(|pass| pass.name).collect();
    assert_eq!(seen, all);
    let end: vexfs_check::Watcher = Arc::new(|_| ControlFlow::Break(()));
    let error = check(device, &Options { progress: Some(end), ..Options::default() }).unwrap_err();
    assert!(matches!(error, Error::Cancelled));
    assert_eq!(error.exit_code(), 32);
}

#[test]
fn a_small_image_makes_no_large_volume_believed() {
    let geometry = Geometry::plan(4096, None).unwrap();
    assert_eq!(geometry.group_count, 1);
    let sim = SimDevice::from_image(SAMPLES[0].clone());
    sim.damage(0, Damage::Zeroed { len: 2 * BLOCK_SIZE as u64 });
    let report = check(Arc::new(sim), &Options::default()).unwrap();
    assert_eq!(report.numbers(), [101], "the last copy still tells");
    assert_eq!(report.findings.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_make_it_panic(
        sample in 0_usize..3,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..BLOCK_SIZE, 1_u8..), 1..24),
    ) {
        static USED: LazyLock<[Vec<u64>; 3]> = LazyLock::new(|| {
            let [plain, retained, _] = &*SAMPLES;
            [blocks_in_use(plain), blocks_in_use(retained), (0..160).collect()]
        });
        let mut image = SAMPLES[sample].clone();
        for (index, within, change) in flips {
            let offset = index.get(&USED[sample]) * BLOCK_SIZE as u64 + within as u64;
            let mut byte = [0];
            image.read(&mut byte, offset);
            image.write(&[byte[0] ^ change], offset);
        }
        let _ = run(&image);
    }

    #[test]
    fn wrong_bytes_with_right_checksums_never_make_it_panic(sample in 0_usize..3, seed: u64) {
        let memory = Arc::new(MemoryDevice::from_image(SAMPLES[sample].clone()));
        let device: Arc<dyn Device> = Arc::clone(&memory) as _;
        for step in 0..1 + seed % 3 {
            let _ = damage::scramble(&device, seed.wrapping_add(step));
        }
        let _ = run(&memory.image());
    }
}
