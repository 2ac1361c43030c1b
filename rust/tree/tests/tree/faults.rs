//! A device that fails or lies, at every single operation; and no space, at every single block.

use std::sync::Arc;

use crate::common::{Batch, Random, Volume, check, value};
use vexfs_device::sim::{Fault, Injection, Op};
use vexfs_device::{Device, SimDevice};
use vexfs_format::{Key, NODE_SIZE};
use vexfs_tree::{Error, NodeCache, Reader, Root, growth_bound, weight};

/// A tree of three levels with values out of line, and a batch that touches it all over.
fn volume() -> (Arc<SimDevice>, Volume, Batch) {
    let device = Arc::new(SimDevice::new(64 << 20));
    // A cache of one node: what is read comes from the device.
    let mut volume = Volume::on(Arc::<SimDevice>::clone(&device), 1);
    let len = |place: u64| if place % 400 == 7 { 9000 } else { 1990 };
    volume.apply_over(&(0..4000).map(|p| (Key::new(p, 4, 0), Some(value(len(p), p)))).collect());
    assert_eq!(volume.root.ptr().unwrap().level, 2);
    let mut random = Random(9);
    let mut batch = Batch::new();
    for _ in 0..40 {
        let place = random.below(4100);
        batch.insert(Key::new(place, 4, 0), Some(value(random.below(2100) as usize, place)));
        batch.insert(Key::new(random.below(4000), 4, 0), None);
    }
    batch.extend((1000..1900).map(|place| (Key::new(place, 4, 0), None)));
    (device, volume, batch)
}

fn undo(volume: &mut Volume) {
    for run in std::mem::take(&mut volume.blocks.handed) {
        volume.blocks.release(run);
    }
}

#[test]
fn an_error_at_any_operation_leaves_the_old_root_whole() {
    let (device, mut volume, batch) = volume();
    let mut failed = 0;
    for op in [Op::Read, Op::Write] {
        for number in 0.. {
            let (reader, root) = volume.reopened();
            volume.reader = reader;
            volume.root = root;
            device.inject(Injection::new(op, Fault::Io).after(number));
            let result = volume.try_apply(&batch);
            device.heal();
            match result {
                Ok(_) => {
                    undo(&mut volume);
                    break;
                }
                Err(error) => assert_eq!(error.code(), "io"),
            }
            failed += 1;
            undo(&mut volume);
            if number % 16 == 0 {
                volume.check();
            }
        }
        volume.check();
    }
    assert!(failed > 30, "only {failed} operations to fail");
    volume.apply_over(&batch);
    volume.check();
}

#[test]
fn no_space_at_any_block_leaves_the_old_root_whole() {
    let (_, mut volume, batch) = volume();
    let bound = growth_bound(
        &volume.root,
        batch.len() as u64,
        batch.values().flatten().map(|v| weight(v.len())).sum(),
    );
    let mut enough = None;
    for units in 0..=bound {
        volume.seq += 1;
        volume.blocks.begin();
        volume.blocks.units_left = units;
        let birth = vexfs_format::Seq(volume.seq);
        match crate::common::apply(&volume.reader, &volume.root, &batch, birth, &mut volume.blocks) {
            Ok(_) => enough = enough.or(Some(units)),
            Err(error) => {
                assert!(matches!(error, Error::NoSpace { .. }), "{error}");
                assert_eq!(enough, None, "more room never fails where less did not");
            }
        }
        undo(&mut volume);
    }
    assert!(enough.is_some(), "{bound} units, the bound, suffice");
    volume.check();
}

#[test]
fn a_device_that_lies_is_found_out() {
    let (device, mut volume, batch) = volume();
    let elsewhere = Fault::Misdirected { to: 64 * 4096 };
    let reads = [Fault::Zeroed, Fault::BitFlip { bit: 99_999 }, elsewhere].map(|fault| (Op::Read, fault));
    let far = Fault::Misdirected { to: 60 << 20 };
    let writes =
        [Fault::Lost, Fault::Zeroed, Fault::BitFlip { bit: 70_001 }, far].map(|fault| (Op::Write, fault));
    let mut after = volume.model.clone();
    crate::common::apply_model(&mut after, &batch);
    for (op, fault) in reads.into_iter().chain(writes) {
        for number in 0..24 {
            let (reader, root) = volume.reopened();
            (volume.reader, volume.root) = (reader, root);
            let image = device.image();
            device.inject(Injection::new(op, fault).after(number));
            let result = volume.try_apply(&batch);
            let struck = device.struck();
            device.heal();
            match (op, result) {
                (Op::Read, result) => assert!(result.is_err(), "{fault:?} at read {number} went unseen"),
                (_, Ok(applied)) => {
                    let fresh = Reader::new(
                        Arc::<SimDevice>::clone(&device),
                        Arc::new(NodeCache::new(1 << 20)),
                        crate::common::VOLUME,
                    );
                    let root = Root::new(applied.root.ptr(), applied.root.counts());
                    let mut seen = crate::common::Seen::default();
                    fresh.walk(&root, Default::default(), &mut seen);
                    assert!(!seen.bad.is_empty() || struck == 0 || seen.items == after);
                    assert!(
                        seen.items.iter().all(|(key, value)| after.get(key) == Some(value)),
                        "wrong data"
                    );
                }
                (_, Err(_)) => {}
            }
            undo(&mut volume);
            let (reader, root) = volume.reopened();
            check(&reader, &root, &volume.model);
            drop(image);
        }
    }
}

#[test]
fn new_nodes_are_written_with_few_large_writes() {
    let device = Arc::new(SimDevice::new(256 << 20));
    let mut volume = Volume::on(Arc::<SimDevice>::clone(&device), 8 << 20);
    let before = device.counts().writes;
    volume.apply_over(&(0..200_000).map(|p| (Key::new(p, 1, 0), Some(value(100, p)))).collect());
    let written = device.counts().writes - before;
    let nodes = volume.root.counts().nodes;
    assert!(written * 60 <= nodes + 60, "{written} writes for {nodes} nodes");
    // They lie side by side in key order, but for the nodes above them.
    let seen = volume.check();
    let mut leaves: Vec<u64> = seen.nodes.iter().filter(|n| n.0.level == 0).map(|n| n.0.block.0).collect();
    let gaps = leaves.windows(2).filter(|pair| pair[1] != pair[0] + 4).count();
    assert!(gaps * 100 <= leaves.len(), "{gaps} gaps between {} leaves", leaves.len());
    leaves.dedup();
    assert_eq!(device.len() % NODE_SIZE as u64, 0);
}

/// Gives something near what was asked for.
struct Careless(vexfs_format::BlockRun);

impl vexfs_tree::NodeAlloc for Careless {
    fn alloc(&mut self, _: u32, _: u32, _: u32) -> Result<vexfs_format::BlockRun, vexfs_tree::AllocError> {
        Ok(self.0)
    }
}

#[test]
fn a_run_that_was_not_asked_for_is_never_written() {
    for (start, len) in [(64, 3), (64, 5), (66, 4), (64, 0)] {
        let device = Arc::new(SimDevice::new(1 << 20));
        let volume = Volume::on(Arc::<SimDevice>::clone(&device), 1 << 20);
        let batch = Batch::from([(Key::MIN, Some(vec![1]))]);
        let mut alloc = Careless(vexfs_format::BlockRun::new(start, len));
        let birth = vexfs_format::Seq(1);
        let error =
            crate::common::apply(&volume.reader, &volume.root, &batch, birth, &mut alloc).unwrap_err();
        assert_eq!(error.code(), "wrong_run", "{len} blocks at {start}");
        assert_eq!(device.counts().writes, 0);
    }
}
