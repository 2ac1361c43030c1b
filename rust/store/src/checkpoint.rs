//! Checkpoints: what the memtable holds becomes part of the tree, and the log before it is free.
//!
//! Order: freeze at a frame boundary; write the new tree beside the old one; write the changed bitmaps and the
//! other side of the group table, and to their place the blocks that a crash left in the log alone; flush; write
//! the descriptor twice; flush. Until the first byte of the descriptor is submitted the attempt can be given up and
//! nothing has happened; after that any error makes the volume read-only. What the checkpoint freed is reused only
//! when it is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use vexfs_format::checkpoint::{Counts, Descriptor};
use vexfs_format::geometry::RING_SLOTS;
use vexfs_format::{BlockRun, CheckpointId, Seq};
use vexfs_journal::{Cut, Position};
use vexfs_space::{Class, Delta, Request, Space, Strategy, TableState};
use vexfs_tree::{AllocError, Applied, Change, NodeAlloc, Root};

pub use vexfs_format::checkpoint::CheckpointKind as Kind;

use crate::admission::Growth;
use crate::memtable::{Freed, SpaceChanges, freed_blocks};
use crate::retention::{ChainWriter, Limit, Retention};
use crate::state::{Frozen, State};
use crate::store::{Inner, Writer};
use crate::{Error, Result};

/// Blocks of data area for each past checkpoint that is kept.
const BLOCKS_PER_RETAINED: u64 = 1024;

/// What the checkpoint lock guards.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// The newest durable checkpoint.
    pub newest: Descriptor,
    /// What the next one will hold, once frozen.
    pub pending: Option<Pending>,
    /// The older ones that are kept.
    pub retention: Retention,
    /// Whether the next one keeps none: space is short.
    pub drop_all: bool,
}

/// A frozen memtable and where the log stood.
#[derive(Debug)]
pub(crate) struct Pending {
    pub frozen: Frozen,
    pub space: SpaceChanges,
    /// The checkpoint's own sequence.
    pub seq: Seq,
    pub at: Position,
}

/// A checkpoint of which everything but the descriptor is on its way to the device.
struct Built {
    root: Root,
    descriptor: Descriptor,
    retention: Retention,
    /// Blocks on their way back to the allocator, each with the gate of its readers; `None`: this checkpoint's.
    freed: Vec<(Option<Seq>, BlockRun)>,
}

impl Inner {
    /// Makes a checkpoint of all that is committed; says whether there was anything to do.
    pub(crate) fn checkpoint(&self, kind: Kind) -> Result<bool> {
        let writer = self.writer()?;
        let mut checkpoints = writer.checkpoints.lock();
        self.check_not_failed()?;
        let started = Instant::now();
        if checkpoints.pending.is_none() {
            if self.state.load().active.is_untouched() && !checkpoints.drops_something() {
                return Ok(false);
            }
            checkpoints.pending = Some(self.freeze(writer)?);
        }
        let built = self.build(writer, &checkpoints, kind)?;
        self.seal(writer, &built.descriptor).map_err(|error| self.fail(&error))?;
        self.adopt(writer, &mut checkpoints, built);
        drop(checkpoints);
        self.reclaim()?;
        self.stats.checkpoints.record(started.elapsed());
        Ok(true)
    }

    /// Swaps the memtable at a frame boundary. Everything committed before is durable on return.
    fn freeze(&self, writer: &Writer) -> Result<Pending> {
        let swap = |cut: &mut Cut<'_, '_>| {
            let mut commits = writer.commits.lock();
            let state = self.state.load_full();
            let table = Arc::clone(&state.active);
            let seq = commits.next_seq();
            let frozen = Frozen::Memtable(Arc::clone(&table));
            self.state.store(Arc::new(State {
                active: Arc::default(),
                frozen: Some(frozen.clone()),
                root: state.root.clone(),
            }));
            self.publish(seq);
            commits.frozen_growth = std::mem::take(&mut commits.active_growth);
            let budget = self.options.memtable_bytes.saturating_mul(2);
            let space = std::mem::take(&mut *table.space.lock());
            commits.keep_for_validation(table, self.writers.oldest(), budget);
            cut.seal();
            (frozen, space, seq)
        };
        let ((frozen, space, seq), at) = writer.log.cut(swap).map_err(|error| self.fail(&error))?;
        Ok(Pending { frozen, space, seq, at })
    }

    /// Writes everything but the descriptor. On an error all that was taken is given back; but what the device
    /// refused for another reason than want of space on the host may have cost earlier writes too.
    fn build(&self, writer: &Writer, checkpoints: &Checkpoints, kind: Kind) -> Result<Built> {
        let mut nodes = Nodes::new(&writer.space);
        let built = self.build_with(writer, checkpoints, kind, &mut nodes);
        let Err(error) = built else { return built };
        if error.is_lost_write() {
            return Err(self.fail(&error));
        }
        writer.space.abandon_checkpoint();
        for run in nodes.taken {
            writer.space.release(run).map_err(|error| self.fail(&error))?;
        }
        Err(error)
    }

    fn build_with(
        &self,
        writer: &Writer,
        checkpoints: &Checkpoints,
        kind: Kind,
        nodes: &mut Nodes<'_>,
    ) -> Result<Built> {
        let Checkpoints { newest, pending: Some(pending), .. } = checkpoints else {
            return Err(Error::Closed);
        };
        let id = CheckpointId(newest.id.0.saturating_add(1));
        let applied = self.merge_frozen(pending, nodes)?;
        let replaced = applied.freed.iter().map(|&(run, birth)| Freed { run, birth, freed: pending.seq });
        let frees = pending.space.freed.iter().copied().chain(replaced).collect();
        let mut retention = checkpoints.retention.clone();
        let mut chains = ChainWriter {
            device: &*self.device,
            volume: self.superblock.volume(),
            alloc: &mut || nodes.alloc(1, 1, 1).map_err(|_| Error::NoSpace),
        };
        let limit = self.retention_limit(checkpoints.drop_all);
        let outcome = retention.advance(newest, frees, limit, &self.geometry, &mut chains)?;
        // A block freed by a transaction is seen as freed by whoever reads at that transaction or later; what
        // this checkpoint replaces is reached until the new tree is published.
        let gate = |free: &Freed| (free.freed < pending.seq).then_some(free.freed);
        let mut freed: Vec<_> = outcome.free_now.iter().map(|free| (gate(free), free.run)).collect();
        freed.extend(outcome.dropped);
        let delta = Delta {
            set: [pending.space.set.as_slice(), &nodes.taken].concat(),
            clear: freed.iter().map(|(_, run)| *run).collect(),
            inode_set: pending.space.inode_set.clone(),
            inode_clear: pending.space.inode_freed.clone(),
        };
        let table = writer.space.write_checkpoint(id, &delta)?;
        if let Frozen::Run(run) = &pending.frozen {
            run.put_back(&*self.device)?;
        }
        self.device.flush().map_err(|error| self.fail(&error))?;
        let mut descriptor = self.descriptor(id, kind, pending, &applied.root, table);
        descriptor.retention = outcome.table;
        // Counted on from the volume's first checkpoint: which of the reserved numbers are in use only mkfs knows.
        let before = newest.counts.inodes.saturating_add(newest.counts.free_inodes);
        descriptor.counts.inodes = before.saturating_sub(table.free_inodes);
        Ok(Built { root: applied.root, descriptor, retention, freed })
    }

    /// Merges what is frozen into the tree.
    fn merge_frozen(&self, pending: &Pending, nodes: &mut Nodes<'_>) -> Result<Applied> {
        let root = self.state.load().root.clone();
        match &pending.frozen {
            Frozen::Memtable(table) => {
                let contents = table.contents();
                let mut batch = contents.newest_versions().map(|(key, version)| (key, change(version)));
                Ok(self.tree.apply(&root, &mut batch, pending.seq, nodes)?)
            }
            Frozen::Run(run) => {
                let mut unreadable = None;
                let versions =
                    run.versions().map_while(|item| item.map_err(|error| unreadable = Some(error)).ok());
                let mut batch = versions.map(|(key, value)| (key, change(value)));
                let applied = self.tree.apply(&root, &mut batch, pending.seq, nodes)?;
                unreadable.map_or(Ok(applied), Err)
            }
        }
    }

    /// How many past checkpoints are kept: fewer on small volumes, where their lists would weigh, and together no
    /// more than an eighth of the volume.
    fn retention_limit(&self, drop_all: bool) -> Limit {
        let blocks = self.geometry.data_blocks();
        let checkpoints = if drop_all { 0 } else { self.options.retain.min(retained_at_most(blocks)) };
        Limit { checkpoints, blocks: blocks / 8 }
    }

    fn descriptor(
        &self,
        id: CheckpointId,
        kind: Kind,
        pending: &Pending,
        root: &Root,
        table: TableState,
    ) -> Descriptor {
        let counts = root.counts();
        Descriptor {
            id,
            kind,
            time_ns: crate::clock::now_ns(),
            seq: pending.seq,
            lsn: pending.at.lsn,
            epoch: pending.at.epoch,
            chain_crc: pending.at.crc,
            root: root.ptr(),
            table_side: table.side,
            table_crc: table.crc,
            retention: None,
            counts: Counts {
                inodes: 0,
                nodes: counts.nodes,
                leaves: counts.leaves,
                items: counts.items,
                out_of_line_blocks: counts.out_of_line_blocks,
                free_blocks: table.free_blocks,
                free_inodes: table.free_inodes,
            },
            unique_high: self.unique.load(Ordering::SeqCst),
        }
    }

    /// Writes the descriptor to both rings: from here on it counts, or the volume is read-only.
    pub(crate) fn seal(&self, writer: &Writer, descriptor: &Descriptor) -> Result<()> {
        write_descriptor(&*self.device, &self.geometry, self.superblock.volume(), descriptor)?;
        self.device.flush()?;
        writer.space.checkpoint_durable();
        Ok(())
    }

    /// Moves readers to the new tree, and what was freed on its way back to the allocator.
    fn adopt(&self, writer: &Writer, checkpoints: &mut Checkpoints, built: Built) {
        let Built { root, descriptor, mut retention, freed } = built;
        let mut commits = writer.commits.lock();
        let gate = commits.next_seq();
        let state = self.state.load_full();
        self.state.store(Arc::new(State {
            active: Arc::clone(&state.active),
            frozen: None,
            root: root.clone(),
        }));
        // In this order: a view of the state before has a sequence below the gate.
        self.publish(gate);
        commits.frozen_growth = Growth::default();
        self.refit_floor(writer, &mut commits, &root);
        drop(commits);
        drop(state);

        retention.set_newest_gate(gate);
        writer.held_blocks.store(retention.held_blocks(), Ordering::Relaxed);
        checkpoints.newest = descriptor;
        checkpoints.retention = retention;
        checkpoints.drop_all = false;
        for (own_gate, run) in freed {
            writer.deferred.add(own_gate.unwrap_or(gate), [run]);
        }
        if let Some(merged) = checkpoints.pending.take() {
            writer.freed_blocks.fetch_sub(freed_blocks(&merged.space.freed), Ordering::Relaxed);
            for ino in merged.space.inode_freed {
                self.unreserve_inode(ino);
            }
            writer.pinned.hold(&merged.frozen);
        }
        self.release_log(writer, descriptor.id, descriptor.lsn);
    }

    /// Drops all retained checkpoints, for their space; says whether there were any.
    pub(crate) fn drop_retained(&self) -> Result<bool> {
        let writer = self.writer()?;
        let mut checkpoints = writer.checkpoints.lock();
        if checkpoints.retention.len() == 0 {
            return Ok(false);
        }
        checkpoints.drop_all = true;
        drop(checkpoints);
        self.checkpoint(Kind::Emergency)
    }
}

impl Checkpoints {
    fn drops_something(&self) -> bool {
        self.drop_all && self.retention.len() > 0
    }
}

/// How many past checkpoints a volume with so many data blocks keeps at most.
pub(crate) fn retained_at_most(data_blocks: u64) -> usize {
    usize::try_from(data_blocks / BLOCKS_PER_RETAINED).unwrap_or(usize::MAX).min(RING_SLOTS as usize - 1)
}

/// Writes a descriptor to its slot of both rings.
pub(crate) fn write_descriptor(
    device: &dyn vexfs_device::Device,
    geometry: &vexfs_format::geometry::Geometry,
    volume: u64,
    descriptor: &Descriptor,
) -> Result<()> {
    for block in geometry.descriptor_blocks(descriptor.id) {
        device.write_at(&descriptor.encode(volume, block), block.byte_offset())?;
    }
    Ok(())
}

fn change<V>(version: Option<V>) -> Change<V> {
    version.map_or(Change::Delete, Change::Put)
}

/// Hands blocks to the tree and remembers them.
pub(crate) struct Nodes<'a> {
    space: &'a Space,
    taken: Vec<BlockRun>,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(space: &'a Space) -> Self {
        Self { space, taken: Vec::new() }
    }

    pub(crate) fn into_taken(self) -> Vec<BlockRun> {
        self.taken
    }
}

impl NodeAlloc for Nodes<'_> {
    fn alloc(&mut self, min: u32, max: u32, align: u32) -> Result<BlockRun, AllocError> {
        let request =
            Request { min, max, align, strategy: Strategy::Aligned, goal: None, class: Class::Meta };
        match self.space.alloc(&request) {
            Ok(run) => {
                self.taken.push(run);
                Ok(run)
            }
            Err(vexfs_space::Error::NoSpace { .. } | vexfs_space::Error::Fragmentation { .. }) => {
                Err(AllocError::NoSpace)
            }
            Err(error) => Err(AllocError::Failed(Arc::new(error))),
        }
    }
}
