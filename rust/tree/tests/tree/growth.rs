//! The bound of growth: never passed, whatever the tree and the batch, and not much too high.

use crate::common::{Batch, Random, Volume, value};
use proptest::prelude::*;
use vexfs_format::Key;
use vexfs_tree::{Root, growth_bound, growth_bound_in_turn, weight};

fn size(batch: &Batch) -> (u64, u64) {
    (batch.len() as u64, batch.values().flatten().map(|value| weight(value.len())).sum())
}

fn key(place: u64) -> Key {
    Key::new(9, 4, place)
}

/// Applies, and returns how many units it took and how many were allowed.
fn measured(volume: &mut Volume, batch: &Batch) -> (u64, u64) {
    let (keys, bytes) = size(batch);
    let allowed = growth_bound(&volume.root, keys, bytes);
    volume.apply_over(batch);
    (volume.blocks.units_broken, allowed)
}

/// How a batch chooses its keys and what it does to them.
#[derive(Clone, Debug)]
enum Shape {
    /// Every key in a range of places.
    Dense { from: u64, count: u64 },
    /// Keys far apart.
    Sparse { from: u64, step: u64, count: u64 },
    /// Keys that cluster in a few places.
    Clusters { seed: u64, clusters: u64, each: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Act {
    PutSmall,
    PutInline,
    PutLarge,
    Delete,
    Mixed,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        (0u64..20_000, 1u64..6000).prop_map(|(from, count)| Shape::Dense { from, count }),
        (0u64..2000, 3u64..600, 1u64..300).prop_map(|(from, step, count)| Shape::Sparse {
            from,
            step,
            count
        }),
        (any::<u64>(), 1u64..20, 1u64..40).prop_map(|(seed, clusters, each)| Shape::Clusters {
            seed,
            clusters,
            each
        }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::PutSmall),
        3 => Just(Act::PutInline),
        1 => Just(Act::PutLarge),
        4 => Just(Act::Delete),
        2 => Just(Act::Mixed)
    ]
}

fn places(shape: &Shape) -> Vec<u64> {
    match *shape {
        Shape::Dense { from, count } => (from..from + count).collect(),
        Shape::Sparse { from, step, count } => (0..count).map(|n| from + n * step).collect(),
        Shape::Clusters { seed, clusters, each } => {
            let mut random = Random(seed);
            (0..clusters).map(|_| random.below(26_000)).flat_map(|from| from..from + each).collect()
        }
    }
}

fn batch(shape: &Shape, act: Act, seed: u64) -> Batch {
    let mut random = Random(seed);
    let mut one = |place: u64| {
        let len = match act {
            Act::PutSmall => Some(random.below(40)),
            Act::PutInline => Some(2048 - random.below(20)),
            Act::PutLarge if place.is_multiple_of(16) => Some(2049 + random.below(63_488)),
            Act::PutLarge => Some(0),
            Act::Delete => None,
            Act::Mixed => [None, Some(2048), Some(3), Some(700)][random.below(4) as usize],
        };
        len.map(|len| value(len as usize, place))
    };
    places(shape).into_iter().map(|place| (key(place), one(place))).collect()
}

proptest! {
    #![proptest_config(crate::common::cases(48))]

    #[test]
    fn no_batch_allocates_more_than_the_bound(
        steps in prop::collection::vec((shape(), act(), any::<u64>()), 1..9),
        longest in 1u32..200,
    ) {
        let mut volume = Volume::new(512 << 20);
        volume.blocks.longest = longest;
        let (mut before, mut last) = (Root::empty(), ((0, 0), 0));
        for (shape, act, seed) in &steps {
            let batch = batch(shape, *act, *seed);
            let root = volume.root.clone();
            let (broken, allowed) = measured(&mut volume, &batch);
            prop_assert!(broken <= allowed, "{broken} units allocated, {allowed} allowed");
            let this = (size(&batch), broken);
            let both = growth_bound_in_turn(&before, &[last.0, this.0]);
            prop_assert!(last.1 + broken <= both, "{} and {broken} units allocated, {both} allowed", last.1);
            (before, last) = (root, this);
        }
        crate::common::check(&volume.reader, &volume.root, &volume.model);
    }
}

/// Heavy and light items in turn make the leaves that are cut off as empty as they can be.
#[test]
fn the_heaviest_items_in_the_worst_order_stay_below_the_bound() {
    for light in 1..9u64 {
        let mut volume = Volume::new(512 << 20);
        let len = |place: u64| if place % (light + 7) < 7 { 2048 } else { 220 * light as usize };
        let batch: Batch = (0..4000).map(|p| (key(p * 2), Some(value(len(p), p)))).collect();
        let (broken, allowed) = measured(&mut volume, &batch);
        assert!(broken <= allowed, "{broken} units allocated, {allowed} allowed");
        let more: Batch = (0..400).map(|p| (key(p * 20 + 1), Some(value(2048, p)))).collect();
        let (broken, allowed) = measured(&mut volume, &more);
        assert!(broken <= allowed, "{broken} units allocated, {allowed} allowed");
    }
}

#[test]
fn nothing_to_do_needs_nothing() {
    let mut volume = Volume::new(16 << 20);
    volume.apply_over(&(0..100).map(|p| (key(p), Some(vec![1; 100]))).collect());
    assert_eq!(growth_bound(&volume.root, 0, 0), 0);
    let (root, freed) = volume.apply(&Batch::new());
    assert_eq!((root, freed.len()), (volume.root.clone(), 0));
}

#[test]
fn the_bound_of_a_small_tree_is_small() {
    let empty = Root::empty();
    assert!(growth_bound(&empty, 1, 100) <= 1, "one leaf");
    let mut volume = Volume::new(64 << 20);
    volume.apply_over(&(0..100).map(|p| (key(p), Some(vec![1; 100]))).collect());
    assert_eq!(volume.root.counts().leaves, 1);
    assert!(growth_bound(&volume.root, 1, 100) <= 3, "two leaves and a root above them");
    volume.apply_over(&(0..1000).map(|p| (key(p), Some(vec![1; 100]))).collect());
    let leaves = volume.root.counts().leaves;
    let bound = growth_bound(&volume.root, 100_000, 0);
    let inserted = 100_000 * 22 / 14_250;
    assert!(bound <= inserted + 2 * leaves + 4, "{bound} for {leaves} leaves");
}

#[test]
fn the_bound_of_a_large_batch_is_near_what_it_takes() {
    let mut volume = Volume::new(1 << 30);
    let load: Batch = (0..100_000).map(|p| (key(p * 8), Some(value(150, p)))).collect();
    let (broken, allowed) = measured(&mut volume, &load);
    assert!(allowed * 4 <= broken * 5, "a load took {broken} units, {allowed} were allowed");
    let update: Batch = (0..100_000).map(|p| (key(p * 8), Some(value(150, !p)))).collect();
    let (broken, allowed) = measured(&mut volume, &update);
    assert!(allowed <= broken * 3, "an update took {broken} units, {allowed} were allowed");
    let large: Batch = (0..500).map(|p| (key(p * 1600 + 1), Some(value(60_000, p)))).collect();
    let (broken, allowed) = measured(&mut volume, &large);
    assert!(allowed <= broken * 3, "large values took {broken} units, {allowed} were allowed");
}
