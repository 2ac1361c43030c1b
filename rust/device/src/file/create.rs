//! Making the file of a new volume: durable with its name, never over anything of value, gone if it fails.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FallocateFlags, FileType, Mode, OFlags, SeekFrom};
use rustix::io::{Errno, retry_on_intr};

use super::{Access, FileDevice, open};
use crate::{ALIGNMENT, Device, Error, Result};

/// How much of each end of a block device must be zero for it to count as blank: other file systems, volume
/// managers and partition tables leave their marks there.
const PROBE: u64 = 1 << 20;

/// The length of the file or block device at `path`; `None` if nothing is there.
pub fn existing_len(path: impl AsRef<Path>) -> Result<Option<u64>> {
    let path = path.as_ref();
    let (file, _) = match open::open_existing(path, Access::Beside) {
        Err(Error::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    let failed = |errno| Error::from_errno(path.display().to_string(), "find its size", errno);
    open::len_of(&file).map(Some).map_err(failed)
}

pub(super) fn create(path: &Path, len: u64, force: bool) -> Result<FileDevice> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let failed = |errno| Error::from_errno(path.display().to_string(), "create it", errno);
    if !path.try_exists().unwrap_or(true) {
        check_len(path, len)?;
    }
    match rustix::fs::open(path, flags, mode) {
        Ok(fd) => create_new(File::from(fd), path, len),
        Err(Errno::EXIST) => take_existing(path, len, force),
        Err(errno) => Err(failed(errno)),
    }
}

fn create_new(file: File, path: &Path, len: u64) -> Result<FileDevice> {
    // Until there is a device to abandon, the name is taken away here.
    let made = open::take(file, FileType::RegularFile, path, Access::Write);
    let mut device = made.inspect_err(|_| {
        let _ = rustix::fs::unlink(path);
    })?;
    device.is_new = true;
    match size_and_settle(&mut device, len) {
        Ok(()) => Ok(device),
        Err(error) => {
            abandon(&device);
            Err(error)
        }
    }
}

fn take_existing(path: &Path, len: u64, force: bool) -> Result<FileDevice> {
    let (file, kind) = open::open_existing(path, Access::Write)?;
    let mut device = open::take(file, kind, path, Access::Write)?;
    if device.is_block_device {
        if len > device.len {
            let reason = format!("has {} bytes, which is less than the {len} asked for", device.len);
            return Err(Error::BadSize { name: device.name(), reason });
        }
        device.len = if len == 0 { device.len / ALIGNMENT as u64 * ALIGNMENT as u64 } else { len };
    }
    check_len(path, if device.is_block_device { device.len } else { len })?;
    if !force && !is_blank(&device)? {
        return Err(Error::Exists { name: device.name() });
    }
    if !device.is_block_device {
        // Growing comes first: a length that the host cannot give is refused before anything is lost.
        for step in [len.max(device.len), 0] {
            retry_on_intr(|| rustix::fs::ftruncate(device.fd(), step))
                .map_err(|errno| device.error(format!("be made {len} bytes long"), errno))?;
        }
        size_and_settle(&mut device, len)?;
    }
    Ok(device)
}

/// Gives the file its length and makes it and its name durable.
fn size_and_settle(device: &mut FileDevice, len: u64) -> Result<()> {
    let failed = |action: &str, errno| Err(device.error(action.into(), errno));
    if let Err(errno) = retry_on_intr(|| rustix::fs::ftruncate(device.fd(), len)) {
        return failed(&format!("be made {len} bytes long"), errno);
    }
    if let Err(errno) = retry_on_intr(|| rustix::fs::fsync(device.fd())) {
        return failed("flush", errno);
    }
    if let Err(errno) = sync_parent(&device.path) {
        return failed("flush its directory", errno);
    }
    device.len = len;
    Ok(())
}

/// See [`FileDevice::preallocate`].
pub(super) fn preallocate(device: &FileDevice) -> Result<()> {
    if device.is_block_device {
        return Ok(());
    }
    let action = || format!("set aside {} bytes for it", device.len);
    // Some hosts would first fill up, which others feel, and then refuse.
    let host = rustix::fs::fstatvfs(device.fd()).map_err(|errno| device.error(action(), errno))?;
    if host.f_bavail.saturating_mul(host.f_frsize) < device.len {
        return Err(device.error(action(), Errno::NOSPC));
    }
    let answer = retry_on_intr(|| rustix::fs::fallocate(device.fd(), FallocateFlags::empty(), 0, device.len));
    answer.or_else(|errno| match errno {
        Errno::OPNOTSUPP | Errno::NOSYS => Ok(write_zeros(device)?),
        errno => Err(device.error(action(), errno)),
    })?;
    device.flush()
}

/// Writes zeros over the whole file, for a host that cannot set room aside.
fn write_zeros(device: &FileDevice) -> Result<()> {
    let zeros = vec![0; PROBE as usize];
    let mut offset = 0;
    while offset < device.len {
        let len = PROBE.min(device.len - offset);
        device.write_at(zeros.get(..len as usize).unwrap_or_default(), offset)?;
        offset += len;
    }
    Ok(())
}

fn sync_parent(path: &Path) -> Result<(), Errno> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    match retry_on_intr(|| rustix::fs::fsync(&directory)) {
        // Some file systems have nothing to flush for a directory.
        Err(Errno::INVAL) => Ok(()),
        answer => answer,
    }
}

/// Removes the file that this device created, if its name is still its own.
pub(super) fn abandon(device: &FileDevice) {
    let same = || {
        let (held, named) = (rustix::fs::fstat(device.fd()).ok()?, rustix::fs::lstat(&device.path).ok()?);
        Some((held.st_dev, held.st_ino) == (named.st_dev, named.st_ino))
    };
    if device.is_new && device.owner == std::process::id() && same() == Some(true) {
        let _ = rustix::fs::unlink(&device.path);
        let _ = sync_parent(&device.path);
    }
}

/// Whether nothing can be lost: a file without a byte of data, or a block device whose ends are zero.
fn is_blank(device: &FileDevice) -> Result<bool> {
    if !device.is_block_device {
        return match rustix::fs::seek(device.fd(), SeekFrom::Data(0)) {
            Err(Errno::NXIO) => Ok(true),
            Ok(_) => Ok(false),
            Err(errno) => Err(device.error("look for data in it".into(), errno)),
        };
    }
    let len = open::len_of(&device.file).map_err(|errno| device.error("find its size".into(), errno))?;
    let mut bytes = vec![0; usize::try_from(PROBE.min(len)).unwrap_or(0)];
    for offset in [0, len.saturating_sub(PROBE)] {
        rustix::io::pread(device.fd(), bytes.as_mut_slice(), offset)
            .map_err(|errno| device.error("look for data on it".into(), errno))?;
        if bytes.iter().any(|&b| b != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn check_len(path: &Path, len: u64) -> Result<()> {
    let reason = if len == 0 {
        "cannot be 0 bytes long; give a size".into()
    } else if !len.is_multiple_of(ALIGNMENT as u64) {
        format!("cannot be {len} bytes long; give a multiple of {ALIGNMENT}")
    } else {
        return Ok(());
    };
    Err(Error::BadSize { name: path.display().to_string(), reason })
}
