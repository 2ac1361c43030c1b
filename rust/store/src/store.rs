//! The store itself: what its parts share, and the short list of verbs that begin elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use vexfs_device::Device;
use vexfs_format::{BlockNo, BlockRun, CheckpointId, Descriptor, Geometry, Ino, Lsn, Seq, Superblock};
use vexfs_journal::Log;
use vexfs_space::{Request, Space};

use crate::background::Background;
use crate::checkpoint::{Checkpoints, Kind};
use crate::commit::Commits;
use crate::deferred::Deferred;
use crate::options::{Mode, Options};
use crate::pinned::Pinned;
use crate::readers::Readers;
use crate::recovery::RecoveryReport;
use crate::reservation::Reservation;
use crate::state::{Frozen, State};
use crate::stats::{Stats, StoreStats};
use crate::tx::{Isolation, Tx};
use crate::view::View;
use crate::{Error, Result};

/// What the parts of an open store share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub device: Arc<dyn Device>,
    pub superblock: Superblock,
    pub geometry: Geometry,
    pub options: Options,
    pub tree: vexfs_tree::Reader,
    pub state: ArcSwap<State>,
    pub visible: AtomicU64,
    pub readers: Readers,
    pub writers: Readers,
    pub unique: Arc<AtomicU64>,
    /// The checkpoint that a store without a writer reads.
    pub seen: Mutex<Descriptor>,
    pub report: RecoveryReport,
    pub stats: Stats,
    pub closed: AtomicBool,
    pub pool: crate::pool::Pool,
    pub failed: OnceLock<String>,
    /// What only a store that is open for writing has.
    pub writer: Option<Writer>,
}

/// What it takes to write.
#[derive(Debug)]
pub(crate) struct Writer {
    pub space: Space,
    pub log: Log,
    pub commits: Mutex<Commits>,
    pub checkpoints: Mutex<Checkpoints>,
    pub deferred: Deferred,
    pub pinned: Pinned,
    /// Blocks in use only for retained checkpoints.
    pub held_blocks: AtomicU64,
    /// Blocks that transactions freed and no checkpoint has freed yet.
    pub freed_blocks: AtomicU64,
}

impl Inner {
    pub(crate) fn writer(&self) -> Result<&Writer> {
        self.writer.as_ref().ok_or(Error::ReadOnly)
    }

    pub(crate) fn check_not_failed(&self) -> Result<()> {
        match self.failed.get() {
            Some(reason) => Err(Error::Failed { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_not_failed()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.writer().map(|_| ())
    }

    /// Nothing is written any more from here on.
    pub(crate) fn fail(&self, cause: &dyn std::fmt::Display) -> Error {
        let reason = self.failed.get_or_init(|| cause.to_string());
        Error::Failed { reason: reason.clone() }
    }

    pub(crate) fn visible(&self) -> Seq {
        Seq(self.visible.load(Ordering::SeqCst))
    }

    pub(crate) fn publish(&self, seq: Seq) {
        self.visible.store(seq.0, Ordering::SeqCst);
    }

    pub(crate) fn write_data(&self, run: BlockRun, bytes: &[u8]) -> Result<()> {
        self.device.write_at(bytes, run.start.byte_offset())?;
        self.writer()?.log.note_data_written(bytes.len() as u64);
        Ok(())
    }

    /// Reads whole blocks: from the log those that it carries and no checkpoint has put in their place.
    pub(crate) fn read_blocks(&self, start: BlockNo, into: &mut [u8]) -> Result<()> {
        match &self.state.load().frozen {
            Some(Frozen::Run(run)) if run.carries() => run.read_blocks(&*self.device, start, into),
            _ => Ok(self.device.read_at(into, start.byte_offset())?),
        }
    }

    /// Gives a reservation back. A failure means that the allocator's state is wrong, so nothing more is written.
    pub(crate) fn unreserve(&self, run: BlockRun) {
        if let Some(Err(error)) = self.writer.as_ref().map(|writer| writer.space.release(run)) {
            let _ = self.fail(&error);
        }
    }

    pub(crate) fn alloc_inode(&self, near: Option<Ino>, directory: bool) -> Result<Ino> {
        let writer = self.writer()?;
        let mut attempts = 0;
        loop {
            match writer.space.alloc_inode(near, directory) {
                Ok(ino) => return Ok(ino),
                // Numbers that were given up come back with a checkpoint.
                Err(vexfs_space::Error::NoInodes { .. }) if attempts == 0 => {
                    self.checkpoint(Kind::Emergency)?
                }
                Err(vexfs_space::Error::NoInodes { .. }) => return Err(Error::NoInodes),
                Err(error) => return Err(error.into()),
            };
            attempts += 1;
        }
    }

    pub(crate) fn unreserve_inode(&self, ino: Ino) {
        if let Some(Err(error)) = self.writer.as_ref().map(|writer| writer.space.release_inode(ino)) {
            let _ = self.fail(&error);
        }
    }

    /// Tells the log of a durable checkpoint, and frees it up to there as far as nobody reads it.
    pub(crate) fn release_log(&self, writer: &Writer, id: CheckpointId, lsn: Lsn) {
        writer.log.set_durable_checkpoint(id, writer.pinned.free_up_to(id, lsn));
    }

    /// Makes everything committed durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.check_not_failed()?;
        let writer = self.writer()?;
        writer.log.flush_queue().map_err(|error| self.fail(&error))?;
        Ok(())
    }

    /// Ends writing: everything committed goes into a checkpoint, so that the next open finds an empty log.
    fn close(&self) -> Result<()> {
        let Some(writer) = &self.writer else {
            self.closed.store(true, Ordering::Release);
            return Ok(());
        };
        // Under the commit lock: a commit is either before the last checkpoint or refused.
        let commits = writer.commits.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        drop(commits);
        self.check_not_failed()?;
        // The first may have had a recovered run to merge; what came since is in the second.
        while self.checkpoint(Kind::Incremental)? {}
        writer.log.mark().map_err(|error| self.fail(&error))
    }
}

/// An open volume as keys and values under transactions. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    handle: Arc<Handle>,
}

/// Stops the background and closes the store with the last clone.
#[derive(Debug)]
struct Handle {
    inner: Arc<Inner>,
    background: Mutex<Option<Background>>,
}

impl Handle {
    fn close(&self) -> Result<()> {
        drop(self.background.lock().take());
        self.inner.close()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "closing the volume failed; the next open recovers it from its log");
        }
    }
}

/// Free and used space of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceStatus {
    /// Blocks that data and metadata can have.
    pub blocks: u64,
    /// Those that are free, or will be once checkpoints and readers let go of them.
    pub free_blocks: u64,
    /// Those of the free ones that ordinary data may still take.
    pub available_blocks: u64,
    /// Inode numbers.
    pub inodes: u64,
    /// Free ones.
    pub free_inodes: u64,
}

impl Store {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let background =
            (inner.writer.is_some() && inner.options.background).then(|| Background::start(&inner));
        let handle = Arc::new(Handle { inner: Arc::clone(&inner), background: Mutex::new(background) });
        Self { inner, handle }
    }

    /// A view of everything committed so far.
    #[must_use]
    pub fn view(&self) -> View {
        View::take(&self.inner)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Failed`], [`Error::Closed`].
    pub fn begin(&self, isolation: Isolation) -> Result<Tx> {
        Tx::begin(&self.inner, isolation)
    }

    /// Takes blocks from the allocator, nobody's until a transaction places them.
    ///
    /// # Errors
    /// [`Error::NoSpace`], after checkpoints were made and old ones dropped in vain.
    pub fn reserve(&self, request: &Request) -> Result<Reservation> {
        self.inner.reserve(request)
    }

    /// Reads whole blocks.
    ///
    /// # Errors
    /// The device.
    pub fn read_blocks(&self, start: BlockNo, into: &mut [u8]) -> Result<()> {
        self.inner.read_blocks(start, into)
    }

    /// Writes whole blocks of a reservation, to be placed by a transaction afterwards.
    ///
    /// # Errors
    /// The device.
    pub fn write_data(&self, run: BlockRun, bytes: &[u8]) -> Result<()> {
        self.inner.write_data(run, bytes)
    }

    /// Asks the host to begin writing these blocks back, so that a later flush finds little to do.
    pub fn start_writeback(&self, run: BlockRun) {
        self.inner.device.start_writeback(run.start.byte_offset(), run.bytes());
    }

    /// Asks the host for the room that these blocks, which are about to be written, will take.
    pub fn prepare(&self, run: BlockRun) {
        self.inner.device.prepare(run.start.byte_offset(), run.bytes());
    }

    /// The sequence of the newest commit that views see.
    #[must_use]
    pub fn visible(&self) -> Seq {
        self.inner.visible()
    }

    /// A number that this volume has never handed out and never will again.
    #[must_use]
    pub fn unique(&self) -> u64 {
        self.inner.unique.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// Makes everything committed so far durable.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    /// Makes a checkpoint; says whether there was anything to do.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or the device; nothing is lost.
    pub fn checkpoint(&self, kind: Kind) -> Result<bool> {
        self.inner.check_writable()?;
        self.inner.checkpoint(kind)
    }

    /// Tries to make room after a refusal for want of space: checkpoints, and frees what only waited for readers.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn relieve(&self) -> Result<bool> {
        self.inner.check_writable()?;
        Ok(self.inner.checkpoint(Kind::Emergency)? | self.inner.reclaim()? | self.inner.drop_retained()?)
    }

    /// Closes the volume: a last checkpoint, and every later use is [`Error::Closed`].
    ///
    /// # Errors
    /// The device; the next open then recovers from the log.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    /// Whether the volume can be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.inner.check_writable().is_ok()
    }

    /// How it was opened.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.options.mode
    }

    /// The superblock.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.inner.superblock
    }

    /// Where everything lies.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.inner.geometry
    }

    /// What recovery found and did when the volume was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.report
    }

    /// The newest durable checkpoint.
    #[must_use]
    pub fn newest_checkpoint(&self) -> Descriptor {
        self.inner
            .writer
            .as_ref()
            .map_or_else(|| *self.inner.seen.lock(), |writer| writer.checkpoints.lock().newest)
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.inner.device
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let inner = &self.inner;
        StoreStats {
            deferred_blocks: inner.writer.as_ref().map_or(0, |writer| writer.deferred.blocks()),
            memtable_bytes: inner.state.load().active.bytes(),
            seq: inner.visible().0,
            ..inner.stats.snapshot()
        }
    }

    /// What the cache of tree nodes holds and did.
    #[must_use]
    pub fn cache_stats(&self) -> vexfs_tree::CacheStats {
        self.inner.tree.cache().stats()
    }

    /// Counters of the log; `None` if the store is not open for writing.
    #[must_use]
    pub fn journal_stats(&self) -> Option<vexfs_journal::Stats> {
        self.inner.writer.as_ref().map(|writer| writer.log.stats())
    }

    /// The allocator; `None` if the store is not open for writing.
    #[must_use]
    pub fn space(&self) -> Option<&Space> {
        self.inner.writer.as_ref().map(|writer| &writer.space)
    }

    /// Free and used space.
    #[must_use]
    pub fn space_status(&self) -> SpaceStatus {
        let inner = &self.inner;
        let blocks = inner.geometry.data_blocks();
        let inodes = inner.geometry.inode_count();
        match &inner.writer {
            Some(writer) => {
                let held = writer.held_blocks.load(Ordering::Relaxed);
                let freed = writer.freed_blocks.load(Ordering::Relaxed);
                let free = writer.space.free_blocks() + writer.deferred.blocks() + held + freed;
                let kept = writer.space.unit_floor() * u64::from(vexfs_format::NODE_BLOCKS);
                SpaceStatus {
                    blocks,
                    free_blocks: free,
                    available_blocks: free.saturating_sub(kept),
                    inodes,
                    free_inodes: writer.space.free_inodes(),
                }
            }
            None => {
                let counts = inner.seen.lock().counts;
                let (free_blocks, free_inodes) = (counts.free_blocks, counts.free_inodes);
                SpaceStatus { blocks, free_blocks, available_blocks: free_blocks, inodes, free_inodes }
            }
        }
    }
}
