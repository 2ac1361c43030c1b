//! The tree against a BTreeMap, over random batches; old roots, ranges, and the bound of growth on the way.

use crate::common::{Batch, Model, Volume, value};
use proptest::prelude::*;
use vexfs_format::Key;
use vexfs_tree::{Reader, Root, growth_bound, weight};

/// A part of a batch: `count` keys from `start` on, `step` apart, all put with values of `len` or all deleted.
#[derive(Clone, Debug)]
struct Part {
    object: u64,
    start: u64,
    step: u64,
    count: u64,
    len: Option<usize>,
}

fn key(object: u64, place: u64) -> Key {
    // Neighbouring places differ in the low bits, the high bits, or the kind.
    match object % 3 {
        0 => Key::new(object, 1, place),
        1 => Key::new(object, 4, place << 40),
        _ => Key::new(object + place / 3, (place % 3) as u8, u64::MAX - place),
    }
}

fn part() -> impl Strategy<Value = Part> {
    let len = prop_oneof![
        6 => (0usize..300).prop_map(Some),
        3 => (1500usize..=2048).prop_map(Some),
        1 => prop_oneof![Just(2049), Just(4096), Just(4097), Just(65536), 2049usize..20000].prop_map(Some),
        4 => Just(None),
    ];
    (0u64..4, 0u64..3000, 1u64..20, prop_oneof![4 => 1u64..20, 2 => 20u64..1500], len).prop_map(
        |(object, start, step, count, len)| {
            let count = if len.is_some_and(|len| len > 2048) { count.min(12) } else { count };
            Part { object: object * 1000, start, step, count, len }
        },
    )
}

fn batches() -> impl Strategy<Value = Vec<Vec<Part>>> {
    prop::collection::vec(prop::collection::vec(part(), 1..5), 1..10)
}

fn batch_of(parts: &[Part], seed: u64) -> Batch {
    let mut batch = Batch::new();
    for part in parts {
        for number in 0..part.count {
            let place = part.start + number * part.step;
            let bytes = part.len.map(|len| value(len - len.min((place % 7) as usize), seed ^ place));
            batch.insert(key(part.object, place), bytes);
        }
    }
    batch
}

fn weights(batch: &Batch) -> u64 {
    batch.values().flatten().map(|value| weight(value.len())).sum()
}

fn check_reads(reader: &Reader, root: &Root, model: &Model, seed: u64) {
    let mut random = crate::common::Random(seed);
    for _ in 0..40 {
        let key = key(random.below(4) * 1000, random.below(3100));
        let got = reader.get(root, key).unwrap();
        assert_eq!(got.as_deref(), model.get(&key).map(Vec::as_slice), "{key:?}");
    }
    for _ in 0..4 {
        let (a, b) = (
            key(random.below(4) * 1000, random.below(3100)),
            key(random.below(4) * 1000, random.below(3100)),
        );
        let (from, to) = (a.min(b), a.max(b));
        let expected: Vec<_> = model.range(from..=to).map(|(key, value)| (*key, value.clone())).collect();
        let forward: Vec<_> =
            reader.range(root, from, to).map(|i| i.map(|(k, v)| (k, v.to_vec())).unwrap()).collect();
        assert!(forward == expected, "range {from:?} to {to:?}");
        let mut back: Vec<_> =
            reader.range(root, from, to).rev().map(|i| i.map(|(k, v)| (k, v.to_vec())).unwrap()).collect();
        back.reverse();
        assert!(back == expected, "range {from:?} to {to:?} in reverse");
        check_both_ends(reader, root, &expected, (from, to), &mut random);
    }
}

fn check_both_ends(
    reader: &Reader,
    root: &Root,
    expected: &[(Key, Vec<u8>)],
    (from, to): (Key, Key),
    random: &mut crate::common::Random,
) {
    let mut range = reader.range(root, from, to);
    let mut rest = expected;
    loop {
        let (item, wanted) = if random.below(2) == 0 {
            let first = rest.split_first();
            rest = first.map_or(&[], |(_, rest)| rest);
            (range.next(), first.map(|(first, _)| first))
        } else {
            let last = rest.split_last();
            rest = last.map_or(&[], |(_, rest)| rest);
            (range.next_back(), last.map(|(last, _)| last))
        };
        let item = item.transpose().unwrap();
        assert_eq!(
            item.as_ref().map(|(key, value)| (key, &**value)),
            wanted.map(|(key, value)| (key, &value[..]))
        );
        if item.is_none() {
            break;
        }
    }
    assert!(rest.is_empty() && range.next().is_none() && range.next_back().is_none());
}

proptest! {
    #![proptest_config(crate::common::cases(64))]

    #[test]
    fn random_batches_do_what_they_do_to_a_map(batches in batches(), longest in 1u32..300, seed: u64) {
        let mut volume = Volume::new(512 << 20);
        volume.blocks.longest = longest;
        let mut held = Vec::new();
        for (number, parts) in batches.iter().enumerate() {
            let batch = batch_of(parts, seed.wrapping_add(number as u64));
            let bound = growth_bound(&volume.root, batch.len() as u64, weights(&batch));
            let before = volume.model.clone();
            let (old, freed) = volume.apply(&batch);
            let broken = volume.blocks.units_broken;
            prop_assert!(broken <= bound, "{broken} units allocated, the bound is {bound}");
            held.push((old, before, freed));
            if held.len() > 2 {
                let (_, _, freed) = held.remove(0);
                volume.release(&freed);
            }
            crate::common::check(&volume.reader, &volume.root, &volume.model);
            check_reads(&volume.reader, &volume.root, &volume.model, seed);
            let (reader, root) = volume.reopened();
            check_reads(&reader, &root, &volume.model, !seed);
            for (root, model, _) in &held {
                check_reads(&volume.reader, root, model, seed ^ 1);
            }
        }
        for (root, model, _) in &held {
            crate::common::check(&volume.reader, root, model);
        }
        for (_, _, freed) in held {
            volume.release(&freed);
        }
        volume.check();
    }

    #[test]
    fn everything_deleted_leaves_no_block_in_use(batches in batches(), seed: u64) {
        let mut volume = Volume::new(512 << 20);
        for (number, parts) in batches.iter().enumerate() {
            volume.apply_over(&batch_of(parts, seed.wrapping_add(number as u64)));
        }
        let all: Batch = volume.model.keys().map(|key| (*key, None)).collect();
        volume.apply_over(&all);
        prop_assert_eq!(volume.root.ptr(), None);
        prop_assert_eq!(volume.root.counts(), vexfs_tree::TreeCounts::default());
        volume.check();
    }
}
