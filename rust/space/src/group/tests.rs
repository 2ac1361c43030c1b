//! A group under a random sequence of finds, takes and gives, against a plain list of bools: what is known of the
//! bits (counts, bounds, lowest positions) must never hide a run or invent one.

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use proptest::test_runner::RngSeed;

use super::*;
use crate::request::{Class, Strategy};

const BASE: u64 = 5 * BITS as u64;

#[derive(Clone, Debug)]
enum Step {
    Find { strategy: Strategy, min: u32, more: u32, align: u32, goal: Option<u32> },
    Pieces { min: u32, goal: Option<u32> },
    Give { which: usize, from: u32, len: u32 },
    Longest,
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    let strategy = prop::sample::select(vec![
        Strategy::FirstFit,
        Strategy::BestFit,
        Strategy::Aligned,
        Strategy::NextZero,
        Strategy::Buddy,
    ]);
    let len = prop_oneof![4 => 1_u32..6, 3 => 1_u32..70, 2 => 60_u32..400, 1 => 400_u32..9000];
    let goal = || prop::option::weighted(0.4, 0..BITS);
    prop_oneof![
        6 => (strategy, len, 0_u32..100, 0_u32..5, goal()).prop_map(|(strategy, min, more, align, goal)| {
            Step::Find { strategy, min, more, align: 1 << align, goal }
        }),
        1 => (1_u32..7, goal()).prop_map(|(min, goal)| Step::Pieces { min, goal }),
        6 => (any::<usize>(), 0_u32..400, 1_u32..400).prop_map(|(which, from, len)| Step::Give { which, from, len }),
        1 => Just(Step::Longest),
    ]
}

fn fits(used: &[bool], start: u32, len: u32, align: u32) -> bool {
    (BASE + u64::from(start)).is_multiple_of(align.into())
        && used.get(start as usize..(start + len) as usize).is_some_and(|run| !run.contains(&true))
}

fn first(used: &[bool], from: u32, len: u32, align: u32) -> Option<u32> {
    (from..BITS).find(|start| fits(used, *start, len, align))
}

fn longest(used: &[bool]) -> u32 {
    used.split(|used| *used).map(|run| run.len() as u32).max().unwrap_or(0)
}

fn check(busy: &mut Busy, used: &mut [bool], held: &mut Vec<(u32, u32)>, step: Step) {
    match step {
        Step::Find { strategy, min, more, align, goal } => {
            let request = Request { min, max: min + more, align, strategy, goal: None, class: Class::Data }
                .checked()
                .unwrap();
            let len = request.max;
            let align = if strategy == Strategy::Buddy { align.max(len) } else { align };
            let found = busy.find(&request, len, goal);
            let Some((start, got)) = found else {
                assert_eq!(first(used, 0, len, align), None, "a run of {len} was overlooked");
                return;
            };
            assert!(fits(used, start, got, align));
            assert!((request.min..=request.max).contains(&got));
            let at_goal = goal == Some(start);
            assert!(got == len || at_goal && got * 2 >= len, "only at the goal is half a run enough");
            if matches!(strategy, Strategy::FirstFit | Strategy::Aligned | Strategy::NextZero) && !at_goal {
                let from_goal = goal.and_then(|goal| first(used, goal, len, align));
                assert_eq!(Some(start), from_goal.or_else(|| first(used, 0, len, align)));
            }
            take(busy, used, held, start, got);
        }
        Step::Pieces { min, goal } => {
            let request = Request::data(min, min + 3).checked().unwrap();
            let whole = |unit: usize| !used[unit * 4..unit * 4 + 4].contains(&true);
            let pieces: Vec<bool> = (0..BITS as usize).map(|index| used[index] || whole(index / 4)).collect();
            match busy.find_pieces(&request, goal) {
                None => assert_eq!(first(&pieces, 0, min, 1), None),
                Some((start, len)) => {
                    assert!(fits(&pieces, start, len, 1) && (min..=min + 3).contains(&len));
                    take(busy, used, held, start, len);
                }
            }
        }
        Step::Give { which, from, len } => {
            if held.is_empty() {
                return;
            }
            let (start, whole) = held.swap_remove(which % held.len());
            let from = from % whole;
            let len = len.min(whole - from);
            let units = busy.hint().units;
            let gained = busy.give(start + from, len);
            used[(start + from) as usize..(start + from + len) as usize].fill(false);
            assert_eq!(u32::from(busy.hint().units - units), gained);
            held.extend(
                [(start, from), (start + from + len, whole - from - len)].iter().filter(|(_, len)| *len > 0),
            );
        }
        Step::Longest => assert_eq!(busy.longest(), longest(used)),
    }
}

fn take(busy: &mut Busy, used: &mut [bool], held: &mut Vec<(u32, u32)>, start: u32, len: u32) {
    let units = busy.bits().free_units(start, len);
    let fewer = units / 2;
    let shortened = busy.breaking_at_most(start, len, fewer);
    assert!(busy.bits().free_units(start, shortened) <= fewer, "more units broken than granted");
    assert!(
        shortened == len || busy.bits().free_units(start, shortened + 1) > fewer,
        "fewer blocks than possible"
    );
    busy.take(start, len, units);
    used[start as usize..(start + len) as usize].fill(true);
    held.push((start, len));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, rng_seed: RngSeed::Fixed(2), ..ProptestConfig::default() })]

    #[test]
    fn what_is_known_of_a_group_never_misleads(
        spread in prop::collection::vec((0_u32..BITS, 1_u32..300), 0..200),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut bits = Bitset::new();
        let mut used = vec![false; BITS as usize];
        for (start, len) in spread {
            bits.set(start, len);
            used[start as usize..(start + len).min(BITS) as usize].fill(true);
        }
        let mut busy = Busy::new(bits, BASE, longest(&used) as u16);
        let mut held = Vec::new();
        for step in steps {
            check(&mut busy, &mut used, &mut held, step);
            let free = used.iter().filter(|used| !**used).count();
            let units = used.chunks(4).filter(|unit| !unit.contains(&true)).count();
            let hint = busy.hint();
            prop_assert_eq!(&busy.long, &LongRuns::of(&busy.bits));
            prop_assert_eq!((usize::from(hint.free), usize::from(hint.units)), (free, units));
            prop_assert!(u32::from(hint.largest) >= longest(&used));
            prop_assert_eq!(hint.pieces() as usize, free - units * 4);
        }
    }
}
