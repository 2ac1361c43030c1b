//! Random histories against the rule itself: a block born at *b* and freed at *f* is held exactly as long as a
//! checkpoint with a sequence in `[b, f)` is kept.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use vexfs_device::MemoryDevice;
use vexfs_format::checkpoint::{CheckpointKind, Counts};
use vexfs_format::{CheckpointId, Lsn};

use super::*;

const VOLUME: u64 = 7;
const BLOCKS: u64 = 30_000;

fn descriptor(id: u64, seq: u64) -> Descriptor {
    Descriptor {
        id: CheckpointId(id),
        kind: CheckpointKind::Incremental,
        time_ns: 0,
        seq: Seq(seq),
        lsn: Lsn(0),
        epoch: 0,
        chain_crc: 0,
        root: None,
        table_side: 0,
        table_crc: 0,
        retention: None,
        counts: Counts::default(),
        unique_high: 0,
    }
}

/// What happens between two checkpoints: so many runs are born, and these of the living ones are freed.
#[derive(Clone, Debug)]
struct Round {
    births: Vec<u32>,
    frees: Vec<usize>,
    limit: (usize, u64),
}

/// The retention, and everything that ever happened.
struct History {
    device: MemoryDevice,
    geometry: Geometry,
    retention: Retention,
    table: Option<ChainPtr>,
    newest: Descriptor,
    seq: u64,
    next_block: u64,
    living: Vec<(BlockRun, Seq)>,
    /// By first block: when it was born and freed.
    freed: BTreeMap<u64, (Seq, Seq)>,
    returned: BTreeSet<u64>,
    /// Blocks that lists and tables were given.
    lists: BTreeSet<u64>,
}

impl History {
    fn new() -> Self {
        let geometry = Geometry::plan(BLOCKS, None).unwrap();
        Self {
            device: MemoryDevice::new(BLOCKS * BLOCK_SIZE as u64),
            next_block: geometry.journal.end(),
            geometry,
            retention: Retention::default(),
            table: None,
            newest: descriptor(1, 1),
            seq: 1,
            living: Vec::new(),
            freed: BTreeMap::new(),
            returned: BTreeSet::new(),
            lists: BTreeSet::new(),
        }
    }

    fn tick(&mut self) -> Seq {
        self.seq += 1;
        Seq(self.seq)
    }

    fn take(&mut self, len: u32) -> BlockRun {
        let run = BlockRun::new(self.next_block, len);
        self.next_block += u64::from(len);
        run
    }

    fn round(&mut self, round: &Round) {
        let mut frees = Vec::new();
        let mut births = round.births.iter();
        for which in &round.frees {
            if let Some(len) = births.next() {
                let born = (self.take(*len), self.tick());
                self.living.push(born);
            }
            if !self.living.is_empty() {
                let (run, birth) = self.living.swap_remove(which % self.living.len());
                let freed = self.tick();
                self.freed.insert(run.start.0, (birth, freed));
                frees.push(Freed { run, birth, freed });
            }
        }
        let limit = Limit { checkpoints: round.limit.0, blocks: round.limit.1 };
        let outcome = self.advance(frees, limit);
        self.take_back(outcome);
        self.check(limit);
    }

    fn advance(&mut self, frees: Vec<Freed>, limit: Limit) -> Outcome {
        let (next, lists) = (&mut self.next_block, &mut self.lists);
        let mut alloc = || {
            *next += 1;
            lists.insert(*next - 1);
            Ok(BlockRun::new(*next - 1, 1))
        };
        let mut writer = ChainWriter { device: &self.device, volume: VOLUME, alloc: &mut alloc };
        let outcome = self.retention.advance(&self.newest, frees, limit, &self.geometry, &mut writer);
        self.seq += 1;
        self.newest = descriptor(self.newest.id.0 + 1, self.seq);
        self.retention.set_newest_gate(Seq(self.seq));
        outcome.unwrap()
    }

    fn take_back(&mut self, outcome: Outcome) {
        let dropped = outcome.dropped.into_iter().map(|(_, run)| run);
        for run in outcome.free_now.into_iter().map(|free| free.run).chain(dropped) {
            let list = self.lists.remove(&run.start.0);
            assert!(list || self.freed.contains_key(&run.start.0), "{run:?} is in use");
            assert!(list || self.returned.insert(run.start.0), "{run:?} was given back twice");
        }
        self.table = outcome.table;
    }

    fn check(&self, limit: Limit) {
        let kept: Vec<_> = self.retention.kept.iter().map(|kept| kept.entry).collect();
        assert!(kept.len() <= limit.checkpoints && self.retention.held_blocks() <= limit.blocks);
        let ids = kept.iter().map(|entry| entry.id.0);
        assert!(ids.eq(self.newest.id.0 - kept.len() as u64..self.newest.id.0), "the newest are kept");
        for (start, (birth, freed)) in &self.freed {
            let needed = kept.iter().any(|entry| (*birth..*freed).contains(&entry.seq));
            assert_ne!(self.returned.contains(start), needed, "{start} lived from {birth:?} to {freed:?}");
        }
        self.check_what_is_written(&kept);
    }

    /// What is on the device is the same, and takes the blocks that were taken for it and not given back.
    fn check_what_is_written(&self, kept: &[Retained]) {
        let read = Retention::load(&self.device, &self.geometry, VOLUME, self.table).unwrap();
        assert!(read.kept.iter().map(|kept| kept.entry).eq(kept.iter().copied()));
        assert_eq!(read.held_blocks(), self.retention.held_blocks());
        let reader = ChainReader { device: &self.device, geometry: &self.geometry, volume: VOLUME };
        let mut blocks: Vec<BlockRun> = read.table;
        for kept in &read.kept {
            blocks.extend(&kept.chain);
            for bucket in &kept.buckets {
                let (dead, chain) = reader.read::<DeadRun>(bucket.runs).unwrap();
                assert_eq!(dead.iter().map(|dead| u64::from(dead.run.len)).sum::<u64>(), bucket.blocks);
                assert!(dead.iter().all(|dead| (bucket.birth_from..=bucket.birth_to).contains(&dead.birth)));
                blocks.extend(chain);
            }
        }
        let blocks: BTreeSet<u64> = blocks.into_iter().map(|run| run.start.0).collect();
        assert_eq!(blocks, self.lists, "blocks of lists");
    }
}

fn round() -> impl Strategy<Value = Round> {
    let births = prop::collection::vec(1..6_u32, 0..8);
    let frees = prop::collection::vec(any::<usize>(), 0..8);
    let limit = (prop_oneof![1 => 0..3_usize, 4 => 3..9_usize], prop_oneof![1 => 0..12_u64, 3 => 30..90_u64]);
    (births, frees, limit).prop_map(|(births, frees, limit)| Round { births, frees, limit })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_block_is_held_exactly_while_a_checkpoint_that_has_it_is_kept(
        rounds in prop::collection::vec(round(), 1..40),
    ) {
        let mut history = History::new();
        rounds.iter().for_each(|round| history.round(round));
    }
}

#[test]
fn as_many_checkpoints_are_kept_as_the_ring_has_room_for_and_fewer_on_small_volumes() {
    use crate::checkpoint::retained_at_most;
    assert_eq!(retained_at_most(0), 0);
    assert_eq!(retained_at_most(10 * 1024), 10);
    assert_eq!(retained_at_most(u64::MAX), 63);
    let mut history = History::new();
    let limit = Limit { checkpoints: 63, blocks: u64::MAX };
    for _ in 0..70 {
        let outcome = history.advance(Vec::new(), limit);
        history.take_back(outcome);
    }
    history.check(limit);
    assert_eq!(history.retention.len(), 63);
}

#[test]
fn lists_that_fill_several_blocks_come_back_whole() {
    let mut history = History::new();
    let limit = Limit { checkpoints: 4, blocks: u64::MAX };
    for number in 0..8 {
        let births = vec![1; 700];
        let frees = (0..if number % 2 == 0 { 10 } else { 900 }).map(|at| at * 7).collect();
        history.round(&Round { births, frees, limit: (4, u64::MAX) });
    }
    history.check(limit);
}
