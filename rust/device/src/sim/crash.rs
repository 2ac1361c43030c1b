//! What a power cut may leave behind.
//!
//! A change of bytes is **settled** once its own durable write, or the first flush after it, has returned, if that
//! was honest. Settled changes are in every state. Of the others any subset may be missing, and each that is
//! there may be torn between sectors. All are applied in the order in which they were made, so that an old write
//! never comes out over a newer one that is on the device.

use std::fmt;
use std::rc::Rc;

use super::random::Random;
use super::trace::{Event, FlushKind, Trace, WriteKind};
use crate::Image;

const SECTOR: u64 = 512;
const NEVER: usize = usize::MAX;

/// How many states to make.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Up to this many unsettled changes, every subset of them is a state.
    pub exhaustive: usize,
    /// With more of them, so many states for each moment; and so many tears for each write.
    pub samples: usize,
    /// Which samples.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { exhaustive: 10, samples: 64, seed: 0 }
    }
}

/// A write of which only some sectors reached the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tear {
    /// The number of the write.
    pub event: usize,
    /// The sectors that are there, ascending; 0 is the one that holds the write's first byte.
    pub kept: Vec<u64>,
}

/// One state that a power cut may leave behind. [`Trace::image`] makes it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashState {
    /// How many events had begun; events from this number on never happened.
    pub cut: usize,
    /// How many events had returned to the caller. What the caller was promised by then must hold.
    pub acknowledged: usize,
    /// The events before `cut` of which nothing is on the device, ascending.
    pub lost: Vec<usize>,
    /// The write that is there in part.
    pub torn: Option<Tear>,
    /// Whether something is missing that the device had said to be durable. Then no promise can hold.
    pub lied: bool,
}

impl fmt::Display for CrashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events, {} of them acknowledged, lost {:?}", self.cut, self.acknowledged, self.lost)?;
        if let Some(tear) = &self.torn {
            write!(f, ", of {} only sectors {:?}", tear.event, tear.kept)?;
        }
        if self.lied { write!(f, "; the device lied") } else { Ok(()) }
    }
}

/// When each event of a trace is settled: once so many events are acknowledged.
pub(super) struct Rules<'t> {
    trace: &'t Trace,
    settled: Vec<usize>,
    /// The same if every word of the device were true.
    claimed: Vec<usize>,
}

impl<'t> Rules<'t> {
    pub(super) fn of(trace: &'t Trace) -> Self {
        let (mut settled, mut claimed) = (Vec::new(), Vec::new());
        // What the next flush does to the changes before it.
        let (mut next_settled, mut next_claimed) = (NEVER, NEVER);
        for (i, event) in trace.events.iter().enumerate().rev() {
            let returned = i + 1;
            match event {
                Event::Flush(FlushKind::Honest) => (next_settled, next_claimed) = (returned, returned),
                Event::Flush(FlushKind::Lie) => next_claimed = returned,
                Event::Flush(FlushKind::Failed) => (next_settled, next_claimed) = (NEVER, NEVER),
                Event::Write { .. } | Event::Discard { .. } => {}
            }
            let (is, seems) = match event {
                Event::Write { kind: WriteKind::Durable, .. } => (returned, returned),
                Event::Write { kind: WriteKind::DurableLie, .. } => (next_settled, returned),
                Event::Write { kind: WriteKind::Failed, .. } => (NEVER, NEVER),
                Event::Write { kind: WriteKind::Damage, .. } | Event::Flush(_) => (0, 0),
                Event::Write { kind: WriteKind::Cached, .. } | Event::Discard { .. } => {
                    (next_settled, next_claimed)
                }
            };
            settled.push(is);
            claimed.push(seems);
        }
        settled.reverse();
        claimed.reverse();
        Self { trace, settled, claimed }
    }

    pub(super) fn image(&self, state: &CrashState) -> Image {
        let mut image = self.trace.base.clone();
        self.play(&mut image, 0, state);
        image
    }

    fn is_settled(&self, event: usize, acknowledged: usize) -> bool {
        self.settled.get(event).is_some_and(|at| *at <= acknowledged)
    }

    fn lied(&self, lost: &[usize], torn: Option<&Tear>, acknowledged: usize) -> bool {
        let missing = lost.iter().copied().chain(torn.map(|tear| tear.event));
        missing.into_iter().any(|i| self.claimed.get(i).is_some_and(|at| *at <= acknowledged))
    }

    /// Applies the events from `first` on that the state has.
    fn play(&self, image: &mut Image, first: usize, state: &CrashState) {
        let mut lost = state.lost.iter().copied().skip_while(|i| *i < first).peekable();
        for (i, event) in self.trace.events.iter().enumerate().take(state.cut).skip(first) {
            if lost.next_if_eq(&i).is_some() {
                continue;
            }
            match (&state.torn, event) {
                (Some(tear), Event::Write { offset, data, .. }) if tear.event == i => {
                    apply_sectors(image, *offset, data, &tear.kept);
                }
                _ => event.apply(image),
            }
        }
    }
}

/// A moment at which the power may fail, and what may be missing then.
struct Moment<'t> {
    rules: Rc<Rules<'t>>,
    /// Everything before `first`, all of which is settled.
    settled: Image,
    first: usize,
    cut: usize,
    acknowledged: usize,
    unsettled: Vec<usize>,
}

impl Moment<'_> {
    fn state(&self, lost: Vec<usize>, torn: Option<Tear>) -> (CrashState, Image) {
        let lied = self.rules.lied(&lost, torn.as_ref(), self.acknowledged);
        let state = CrashState { cut: self.cut, acknowledged: self.acknowledged, lost, torn, lied };
        let mut image = self.settled.clone();
        self.rules.play(&mut image, self.first, &state);
        (state, image)
    }

    fn lose(&self, survives: impl Fn(usize) -> bool) -> Vec<usize> {
        self.unsettled.iter().enumerate().filter(|(n, _)| !survives(*n)).map(|(_, i)| *i).collect()
    }
}

/// Goes through the moments of a trace, keeping what is settled.
struct Walk<'t> {
    rules: Rc<Rules<'t>>,
    settled: Image,
    first: usize,
}

impl<'t> Walk<'t> {
    fn new(trace: &'t Trace) -> Self {
        Self { rules: Rc::new(Rules::of(trace)), settled: trace.base.clone(), first: 0 }
    }

    /// The moment when `acknowledged` events have returned and, maybe, the next one has begun.
    /// Moments must be asked for in order.
    fn at(&mut self, acknowledged: usize, under_way: bool) -> Moment<'t> {
        let rules = Rc::clone(&self.rules);
        while self.first < acknowledged && rules.is_settled(self.first, acknowledged) {
            if let Some(event) = rules.trace.events.get(self.first) {
                event.apply(&mut self.settled);
            }
            self.first += 1;
        }
        let cut = acknowledged + usize::from(under_way);
        let unsettled = (self.first..cut).filter(|i| !rules.is_settled(*i, acknowledged)).collect();
        Moment { rules, settled: self.settled.clone(), first: self.first, cut, acknowledged, unsettled }
    }
}

/// Whether the event is a write that the caller waits for to be durable.
const fn is_durable_write(event: &Event) -> bool {
    matches!(event, Event::Write { kind: WriteKind::Durable | WriteKind::DurableLie, .. })
}

/// The moments of which every other is a special case: see [`Trace::subsets`].
fn moments(trace: &Trace) -> impl Iterator<Item = Moment<'_>> {
    let mut walk = Walk::new(trace);
    let before = trace.events.iter().enumerate();
    let before = before.filter(|(_, e)| matches!(e, Event::Flush(_)) || is_durable_write(e));
    let before = before.map(|(i, event)| (i, is_durable_write(event)));
    let all = before.chain(std::iter::once((trace.events.len(), false)));
    all.map(move |(acknowledged, under_way)| walk.at(acknowledged, under_way))
}

pub(super) fn prefixes(trace: &Trace) -> impl Iterator<Item = (CrashState, Image)> + '_ {
    let mut image = trace.base.clone();
    let mut failed = Vec::new();
    let mut done = 0;
    let ends = trace.events.iter().enumerate().filter(|(_, e)| e.changes_bytes()).map(|(i, _)| i);
    ends.chain(std::iter::once(trace.events.len())).map(move |cut| {
        for (i, event) in trace.events.iter().enumerate().take(cut).skip(done) {
            if event.is_visible() {
                event.apply(&mut image);
            } else {
                failed.push(i);
            }
        }
        done = cut;
        let state = CrashState { cut, acknowledged: cut, lost: failed.clone(), torn: None, lied: false };
        (state, image.clone())
    })
}

pub(super) fn subsets(trace: &Trace, sampling: Sampling) -> impl Iterator<Item = (CrashState, Image)> + '_ {
    moments(trace).flat_map(move |moment| {
        let count = moment.unsettled.len();
        let exhaustive = count <= sampling.exhaustive.min(20);
        let states = if exhaustive { 1 << count } else { sampling.samples.max(2) };
        let mut random = Random::new(sampling.seed ^ (moment.acknowledged as u64) << 20);
        (0..states).map(move |n| {
            let lost =
                if exhaustive { moment.lose(|i| n >> i & 1 == 1) } else { sample(&moment, n, &mut random) };
            moment.state(lost, None)
        })
    })
}

/// Which changes sample `n` loses: all, none, then in turn the first few, any half, all but one, and one.
fn sample(moment: &Moment<'_>, n: usize, random: &mut Random) -> Vec<usize> {
    let one = random.below(moment.unsettled.len());
    match n {
        0 => moment.lose(|_| false),
        1 => Vec::new(),
        n if n % 4 == 0 => moment.lose(|i| i != one),
        n if n % 4 == 1 => moment.lose(|i| i == one),
        n if n % 4 == 2 => moment.lose(|i| i < one),
        _ => {
            let coins: Vec<bool> = moment.unsettled.iter().map(|_| random.coin()).collect();
            moment.lose(|i| coins.get(i) == Some(&true))
        }
    }
}

pub(super) fn tears(trace: &Trace, sampling: Sampling) -> impl Iterator<Item = (CrashState, Image)> + '_ {
    tears_under_way(trace, sampling).chain(tears_later(trace, sampling))
}

/// Each write while it is under way: all before it survived, of itself the first sectors, or any.
fn tears_under_way(trace: &Trace, sampling: Sampling) -> impl Iterator<Item = (CrashState, Image)> + '_ {
    let mut walk = Walk::new(trace);
    let writes = trace.events.iter().enumerate().filter_map(|(i, event)| Some((i, sectors(event)?)));
    writes.flat_map(move |(event, sectors)| {
        let moment = walk.at(event, true);
        let failed: Vec<usize> =
            (moment.first..event).filter(|i| trace.events.get(*i).is_some_and(|e| !e.is_visible())).collect();
        let mut random = Random::new(sampling.seed ^ (event as u64) << 20 ^ 1);
        let heads = (sectors - 1).min(sampling.samples as u64);
        (0..heads + 1).map(move |n| {
            let kept = if n < heads && heads == sectors - 1 {
                (0..=n).collect()
            } else if n < heads {
                (0..=random.next() % (sectors - 1)).collect()
            } else {
                some_sectors(sectors, &mut random)
            };
            moment.state(failed.clone(), Some(Tear { event, kept }))
        })
    })
}

/// At each moment that matters: one unsettled write torn anyhow, any of the others lost.
fn tears_later(trace: &Trace, sampling: Sampling) -> impl Iterator<Item = (CrashState, Image)> + '_ {
    moments(trace).flat_map(move |moment| {
        let torn = |i: &usize| Some((*i, sectors(trace.events.get(*i)?)?));
        let writes: Vec<(usize, u64)> = moment.unsettled.iter().filter_map(torn).collect();
        let states = if writes.is_empty() { 0 } else { sampling.samples };
        let mut random = Random::new(sampling.seed ^ (moment.acknowledged as u64) << 20 ^ 2);
        (0..states).filter_map(move |_| {
            let (event, sectors) = *writes.get(random.below(writes.len()))?;
            let kept = some_sectors(sectors, &mut random);
            let mut lost = moment.unsettled.clone();
            lost.retain(|i| *i != event && random.coin());
            Some(moment.state(lost, Some(Tear { event, kept })))
        })
    })
}

/// How many sectors a write touches, if it can be torn.
fn sectors(event: &Event) -> Option<u64> {
    let Event::Write { offset, data, kind } = event else { return None };
    let count = offset.saturating_add(data.len() as u64).div_ceil(SECTOR) - offset / SECTOR;
    (count > 1 && *kind != WriteKind::Damage).then_some(count)
}

/// Some sectors, neither none nor all.
fn some_sectors(sectors: u64, random: &mut Random) -> Vec<u64> {
    let mut kept: Vec<u64> = (0..sectors).filter(|_| random.coin()).collect();
    if kept.is_empty() || kept.len() as u64 == sectors {
        kept = vec![random.next() % sectors];
    }
    kept
}

fn apply_sectors(image: &mut Image, offset: u64, data: &[u8], kept: &[u64]) {
    for sector in kept {
        let start = (offset / SECTOR + sector).saturating_mul(SECTOR);
        let from = start.saturating_sub(offset).min(data.len() as u64) as usize;
        let to = (start + SECTOR).saturating_sub(offset).min(data.len() as u64) as usize;
        image.write(data.get(from..to).unwrap_or_default(), start.max(offset));
    }
}
