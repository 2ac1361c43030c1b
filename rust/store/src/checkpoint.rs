//! Checkpoints: what the memtable holds becomes part of the tree, and the log before it is free.
//!
//! Order: freeze at a frame boundary; write the new tree beside the old one; write the changed bitmaps and the
//! other side of the group table; flush; write the descriptor twice; flush. Until the first byte of the
//! descriptor is submitted the attempt can be given up and nothing has happened; after that any error makes the
//! volume read-only. What the checkpoint freed is reused only when it is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use vexfs_format::checkpoint::{Counts, Descriptor};
use vexfs_format::{BlockRun, CheckpointId, Seq};
use vexfs_journal::{Cut, Position};
use vexfs_space::{Class, Delta, Request, Space, Strategy, TableState};
use vexfs_tree::{AllocError, Change, NodeAlloc, Root};

pub use vexfs_format::checkpoint::CheckpointKind as Kind;

use crate::Result;
use crate::admission::Growth;
use crate::memtable::{Freed, SpaceChanges};
use crate::state::{Frozen, State};
use crate::store::{Inner, Writer};

/// What the checkpoint lock guards.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// The newest durable checkpoint.
    pub newest: Descriptor,
    /// What the next one will hold, once frozen.
    pub pending: Option<Pending>,
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
    /// Blocks of the old tree that the new one does not have.
    replaced: Vec<BlockRun>,
}

impl Inner {
    /// Makes a checkpoint of all that is committed; says whether there was anything to do.
    pub(crate) fn checkpoint(&self, kind: Kind) -> Result<bool> {
        let writer = self.writer()?;
        let mut checkpoints = writer.checkpoints.lock();
        self.check_not_failed()?;
        let started = Instant::now();
        if checkpoints.pending.is_none() {
            if self.state.load().active.is_untouched() {
                return Ok(false);
            }
            checkpoints.pending = Some(self.freeze(writer)?);
        }
        let Checkpoints { newest, pending } = &mut *checkpoints;
        let Some(frozen) = pending.as_ref() else { return Ok(false) };
        let built = self.build(writer, newest, frozen, kind)?;
        self.seal(writer, &built.descriptor).map_err(|error| self.fail(&error))?;
        *newest = built.descriptor;
        if let Some(merged) = pending.take() {
            self.adopt(writer, built, merged);
        }
        self.reclaim()?;
        self.stats.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.stats.checkpoint_ns.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
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

    /// Writes everything but the descriptor. On an error all that was taken is given back.
    fn build(&self, writer: &Writer, newest: &Descriptor, pending: &Pending, kind: Kind) -> Result<Built> {
        let mut nodes = Nodes::new(&writer.space);
        let built = self.build_with(writer, newest, pending, kind, &mut nodes);
        if built.is_err() {
            writer.space.abandon_checkpoint();
            for run in nodes.taken {
                writer.space.release(run).map_err(|error| self.fail(&error))?;
            }
        }
        built
    }

    fn build_with(
        &self,
        writer: &Writer,
        newest: &Descriptor,
        pending: &Pending,
        kind: Kind,
        nodes: &mut Nodes<'_>,
    ) -> Result<Built> {
        let id = CheckpointId(newest.id.0.saturating_add(1));
        let root = self.state.load().root.clone();
        let applied = match &pending.frozen {
            Frozen::Memtable(table) => {
                let mut batch = table.newest_versions().map(|(key, version)| (key, change(version)));
                self.tree.apply(&root, &mut batch, pending.seq, nodes)?
            }
            Frozen::Run(run) => {
                let mut unreadable = None;
                let versions =
                    run.versions().map_while(|item| item.map_err(|error| unreadable = Some(error)).ok());
                let mut batch = versions.map(|(key, value)| (key, change(value)));
                let applied = self.tree.apply(&root, &mut batch, pending.seq, nodes)?;
                match unreadable {
                    Some(error) => return Err(error),
                    None => applied,
                }
            }
        };
        let replaced: Vec<BlockRun> = applied.freed.iter().map(|(run, _)| *run).collect();
        let delta = Delta {
            set: [pending.space.set.as_slice(), &nodes.taken].concat(),
            clear: pending
                .space
                .freed
                .iter()
                .map(|freed| freed.run)
                .chain(replaced.iter().copied())
                .collect(),
            inode_set: pending.space.inode_set.clone(),
            inode_clear: pending.space.inode_freed.clone(),
        };
        let table = writer.space.write_checkpoint(id, &delta)?;
        self.device.flush().map_err(|error| self.fail(&error))?;
        let descriptor = self.descriptor(id, kind, pending, &applied.root, table);
        Ok(Built { root: applied.root, descriptor, replaced })
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
                inodes: self.geometry.inode_count().saturating_sub(table.free_inodes),
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

    /// Moves readers to the new tree, and what was replaced on its way back to the allocator.
    fn adopt(&self, writer: &Writer, built: Built, merged: Pending) {
        let mut commits = writer.commits.lock();
        let gate = commits.next_seq();
        let state = self.state.load_full();
        self.state.store(Arc::new(State {
            active: Arc::clone(&state.active),
            frozen: None,
            root: built.root.clone(),
        }));
        // In this order: a view of the state before has a sequence below the gate.
        self.publish(gate);
        commits.frozen_growth = Growth::default();
        self.refit_floor(writer, &mut commits, &built.root);
        drop(commits);
        drop(state);

        writer.deferred.add(gate, built.replaced);
        for Freed { run, freed, .. } in merged.space.freed {
            writer.deferred.add(freed, [run]);
        }
        for ino in merged.space.inode_freed {
            self.unreserve_inode(ino);
        }
        writer.pinned.hold(merged.frozen);
        self.release_log(writer, built.descriptor.id, built.descriptor.lsn);
    }
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
