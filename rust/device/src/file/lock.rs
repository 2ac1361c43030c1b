//! Who may open a volume: a lock on the open file description (flock), which also works between two handles of
//! one process and goes away with its holder, however that ends.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::Access;
use crate::{Error, Holder, Result};

/// The longest command line that a message shows.
const COMMAND_MAX: usize = 80;

/// A held lock. It must be let go by [`Lock::release`]: closing the file alone does not end it while a mapping
/// or a forked child still holds the same description.
#[derive(Debug)]
pub(super) struct Lock {
    owner: u32,
}

impl Lock {
    /// Takes the lock that the access asks for, without waiting.
    pub(super) fn take(file: &File, path: &Path, access: Access) -> Result<Option<Self>> {
        let operation = match access {
            Access::Write => FlockOperation::NonBlockingLockExclusive,
            Access::Read => FlockOperation::NonBlockingLockShared,
            Access::Beside => return Ok(None),
        };
        loop {
            return match rustix::fs::flock(file.as_fd(), operation) {
                Ok(()) => Ok(Some(Self { owner: std::process::id() })),
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => Err(busy(file, path)),
                Err(errno) => Err(Error::from_errno(path.display().to_string(), "lock it", errno)),
            };
        }
    }

    /// Ends the lock, unless this is a forked child: there it is still the parent's.
    pub(super) fn release(&self, file: &File) {
        if self.owner == std::process::id() {
            let _ = rustix::fs::flock(file.as_fd(), FlockOperation::Unlock);
        }
    }
}

/// The error that names who has the file.
pub(super) fn busy(file: &File, path: &Path) -> Error {
    Error::Busy { name: path.display().to_string(), holder: holder(file) }
}

fn holder(file: &File) -> Option<Holder> {
    let stat = rustix::fs::fstat(file.as_fd()).ok()?;
    let (device, inode) = (stat.st_dev, stat.st_ino);
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let id = (rustix::fs::major(device), rustix::fs::minor(device), inode);
    let pid = flock_pids(&locks, id).into_iter().find(|pid| is_alive(*pid)).or_else(|| who_has_open(id))?;
    Some(Holder { pid, command: command(pid) })
}

/// The processes that took a flock on the inode. Some file systems show another device number there than stat
/// does, so the inode alone counts when no line has both.
fn flock_pids(locks: &str, (major, minor, inode): (u32, u32, u64)) -> Vec<u32> {
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"; a waiter has "->" behind the number.
        let [_, "FLOCK", _, _, pid, place, ..] = words.as_slice() else { return None };
        let [line_major, line_minor, line_inode] = *place.split(':').collect::<Vec<_>>() else { return None };
        let device = (u32::from_str_radix(line_major, 16).ok()?, u32::from_str_radix(line_minor, 16).ok()?);
        Some((pid.parse::<u32>().ok()?, device == (major, minor), line_inode.parse::<u64>().ok()?))
    };
    let lines: Vec<_> = locks.lines().filter_map(parse).filter(|(.., i)| *i == inode).collect();
    let exact: Vec<u32> = lines.iter().filter(|(_, same, _)| *same).map(|(pid, ..)| *pid).collect();
    if exact.is_empty() { lines.iter().map(|(pid, ..)| *pid).collect() } else { exact }
}

/// A process that has the inode open: who inherited the lock from a parent that is gone.
fn who_has_open((major, minor, inode): (u32, u32, u64)) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let device = rustix::fs::makedev(major, minor);
    let own = std::process::id();
    let has_open = |pid: &u32| {
        let Ok(mut files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        files.any(|f| {
            f.and_then(|f| fs::metadata(f.path())).is_ok_and(|m| m.ino() == inode && m.dev() == device)
        })
    };
    let processes = fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .find(has_open)
}

fn is_alive(pid: u32) -> bool {
    pid != 0 && Path::new(&format!("/proc/{pid}")).exists()
}

/// The command line of a process as one printable line.
fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = line.strip_suffix(&[0]).unwrap_or(&line);
    let words = String::from_utf8_lossy(line).replace('\0', " ");
    let mut shown: String = words.chars().flat_map(escape).take(COMMAND_MAX).collect();
    if words.chars().count() > COMMAND_MAX {
        shown.push('…');
    }
    shown
}

/// A character as it may go to a terminal.
fn escape(c: char) -> impl Iterator<Item = char> {
    let control = c.is_control();
    control.then(|| c.escape_default()).into_iter().flatten().chain((!control).then_some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "1: FLOCK  ADVISORY  WRITE 100 fe:00:7 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 101 fe:00:7 0 EOF\n\
        2: POSIX  ADVISORY  READ 102 fe:00:7 0 EOF\n3: FLOCK  ADVISORY  READ 103 00:2a:8 0 EOF\nnonsense\n\
        4: OFDLCK ADVISORY  READ -1 00:06:7 0 EOF\n";

    #[test]
    fn the_holder_is_the_process_of_the_matching_flock_line() {
        assert_eq!(flock_pids(LOCKS, (0xfe, 0, 7)), [100]);
        assert_eq!(flock_pids(LOCKS, (0, 0x2a, 8)), [103]);
        assert_eq!(flock_pids(LOCKS, (0, 0x2b, 8)), [103], "a file system with a device number of its own");
        assert_eq!(flock_pids(LOCKS, (0xfe, 0, 9)), []);
    }

    #[test]
    fn control_characters_of_a_command_line_do_not_reach_the_terminal() {
        assert_eq!("a\u{1b}[31m".chars().flat_map(escape).collect::<String>(), "a\\u{1b}[31m");
    }
}
