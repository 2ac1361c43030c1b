//! Island of unsafe code: the system calls that no safe wrapper offers.

#![allow(unsafe_code, reason = "ioctl and sync_file_range have no safe wrapper")]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

// From linux/fs.h: _IO(0x12, 119) and _IO(0x12, 94).
const BLKDISCARD: libc::Ioctl = 0x1277;
const BLKROGET: libc::Ioctl = 0x125e;

/// Asks the host to start writing back the dirty pages of a range, and does not wait for it.
pub(crate) fn start_writeback(file: BorrowedFd<'_>, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    // SAFETY: the call takes no pointers, and the descriptor is open.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Discards a range of a block device.
pub(crate) fn block_discard(device: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
    let range = [offset, len];
    // SAFETY: BLKDISCARD reads two u64 from the pointer, which is to a live array of two.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), BLKDISCARD, range.as_ptr()) };
    if answer == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Whether a block device refuses to be written.
pub(crate) fn block_is_read_only(device: BorrowedFd<'_>) -> bool {
    let mut flag: libc::c_int = 0;
    // SAFETY: BLKROGET writes one int to the pointer, which is to a live one.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), BLKROGET, &raw mut flag) };
    answer == 0 && flag != 0
}

fn last_errno() -> Errno {
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Errno::from_raw_os_error(code)
}
