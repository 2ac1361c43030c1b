//! How full the nodes are, how few are written, and how the tree grows and shrinks.

use crate::common::{Batch, Random, Volume, leaf_fill, value};
use vexfs_format::Key;

/// Keys as a directory of a million names has them: one object, offsets at random.
fn random_key(random: &mut Random) -> Key {
    Key::new(77, 2, random.next() << 8 >> 1)
}

fn random_value(random: &mut Random) -> Vec<u8> {
    let len = 20 + random.below(200) as usize;
    value(len, random.next())
}

fn loaded(random: &mut Random, items: usize) -> Volume {
    let mut volume = Volume::new(1 << 30);
    let batch: Batch = (0..items).map(|_| (random_key(random), Some(random_value(random)))).collect();
    volume.apply_over(&batch);
    volume
}

#[test]
fn ascending_appends_leave_full_nodes() {
    for per_batch in [3u64, 40, 1000, 50_000] {
        let mut volume = Volume::new(1 << 30);
        let batches = (50_000 / per_batch).min(300);
        for number in 0..batches {
            let places = number * per_batch..(number + 1) * per_batch;
            volume.apply_over(&places.map(|p| (Key::new(p + 16, 1, 0), Some(value(96, p)))).collect());
        }
        let seen = volume.check();
        let leaves = seen.nodes.iter().filter(|(ptr, _)| ptr.level == 0).count();
        let least = (batches * per_batch * (96 + 22)).div_ceil(16320);
        // The last leaf may be anything; every other has room for less than one item more.
        assert!(
            leaves as u64 <= least + 1 + least / 100,
            "{leaves} leaves in batches of {per_batch}, {least} would do"
        );
    }
}

#[test]
fn mixed_batches_keep_leaves_85_percent_full() {
    let mut random = Random(1);
    for (batches, per_batch) in [(20, 10_000), (60, 1000), (300, 100), (1500, 10)] {
        let mut volume = loaded(&mut random, 60_000);
        for _ in 0..batches {
            let mut batch = Batch::new();
            for _ in 0..per_batch {
                let near = random_key(&mut random);
                let there = volume.model.range(near..).next().map(|(key, _)| *key);
                match (random.below(10), there) {
                    (0..5, _) | (_, None) => batch.insert(near, Some(random_value(&mut random))),
                    (5..8, Some(key)) => batch.insert(key, Some(random_value(&mut random))),
                    (_, Some(key)) => batch.insert(key, None),
                };
            }
            volume.apply_over(&batch);
        }
        let fill = leaf_fill(&volume.reader, &volume.check());
        println!("{batches} batches of {per_batch}: leaves are {fill:.3} full");
        assert!(fill >= 0.85, "{batches} batches of {per_batch}: leaves are {fill:.3} full");
    }
}

#[test]
fn appends_in_the_middle_of_the_keys_fill_their_leaves() {
    let mut volume = Volume::new(1 << 30);
    volume.apply_over(&(0..20_000).map(|p| (Key::new(p, 1, 0), Some(value(96, p)))).collect());
    for number in 0..300u64 {
        let places = number * 40..(number + 1) * 40;
        volume.apply_over(&places.map(|p| (Key::new(10_000, 5, p), Some(value(96, p)))).collect());
    }
    let fill = leaf_fill(&volume.reader, &volume.check());
    println!("{fill:.3}");
    assert!(fill > 0.75, "leaves are {fill:.3} full");
}

#[test]
fn deletes_merge_what_they_empty() {
    let mut random = Random(3);
    for per_batch in [50, 1000, 20_000] {
        let mut volume = loaded(&mut random, 30_000);
        while volume.model.len() > 1500 {
            let near = |random: &mut Random| {
                let key = random_key(random);
                volume.model.range(key..).next().map(|(key, _)| (*key, None))
            };
            let batch: Batch = (0..per_batch).filter_map(|_| near(&mut random)).collect();
            volume.apply_over(&batch);
        }
        let seen = volume.check();
        let fill = leaf_fill(&volume.reader, &seen);
        println!("{per_batch} a batch: {fill:.3} full, {} nodes", seen.nodes.len());
        assert!(fill > 0.6, "leaves are {fill:.3} full after deletes in batches of {per_batch}");
    }
}

#[test]
fn sparse_batches_write_little_more_than_they_touch() {
    let mut random = Random(4);
    let mut volume = loaded(&mut random, 60_000);
    let (mut written, mut batches) = (0, 0);
    // All leaves are full at first, so that every insert splits one; count when that is over.
    for number in 0..600 {
        let batch: Batch =
            (0..10).map(|_| (random_key(&mut random), Some(random_value(&mut random)))).collect();
        let applied = volume.try_apply(&batch).unwrap();
        if number >= 300 {
            written += applied.written;
            batches += 1;
        }
        crate::common::apply_model(&mut volume.model, &batch);
        volume.root = applied.root;
        volume.release(&applied.freed);
    }
    let fill = leaf_fill(&volume.reader, &volume.check());
    println!("{:.1} nodes written per batch of 10, leaves {fill:.3} full", written as f64 / batches as f64);
    assert!(written < batches * 17, "{written} nodes written for {batches} batches of 10");
}
