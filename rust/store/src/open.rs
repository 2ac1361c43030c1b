//! Opening: superblock, newest checkpoint, recovery, and then whatever the mode allows.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use vexfs_device::Device;
use vexfs_format::{BLOCK_SIZE, BlockNo, CheckpointId, Descriptor, Geometry};
use vexfs_journal::{Log, Start};
use vexfs_space::Space;
use vexfs_tree::{NodeCache, Reader, Root, TreeCounts};

use crate::checkpoint::{Checkpoints, Pending, write_descriptor};
use crate::commit::Commits;
use crate::deferred::Deferred;
use crate::memtable::{SpaceChanges, freed_blocks};
use crate::options::{FormatOptions, Mode, Options};
use crate::pinned::Pinned;
use crate::readers::Readers;
use crate::recovery::{Recovered, RecoveryReport, recover, region};
use crate::retention::Retention;
use crate::state::{Frozen, State};
use crate::store::{Inner, Store, Writer};
use crate::{Error, Result, superblock};

impl Store {
    /// Formats `device`: everything on it is lost.
    ///
    /// # Errors
    /// A device that is too small or too large, a label that is too long, and the device's own.
    pub fn mkfs(device: Arc<dyn Device>, options: &FormatOptions) -> Result<()> {
        crate::format::format(&device, options).map(drop)
    }

    /// Opens a volume; one that was not closed is recovered first.
    ///
    /// # Errors
    /// [`Error::NotAVolume`], [`Error::NoCheckpoint`], [`Error::LogDamaged`], [`Error::UnknownFeatures`] and
    /// whatever reading finds.
    pub fn open(device: Arc<dyn Device>, options: Options) -> Result<Self> {
        let superblock = superblock::read(&*device)?.superblock;
        let writable = options.mode == Mode::Write;
        if writable && superblock.features.forbid_writing() != 0 {
            return Err(Error::UnknownFeatures { bits: superblock.features.forbid_writing() });
        }
        let geometry = superblock.geometry()?;
        let volume = superblock.volume();
        let newest = newest_checkpoint(&*device, &geometry, volume)?;
        let cache = Arc::new(NodeCache::new(options.cache_bytes));
        let tree = Reader::new(Arc::clone(&device), cache, volume);
        let mut inner = Inner {
            state: ArcSwap::from_pointee(State {
                active: Arc::default(),
                frozen: None,
                root: root_of(&newest),
            }),
            visible: AtomicU64::new(newest.seq.0),
            unique: Arc::new(AtomicU64::new(newest.unique_high)),
            seen: Mutex::new(newest),
            report: RecoveryReport { clean: true, checkpoint: newest.id.0, ..RecoveryReport::default() },
            device,
            superblock,
            geometry,
            options,
            tree,
            readers: Readers::default(),
            writers: Readers::default(),
            stats: Default::default(),
            closed: Default::default(),
            pool: Default::default(),
            failed: Default::default(),
            writer: None,
        };
        if inner.options.mode != Mode::Beside {
            let space =
                |changes: &SpaceChanges| writable.then(|| inner.open_space(&newest, changes)).transpose();
            let (recovered, space) =
                recover(&*inner.device, &inner.geometry, volume, &newest, &inner.options, space)?;
            inner.take_over(recovered, newest, space)?;
        }
        Ok(Self::new(Arc::new(inner)))
    }
}

impl Inner {
    /// Makes what was recovered the store's state and, to write, the beginning of a new epoch of the log.
    fn take_over(
        &mut self,
        mut recovered: Recovered,
        newest: Descriptor,
        space: Option<Space>,
    ) -> Result<()> {
        let frozen = recovered.run.take().map(Frozen::Run);
        let state = State { active: Arc::default(), frozen: frozen.clone(), root: root_of(&newest) };
        self.state = ArcSwap::from_pointee(state);
        self.unique = Arc::new(AtomicU64::new(recovered.unique_high));
        self.visible = AtomicU64::new(recovered.last.0);
        self.report = recovered.report.clone();
        let Some(space) = space else { return Ok(()) };
        let volume = self.superblock.volume();
        write_descriptor(&*self.device, &self.geometry, volume, &newest)?;
        recovered.prove(&*self.device)?;
        let start = Start {
            volume,
            epoch: epoch(recovered.end.epoch)?,
            at: recovered.end,
            checkpoint: newest.id,
            tail: newest.lsn,
        };
        let region = region(&self.geometry);
        let log = Log::start(
            Arc::clone(&self.device),
            region,
            &start,
            Arc::clone(&self.unique),
            &self.options.journal,
        )?;
        let retention = Retention::load(&*self.device, &self.geometry, volume, newest.retention)?;
        let held = retention.held_blocks();
        let freed = freed_blocks(&recovered.space.freed);
        let mut commits = Commits::new(recovered.last);
        commits.frozen_growth = recovered.growth;
        let pending = frozen.map(|frozen| Pending {
            frozen,
            space: recovered.space,
            seq: commits.next_seq(),
            at: recovered.end,
        });
        if let Some(pending) = &pending {
            self.visible = AtomicU64::new(pending.seq.0);
        }
        let writer = Writer {
            space,
            log,
            commits: Mutex::new(commits),
            checkpoints: Mutex::new(Checkpoints { newest, pending, retention, drop_all: false }),
            deferred: Deferred::default(),
            pinned: Pinned::new(newest.lsn),
            held_blocks: AtomicU64::new(held),
            freed_blocks: AtomicU64::new(freed),
        };
        self.refit_floor(&writer, &mut writer.commits.lock(), &root_of(&newest));
        self.writer = Some(writer);
        Ok(())
    }

    /// The allocator with everything in use that the log took; what it gave back stays taken until the
    /// checkpoint that says so.
    fn open_space(&self, newest: &Descriptor, changes: &SpaceChanges) -> Result<Space> {
        let volume = self.superblock.volume();
        let space = Space::open(
            Arc::clone(&self.device),
            &self.geometry,
            volume,
            newest.table_side,
            newest.table_crc,
        )?;
        space.mark_all_busy(changes.set.iter().copied())?;
        space.mark_all_inodes(changes.inode_set.iter().copied())?;
        Ok(space)
    }
}

/// The root of a checkpoint's tree.
pub(crate) fn root_of(descriptor: &Descriptor) -> Root {
    let counts = &descriptor.counts;
    let counts = TreeCounts {
        nodes: counts.nodes,
        leaves: counts.leaves,
        items: counts.items,
        out_of_line_blocks: counts.out_of_line_blocks,
    };
    Root::new(descriptor.root, counts)
}

/// The valid descriptor with the highest number.
pub(crate) fn newest_checkpoint(device: &dyn Device, geometry: &Geometry, volume: u64) -> Result<Descriptor> {
    let mut newest: Option<Descriptor> = None;
    let mut last_error = None;
    for slot in 0..u64::from(vexfs_format::geometry::RING_SLOTS) {
        for block in geometry.descriptor_blocks(CheckpointId(slot)) {
            let mut bytes = [0; BLOCK_SIZE];
            device.read_at(&mut bytes, block.byte_offset())?;
            if bytes == [0; BLOCK_SIZE] {
                continue;
            }
            match Descriptor::parse(&bytes, volume, block) {
                Ok(found) if newest.is_none_or(|newest| found.id > newest.id) => {
                    match plausible(geometry, &found, block) {
                        Ok(()) => newest = Some(found),
                        Err(error) => last_error = Some(error.to_string()),
                    }
                }
                Ok(_) => {}
                Err(error) => last_error = Some(error.to_string()),
            }
        }
    }
    newest.ok_or_else(|| Error::NoCheckpoint {
        reason: last_error.unwrap_or_else(|| "the ring is empty".to_owned()),
    })
}

/// Whether a descriptor that is whole can be this volume's: it lies in its slot, and its root in the data area.
fn plausible(geometry: &Geometry, found: &Descriptor, block: BlockNo) -> Result<()> {
    if !geometry.descriptor_blocks(found.id).contains(&block) {
        return Err(Error::Corrupt {
            what: format!("the descriptor of checkpoint {} in another's slot", found.id),
        });
    }
    match found.root {
        Some(root) if !geometry.holds(root.run()) => {
            Err(Error::Corrupt { what: format!("the root of checkpoint {} outside the data area", found.id) })
        }
        _ => Ok(()),
    }
}

/// A random number that is neither 0 nor the epoch before.
fn epoch(before: u64) -> Result<u64> {
    loop {
        let epoch = getrandom::u64().map_err(|error| Error::Random { reason: error.to_string() })?;
        if epoch != 0 && epoch != before {
            return Ok(epoch);
        }
    }
}
