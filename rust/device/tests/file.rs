//! What a file device does when it is created, opened, locked, cut short or out of space.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod child;

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use child::Child;
use tempfile::TempDir;
use vexfs_device::file::existing_len;
use vexfs_device::{Access, AlignedBuf, Device, Error, FileDevice};

const LEN: u64 = 1 << 20;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volume");
    (directory, path)
}

fn code<T: std::fmt::Debug>(answer: Result<T, Error>) -> &'static str {
    let error = answer.unwrap_err();
    assert!(error.errno() > 0);
    error.code()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Everything that can be refused at a path, by each way to come to it.
fn codes_at(path: &Path) -> [&'static str; 3] {
    [
        code(FileDevice::open(path, Access::Write)),
        code(FileDevice::open(path, Access::Read)),
        code(FileDevice::create(path, LEN, true)),
    ]
}

#[test]
fn a_new_file_is_sparse_of_the_length_asked_for_and_open_for_writing() {
    let (_directory, path) = place();
    let device = FileDevice::create(&path, 1 << 40, false).unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.len(), meta.blocks(), device.len()), (1 << 40, 0, 1 << 40));
    assert_eq!((device.path(), device.name()), (path.as_path(), path.display().to_string()));
    assert!(!device.is_read_only() && !device.is_block_device());
    device.write_at(b"end", (1 << 40) - 3).unwrap();
    drop(device);
    assert_eq!(existing_len(&path).unwrap(), Some(1 << 40));
}

#[test]
fn creating_refuses_what_holds_data_and_leaves_it_alone() {
    let (_directory, path) = place();
    fs::write(&path, b"precious").unwrap();
    assert_eq!(code(FileDevice::create(&path, LEN, false)), "exists");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let device = FileDevice::create(&path, LEN, true).unwrap();
    let mut start = [1; 8];
    device.read_at(&mut start, 0).unwrap();
    assert_eq!((start, device.len()), ([0; 8], LEN));
}

#[test]
fn creating_takes_a_file_in_which_nothing_was_ever_written() {
    let (_directory, path) = place();
    for old_len in [0, 123, 4 * LEN] {
        fs::File::create(&path).unwrap().set_len(old_len).unwrap();
        assert_eq!(FileDevice::create(&path, LEN, false).unwrap().len(), LEN);
    }
}

#[test]
fn creating_never_takes_a_volume_that_is_open() {
    let (_directory, path) = place();
    let holder = FileDevice::create(&path, LEN, false).unwrap();
    holder.write_at(b"alive", 0).unwrap();
    for force in [false, true] {
        assert_eq!(code(FileDevice::create(&path, LEN, force)), "busy");
    }
    let mut start = [0; 5];
    holder.read_at(&mut start, 0).unwrap();
    assert_eq!(&start, b"alive");
}

#[test]
fn a_length_that_cannot_be_leaves_no_file_and_loses_none() {
    let (_directory, path) = place();
    for len in [0, 1, 4095, 4097, LEN + 512, 1 << 62] {
        assert_eq!(code(FileDevice::create(&path, len, false)), "bad_size", "{len}");
        assert!(!path.exists(), "{len}");
    }
    fs::write(&path, b"precious").unwrap();
    for len in [0, 4097, 1 << 62] {
        assert_eq!(code(FileDevice::create(&path, len, true)), "bad_size", "{len}");
        assert_eq!(&fs::read(&path).unwrap()[..8], b"precious");
    }
}

#[test]
fn abandoning_removes_only_a_file_that_creating_made() {
    let (directory, path) = place();
    let device = FileDevice::create(&path, LEN, false).unwrap();
    device.abandon();
    assert!(!path.exists());
    fs::write(&path, b"another's").unwrap();
    device.abandon();
    drop(device);
    assert_eq!(fs::read(&path).unwrap(), b"another's", "the name has passed to somebody else");

    FileDevice::create(&path, LEN, true).unwrap().abandon();
    assert!(path.exists(), "it was there before");
    FileDevice::open(&path, Access::Write).unwrap().abandon();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn what_is_not_a_volume_has_its_own_error() {
    let (directory, path) = place();
    assert_eq!(codes_at(directory.path()), ["is_a_directory"; 3]);
    assert_eq!(codes_at(Path::new("/")), ["is_a_directory"; 3]);
    assert_eq!(codes_at(Path::new("/dev/null")), ["not_a_file"; 3]);
    assert_eq!(code(FileDevice::open(&path, Access::Write)), "not_found");
    assert_eq!(code(FileDevice::open(&path, Access::Read)), "not_found");
    let orphan = directory.path().join("no/such/directory");
    assert_eq!(codes_at(&orphan), ["not_found"; 3]);

    fs::write(&path, b"").unwrap();
    let error = FileDevice::open(&path, Access::Read).unwrap_err();
    assert_eq!(error.code(), "bad_size");
    assert!(error.to_string().contains("empty"), "{error}");
    assert_eq!(codes_at(&path.join("below")), ["not_a_directory"; 3]);

    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert_eq!(codes_at(&fifo), ["not_a_file"; 3], "and does not wait for a writer");
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(codes_at(&socket), ["not_a_file"; 3]);

    let round = directory.path().join("round");
    std::os::unix::fs::symlink("round", &round).unwrap();
    assert_eq!(codes_at(&round), ["bad_path"; 3]);
    assert_eq!(codes_at(&directory.path().join("x".repeat(300))), ["bad_path"; 3]);
    assert_eq!(existing_len(&orphan).unwrap(), None);
    assert_eq!(code(existing_len(directory.path())), "is_a_directory");
}

#[test]
fn messages_name_the_path_and_say_what_to_do() {
    let (directory, path) = place();
    for (error, advice) in [
        (FileDevice::open(&path, Access::Read).unwrap_err(), "check the path"),
        (FileDevice::open(directory.path(), Access::Read).unwrap_err(), "a file or a block device"),
        (FileDevice::create(&path, 5, false).unwrap_err(), "a multiple of 4096"),
    ] {
        let message = error.to_string();
        assert!(
            message.contains(directory.path().to_str().unwrap()) && message.contains(advice),
            "{message}"
        );
    }
}

#[test]
fn a_reader_cannot_write_and_a_file_without_permission_does_not_open() {
    let (directory, path) = place();
    drop(FileDevice::create(&path, LEN, false).unwrap());
    for access in [Access::Read, Access::Beside] {
        let device = FileDevice::open(&path, access).unwrap();
        assert!(device.is_read_only());
        assert_eq!(code(device.write_at(b"x", 0)), "read_only");
        assert_eq!(code(device.write_all_at(&[b"x"], 0)), "read_only");
        assert_eq!(code(device.write_durable(b"x", 0)), "read_only");
        assert_eq!(code(device.discard(0, 4096)), "read_only");
        device.flush().unwrap();
        device.read_device(&mut [0; 10], 5).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    match Child::as_nobody("opens_without_permission", &path) {
        Some(child) => assert_eq!(child.finish(), "permission, writable Ok, new permission"),
        None => println!("skipped: cannot run as another user"),
    }
}

#[test]
fn two_writers_exclude_each_other_within_one_process() {
    let (_directory, path) = place();
    let writer = FileDevice::create(&path, LEN, false).unwrap();
    for access in [Access::Write, Access::Read] {
        let error = FileDevice::open(&path, access).unwrap_err();
        let Error::Busy { holder: Some(holder), .. } = &error else { panic!("{error}") };
        assert_eq!(holder.pid, std::process::id());
        assert!(error.to_string().contains("this very process"), "{error}");
    }
    assert!(FileDevice::open(&path, Access::Beside).is_ok());
    drop(writer);
    assert!(FileDevice::open(&path, Access::Write).is_ok());
}

#[test]
fn readers_share_and_keep_writers_out() {
    let (_directory, path) = place();
    drop(FileDevice::create(&path, LEN, false).unwrap());
    let one = FileDevice::open(&path, Access::Read).unwrap();
    let two = FileDevice::open(&path, Access::Read).unwrap();
    assert_eq!(code(FileDevice::open(&path, Access::Write)), "busy");
    drop((one, two));
    let _beside = FileDevice::open(&path, Access::Beside).unwrap();
    assert!(FileDevice::open(&path, Access::Write).is_ok());
}

#[test]
fn a_map_that_outlives_its_device_holds_no_lock() {
    let (_directory, path) = place();
    let device = FileDevice::create(&path, LEN, false).unwrap();
    device.write_at(b"kept", 8192).unwrap();
    let map = device.map(8192, 4096).unwrap();
    drop(device);
    assert!(FileDevice::open(&path, Access::Write).is_ok());
    assert_eq!(&map[..4], b"kept");
}

#[test]
fn a_released_device_lets_others_in_and_writes_no_more() {
    let (_directory, path) = place();
    let device = FileDevice::create(&path, LEN, false).unwrap();
    device.write_at(b"mine", 0).unwrap();
    device.release();
    let other = FileDevice::open(&path, Access::Write).unwrap();
    assert_eq!(code(device.write_at(b"late", 0)), "read_only");
    assert_eq!(code(device.discard(0, 4096)), "read_only");
    drop(device);
    assert_eq!(code(FileDevice::open(&path, Access::Write)), "busy");
    let mut found = [0; 4];
    other.read_at(&mut found, 0).unwrap();
    assert_eq!(&found, b"mine");
}

#[test]
fn busy_names_the_other_process_and_ends_with_it() {
    let (_directory, path) = place();
    drop(FileDevice::create(&path, LEN, false).unwrap());
    let mut child = Child::start("holds_the_lock", &path);
    child.wait_for("locked");
    let error = FileDevice::open(&path, Access::Write).unwrap_err();
    let Error::Busy { holder: Some(holder), .. } = &error else { panic!("{error}") };
    assert_eq!(holder.pid, child.pid());
    assert!(holder.command.contains("file"), "the test binary's name is in {:?}", holder.command);
    assert!(error.to_string().contains(&child.pid().to_string()));
    child.kill();
    assert!(FileDevice::open(&path, Access::Write).is_ok(), "a killed holder holds nothing");
}

#[test]
fn busy_names_a_child_that_inherited_the_lock_of_a_dead_parent() {
    let (_directory, path) = place();
    drop(FileDevice::create(&path, LEN, false).unwrap());
    let child = Child::start("leaves_the_lock_to_its_child", &path);
    let grandchild: u32 = child.finish().parse().unwrap();
    let error = FileDevice::open(&path, Access::Write).unwrap_err();
    let Error::Busy { holder: Some(holder), .. } = &error else { panic!("{error}") };
    assert_eq!(holder.pid, grandchild);
    child::kill(grandchild);
}

#[test]
fn a_program_that_is_started_meanwhile_does_not_inherit_the_volume() {
    let (_directory, path) = place();
    let _device = FileDevice::create(&path, LEN, false).unwrap();
    let own = fs::read_dir("/proc/self/fd").unwrap();
    assert!(own.filter_map(|f| fs::read_link(f.unwrap().path()).ok()).any(|file| file == path));
    let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let inherited = String::from_utf8(output.stdout).unwrap();
    assert!(inherited.contains("/dev/null") && !inherited.contains(path.to_str().unwrap()), "{inherited}");
}

#[test]
fn a_forked_child_cannot_write_and_does_not_end_its_parents_lock() {
    let (_directory, path) = place();
    drop(FileDevice::create(&path, LEN, false).unwrap());
    assert_eq!(Child::start("forks", &path).finish(), "child forked forked forked Ok, parent still holds it");
}

#[test]
fn a_file_cut_short_while_open_is_truncated_and_never_zeros() {
    let (_directory, path) = place();
    let device = FileDevice::create(&path, LEN, false).unwrap();
    device.write_at(&vec![7; LEN as usize], 0).unwrap();
    device.flush().unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(LEN / 2 + 100).unwrap();
    let mut buf = vec![0; 8192];
    for offset in [LEN / 2 - 8092, LEN / 2 - 8192] {
        device.read_at(&mut buf, offset).unwrap();
        device.read_device(&mut buf, offset).unwrap();
        assert!(buf.iter().all(|&b| b == 7));
    }
    for offset in [LEN / 2 - 8091, LEN / 2, LEN / 2 + 4096, LEN - 8192] {
        for answer in [device.read_at(&mut buf, offset), device.read_device(&mut buf, offset)] {
            let Err(Error::Truncated { end, .. }) = answer else { panic!("{answer:?} at {offset}") };
            assert_eq!(end, LEN / 2 + 100);
        }
        assert_eq!(code(device.map(offset, 8192)), "truncated");
    }
}

#[test]
fn a_file_of_odd_length_is_read_to_its_last_byte() {
    let (_directory, path) = place();
    let bytes: Vec<u8> = (0..10_007_u32).map(|i| (i % 251) as u8).collect();
    fs::write(&path, &bytes).unwrap();
    let device = FileDevice::open(&path, Access::Read).unwrap();
    for (offset, len) in [(0, 10_007), (4097, 5910), (10_006, 1), (8192, 1815), (1, 10_000)] {
        let mut buf = vec![0; len];
        device.read_device(&mut buf, offset).unwrap();
        assert!(buf == bytes[offset as usize..][..len], "{len} at {offset}");
    }
    assert!(device.map(0, 10_007).unwrap()[..] == bytes);
    assert_eq!(code(device.read_device(&mut [0; 2], 10_006)), "truncated");
}

#[test]
fn durable_writes_and_mappings_and_cached_reads_see_each_other() {
    let (_directory, path) = place();
    let device = FileDevice::create(&path, LEN, false).unwrap();
    let map = device.map(0, LEN).unwrap();
    let mut buf = vec![0; 8192];
    for round in 1..20_u8 {
        device.write_at(&[round; 100], 4000).unwrap();
        device.write_durable(&AlignedBuf::from(&[round; 8192][..]), 8192).unwrap();
        device.read_at(&mut buf, 8192).unwrap();
        assert!(buf.iter().all(|&b| b == round));
        device.read_device(&mut buf[..100], 4000).unwrap();
        assert_eq!(buf[..100], [round; 100], "the cache is written back first");
        assert!(map[8192..16384].iter().all(|&b| b == round) && map[4099] == round);
    }
}

#[test]
fn a_discard_gives_the_hosts_blocks_back() {
    let (_directory, path) = place();
    let device = FileDevice::create(&path, LEN, false).unwrap();
    device.write_at(&vec![7; LEN as usize], 0).unwrap();
    device.flush().unwrap();
    let before = fs::metadata(&path).unwrap().blocks();
    device.discard(4096, LEN - 8192).unwrap();
    device.flush().unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(meta.len(), LEN);
    if meta.blocks() == before {
        println!("skipped: this file system cannot punch holes");
    } else {
        assert!(meta.blocks() < before / 4);
    }
}

#[test]
fn preparing_takes_room_on_the_host_and_changes_no_byte() {
    let (_directory, path) = place();
    let device = FileDevice::create(&path, LEN, false).unwrap();
    device.write_at(&[7; 4096], 8192).unwrap();
    device.prepare(0, LEN);
    // What the device does not have is not asked for.
    device.prepare(LEN - 4096, 8192);
    device.prepare(u64::MAX, 4096);
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(meta.len(), LEN);
    if meta.blocks() < LEN / 512 {
        println!("skipped: this file system cannot allocate ahead");
    }
    let mut bytes = vec![1; LEN as usize];
    device.read_at(&mut bytes, 0).unwrap();
    assert!(bytes.iter().enumerate().all(|(at, &byte)| byte == if at / 4096 == 2 { 7 } else { 0 }));
    drop(device);
    let before = fs::metadata(&path).unwrap().blocks();
    FileDevice::open(&path, Access::Read).unwrap().prepare(0, LEN);
    assert_eq!(fs::metadata(&path).unwrap().blocks(), before);
}

#[test]
fn the_hosts_full_disk_has_its_own_code_and_the_device_lives_on() {
    let Some(mount) = TinyDisk::mount() else {
        println!("skipped: cannot mount a tmpfs (needs root)");
        return;
    };
    let path = mount.0.path().join("volume");
    let device = FileDevice::create(&path, 64 << 20, false).unwrap();
    let megabyte = AlignedBuf::from(&vec![7; 1 << 20][..]);
    let full = (0..64).find_map(|i| device.write_at(&megabyte, i << 20).err()).unwrap();
    assert_eq!((full.code(), full.errno()), ("no_host_space", libc::ENOSPC));
    assert!(full.to_string().contains("free space where the volume lies"), "{full}");
    assert_eq!(code(device.write_durable(&megabyte, 32 << 20)), "no_host_space");
    assert_eq!(code(device.write_all_at(&[&megabyte, &megabyte], 40 << 20)), "no_host_space");
    device.discard(0, 1 << 20).unwrap();
    device.write_at(&megabyte[..4096], 50 << 20).unwrap();
    device.flush().unwrap();
    drop(device);
    drop(mount);
}

/// A tmpfs of 2 MiB that goes away with this value.
struct TinyDisk(TempDir);

impl TinyDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(directory.path());
        (is_root() && mount.status().is_ok_and(|s| s.success())).then_some(Self(directory))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_block_device_is_a_volume_too() {
    let Some(disk) = Loop::attach(8 << 20, false) else {
        println!("skipped: no loop device (needs root and losetup)");
        return;
    };
    assert!(fs::metadata(&disk.path).unwrap().file_type().is_block_device());
    assert_eq!(existing_len(&disk.path).unwrap(), Some(8 << 20));
    assert_eq!(code(FileDevice::create(&disk.path, 16 << 20, true)), "bad_size");
    assert_eq!(FileDevice::create(&disk.path, 4 << 20, false).unwrap().len(), 4 << 20);

    let device = FileDevice::create(&disk.path, 0, false).unwrap();
    assert!(device.is_block_device() && device.len() == 8 << 20);
    device.write_at(b"cached", 5000).unwrap();
    device.write_durable(&AlignedBuf::from(&[7; 8192][..]), (8 << 20) - 8192).unwrap();
    device.write_all_at(&[b"a", b"b"], 0).unwrap();
    device.flush().unwrap();
    let mut buf = [0; 6];
    device.read_device(&mut buf, 5000).unwrap();
    assert_eq!(&buf, b"cached");
    let map = device.map(4096, 4096).unwrap();
    assert_eq!(&map[904..910], b"cached");
    map.check().unwrap();
    drop(map);
    device.discard(1 << 20, 1 << 20).unwrap();
    device.abandon();
    assert_eq!(code(device.write_at(&[0], 8 << 20)), "truncated");
    for access in [Access::Write, Access::Read] {
        assert_eq!(code(FileDevice::open(&disk.path, access)), "busy");
    }
    let claim = rustix::fs::OFlags::EXCL | rustix::fs::OFlags::RDONLY;
    let other = rustix::fs::open(&disk.path, claim, rustix::fs::Mode::empty());
    assert_eq!(other.unwrap_err(), rustix::io::Errno::BUSY, "nobody can mount it meanwhile");
    drop(device);

    assert_eq!(code(FileDevice::create(&disk.path, 0, false)), "exists", "its ends hold data");
    let device = FileDevice::open(&disk.path, Access::Write).unwrap();
    device.read_at(&mut buf, 5000).unwrap();
    assert_eq!(&buf, b"cached");
}

#[test]
fn a_write_protected_block_device_is_read_only() {
    let Some(disk) = Loop::attach(1 << 20, true) else {
        println!("skipped: no loop device (needs root and losetup)");
        return;
    };
    assert_eq!(code(FileDevice::open(&disk.path, Access::Write)), "read_only");
    assert_eq!(FileDevice::open(&disk.path, Access::Read).unwrap().len(), 1 << 20);
}

/// A loop device over a file of zeros.
struct Loop {
    path: PathBuf,
    _directory: TempDir,
}

impl Loop {
    fn attach(len: u64, read_only: bool) -> Option<Self> {
        let (directory, image) = place();
        fs::File::create(&image).unwrap().set_len(len).unwrap();
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show"]).args(read_only.then_some("--read-only")).arg(&image);
        let output = losetup.output().ok().filter(|o| is_root() && o.status.success())?;
        let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        Some(Self { path, _directory: directory })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}

/// What the children do; see [`child`].
#[test]
fn child_main() {
    child::run(|role, path| match role {
        "holds_the_lock" => {
            let _device = FileDevice::open(path, Access::Write).unwrap();
            child::say("locked");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        "opens_without_permission" => {
            let writing = code(FileDevice::open(path, Access::Write));
            let reading = FileDevice::open(path, Access::Read).map(drop);
            let reading = if reading.is_ok() { "Ok" } else { "refused" };
            let new = code(FileDevice::create(path.with_extension("new"), LEN, false));
            child::say(&format!("{writing}, writable {reading}, new {new}"));
        }
        "leaves_the_lock_to_its_child" => {
            let _device = FileDevice::open(path, Access::Write).unwrap();
            if let Some(pid) = child::fork(|| std::thread::sleep(std::time::Duration::from_secs(60))) {
                child::say(&pid.to_string());
                // Ends without dropping anything, as a killed process does.
                child::exit();
            }
        }
        "forks" => {
            let mut opened = Some(FileDevice::open(path, Access::Write).unwrap());
            let page = AlignedBuf::zeroed(4096);
            child::fork_and_wait(|| {
                let device = opened.take().unwrap();
                let codes = [
                    code(device.write_at(b"x", 0)),
                    code(device.write_durable(&page, 0)),
                    code(device.discard(0, 4096)),
                ];
                let read = device.read_at(&mut [0; 10], 0).is_ok();
                drop(device);
                child::say_part(&format!(
                    "child {} {}",
                    codes.join(" "),
                    if read { "Ok" } else { "refused" }
                ));
            });
            let held = code(FileDevice::open(path, Access::Write)) == "busy";
            child::say(if held { ", parent still holds it" } else { ", and the lock is lost" });
        }
        other => panic!("no role {other}"),
    });
}
