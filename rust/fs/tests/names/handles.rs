use vexfs_fs::{Caller, Durability, Follow, Fs, Ino, Isolation, OpenOptions, Options};

use crate::audit::audit;
use crate::{ROOT, code, device, make_dir, make_file, open, root, stat, volume};

fn exists(fs: &Fs, ino: Ino) -> bool {
    fs.view(&Caller::root()).unwrap().getattr(ino).is_ok()
}

#[test]
fn an_open_file_outlives_its_last_name_and_goes_with_the_last_hold() {
    let fs = volume();
    let file = make_file(&fs, "/f", 0o644);
    root(&fs, |tx| tx.write_all(file.ino, &[7; 100_000])).unwrap();
    let first = fs.hold(file.ino, Some(file.generation)).unwrap();
    let second = first.clone();
    root(&fs, |tx| tx.unlink(ROOT, b"f")).unwrap();
    let attr = fs.view(&Caller::root()).unwrap().getattr(file.ino).unwrap();
    assert_eq!(attr.nlink, 0);
    assert_eq!(fs.view(&Caller::root()).unwrap().read_all(file.ino).unwrap(), [7; 100_000]);
    root(&fs, |tx| tx.write(file.ino, 0, b"still")).unwrap();
    drop(first);
    assert!(exists(&fs, file.ino));
    drop(second);
    assert!(!exists(&fs, file.ino));
    assert_eq!(code(fs.hold(file.ino, None)), "stale");
}

#[test]
fn nothing_is_left_to_do_for_a_file_that_was_cut_short_and_removed_at_once() {
    let device = device(16);
    let fs = open(&device);
    let ino = make_file(&fs, "/f", 0o644).ino;
    // More extents than one transaction removes, so that the truncation is to go on after the commit.
    root(&fs, |tx| (0..300).try_for_each(|tooth| tx.write(ino, tooth * 8192, &[1; 4096]))).unwrap();
    let mut tx = fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    tx.truncate(ino, 0).unwrap();
    tx.unlink(ROOT, b"f").unwrap();
    tx.commit(Durability::Durable).unwrap();
    // The process is gone before what goes on reaches the log.
    std::mem::forget(fs);
    let options = Options { mode: vexfs_store::Mode::Read, ..Options::default() };
    let (paths, nameless) = audit(&Fs::open(device, options).unwrap());
    assert_eq!((paths.len(), nameless.len()), (1, 0));
}

#[test]
fn a_file_that_was_cut_short_and_removed_at_once_lives_on_while_it_is_held() {
    let fs = volume();
    let file = make_file(&fs, "/f", 0o644);
    let hold = fs.hold(file.ino, Some(file.generation)).unwrap();
    root(&fs, |tx| (0..600).try_for_each(|tooth| tx.write(file.ino, tooth * 8192, &[1; 4096]))).unwrap();
    let mut tx = fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    tx.truncate(file.ino, 0).unwrap();
    tx.write(file.ino, 0, b"left").unwrap();
    tx.unlink(ROOT, b"f").unwrap();
    tx.commit(Durability::Visible).unwrap();
    assert_eq!(fs.view(&Caller::root()).unwrap().read_all(file.ino).unwrap(), b"left");
    root(&fs, |tx| tx.write(file.ino, 4, b" and written")).unwrap();
    assert_eq!(fs.view(&Caller::root()).unwrap().read_all(file.ino).unwrap(), b"left and written");
    drop(hold);
    assert!(!exists(&fs, file.ino));
    assert_eq!(audit(&fs).1.len(), 0);
}

#[test]
fn a_removed_directory_lives_on_empty_while_it_is_held() {
    let fs = volume();
    let dir = make_dir(&fs, "/d", 0o755);
    let hold = fs.hold(dir.ino, None).unwrap();
    root(&fs, |tx| tx.rmdir(ROOT, b"d")).unwrap();
    let view = fs.view(&Caller::root()).unwrap();
    assert_eq!(view.getattr(dir.ino).unwrap().nlink, 0);
    assert_eq!(view.list(dir.ino).unwrap(), []);
    assert_eq!(code(root(&fs, |tx| tx.create(dir.ino, b"f", 0o644))), "not_found");
    assert_eq!(code(root(&fs, |tx| tx.tmpfile(dir.ino, 0o644, true))), "not_found");
    assert_eq!(code(view.lookup(dir.ino, b"..")), "not_found");
    drop(hold);
    assert!(!exists(&fs, dir.ino));
}

#[test]
fn a_file_whose_last_name_is_renamed_over_is_kept_for_who_holds_it() {
    let fs = volume();
    let old = make_file(&fs, "/old", 0o644);
    make_file(&fs, "/new", 0o644);
    let hold = fs.hold(old.ino, None).unwrap();
    root(&fs, |tx| tx.rename(ROOT, b"new", ROOT, b"old", Default::default())).unwrap();
    assert!(exists(&fs, old.ino));
    drop(hold);
    assert!(!exists(&fs, old.ino));
}

#[test]
fn lookups_count_until_they_are_forgotten() {
    let fs = volume();
    let file = make_file(&fs, "/f", 0o644);
    for _ in 0..3 {
        fs.hold(file.ino, None).unwrap().into_lookup();
    }
    root(&fs, |tx| tx.unlink(ROOT, b"f")).unwrap();
    fs.forget(file.ino, 2);
    assert!(exists(&fs, file.ino));
    fs.forget(file.ino, 1);
    assert!(!exists(&fs, file.ino));
    fs.forget(file.ino, 0);
}

#[test]
fn what_was_open_at_a_crash_is_removed_at_the_next_open() {
    let device = device(16);
    let before = {
        let fs = open(&device);
        let free = fs.statfs().unwrap();
        let file = make_file(&fs, "/f", 0o644);
        root(&fs, |tx| tx.write_all(file.ino, &vec![7; 3 << 20])).unwrap();
        root(&fs, |tx| tx.setxattr(file.ino, b"user.a", &[1; 5000], Default::default())).unwrap();
        let (anonymous, tmp) = root(&fs, |tx| tx.tmpfile(ROOT, 0o600, true)).unwrap();
        root(&fs, |tx| tx.write_all(anonymous.ino, &[8; 100_000])).unwrap();
        let hold = fs.hold(file.ino, None).unwrap();
        root(&fs, |tx| tx.unlink(ROOT, b"f")).unwrap();
        fs.sync().unwrap();
        // Neither hold is ever let go: the process is gone.
        std::mem::forget((hold, tmp));
        let inos = [file.ino, anonymous.ino];
        assert!(inos.iter().all(|ino| exists(&fs, *ino)));
        std::mem::forget(fs);
        (free, inos)
    };
    let image = vexfs_device::MemoryDevice::from_bytes(&bytes(&device));
    let device: std::sync::Arc<dyn vexfs_device::Device> = std::sync::Arc::new(image);
    let fs = open(&device);
    assert!(before.1.iter().all(|ino| !exists(&fs, *ino)));
    fs.store().checkpoint(Default::default()).unwrap();
    fs.store().checkpoint(Default::default()).unwrap();
    assert_eq!(fs.statfs().unwrap().inodes_free, before.0.inodes_free);
}

#[test]
fn orphans_are_finished_in_the_background_and_waited_for() {
    let device = device(16);
    let fs = open(&device);
    let inos: Vec<Ino> = (0..50)
        .map(|i| {
            let file = make_file(&fs, &format!("/{i}"), 0o644);
            root(&fs, |tx| tx.write_all(file.ino, &[i; 50_000])).unwrap();
            fs.hold(file.ino, None).unwrap().into_lookup();
            root(&fs, |tx| tx.unlink_path(format!("/{i}").as_bytes())).unwrap();
            file.ino
        })
        .collect();
    fs.sync().unwrap();
    let image = vexfs_device::MemoryDevice::from_bytes(&bytes(&device));
    let fs = Fs::open(std::sync::Arc::new(image), vexfs_fs::Options::default()).unwrap();
    assert!(fs.settle_orphans());
    assert!(!fs.settle_orphans());
    assert!(inos.iter().all(|ino| !exists(&fs, *ino)));
    assert_eq!(crate::audit::audit(&fs).1.len(), 0);
}

fn bytes(device: &std::sync::Arc<dyn vexfs_device::Device>) -> Vec<u8> {
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn an_anonymous_file_can_get_a_name_and_one_that_lost_it_cannot() {
    let fs = volume();
    let (attr, hold) = root(&fs, |tx| tx.tmpfile(ROOT, 0o644, true)).unwrap();
    assert_eq!(attr.nlink, 0);
    root(&fs, |tx| tx.write_all(attr.ino, b"content")).unwrap();
    root(&fs, |tx| tx.link(attr.ino, ROOT, b"named")).unwrap();
    drop(hold);
    assert_eq!(stat(&fs, "/named").unwrap().nlink, 1);
    let hold = fs.hold(attr.ino, None).unwrap();
    root(&fs, |tx| tx.unlink(ROOT, b"named")).unwrap();
    assert_eq!(code(root(&fs, |tx| tx.link(attr.ino, ROOT, b"again"))), "not_found");
    drop(hold);
    assert!(!exists(&fs, attr.ino));
    let (fixed, hold) = root(&fs, |tx| tx.tmpfile(ROOT, 0o644, false)).unwrap();
    assert_eq!(code(root(&fs, |tx| tx.link(fixed.ino, ROOT, b"x"))), "not_found");
    drop(hold);
    assert!(!exists(&fs, fixed.ino));
}

#[test]
fn an_anonymous_file_of_a_transaction_that_fails_was_never_there() {
    let fs = volume();
    let mut tx = fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    let (attr, hold) = tx.tmpfile(ROOT, 0o600, true).unwrap();
    drop(tx);
    drop(hold);
    assert!(!exists(&fs, attr.ino));
    let mut tx = fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    let (attr, hold) = tx.tmpfile(ROOT, 0o600, true).unwrap();
    tx.link(attr.ino, ROOT, b"linked").unwrap();
    tx.commit(Durability::Visible).unwrap();
    drop(hold);
    assert_eq!(stat(&fs, "/linked").unwrap().ino, attr.ino);
}

#[test]
fn opening_while_others_remove_gives_the_file_or_says_that_it_is_gone() {
    let fs = volume();
    let options = OpenOptions { read: true, ..OpenOptions::default() };
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2000 {
                let (attr, _hold) = root(&fs, |tx| {
                    let attr = tx.create(ROOT, b"f", 0o644)?;
                    tx.write_all(attr.ino, b"whole")?;
                    Ok((attr, ()))
                })
                .unwrap();
                let _ = attr;
                root(&fs, |tx| tx.unlink(ROOT, b"f")).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    match fs.open_file(&Caller::root(), b"/f", &options) {
                        Ok(file) => {
                            let view = fs.view(&Caller::root()).unwrap();
                            assert_eq!(view.read_all(file.ino()).unwrap(), b"whole");
                        }
                        Err(error) => assert_eq!(error.code(), "not_found"),
                    }
                }
            });
        }
    });
    let left = fs.view(&Caller::root()).unwrap().resolve(b"/f", Follow::Always);
    assert_eq!(code(left), "not_found");
}
