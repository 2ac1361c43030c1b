//! The open volume as files: what all operations share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use vexfs_format::{FileType, Ino, Inode};
use vexfs_store::{Device, FormatOptions, Isolation, Mode, Options, Store};

use crate::handle::Handles;
use crate::path::Moves;
use crate::{Caller, Error, FsTx, FsView, Result, StatFs, clock, keys};

/// An open volume. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub struct Fs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    seed: [u8; 16],
    handles: Handles,
    moves: Moves,
    closed: AtomicBool,
    /// Orphans whose removal failed.
    unfinished: Mutex<Vec<Ino>>,
    /// Finishes the orphans that were found at open.
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// To whom the root directory of a new volume belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootOptions {
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

impl Default for RootOptions {
    fn default() -> Self {
        Self { uid: 0, gid: 0, mode: 0o755 }
    }
}

impl Fs {
    /// Formats a device: an empty root directory and nothing else.
    ///
    /// # Errors
    /// A size or a journal size that no volume can have, or the device.
    pub fn mkfs(device: Arc<dyn Device>, options: FormatOptions, root: RootOptions) -> Result<()> {
        let now = options.created_ns.unwrap_or_else(clock::now);
        let inode = Inode {
            file_type: FileType::Directory,
            permissions: (root.mode & 0o7777) as u16,
            nlink: 1,
            uid: root.uid,
            gid: root.gid,
            size: 0,
            blocks: 0,
            atime_ns: now,
            mtime_ns: now,
            ctime_ns: now,
            btime_ns: now,
            generation: 0,
            version: 0,
            parent_or_rdev: keys::ROOT.0,
            flags: 0,
            subdirs: 0,
        };
        let mut options = FormatOptions { created_ns: Some(now), ..options };
        options.items.push((keys::inode(keys::ROOT), inode.encode().to_vec()));
        options.inodes = options.inodes.saturating_add(1);
        Ok(Store::mkfs(device, &options)?)
    }

    /// Opens a volume: recovers it if need be, and begins to finish the orphans that a crash left.
    ///
    /// # Errors
    /// What the store finds wrong with the volume.
    pub fn open(device: Arc<dyn Device>, options: Options) -> Result<Self> {
        let background = options.background;
        let fs = Self::over(Store::open(device, options)?);
        if fs.0.store.is_writable() && fs.first_orphan(Ino(0))?.is_some() {
            match background {
                true => fs.start_worker(),
                false => {
                    let mut next = Ino(0);
                    while fs.finish_next_orphan(&mut next)? {}
                }
            }
        }
        Ok(fs)
    }

    /// The files of an open store, its orphans untouched. To be made once of a store: each has caches of its own.
    #[must_use]
    pub fn over(store: Store) -> Self {
        let seed = store.superblock().hash_seed;
        Self(Arc::new(Shared {
            store,
            seed,
            handles: Handles::default(),
            moves: Moves::default(),
            closed: AtomicBool::new(false),
            unfinished: Mutex::default(),
            worker: Mutex::default(),
        }))
    }

    fn start_worker(&self) {
        let shared = Arc::downgrade(&self.0);
        let work = move || {
            let mut next = Ino(0);
            // The volume may be closed or let go of between any two steps. What fails stays for the next open.
            while let Some(shared) = shared.upgrade()
                && let Ok(true) = Self(shared).finish_next_orphan(&mut next)
            {}
        };
        *self.0.worker.lock() = std::thread::Builder::new().name("vexfs-orphans".into()).spawn(work).ok();
    }

    /// Waits until the orphans found at open are finished and tries again those that failed; says whether there
    /// were any.
    pub fn settle_orphans(&self) -> bool {
        let waited = self.join_worker();
        waited | self.retry_failed()
    }

    fn join_worker(&self) -> bool {
        let worker = self.0.worker.lock().take();
        // A panic of the worker was reported where it happened; the orphans are still there.
        worker.is_some_and(|worker| worker.join().is_ok())
    }

    fn retry_failed(&self) -> bool {
        let failed = std::mem::take(&mut *self.0.unfinished.lock());
        let any = !failed.is_empty();
        failed.into_iter().for_each(|ino| self.finish_soon(ino));
        any && self.0.unfinished.lock().is_empty()
    }

    /// The newest committed moment, as `caller` sees it.
    ///
    /// # Errors
    /// If the volume was closed.
    pub fn view(&self, caller: &Caller) -> Result<FsView> {
        self.check_open()?;
        Ok(FsView::new(self, caller, self.0.store.view()))
    }

    /// Begins a transaction on behalf of `caller`.
    ///
    /// # Errors
    /// If the volume was closed or is read-only.
    pub fn begin(&self, caller: &Caller, isolation: Isolation) -> Result<FsTx> {
        self.check_open()?;
        Ok(FsTx::new(self, caller, self.0.store.begin(isolation)?))
    }

    /// Makes everything committed so far durable; returns at once if nothing is outstanding.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn sync(&self) -> Result<()> {
        self.check_open()?;
        match self.0.store.mode() {
            Mode::Write => Ok(self.0.store.sync()?),
            Mode::Read | Mode::Beside => Ok(()),
        }
    }

    /// Makes all that was committed of a file durable. There is one log, so this is [`Fs::sync`]; the data of a
    /// write is in the log's order too.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn fsync(&self, _ino: Ino) -> Result<()> {
        self.sync()
    }

    /// As [`Fs::fsync`]: the record that makes data readable is metadata, so there is nothing to leave out.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn fdatasync(&self, ino: Ino) -> Result<()> {
        self.fsync(ino)
    }

    /// Free and used space.
    ///
    /// # Errors
    /// If the volume was closed.
    pub fn statfs(&self) -> Result<StatFs> {
        self.check_open()?;
        let status = self.0.store.space_status();
        let [a, b, c, d, e, f, g, h, ..] = self.0.store.superblock().uuid;
        Ok(StatFs {
            blocks: status.blocks,
            blocks_free: status.free_blocks,
            blocks_available: status.available_blocks,
            inodes: status.inodes,
            inodes_free: status.free_inodes,
            id: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        })
    }

    /// Closes the volume: a last checkpoint; every later use is an error.
    ///
    /// # Errors
    /// The device; the next open then recovers from the log.
    pub fn close(&self) -> Result<()> {
        if !self.is_closed() && self.0.store.is_writable() {
            self.retry_failed();
        }
        self.0.closed.store(true, Ordering::Release);
        self.join_worker();
        Ok(self.0.store.close()?)
    }

    /// The keys and values below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn handles(&self) -> &Handles {
        &self.0.handles
    }

    pub(crate) fn moves(&self) -> &Moves {
        &self.0.moves
    }

    pub(crate) fn unfinished(&self) -> &Mutex<Vec<Ino>> {
        &self.0.unfinished
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<()> {
        match self.is_closed() {
            true => Err(Error::Store(vexfs_store::Error::Closed)),
            false => Ok(()),
        }
    }

    /// The hash of a name of an entry or an attribute.
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        vexfs_format::name::hash(&self.0.seed, name)
    }
}
