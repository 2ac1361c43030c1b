//! A volume in a file or on a block device.
//!
//! Ordinary I/O goes through the host's page cache on the descriptor that holds the lock, and small reads are copied
//! from the mapped pages of that cache (`window`). Durable writes and reads of the device itself go past it, on a
//! second descriptor of the same file (`direct`). The host keeps the two coherent: a direct write drops the cached
//! pages that it replaces, a direct read writes them back first.

mod create;
mod direct;
mod lock;
mod open;
mod transfer;
mod window;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::FallocateFlags;
use rustix::io::{Errno, pread, pwrite, pwritev, retry_on_intr};

use crate::{Device, Error, Map, Result, check_range, sys, total_len};
use direct::Direct;
use lock::Lock;
use transfer::{read_fully, write_all_fully, write_fully};
use window::Window;

pub use create::existing_len;

/// What a volume is opened for, and so how it is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read and write: nobody else may have it open, but for [`Access::Beside`].
    Write,
    /// To read what nobody changes: shared with other readers.
    Read,
    /// To read beside whoever writes, without a lock.
    Beside,
}

/// An open volume file or block device.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    direct: Option<Direct>,
    window: Window,
    lock: Option<Lock>,
    path: PathBuf,
    len: u64,
    access: Access,
    is_block_device: bool,
    /// Held open for its claim on a block device, never used.
    claim: Mutex<Option<File>>,
    copy_maps: bool,
    /// The process that opened it; a forked child must not write.
    owner: u32,
    /// Whether [`FileDevice::create`] made the file.
    is_new: bool,
    /// Whether [`FileDevice::release`] gave the lock up.
    released: AtomicBool,
}

impl FileDevice {
    /// Opens the volume at `path`.
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self> {
        open::open(path.as_ref(), access)
    }

    /// Makes a file of `len` bytes (a multiple of 4096), sparse, and opens it for writing. File and directory
    /// entry are durable on return.
    ///
    /// What exists is taken only if it is blank or with `force`, and never while somebody has it open; its
    /// bytes are gone then. A block device keeps its size: `len` is how much of it to use, 0 for all.
    /// If what comes next fails, [`abandon`](Self::abandon) takes the new file away again.
    pub fn create(path: impl AsRef<Path>, len: u64, force: bool) -> Result<Self> {
        create::create(path.as_ref(), len, force)
    }

    /// Undoes [`create`](Self::create) if that made the file: for a format that failed half-way.
    pub fn abandon(&self) {
        create::abandon(self);
    }

    /// Takes from the host all the room that the file may ever need, so that no later write fails for want of it. What
    /// a block device has, it has already.
    pub fn preallocate(&self) -> Result<()> {
        self.check_write(0, self.len)?;
        create::preallocate(self)
    }

    /// Lets others have the file although this handle lives on, for a volume that was closed while something still
    /// refers to it. Nothing can be written from then on. The caller has seen to it that no write is on its way.
    pub fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        drop(self.claim.lock().take());
        if let Some(lock) = &self.lock {
            lock.release(&self.file);
        }
    }

    /// Makes [`Device::map`] read copies: nothing done to the file later can then change or hide a byte of them.
    #[must_use]
    pub fn with_copied_maps(mut self) -> Self {
        self.copy_maps = true;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a block device rather than a file.
    #[must_use]
    pub const fn is_block_device(&self) -> bool {
        self.is_block_device
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        check_range(&|| self.name(), offset, len, self.len)
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<()> {
        if self.access != Access::Write || self.released.load(Ordering::Relaxed) {
            return Err(Error::ReadOnly { name: self.name() });
        }
        if self.owner != std::process::id() {
            return Err(Error::Forked { name: self.name(), owner: self.owner });
        }
        self.check(offset, len)
    }

    fn error(&self, action: String, errno: Errno) -> Error {
        Error::from_errno(self.name(), action, errno)
    }

    /// What it means that a read found the end of the file early.
    fn cut_short(&self, offset: u64, len: u64) -> Error {
        let end = rustix::fs::fstat(self.fd()).map_or(0, |s| u64::try_from(s.st_size).unwrap_or(0));
        Error::Truncated { name: self.name(), offset, len, end }
    }
}

impl Drop for FileDevice {
    fn drop(&mut self) {
        self.release();
    }
}

impl Device for FileDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let len = buf.len();
        self.check(offset, len as u64)?;
        if !self.copy_maps && self.window.read(&self.file, self.len, buf, offset) {
            return Ok(());
        }
        match read_fully(buf, offset, len, 1, |rest, at| pread(self.fd(), rest, at)) {
            Ok(true) => {
                self.window.note(offset, len);
                Ok(())
            }
            Ok(false) => Err(self.cut_short(offset, len as u64)),
            Err(errno) => Err(self.error(format!("read {len} bytes at {offset}"), errno)),
        }
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.check_write(offset, buf.len() as u64)?;
        write_fully(buf, offset, |rest, at| pwrite(self.fd(), rest, at))
            .map_err(|errno| self.error(format!("write {} bytes at {offset}", buf.len()), errno))?;
        self.window.note(offset, buf.len());
        Ok(())
    }

    fn write_all_at(&self, bufs: &[&[u8]], offset: u64) -> Result<()> {
        let len = total_len(bufs);
        self.check_write(offset, len)?;
        write_all_fully(bufs, offset, |rest, at| pwritev(self.fd(), rest, at))
            .map_err(|errno| self.error(format!("write {len} bytes at {offset}"), errno))
    }

    fn write_durable(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.check_write(offset, buf.len() as u64)?;
        if let Some(direct) = &self.direct
            && direct.takes(buf, offset)
        {
            let action = || format!("write {} bytes at {offset}", buf.len());
            match direct.write(buf, offset) {
                Err(Errno::INVAL | Errno::OPNOTSUPP) => direct.give_up(),
                answer => return answer.map_err(|errno| self.error(action(), errno)),
            }
        }
        self.write_at(buf, offset)?;
        self.flush()
    }

    fn flush(&self) -> Result<()> {
        if self.access != Access::Write {
            return Ok(());
        }
        retry_on_intr(|| rustix::fs::fdatasync(self.fd())).map_err(|errno| self.error("flush".into(), errno))
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        if self.access == Access::Write && len > 0 {
            sys::start_writeback(self.fd(), offset, len);
        }
    }

    fn prepare(&self, offset: u64, len: u64) {
        if !self.is_block_device && len > 0 && self.check_write(offset, len).is_ok() {
            // Blocks that the file has already keep their bytes, others read as zeros as before.
            let _ = rustix::fs::fallocate(self.fd(), FallocateFlags::KEEP_SIZE, offset, len);
        }
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.check_write(offset, len)?;
        if len == 0 {
            return Ok(());
        }
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let answer = retry_on_intr(|| match self.is_block_device {
            true => sys::block_discard(self.fd(), offset, len),
            false => rustix::fs::fallocate(self.fd(), punch, offset, len),
        });
        match answer {
            // A host that cannot discard keeps the old bytes, as a discard may.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY) => Ok(()),
            Err(errno) => Err(self.error(format!("discard {len} bytes at {offset}"), errno)),
        }
    }

    fn read_device(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.check(offset, buf.len() as u64)?;
        let Some(direct) = &self.direct else { return self.read_at(buf, offset) };
        match direct.read(buf, offset) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.cut_short(offset, buf.len() as u64)),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => self.read_at(buf, offset),
            Err(errno) => Err(self.error(format!("read {} bytes at {offset}", buf.len()), errno)),
        }
    }

    fn map(&self, offset: u64, len: u64) -> Result<Map> {
        self.check(offset, len)?;
        if self.copy_maps {
            return Map::copy_of(self, offset, len);
        }
        if open::len_of(&self.file).is_ok_and(|now| now < offset.saturating_add(len)) {
            return Err(self.cut_short(offset, len));
        }
        match Map::of_file(&self.file, offset, len, self.name()) {
            Some(map) => Ok(map),
            None => Map::copy_of(self, offset, len),
        }
    }

    fn is_read_only(&self) -> bool {
        self.access != Access::Write
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
