//! A mapped page that cannot be read is an error, and does not kill the process.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(unsafe_code, reason = "the tests make mappings of their own, and handle signals")]

mod child;

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use child::Child;
use vexfs_device::{Access, Device, FileDevice};

const LEN: u64 = 1 << 20;

fn cut(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn volume(path: &Path) -> FileDevice {
    let device = FileDevice::create(path, LEN, false).unwrap();
    device.write_at(&vec![7; LEN as usize], 0).unwrap();
    device
}

#[test]
fn a_page_cut_off_reads_as_zeros_and_the_map_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volume");
    let device = volume(&path);
    let map = device.map(4096 + 10, LEN - 8192).unwrap();
    let other = device.map(0, LEN).unwrap();
    assert!(map.iter().all(|&b| b == 7) && !map.is_copy());
    map.check().unwrap();
    cut(&path, LEN / 2);
    let half = (LEN / 2) as usize - 4106;
    assert!(map[..half].iter().all(|&b| b == 7));
    map.check().unwrap();
    assert!(map[half..].iter().all(|&b| b == 0));
    let error = map.check().unwrap_err();
    assert_eq!(error.code(), "io");
    assert!(error.to_string().contains("mapped page"), "{error}");
    assert_eq!(map.clone().check(), Err(error));
    other.check().unwrap();
    cut(&path, LEN);
    assert!(map.check().is_err(), "for good");
    drop(map);
    let later: Vec<_> = (0..200).map(|_| device.map(0, LEN).unwrap()).collect();
    assert!(later.iter().all(|m| m[0] == 7 && m.check().is_ok()), "a new map begins whole");
}

#[test]
fn many_threads_may_hit_the_same_missing_pages() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volume");
    let device = volume(&path);
    let map = device.map(0, LEN).unwrap();
    cut(&path, 4096);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(map.iter().map(|&b| u64::from(b)).sum::<u64>(), 7 * 4096));
        }
    });
    assert!(map.check().is_err());
}

#[test]
fn a_small_read_of_what_was_cut_off_is_an_error_and_one_of_what_is_left_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volume");
    let device = volume(&path);
    let read = |offset| {
        let mut block = [0; 4096];
        device.read_at(&mut block, offset).map(|()| block)
    };
    assert_eq!(read(LEN / 2).unwrap(), [7; 4096]);
    cut(&path, LEN / 2);
    for _ in 0..2 {
        assert_eq!(read(LEN / 2).unwrap_err().code(), "truncated");
        assert_eq!(read(LEN / 2 - 4096).unwrap(), [7; 4096]);
    }
    cut(&path, LEN);
    assert_eq!(read(LEN / 2).unwrap(), [0; 4096]);
    device.write_at(&[9; 4096], LEN / 2).unwrap();
    assert_eq!(read(LEN / 2).unwrap(), [9; 4096], "what is written later is read");
}

#[test]
fn a_copy_is_whole_whatever_happens_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volume");
    let device = volume(&path).with_copied_maps();
    let map = device.map(0, LEN).unwrap();
    cut(&path, 0);
    assert!(map.iter().all(|&b| b == 7) && map.is_copy());
    map.check().unwrap();
}

#[test]
fn more_maps_than_can_be_guarded_are_copies() {
    let directory = tempfile::tempdir().unwrap();
    let device = volume(&directory.path().join("volume"));
    let maps: Vec<_> = (0..1100).map(|_| device.map(0, 4096).unwrap()).collect();
    assert!(maps.iter().all(|m| m[..] == [7; 4096]));
    assert!(maps.iter().any(|m| m.is_copy()) && maps.iter().any(|m| !m.is_copy()));
    drop(maps);
    assert!(!device.map(0, 4096).unwrap().is_copy());
}

#[test]
fn faults_that_are_not_ours_go_where_they_went_before() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    assert_eq!(Child::start("faults_elsewhere", place).finish(), format!("signal {}", libc::SIGBUS));
    assert_eq!(Child::start("is_sent_the_signal", place).finish(), format!("signal {}", libc::SIGBUS));
    assert_eq!(Child::start("has_its_own_handler", place).finish(), "own handler 1, map failed true");
}

/// Maps a file by itself and reads behind its end.
fn fault(directory: &Path) -> u8 {
    let path = directory.join("other");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(8192).unwrap();
    // SAFETY: that the file is cut short below is what the test is about.
    let pages = unsafe { memmap2::Mmap::map(&file).unwrap() };
    file.set_len(0).unwrap();
    pages[4096]
}

static OWN: AtomicU32 = AtomicU32::new(0);

extern "C" fn own_handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    OWN.fetch_add(1, Ordering::Relaxed);
    // SAFETY: puts a readable page where the fault was, so that the test can go on.
    unsafe {
        let page = ((*info).si_addr() as usize & !4095) as *mut libc::c_void;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        libc::mmap(page, 4096, libc::PROT_READ, flags, -1, 0);
    }
}

#[test]
fn child_main() {
    child::run(|role, directory| {
        let path = directory.join(role);
        // SAFETY: a zeroed sigaction is the default action, and the handler has the signature that it needs.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if role == "has_its_own_handler" {
                action.sa_sigaction = own_handler as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO;
            }
            libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
        }
        let map = volume(&path).map(0, LEN).unwrap();
        match role {
            "faults_elsewhere" => assert_eq!(fault(directory), 1, "unreachable"),
            // SAFETY: sends a signal to this process.
            "is_sent_the_signal" => assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0),
            "has_its_own_handler" => {
                fault(directory);
                cut(&path, 0);
                assert_eq!(map[0], 0);
                let failed = map.check().is_err();
                child::say(&format!("own handler {}, map failed {failed}", OWN.load(Ordering::Relaxed)));
            }
            other => panic!("no role {other}"),
        }
        let _ = FileDevice::open(&path, Access::Beside);
    });
}
