//! A second descriptor of the file, past the page cache: writes on it are durable on return.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, pread, pwrite};

use super::transfer::{read_fully, write_fully};
use crate::{ALIGNMENT, AlignedBuf};

/// Reads bigger than this go in pieces, to bound the memory of the detour over an aligned buffer.
const PIECE: usize = 1 << 20;

/// A descriptor opened with O_DIRECT and O_DSYNC.
#[derive(Debug)]
pub(super) struct Direct {
    file: File,
    /// Cleared for good when the host turns out not to take direct writes.
    writes: AtomicBool,
}

impl Direct {
    /// Opens the same file again, by its descriptor, so that a rename cannot make it another one.
    /// `None` if the host's file system has no direct I/O.
    pub(super) fn of(file: &File, write: bool) -> Option<Self> {
        use std::os::fd::AsRawFd as _;
        let mode = if write { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = mode | OFlags::DIRECT | OFlags::DSYNC | OFlags::CLOEXEC;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
        Some(Self { file, writes: AtomicBool::new(write) })
    }

    /// Whether this write can go past the page cache.
    pub(super) fn takes(&self, buf: &[u8], offset: u64) -> bool {
        let aligned = |n: usize| n.is_multiple_of(ALIGNMENT);
        self.writes.load(Ordering::Relaxed)
            && offset.is_multiple_of(ALIGNMENT as u64)
            && aligned(buf.len())
            && aligned(buf.as_ptr().addr())
    }

    /// No more direct writes.
    pub(super) fn give_up(&self) {
        self.writes.store(false, Ordering::Relaxed);
    }

    /// Writes all of `buf`, durable on return.
    pub(super) fn write(&self, buf: &[u8], offset: u64) -> Result<(), Errno> {
        write_fully(buf, offset, |rest, at| pwrite(self.file.as_fd(), rest, at))
    }

    /// Fills `buf` from the device, over an aligned buffer; `false` if the file ends before.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> Result<bool, Errno> {
        let align = ALIGNMENT as u64;
        let mut bounce = AlignedBuf::new();
        let mut at = offset;
        for piece in buf.chunks_mut(PIECE) {
            let start = at / align * align;
            // Below ALIGNMENT, so it fits.
            let skip = (at - start) as usize;
            let wanted = skip + piece.len();
            bounce.resize(wanted.next_multiple_of(ALIGNMENT));
            let read = |rest: &mut [u8], at| pread(self.file.as_fd(), rest, at);
            if !read_fully(&mut bounce, start, wanted, ALIGNMENT, read)? {
                return Ok(false);
            }
            piece.copy_from_slice(bounce.get(skip..wanted).ok_or(Errno::INVAL)?);
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_descriptor_is_of_the_same_file_direct_and_synchronous() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("volume");
        let file = File::create_new(&path).unwrap();
        std::fs::rename(&path, directory.path().join("renamed")).unwrap();
        std::fs::write(&path, b"another").unwrap();
        let Some(direct) = Direct::of(&file, true) else {
            println!("skipped: no direct I/O on this file system");
            return;
        };
        let flags = rustix::fs::fcntl_getfl(&direct.file).unwrap();
        assert!(flags.contains(OFlags::DIRECT | OFlags::DSYNC), "{flags:?}");
        let inode = |file: &File| rustix::fs::fstat(file).unwrap().st_ino;
        assert_eq!(inode(&direct.file), inode(&file));
    }

    #[test]
    fn only_aligned_writes_go_past_the_cache() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create_new(directory.path().join("volume")).unwrap();
        let Some(direct) = Direct::of(&file, true) else { return };
        let buf = AlignedBuf::zeroed(3 * ALIGNMENT);
        assert!(direct.takes(&buf, 8192));
        assert!(
            !direct.takes(&buf, 512) && !direct.takes(&buf[..512], 0) && !direct.takes(&buf[512..4608], 0)
        );
        direct.give_up();
        assert!(!direct.takes(&buf, 8192));
    }
}
