use vexfs_fs::{Caller, Fs, FsTx};

use crate::{ROOT, code, device, make_dir, make_file, names, open, root, stat, user, volume};

fn plant(fs: &Fs, depth: usize, width: usize, files: usize) {
    fn grow(tx: &mut FsTx, path: &str, depth: usize, width: usize, files: usize) -> vexfs_fs::Result<()> {
        tx.mkdir_path(path.as_bytes(), 0o755)?;
        for i in 0..files {
            let attr = tx.create_path(format!("{path}/f{i}").as_bytes(), 0o644)?;
            tx.write_all(attr.ino, &vec![i as u8; i * i * 150])?;
        }
        for i in 0..if depth == 0 { 0 } else { width } {
            grow(tx, &format!("{path}/d{i}"), depth - 1, width, files)?;
        }
        Ok(())
    }
    root(fs, |tx| grow(tx, "/tree", depth, width, files)).unwrap();
}

#[test]
fn a_tree_goes_with_everything_in_it() {
    let fs = volume();
    let before = fs.statfs().unwrap();
    plant(&fs, 3, 2, 7);
    root(&fs, |tx| tx.symlink_path(b"/", b"/tree/up")).unwrap();
    make_file(&fs, "/stays", 0o644);
    fs.rmtree(&Caller::root(), b"/tree").unwrap();
    assert_eq!(names(&fs, "/"), ["stays"]);
    assert_eq!(stat(&fs, "/").unwrap().nlink, 2);
    fs.rmtree(&Caller::root(), b"/stays").unwrap();
    fs.store().checkpoint(Default::default()).unwrap();
    fs.store().checkpoint(Default::default()).unwrap();
    assert_eq!(fs.statfs().unwrap().inodes_free, before.inodes_free);
}

#[test]
fn a_tree_larger_than_any_transaction_goes_in_steps() {
    let fs = open(&device(16));
    let limit = fs.store().geometry().journal.bytes() / 4;
    let name = "n".repeat(200);
    make_dir(&fs, "/tree", 0o755);
    for batch in 0..50 {
        root(&fs, |tx| {
            (0..100).try_for_each(|i| {
                tx.create_path(format!("/tree/{name}{batch} {i}").as_bytes(), 0o644).map(drop)
            })
        })
        .unwrap();
    }
    assert!(5000 * 2 * 17 > limit, "deleting all at once does not fit");
    let all_at_once = root(&fs, |tx| tx.rmtree(b"/tree"));
    assert_eq!(code(all_at_once), "too_large");
    fs.rmtree(&Caller::root(), b"/tree").unwrap();
    assert_eq!(names(&fs, "/"), Vec::<String>::new());
}

#[test]
fn a_tree_in_a_transaction_comes_back_when_it_is_aborted() {
    let fs = volume();
    plant(&fs, 2, 2, 3);
    let mut tx = fs.begin(&Caller::root(), vexfs_fs::Isolation::Snapshot).unwrap();
    tx.rmtree(b"/tree").unwrap();
    assert_eq!(code(tx.stat(b"/tree", Default::default())), "not_found");
    drop(tx);
    assert_eq!(names(&fs, "/tree"), ["d0", "d1", "f0", "f1", "f2"]);
}

#[test]
fn removing_a_tree_stops_where_permission_ends() {
    let fs = volume();
    make_dir(&fs, "/t", 0o777);
    make_dir(&fs, "/t/a", 0o777);
    make_dir(&fs, "/t/shut", 0o755);
    make_file(&fs, "/t/shut/f", 0o644);
    assert_eq!(code(fs.rmtree(&user(1000, &[]), b"/t")), "access_denied");
    assert_eq!(names(&fs, "/t/shut"), ["f"]);
    assert_eq!(code(fs.rmtree(&Caller::root(), b"/")), "root_busy");
    assert_eq!(code(fs.rmtree(&Caller::root(), b"/t/.")), "root_busy");
    assert_eq!(code(fs.rmtree(&Caller::root(), b"/none")), "not_found");
    assert_eq!(code(fs.rmtree(&Caller::root(), b"/t/shut/f/")), "not_a_directory");
}

#[test]
fn a_large_file_is_removed_in_steps_and_all_its_space_comes_back() {
    let fs = open(&device(64));
    make_file(&fs, "/warm", 0o644);
    fs.store().checkpoint(Default::default()).unwrap();
    let before = fs.statfs().unwrap();
    // Every other block, so that the file has thousands of extents.
    let ino = make_file(&fs, "/big", 0o644).ino;
    for batch in 0..20_u64 {
        root(&fs, |tx| (0..200).try_for_each(|i| tx.write(ino, (batch * 200 + i) * 8192, &[1; 4096])))
            .unwrap();
    }
    root(&fs, |tx| tx.unlink(ROOT, b"big")).unwrap();
    assert_eq!(code(fs.view(&Caller::root()).unwrap().getattr(ino)), "stale");
    for _ in 0..3 {
        fs.store().checkpoint(Default::default()).unwrap();
    }
    let after = fs.statfs().unwrap();
    assert_eq!(after.inodes_free, before.inodes_free);
    assert!(before.blocks_free - after.blocks_free < 200, "{before:?} {after:?}");
}

#[test]
fn parents_are_made_where_they_are_missing() {
    let fs = volume();
    root(&fs, |tx| tx.mkdir_all(b"/a/b//c/./d/", 0o755)).unwrap();
    let attr = root(&fs, |tx| tx.mkdir_all(b"/a/b/c/d", 0o755)).unwrap();
    assert_eq!(stat(&fs, "/a/b/c/d").unwrap().ino, attr.ino);
    assert_eq!(root(&fs, |tx| tx.mkdir_all(b"/", 0o755)).unwrap().ino, ROOT);
    root(&fs, |tx| tx.symlink_path(b"a/b", b"/link")).unwrap();
    root(&fs, |tx| tx.mkdir_all(b"/link/new/x", 0o755)).unwrap();
    assert_eq!(names(&fs, "/a/b"), ["c", "new"]);
    make_file(&fs, "/f", 0o644);
    assert_eq!(code(root(&fs, |tx| tx.mkdir_all(b"/f", 0o755))), "exists");
    assert_eq!(code(root(&fs, |tx| tx.mkdir_all(b"/f/x", 0o755))), "not_a_directory");
}

#[test]
fn a_full_volume_can_be_emptied() {
    let fs = open(&device(4));
    let mut made = 0;
    let refused = loop {
        let result = root(&fs, |tx| {
            let attr = tx.create(ROOT, format!("{made}").as_bytes(), 0o644)?;
            tx.write_all(attr.ino, &[5; 20_000])
        });
        match result {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused.code(), refused.errno()), ("no_space", 28));
    assert!(made > 50);
    for i in 0..made {
        root(&fs, |tx| tx.unlink(ROOT, format!("{i}").as_bytes())).unwrap();
    }
    for i in 0..made / 2 {
        root(&fs, |tx| {
            let attr = tx.create(ROOT, format!("again {i}").as_bytes(), 0o644)?;
            tx.write_all(attr.ino, &[6; 20_000])
        })
        .unwrap();
    }
}
