//! Every search against the same search over a plain list of bools.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::bits::{Bitset, UNIT};

/// A group made of alternating used and free runs, so that all densities and lengths occur.
fn group() -> impl Strategy<Value = Vec<bool>> {
    let run = prop_oneof![6 => 1_usize..6, 3 => 1_usize..80, 1 => 1_usize..3000];
    (any::<bool>(), prop::collection::vec(run, 1..600)).prop_map(|(first, runs)| {
        let mut used = Vec::with_capacity(BITS as usize);
        let mut value = first;
        for len in runs {
            used.extend(std::iter::repeat_n(value, len));
            value = !value;
        }
        used.resize(BITS as usize, value);
        used
    })
}

fn bits(used: &[bool]) -> Bitset {
    let mut bits = Bitset::new();
    for (index, _) in used.iter().enumerate().filter(|(_, used)| **used) {
        bits.set(index as u32, 1);
    }
    bits
}

fn need() -> impl Strategy<Value = Need> {
    let len = prop_oneof![1_u32..10, 1_u32..70, 60_u32..600, 1_u32..=BITS];
    let group = prop_oneof![Just(0_u64), 1_u64..200, Just(133_152)];
    (len, 0_u32..13, group).prop_map(|(len, align, group)| Need {
        len,
        align: 1 << align,
        base: group * u64::from(BITS),
    })
}

fn fits(used: &[bool], start: usize, need: &Need) -> bool {
    (need.base + start as u64).is_multiple_of(need.align.into())
        && used.get(start..start + need.len as usize).is_some_and(|run| !run.contains(&true))
}

fn model_runs(used: &[bool], value: bool) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (index, _) in used.iter().enumerate().filter(|(_, used)| **used == value) {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == index as u32 => *len += 1,
            _ => runs.push((index as u32, 1)),
        }
    }
    runs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn next_area_is_the_first_that_fits(used in group(), need in need(), from in 0..BITS) {
        let expected = (from as usize..used.len()).find(|start| fits(&used, *start, &need));
        prop_assert_eq!(next_area(&bits(&used), from, &need), expected.map(|start| start as u32));
    }

    #[test]
    fn largest_is_the_longest_aligned_rest_of_a_run(used in group(), need in need()) {
        let mut expected: Option<(u32, u32)> = None;
        for (start, len) in model_runs(&used, false) {
            let first = need.aligned(start);
            let rest = (start + len).saturating_sub(first);
            if rest >= need.len && expected.is_none_or(|(_, longest)| rest > longest) {
                expected = Some((first, rest));
            }
        }
        prop_assert_eq!(largest(&bits(&used), &need), expected);
    }

    #[test]
    fn best_fit_wastes_the_least(used in group(), need in need()) {
        let suitable = model_runs(&used, false).into_iter().filter_map(|(start, len)| {
            let first = need.aligned(start);
            (first + need.len <= start + len).then_some((len, first))
        });
        let expected = suitable.min_by_key(|(len, _)| *len).map(|(_, first)| first);
        prop_assert_eq!(best_fit(&bits(&used), 0, &need), expected);
    }

    #[test]
    fn buddy_splits_the_smallest_that_is_free(used in group(), order in 0_u32..10, base in 0_u64..300, from in 0..BITS) {
        let need = Need { len: 1 << order, align: 1, base: base * u64::from(BITS) };
        let free = |start: i64, len: i64| {
            start >= 0 && start + len <= i64::from(BITS)
                && used[start as usize..(start + len) as usize].iter().all(|used| !used)
        };
        // The order of the greatest free buddy around each aligned run of the wanted length.
        let phase = need.base as i64;
        let around = |start: i64| {
            let buddy = |order: &u32| {
                let size = 1 << order;
                free((phase + start).div_euclid(size) * size - phase, size)
            };
            (order..16).take_while(buddy).last()
        };
        let size = 1 << order;
        let first = (phase + size - 1) / size * size - phase;
        let smallest = (first..i64::from(BITS)).step_by(size as usize).filter_map(around).min();
        let found = buddy(&bits(&used), from, &need);
        prop_assert_eq!(found.and_then(|start| around(start.into())), smallest);
        prop_assert!(found.is_none_or(|start| (need.base + u64::from(start)).is_multiple_of(size as u64)));
    }

    #[test]
    fn runs_and_edges_are_those_of_the_list(used in group(), at in 0..BITS, len in 1_u32..500) {
        let bits = bits(&used);
        prop_assert_eq!(bits.used_runs().collect::<Vec<_>>(), model_runs(&used, true));
        prop_assert_eq!(bits.free_runs().collect::<Vec<_>>(), model_runs(&used, false));
        prop_assert_eq!(bits.count() as usize, used.iter().filter(|used| **used).count());
        let next = |value| (at..BITS).find(|index| used[*index as usize] == value).unwrap_or(BITS);
        prop_assert_eq!(bits.next_used(at), next(true));
        prop_assert_eq!(bits.next_free(at), next(false));
        let before = (0..at).rev().find(|index| used[*index as usize]).map_or(0, |index| index + 1);
        prop_assert_eq!(bits.free_before(at), before);
        let end = (at + len).min(BITS);
        prop_assert_eq!(bits.is_free(at, end - at), !used[at as usize..end as usize].contains(&true));
    }

    #[test]
    fn units_are_counted_as_in_the_list(used in group(), start in 0..BITS, len in 0_u32..500) {
        let bits = bits(&used);
        let len = len.min(BITS - start);
        let unit_free = |unit: usize| !used[unit * 4..unit * 4 + 4].contains(&true);
        let end = if len == 0 { start / UNIT } else { (start + len).div_ceil(UNIT) };
        let touched = (start / UNIT) as usize..end as usize;
        prop_assert_eq!(bits.free_units(start, len) as usize, touched.filter(|unit| unit_free(*unit)).count());
        let all = (0..used.len() / 4).filter(|unit| unit_free(*unit)).count();
        prop_assert_eq!(bits.count_free_units() as usize, all);
        let pieces: Vec<bool> = used.iter().enumerate().map(|(i, used)| *used || unit_free(i / 4)).collect();
        let view = bits.broken_units();
        let next = (start..BITS).find(|index| !pieces[*index as usize]).unwrap_or(BITS);
        prop_assert_eq!(view.next_free(start), next);
    }

    #[test]
    fn setting_and_clearing_change_exactly_the_range(used in group(), start in 0..BITS, len in 0_u32..9000) {
        let end = (start + len).min(BITS) as usize;
        let mut set = bits(&used);
        set.set(start, len);
        let mut expected = used.clone();
        expected[start as usize..end].fill(true);
        prop_assert_eq!(&set, &bits(&expected));
        set.clear(start, len);
        expected[start as usize..end].fill(false);
        prop_assert_eq!(&set, &bits(&expected));
    }
}

#[test]
fn a_free_group_is_one_run_and_a_full_one_none() {
    let any = Need { len: 1, align: 1, base: 0 };
    let mut bits = Bitset::new();
    assert_eq!(largest(&bits, &any), Some((0, BITS)));
    assert_eq!(next_area(&bits, 0, &Need { len: BITS, ..any }), Some(0));
    assert_eq!(next_area(&bits, 1, &Need { len: BITS, ..any }), None);
    bits.set(0, BITS);
    assert_eq!(largest(&bits, &any), None);
    assert_eq!(buddy(&bits, 0, &any), None);
    assert_eq!(bits.next_free(0), BITS);
}
