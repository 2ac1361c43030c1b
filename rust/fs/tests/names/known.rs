//! A path leads where its names lead at the moment that is read, however often it was gone before.

use std::sync::atomic::{AtomicBool, Ordering};

use vexfs_fs::{Caller, Durability, Follow, Fs, FsTx, FsView, Ino, Isolation, RenameFlags};

use crate::{ROOT, code, make_dir, make_file, root, volume};

fn view(fs: &Fs) -> FsView {
    fs.view(&Caller::privileged(0, 0, 0)).unwrap()
}

fn resolve(view: &FsView, path: &str) -> Result<Ino, &'static str> {
    view.resolve(path.as_bytes(), Follow::Always).map_err(|error| error.code())
}

/// The same by the names alone, one by one.
fn look(view: &FsView, names: &[&str]) -> Result<Ino, &'static str> {
    names.iter().try_fold(ROOT, |dir, name| {
        view.lookup(dir, name.as_bytes()).map(|attr| attr.ino).map_err(|error| error.code())
    })
}

fn rename(fs: &Fs, from: &str, to: &str, flags: RenameFlags) {
    root(fs, |tx| tx.rename_path(from.as_bytes(), to.as_bytes(), flags)).unwrap();
}

#[test]
fn a_directory_is_found_where_it_is_now_and_by_an_older_view_where_it_was() {
    let fs = volume();
    for dir in ["/a", "/a/in", "/b"] {
        make_dir(&fs, dir, 0o755);
    }
    let file = make_file(&fs, "/a/in/f", 0o644).ino;
    let other = make_file(&fs, "/b/f", 0o644).ino;
    let before = view(&fs);
    assert_eq!(resolve(&before, "/a/in/f"), Ok(file));
    rename(&fs, "/a/in", "/b/in", RenameFlags::Replace);
    let moved = view(&fs);
    assert_eq!(resolve(&moved, "/a/in/f"), Err("not_found"));
    assert_eq!(resolve(&moved, "/b/in/f"), Ok(file));
    assert_eq!(resolve(&before, "/a/in/f"), Ok(file));
    assert_eq!(resolve(&before, "/b/in/f"), Err("not_found"));
    rename(&fs, "/a", "/b", RenameFlags::Exchange);
    let exchanged = view(&fs);
    assert_eq!(resolve(&exchanged, "/a/in/f"), Ok(file));
    assert_eq!(resolve(&exchanged, "/a/f"), Ok(other));
    assert_eq!(resolve(&exchanged, "/b/f"), Err("not_found"));
    assert_eq!(resolve(&moved, "/b/f"), Ok(other));
}

#[test]
fn a_name_given_to_another_directory_leads_to_that_one() {
    let fs = volume();
    make_dir(&fs, "/a", 0o755);
    make_file(&fs, "/a/old", 0o644);
    assert!(resolve(&view(&fs), "/a/old").is_ok());
    root(&fs, |tx| tx.unlink_path(b"/a/old")).unwrap();
    root(&fs, |tx| tx.rmdir_path(b"/a")).unwrap();
    assert_eq!(resolve(&view(&fs), "/a/old"), Err("not_found"));
    make_dir(&fs, "/a", 0o755);
    make_file(&fs, "/a/new", 0o644);
    assert!(resolve(&view(&fs), "/a/new").is_ok());
    make_dir(&fs, "/c", 0o755);
    make_file(&fs, "/c/third", 0o644);
    root(&fs, |tx| tx.unlink_path(b"/a/new")).unwrap();
    rename(&fs, "/c", "/a", RenameFlags::Replace);
    assert!(resolve(&view(&fs), "/a/third").is_ok());
}

#[test]
fn what_a_transaction_did_to_directories_is_its_own_until_it_commits() {
    let fs = volume();
    make_dir(&fs, "/a", 0o755);
    let file = make_file(&fs, "/a/f", 0o644).ino;
    assert_eq!(resolve(&view(&fs), "/a/f"), Ok(file));
    let mut tx = fs.begin(&Caller::privileged(0, 0, 0), Isolation::Snapshot).unwrap();
    tx.rename_path(b"/a", b"/b", RenameFlags::Replace).unwrap();
    tx.mkdir_path(b"/a", 0o755).unwrap();
    let made = tx.create_path(b"/a/f", 0o644).unwrap().ino;
    assert_eq!(tx.resolve(b"/a/f", Follow::Always).unwrap(), made);
    assert_eq!(tx.resolve(b"/b/f", Follow::Always).unwrap(), file);
    assert_eq!(resolve(&view(&fs), "/a/f"), Ok(file));
    tx.abort();
    let mut tx = fs.begin(&Caller::privileged(0, 0, 0), Isolation::Snapshot).unwrap();
    tx.mkdir_path(b"/made", 0o755).unwrap();
    tx.create_path(b"/made/f", 0o644).unwrap();
    tx.resolve(b"/made/f", Follow::Always).unwrap();
    tx.abort();
    assert_eq!(resolve(&view(&fs), "/made/f"), Err("not_found"));
    assert_eq!(resolve(&view(&fs), "/a/f"), Ok(file));
    assert_eq!(code(view(&fs).resolve(b"/b/f", Follow::Always)), "not_found");
}

#[test]
fn two_volumes_with_the_same_names_are_told_apart() {
    let (one, other) = (volume(), volume());
    make_dir(&one, "/a", 0o755);
    make_file(&one, "/a/f", 0o644);
    make_dir(&other, "/b", 0o755);
    make_dir(&other, "/a", 0o755);
    assert!(resolve(&view(&one), "/a/f").is_ok());
    assert_eq!(resolve(&view(&other), "/a/f"), Err("not_found"));
}

#[test]
fn while_directories_change_places_every_view_has_one_of_the_two_orders() {
    let fs = volume();
    for dir in ["/a", "/b", "/a/in", "/b/in"] {
        make_dir(&fs, dir, 0o755);
    }
    make_file(&fs, "/a/in/f", 0o644);
    make_file(&fs, "/b/in/f", 0o644);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let now = view(&fs);
                    for top in ["a", "b"] {
                        let found = resolve(&now, &format!("/{top}/in/f"));
                        assert_eq!(found, look(&now, &[top, "in", "f"]));
                        assert!(found.is_ok());
                    }
                }
            })
        });
        for round in 0..3000 {
            let (from, to) = if round % 2 == 0 { ("/a", "/b") } else { ("/a/in", "/b/in") };
            // One that has to reach the device is visible for a while before it is done.
            let exchange =
                |tx: &mut FsTx| tx.rename_path(from.as_bytes(), to.as_bytes(), RenameFlags::Exchange);
            fs.auto_with(&Caller::root(), Durability::Durable, exchange).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn what_a_directory_is_now_an_older_view_finds_as_what_it_was() {
    let fs = volume();
    make_dir(&fs, "/other", 0o755);
    let file = make_file(&fs, "/other/x", 0o644).ino;
    root(&fs, |tx| tx.symlink_path(b"/other", b"/link")).unwrap();
    make_file(&fs, "/file", 0o644);
    let before = view(&fs);
    for name in ["/link", "/file"] {
        root(&fs, |tx| tx.unlink_path(name.as_bytes())).unwrap();
    }
    for name in ["/link", "/file", "/new"] {
        make_dir(&fs, name, 0o755);
        make_file(&fs, &format!("{name}/y"), 0o644);
        assert!(resolve(&view(&fs), &format!("{name}/y")).is_ok());
    }
    assert_eq!(resolve(&before, "/link/x"), Ok(file));
    assert_eq!(resolve(&before, "/link/y"), Err("not_found"));
    assert_eq!(resolve(&before, "/file/y"), Err("not_a_directory"));
    assert_eq!(resolve(&before, "/new/."), Err("not_found"));
}
