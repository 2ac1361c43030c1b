//! What stays in memory, and readers that share it.

use std::sync::Arc;

use vexfs_format::Key;
use vexfs_tree::{NodeCache, Reader, Root, Subtree, TreeCounts};

use crate::common::{Batch, Random, Seen, VOLUME, Volume, value};

fn key(place: u64) -> Key {
    Key::new(place, 1, 0)
}

fn volume() -> Volume {
    let mut volume = Volume::new(256 << 20);
    volume.apply_over(&(0..40_000).map(|p| (key(p), Some(value(700, p)))).collect());
    volume
}

fn reader(volume: &Volume, budget: u64) -> (Reader, Root) {
    let reader = Reader::new(Arc::clone(&volume.device), Arc::new(NodeCache::new(budget)), VOLUME);
    (reader, Root::new(volume.root.ptr(), volume.root.counts()))
}

#[test]
fn the_budget_is_kept() {
    let volume = volume();
    for budget in [0, 100_000, 1 << 20, 4 << 20] {
        let (reader, root) = reader(&volume, budget);
        let mut random = Random(budget);
        for _ in 0..20_000 {
            let place = random.below(40_000);
            assert_eq!(
                reader.get(&root, key(place)).unwrap().as_deref(),
                volume.model.get(&key(place)).map(|v| &v[..])
            );
        }
        let stats = reader.cache().stats();
        // There is room for one node even without a budget.
        assert!(stats.used_bytes <= budget.max(20_000), "{stats:?}");
        assert!(stats.held_bytes <= budget / 4 + 20_000, "{stats:?}");
    }
}

#[test]
fn what_is_used_all_the_time_stays_while_much_is_used_once() {
    let volume = volume();
    let (reader, root) = reader(&volume, 4 << 20);
    let hot: Vec<Key> = (0..40).map(|n| key(n * 1000)).collect();
    let mut random = Random(5);
    let mut missed = 0;
    for round in 0..200 {
        let before = reader.cache().stats().loads;
        for key in &hot {
            reader.get(&root, *key).unwrap();
        }
        missed += if round > 0 { reader.cache().stats().loads - before } else { 0 };
        for _ in 0..100 {
            reader.get(&root, key(random.below(40_000))).unwrap();
        }
    }
    assert!(missed < 200, "{missed} of 8000 uses of 40 hot leaves had to load them");
}

#[test]
fn a_tree_that_fits_is_loaded_once() {
    let volume = volume();
    let (reader, root) = reader(&volume, 64 << 20);
    for _ in 0..2 {
        assert_eq!(reader.range(&root, Key::MIN, Key::MAX).filter(Result::is_ok).count(), 40_000);
        assert_eq!(reader.cache().stats().loads, root.counts().nodes);
    }
    reader.cache().clear();
    reader.get(&root, key(7)).unwrap().unwrap();
    assert_eq!(reader.cache().stats().loads, root.counts().nodes + 1, "only the leaf: the rest is held");
}

#[test]
fn what_a_batch_replaces_makes_room_for_what_it_writes() {
    let mut volume = volume();
    // Just enough for one such tree.
    let budget = (volume.root.counts().nodes + 50) * 17_100;
    (volume.reader, volume.root) = reader(&volume, budget);
    for round in 0..5 {
        volume.apply_over(&(0..40_000).map(|p| (key(p), Some(value(700, p + round)))).collect());
        let loads = volume.reader.cache().stats().loads;
        for place in 0..40_000 {
            volume.reader.get(&volume.root, key(place)).unwrap().unwrap();
        }
        assert_eq!(volume.reader.cache().stats().loads, loads, "round {round}: the new nodes are in memory");
    }
}

#[test]
fn readers_are_not_disturbed_by_batches_and_each_other() {
    let mut volume = volume();
    (volume.reader, volume.root) = reader(&volume, 2 << 20);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (reader, root, stop) = (volume.reader.clone(), volume.root.clone(), &stop);
            scope.spawn(move || {
                let mut random = Random(thread);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let place = random.below(40_000);
                    let got = reader.get(&root, key(place)).unwrap().unwrap();
                    assert!(*got == value(700, place)[..]);
                    let range = reader.range(&root, key(place), key(place + 30));
                    assert!(range.zip(place..).all(|(item, at)| item.unwrap().0 == key(at)));
                }
            });
        }
        // The first root's blocks are never given back here, so that it stays readable.
        for round in 0..6u64 {
            let batch: Batch =
                (0..2000).map(|n| (key((n * 17 + round) % 40_000), Some(value(600, n)))).collect();
            volume.apply(&batch);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    crate::common::check(&volume.reader, &volume.root, &volume.model);
}

#[test]
fn the_parts_of_a_walk_together_are_the_tree() {
    let volume = volume();
    for parts in [0, 1, 2, 5, 1000, usize::MAX] {
        let mut seen = Seen::default();
        let (subtrees, mut counts) = volume.reader.subtrees(&volume.root, parts, &mut seen);
        let leaves = volume.root.counts().leaves as usize;
        assert!(subtrees.len() >= parts.min(leaves), "{} parts, {parts} were asked for", subtrees.len());
        assert!(subtrees.windows(2).all(|pair| pair[0].high() == Some(pair[1].low())));
        let found = std::thread::scope(|scope| {
            let walk = |subtree: Subtree| {
                let reader = &volume.reader;
                move || {
                    let mut seen = Seen::default();
                    (reader.walk_subtree(&subtree, Default::default(), &mut seen), seen)
                }
            };
            let (near, far) = subtrees.split_at(subtrees.len() / 2);
            let far: Vec<Subtree> = far.to_vec();
            let far = scope.spawn(move || far.into_iter().map(|s| walk(s)()).collect::<Vec<_>>());
            let mut found: Vec<_> = near.iter().map(|s| walk(*s)()).collect();
            found.extend(far.join().unwrap());
            found
        });
        for (part, part_seen) in found {
            counts = TreeCounts {
                nodes: counts.nodes + part.nodes,
                leaves: counts.leaves + part.leaves,
                items: counts.items + part.items,
                out_of_line_blocks: counts.out_of_line_blocks + part.out_of_line_blocks,
            };
            seen.items.extend(part_seen.items);
        }
        assert_eq!(counts, volume.root.counts());
        assert!(seen.items == volume.model);
    }
}

#[test]
fn what_is_only_written_fills_little_memory_and_what_is_read_stays_when_it_changes() {
    let mut volume = Volume::on(Arc::new(vexfs_device::MemoryDevice::new(512 << 20)), 256 << 20);
    let batch =
        |round: u64| -> Batch { (0..50_000).map(|p| (key(p), Some(value(1800, p + round)))).collect() };
    volume.apply_over(&batch(0));
    let written = volume.reader.cache().stats().used_bytes;
    assert!((60 << 20..=65 << 20).contains(&written), "{written}");
    (0..50_000).for_each(|p| assert!(volume.reader.get(&volume.root, key(p)).unwrap().is_some()));
    let read = volume.reader.cache().stats().used_bytes;
    assert!(read > 90 << 20, "{read}");
    volume.apply_over(&batch(1));
    let after = volume.reader.cache().stats().used_bytes;
    assert!(after > read - (4 << 20), "{after} of {read}");
}
