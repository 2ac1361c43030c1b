//! A healthy volume has no findings, however it was left.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use vexfs_check::damage::{self, Sample};
use vexfs_check::{Options, Report, check};
use vexfs_device::sim::{Sampling, SimDevice};
use vexfs_device::{Device, Image, MemoryDevice};
use vexfs_fs::Fs;

fn report(image: &Image) -> Report {
    let device: Arc<dyn Device> = Arc::new(MemoryDevice::from_image(image.clone()));
    check(device, &Options { data: true, workers: Some(2), progress: None }).unwrap()
}

fn assert_clean(image: &Image, what: &str) -> Report {
    let report = report(image);
    assert!(report.clean, "{what}: {:#?}", report.findings);
    assert_eq!(report.exit_code, 0);
    report
}

#[test]
fn a_fresh_volume_is_clean_at_every_size() {
    for bytes in [2 << 20, 3 << 20, 16 << 20, 1 << 30, 1 << 44_u64] {
        let memory = Arc::new(MemoryDevice::new(bytes));
        let device: Arc<dyn Device> = Arc::clone(&memory) as _;
        damage::fresh(&device).unwrap();
        let report = assert_clean(&memory.image(), &format!("{bytes} bytes"));
        assert_eq!((report.totals.inodes, report.totals.directories, report.totals.files), (1, 1, 0));
    }
}

#[test]
fn used_volumes_are_clean_closed_or_left_in_the_middle() {
    for sample in [Sample::Plain, Sample::Retained, Sample::Logged] {
        let image = damage::image(sample).unwrap();
        let report = assert_clean(&image, &format!("{sample:?}"));
        assert_eq!(report.journal.transactions > 0, sample == Sample::Logged);
        assert_eq!(report.totals.retained >= 3, sample == Sample::Retained);
        assert_eq!(report.totals.orphans, 1);
        assert_eq!(
            report.totals.verified_blocks + 44,
            report.totals.data_blocks,
            "{sample:?}: all but what is reserved"
        );
    }
}

#[test]
fn a_recovered_volume_is_clean() {
    let memory = Arc::new(MemoryDevice::from_image(damage::image(Sample::Logged).unwrap()));
    let device: Arc<dyn Device> = Arc::clone(&memory) as _;
    let options = vexfs_fs::Options { background: false, ..vexfs_fs::Options::default() };
    let fs = Fs::open(device, options).unwrap();
    assert_clean(&memory.image(), "recovered, not closed");
    damage::change(&fs, 8).unwrap();
    assert_clean(&memory.image(), "recovered and gone on");
    fs.close().unwrap();
    drop(fs);
    let report = assert_clean(&memory.image(), "recovered and closed");
    assert_eq!((report.journal.transactions, report.totals.orphans), (0, 0));
}

#[test]
fn nothing_is_written_and_the_answer_does_not_depend_on_the_number_of_workers() {
    for sample in [Sample::Plain, Sample::Retained, Sample::Logged] {
        let image = damage::image(sample).unwrap();
        let sim = Arc::new(SimDevice::from_image(image.clone()).read_only());
        let reports: Vec<_> = [1, 2, 16]
            .into_iter()
            .map(|workers| {
                let device: Arc<dyn Device> = Arc::clone(&sim) as _;
                check(device, &Options { workers: Some(workers), ..Options::default() }).unwrap().totals
            })
            .collect();
        assert!(reports.windows(2).all(|pair| pair[0] == pair[1]), "{sample:?}");
        assert_eq!((sim.counts().writes, sim.counts().flushes), (0, 0));
    }
}

#[test]
fn no_crash_is_damage() {
    let base = {
        let memory = Arc::new(MemoryDevice::new(damage::BYTES));
        let device: Arc<dyn Device> = Arc::clone(&memory) as _;
        damage::make(&device, Sample::Retained).unwrap();
        memory.image()
    };
    let sim = Arc::new(SimDevice::from_image(base));
    let device: Arc<dyn Device> = Arc::clone(&sim) as _;
    let options = vexfs_fs::Options { background: false, retain: 4, ..vexfs_fs::Options::default() };
    let fs = Fs::open(device, options).unwrap();
    for round in 70..74 {
        damage::change(&fs, round).unwrap();
        fs.store().checkpoint(Default::default()).unwrap();
    }
    damage::change(&fs, 74).unwrap();
    fs.close().unwrap();
    drop(fs);
    let trace = sim.trace();
    let sampling = Sampling { exhaustive: 3, samples: 4, seed: 1 };
    let states = trace
        .prefixes()
        .step_by(3)
        .chain(trace.subsets(sampling).step_by(3))
        .chain(trace.tears(sampling).step_by(7));
    let mut count = 0;
    for (state, image) in states {
        assert_clean(&image, &format!("{state}"));
        count += 1;
    }
    assert!(count > 100, "{count} states");
}
