//! Retained checkpoints: past states whose blocks are kept beside the newest.
//!
//! Each retained checkpoint has a dead list: the blocks that it (or an older one) needs and its successor does
//! not. A block born at *b* and freed at *f* is needed by the checkpoints with a sequence in `[b, f)`, so it goes on
//! the list of the newest checkpoint if it was born by then, and is free at once if it was not. Lists are split
//! into buckets at the sequences of the checkpoints that existed when they were made: when a checkpoint is
//! dropped, each bucket is either free as a whole or goes to the older neighbour by pointer.
//!
//! Everything here is written by a checkpoint beside the tree and takes effect with its descriptor.

use vexfs_device::Device;
use vexfs_format::chain::{self, ChainEntry, Link};
use vexfs_format::{
    BLOCK_SIZE, BlockNo, BlockRun, Bucket, ChainPtr, DeadRun, Descriptor, Geometry, Retained, Seq,
};

use crate::memtable::Freed;
use crate::{Error, Result};

/// The checkpoints that are kept besides the newest, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention {
    kept: Vec<Kept>,
    /// The table's own blocks.
    table: Vec<BlockRun>,
}

#[derive(Clone, Debug)]
struct Kept {
    entry: Retained,
    buckets: Vec<Bucket>,
    /// The blocks of the chain of buckets.
    chain: Vec<BlockRun>,
    /// Nobody who reads at this sequence or later can reach what is on the list.
    gate: Seq,
}

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub checkpoints: usize,
    pub blocks: u64,
}

/// What a change of the retention does to the space.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Frees that nobody but present readers may still need.
    pub free_now: Vec<Freed>,
    /// Blocks of dropped lists, and of lists and tables that were replaced, with the gates of their readers;
    /// `None`: the gate is that of the checkpoint itself.
    pub dropped: Vec<(Option<Seq>, BlockRun)>,
    /// The new table.
    pub table: Option<ChainPtr>,
}

/// Where chains are written.
pub(crate) struct ChainWriter<'a> {
    pub device: &'a dyn Device,
    pub volume: u64,
    /// Hands out one block.
    pub alloc: &'a mut dyn FnMut() -> Result<BlockRun>,
}

impl Retention {
    /// Reads the table behind `table` and its lists.
    pub(crate) fn load(
        device: &dyn Device,
        geometry: &Geometry,
        volume: u64,
        table: Option<ChainPtr>,
    ) -> Result<Self> {
        let reader = ChainReader { device, geometry, volume };
        let (entries, table) = reader.read::<Retained>(table)?;
        let kept = entries.into_iter().map(|entry| {
            let (buckets, chain) = reader.read(entry.dead)?;
            Ok(Kept { entry, buckets, chain, gate: Seq(0) })
        });
        Ok(Self { kept: kept.collect::<Result<_>>()?, table })
    }

    /// Blocks that are on dead lists: in use only for the past.
    pub(crate) fn held_blocks(&self) -> u64 {
        self.kept.iter().flat_map(|kept| &kept.buckets).map(|bucket| bucket.blocks).sum()
    }

    /// Whether a checkpoint of this sequence is kept.
    pub(crate) fn holds_seq(&self, seq: Seq) -> bool {
        self.kept.iter().any(|kept| kept.entry.seq == seq)
    }

    /// How many checkpoints are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What readers who were there when the newest list was made are waited for with.
    pub(crate) fn set_newest_gate(&mut self, gate: Seq) {
        if let Some(newest) = self.kept.last_mut() {
            newest.gate = gate;
        }
    }

    /// Keeps `newest`, to which `frees` happened since, and drops what goes beyond `limit`. Writes all lists that
    /// changed.
    pub(crate) fn advance(
        &mut self,
        newest: &Descriptor,
        frees: Vec<Freed>,
        limit: Limit,
        geometry: &Geometry,
        writer: &mut ChainWriter<'_>,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        if limit.checkpoints == 0 && self.kept.is_empty() {
            outcome.free_now = frees;
            return Ok(outcome);
        }
        let (dead, free_now): (Vec<_>, Vec<_>) = frees.into_iter().partition(|free| free.birth <= newest.seq);
        outcome.free_now = free_now;
        self.keep(newest, dead, writer)?;
        while self.kept.len() > limit.checkpoints
            || self.held_blocks() > limit.blocks && !self.kept.is_empty()
        {
            self.drop_oldest(geometry, writer, &mut outcome)?;
        }
        outcome.dropped.extend(self.table.drain(..).map(|run| (None, run)));
        let entries: Vec<Retained> = self.kept.iter().map(|kept| kept.entry).collect();
        (outcome.table, self.table) = writer.write(&entries)?;
        Ok(outcome)
    }

    fn keep(&mut self, newest: &Descriptor, dead: Vec<Freed>, writer: &mut ChainWriter<'_>) -> Result<()> {
        let mut ends: Vec<Seq> = self.kept.iter().map(|kept| kept.entry.seq).collect();
        ends.push(newest.seq);
        let mut lists: Vec<Vec<DeadRun>> = vec![Vec::new(); ends.len()];
        for Freed { run, birth, .. } in dead {
            let bucket = ends.partition_point(|end| *end < birth);
            if let Some(list) = lists.get_mut(bucket) {
                list.push(DeadRun { run, birth });
            }
        }
        let mut buckets = Vec::new();
        let mut birth_from = Seq(0);
        for (birth_to, list) in ends.into_iter().zip(lists) {
            if !list.is_empty() {
                let blocks = list.iter().map(|dead| u64::from(dead.run.len)).sum();
                let (runs, _) = writer.write(&list)?;
                buckets.push(Bucket { birth_from, birth_to, blocks, runs });
            }
            birth_from = Seq(birth_to.0.saturating_add(1));
        }
        let (dead, chain) = writer.write(&buckets)?;
        let entry = Retained {
            id: newest.id,
            seq: newest.seq,
            lsn: newest.lsn,
            time_ns: newest.time_ns,
            root: newest.root,
            dead,
            nodes: newest.counts.nodes,
            leaves: newest.counts.leaves,
            items: newest.counts.items,
            inodes: newest.counts.inodes,
            snapshot: false,
        };
        self.kept.push(Kept { entry, buckets, chain, gate: Seq(u64::MAX) });
        Ok(())
    }

    /// Drops the oldest checkpoint: with no older one left, nobody needs what is on its list.
    fn drop_oldest(
        &mut self,
        geometry: &Geometry,
        writer: &ChainWriter<'_>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let dropped = self.kept.remove(0);
        let reader = ChainReader { device: writer.device, geometry, volume: writer.volume };
        // The list that this very checkpoint made has no gate yet: it is the checkpoint's own.
        let gate = Some(dropped.gate).filter(|gate| *gate != Seq(u64::MAX));
        for bucket in &dropped.buckets {
            let (runs, chain) = reader.read::<DeadRun>(bucket.runs)?;
            if let Some(dead) = runs.iter().find(|dead| !geometry.holds(dead.run)) {
                return Err(Error::Corrupt {
                    what: format!("dead list: {:?} lies outside the data area", dead.run),
                });
            }
            outcome.dropped.extend(runs.into_iter().map(|dead| (gate, dead.run)));
            outcome.dropped.extend(chain.into_iter().map(|run| (None, run)));
        }
        outcome.dropped.extend(dropped.chain.into_iter().map(|run| (None, run)));
        Ok(())
    }
}

impl ChainWriter<'_> {
    /// Writes a chain of these entries; the pointer to it, and its blocks.
    fn write<E: ChainEntry>(&mut self, entries: &[E]) -> Result<(Option<ChainPtr>, Vec<BlockRun>)> {
        let runs =
            (0..chain::blocks_for::<E>(entries.len())).map(|_| (self.alloc)()).collect::<Result<Vec<_>>>()?;
        let places: Vec<BlockNo> = runs.iter().map(|run| run.start).collect();
        let (blocks, ptr) = chain::build(self.volume, &places, entries, None);
        for (place, block) in blocks {
            self.device.write_at(&block, place.byte_offset())?;
        }
        Ok((ptr, runs))
    }
}

/// Reads chains back.
pub(crate) struct ChainReader<'a> {
    pub device: &'a dyn Device,
    pub geometry: &'a Geometry,
    pub volume: u64,
}

impl ChainReader<'_> {
    /// The entries of the chain behind `ptr`, and its blocks.
    pub(crate) fn read<E: ChainEntry>(&self, mut ptr: Option<ChainPtr>) -> Result<(Vec<E>, Vec<BlockRun>)> {
        let (mut entries, mut blocks) = (Vec::new(), Vec::new());
        // Ends: the pointer counts the blocks from there on, and every link checks that it has one fewer.
        while let Some(link) = ptr {
            let run = BlockRun { start: link.block, len: 1 };
            if !self.geometry.holds(run) {
                return Err(Error::Corrupt {
                    what: format!("{}: block {} lies outside the data area", E::STRUCTURE.name, link.block),
                });
            }
            let mut bytes = [0; BLOCK_SIZE];
            self.device.read_at(&mut bytes, link.block.byte_offset())?;
            let Link { entries: more, next } = Link::<E>::parse(&bytes, self.volume, link)?;
            entries.extend(more);
            blocks.push(run);
            ptr = next;
        }
        Ok((entries, blocks))
    }
}

#[cfg(test)]
mod tests;
