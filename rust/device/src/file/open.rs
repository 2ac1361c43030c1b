//! Opening what is there, and saying clearly when it is not a volume's kind of thing.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::direct::Direct;
use super::lock::{Lock, busy};
use super::window::Window;
use super::{Access, FileDevice};
use crate::{Error, Result, sys};

pub(super) fn open(path: &Path, access: Access) -> Result<FileDevice> {
    let (file, kind) = open_existing(path, access)?;
    let device = take(file, kind, path, access)?;
    if device.len == 0 {
        let reason = "is empty, so it is not a volume; make one with mkfs".into();
        return Err(Error::BadSize { name: path.display().to_string(), reason });
    }
    Ok(device)
}

/// Opens a file or block device without creating, changing or waiting for anything.
pub(super) fn open_existing(path: &Path, access: Access) -> Result<(File, FileType)> {
    let name = || path.display().to_string();
    let action = if access == Access::Write { "open it for writing" } else { "open it for reading" };
    // Looked at first: opening a fifo or a character device can have effects of its own.
    let stat = rustix::fs::stat(path).map_err(|errno| Error::from_errno(name(), "look at it", errno))?;
    check_kind(path, FileType::from_raw_mode(stat.st_mode))?;
    let mode = if access == Access::Write { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = mode | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(errno) => return Err(refused(path, action, errno)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| Error::from_errno(name(), "look at it", errno))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    check_kind(path, kind)?;
    Ok((file, kind))
}

/// Locks an open file and makes a device of it.
pub(super) fn take(file: File, kind: FileType, path: &Path, access: Access) -> Result<FileDevice> {
    let is_block_device = kind == FileType::BlockDevice;
    if access == Access::Write && is_block_device && sys::block_is_read_only(file.as_fd()) {
        return Err(Error::ReadOnly { name: path.display().to_string() });
    }
    let lock = patiently(is_block_device, || Lock::take(&file, path, access))?;
    let mut device = FileDevice {
        direct: None,
        lock,
        path: path.to_path_buf(),
        len: 0,
        access,
        is_block_device,
        claim: Mutex::default(),
        window: Window::new(access),
        copy_maps: false,
        owner: std::process::id(),
        is_new: false,
        released: AtomicBool::new(false),
        file,
    };
    if is_block_device && access == Access::Write {
        device.claim = Mutex::new(Some(patiently(true, || claim(&device.file, path))?));
    }
    device.len = len_of(&device.file)
        .map_err(|errno| Error::from_errno(device.path.display().to_string(), "find its size", errno))?;
    device.direct = Direct::of(&device.file, access == Access::Write);
    Ok(device)
}

/// Tries for a moment when a block device is busy: the system's device manager locks a disk while it looks at it,
/// which it does whenever one has been written and closed.
fn patiently<T>(is_block_device: bool, take: impl Fn() -> Result<T>) -> Result<T> {
    const TRIES: usize = 20;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..if is_block_device { TRIES } else { 0 } {
        match take() {
            Err(Error::Busy { .. }) => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
    take()
}

/// The bytes of a file or block device.
pub(super) fn len_of(file: &File) -> Result<u64, Errno> {
    rustix::fs::seek(file.as_fd(), SeekFrom::End(0))
}

/// Claims a block device from the kernel, so that nobody mounts or formats it meanwhile.
fn claim(file: &File, path: &Path) -> Result<File> {
    use std::os::fd::AsRawFd as _;
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(format!("/proc/self/fd/{}", file.as_raw_fd()), flags, Mode::empty()) {
        Ok(fd) => Ok(File::from(fd)),
        Err(Errno::BUSY) => Err(busy(file, path)),
        Err(errno) => Err(Error::from_errno(path.display().to_string(), "claim it", errno)),
    }
}

fn check_kind(path: &Path, kind: FileType) -> Result<()> {
    let name = path.display().to_string();
    let kind = match kind {
        FileType::RegularFile | FileType::BlockDevice => return Ok(()),
        FileType::Directory => return Err(Error::IsDirectory { name }),
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        _ => "special file",
    };
    Err(Error::NotAFile { name, kind })
}

/// Why an open was refused; a write-protected block device answers as if the user had no permission.
fn refused(path: &Path, action: &str, errno: Errno) -> Error {
    let name = path.display().to_string();
    if errno == Errno::ACCESS
        && let Ok(file) =
            rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        && sys::block_is_read_only(file.as_fd())
    {
        return Error::ReadOnly { name };
    }
    Error::from_errno(name, action, errno)
}
