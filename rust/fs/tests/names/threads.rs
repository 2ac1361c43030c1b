//! Eight threads on one volume: each operation is all or nothing, and at the end the tree is what they say they did.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use vexfs_fs::{Caller, FileType, Fs, RenameFlags};

use crate::audit::audit;
use crate::{device, make_dir, open};

const THREADS: u64 = 8;
const ROUNDS: u32 = 400;

/// A small generator, so that a seed gives the same run of choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn path(&mut self) -> Vec<u8> {
        let dirs = ["/x", "/y", "/z", "/x/sub", "/y/sub"];
        format!("{}/{}", dirs[self.roll(5) as usize], self.roll(6)).into_bytes()
    }
}

#[derive(Default)]
struct Tally {
    files: AtomicI64,
    dirs: AtomicI64,
    links: AtomicI64,
}

fn caller() -> Caller {
    Caller::privileged(0, 0, 0o022)
}

/// One operation on the directories that all share.
fn meddle(fs: &Fs, dice: &mut Dice, tally: &Tally) {
    let (path, other) = (dice.path(), dice.path());
    let count = |counter: &AtomicI64, change: i64| {
        counter.fetch_add(change, Ordering::Relaxed);
    };
    let caller = caller();
    match dice.roll(8) {
        0 | 1 if fs.auto(&caller, |tx| tx.create_path(&path, 0o644)).is_ok() => count(&tally.files, 1),
        2 if fs.auto(&caller, |tx| tx.mkdir_path(&path, 0o755)).is_ok() => count(&tally.dirs, 1),
        3 if fs.auto(&caller, |tx| tx.unlink_path(&path)).is_ok() => count(&tally.links, -1),
        4 if fs.auto(&caller, |tx| tx.rmdir_path(&path)).is_ok() => count(&tally.dirs, -1),
        5 if fs.auto(&caller, |tx| tx.link_path(&path, &other, Default::default())).is_ok() => {
            count(&tally.links, 1);
        }
        6 => {
            let _ = fs.auto(&caller, |tx| tx.rename_path(&path, &other, RenameFlags::Exchange));
        }
        _ => {
            let _ = fs.auto(&caller, |tx| tx.rename_path(&path, &other, RenameFlags::NoReplace));
        }
    }
}

/// One operation on a directory of the thread's own, of which it knows everything.
fn mind_own_business(fs: &Fs, dice: &mut Dice, home: &str, own: &mut BTreeMap<u64, Vec<u8>>) {
    let (name, other) = (dice.roll(20), dice.roll(20));
    let path = |name: u64| format!("{home}/{name}").into_bytes();
    let caller = caller();
    match dice.roll(4) {
        0 | 1 => {
            let content = vec![name as u8; dice.roll(9000) as usize];
            fs.auto(&caller, |tx| {
                let attr = match tx.try_stat(&path(name), Default::default())? {
                    Some(attr) => attr,
                    None => tx.create_path(&path(name), 0o644)?,
                };
                tx.write_all(attr.ino, &content)
            })
            .unwrap();
            own.insert(name, content);
        }
        2 => {
            let result = fs.auto(&caller, |tx| tx.unlink_path(&path(name)));
            assert_eq!(result.is_ok(), own.remove(&name).is_some(), "{result:?}");
        }
        _ => {
            let result =
                fs.auto(&caller, |tx| tx.rename_path(&path(name), &path(other), RenameFlags::Replace));
            assert_eq!(result.is_ok(), own.contains_key(&name), "{result:?}");
            if let Some(content) = own.remove(&name) {
                own.insert(other, content);
            }
        }
    }
}

#[test]
fn eight_threads_leave_the_tree_that_they_say_they_made() {
    let device = device(64);
    let fs = open(&device);
    for dir in ["/x", "/y", "/z", "/x/sub", "/y/sub"] {
        make_dir(&fs, dir, 0o755);
    }
    let tally = Tally::default();
    let owned: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (fs, tally) = (&fs, &tally);
                scope.spawn(move || {
                    let home = format!("/home {thread}");
                    make_dir(fs, &home, 0o755);
                    let (mut dice, mut own) = (Dice(thread + 1), BTreeMap::new());
                    for _ in 0..ROUNDS {
                        meddle(fs, &mut dice, tally);
                        mind_own_business(fs, &mut dice, &home, &mut own);
                    }
                    own
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    check(&fs, &tally, &owned);
    fs.close().unwrap();
    check(&open(&device), &tally, &owned);
}

fn check(fs: &Fs, tally: &Tally, owned: &[BTreeMap<u64, Vec<u8>>]) {
    let (paths, nameless) = audit(fs);
    assert!(nameless.is_empty());
    let shared = |path: &&Vec<u8>| !path.starts_with(b"/home ");
    let count = |directories: bool| {
        paths.iter().filter(|(path, attr)| shared(path) && attr.is_dir() == directories).count() as i64
    };
    let links = tally.files.load(Ordering::Relaxed) + tally.links.load(Ordering::Relaxed);
    assert_eq!(count(false), links);
    assert_eq!(count(true), tally.dirs.load(Ordering::Relaxed) + 6);
    let view = fs.view(&caller()).unwrap();
    for (thread, own) in owned.iter().enumerate() {
        let home = format!("/home {thread}");
        let found = view.list_path(home.as_bytes()).unwrap();
        assert_eq!(found.len(), own.len());
        for (name, content) in own {
            let attr = paths[format!("{home}/{name}").as_bytes()];
            assert_eq!(attr.file_type, FileType::Regular);
            assert_eq!(&view.read_all(attr.ino).unwrap(), content);
        }
    }
}
