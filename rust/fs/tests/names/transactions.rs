use vexfs_fs::{Caller, Durability, FsTx, Isolation, RenameFlags, SetAttr};

use crate::{ROOT, code, device, make_dir, make_file, names, open, root, stat, volume};

fn begin(fs: &vexfs_fs::Fs) -> FsTx {
    fs.begin(&Caller::root(), Isolation::Snapshot).unwrap()
}

#[test]
fn a_transaction_sees_its_changes_and_nobody_else_does_before_the_commit() {
    let fs = volume();
    make_file(&fs, "/old", 0o644);
    let mut tx = begin(&fs);
    tx.mkdir_path(b"/d", 0o755).unwrap();
    tx.create_path(b"/d/f", 0o644).unwrap();
    tx.unlink_path(b"/old").unwrap();
    let listed: Vec<_> = tx.list(ROOT).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(listed, [b"d"]);
    assert_eq!((tx.getattr(ROOT).unwrap().nlink, tx.list_path(b"/d").unwrap().len()), (3, 1));
    assert_eq!(names(&fs, "/"), ["old"]);
    tx.commit(Durability::Visible).unwrap();
    assert_eq!((names(&fs, "/"), names(&fs, "/d")), (vec!["d".into()], vec!["f".into()]));
}

#[test]
fn an_abort_undoes_everything_and_gives_the_numbers_back() {
    let fs = volume();
    let before = fs.statfs().unwrap();
    let mut tx = begin(&fs);
    for i in 0..50 {
        let attr = tx.create(ROOT, format!("{i}").as_bytes(), 0o644).unwrap();
        tx.write_all(attr.ino, &[1; 10_000]).unwrap();
    }
    assert_eq!(fs.statfs().unwrap().inodes_free, before.inodes_free - 50);
    tx.abort();
    assert_eq!(fs.statfs().unwrap(), before);
    assert_eq!(names(&fs, "/"), Vec::<String>::new());
}

#[test]
fn a_savepoint_undoes_what_came_after_it_and_no_more() {
    let fs = volume();
    make_file(&fs, "/old", 0o644);
    let mut tx = begin(&fs);
    tx.mkdir(ROOT, b"kept", 0o755).unwrap();
    let savepoint = tx.savepoint();
    tx.mkdir(ROOT, b"undone", 0o755).unwrap();
    tx.unlink(ROOT, b"old").unwrap();
    let inner = tx.savepoint();
    tx.mkdir(ROOT, b"undone too", 0o755).unwrap();
    tx.release(inner);
    assert_eq!(tx.getattr(ROOT).unwrap().nlink, 5);
    tx.rollback_to(savepoint);
    assert_eq!(tx.getattr(ROOT).unwrap().nlink, 3);
    tx.mkdir(ROOT, b"kept too", 0o755).unwrap();
    tx.commit(Durability::Visible).unwrap();
    assert_eq!(names(&fs, "/"), ["kept", "kept too", "old"]);
    assert_eq!(stat(&fs, "/").unwrap().nlink, 4);
}

#[test]
fn a_file_made_and_removed_in_one_transaction_leaves_nothing() {
    let fs = volume();
    let before = fs.statfs().unwrap().inodes_free;
    let mut tx = begin(&fs);
    let attr = tx.create(ROOT, b"f", 0o644).unwrap();
    tx.write_all(attr.ino, &[1; 50_000]).unwrap();
    tx.setxattr(attr.ino, b"user.a", b"b", Default::default()).unwrap();
    tx.unlink(ROOT, b"f").unwrap();
    assert_eq!(tx.getattr(attr.ino).unwrap().nlink, 0);
    tx.commit(Durability::Visible).unwrap();
    assert_eq!(code(fs.view(&Caller::root()).unwrap().getattr(attr.ino)), "stale");
    fs.store().checkpoint(Default::default()).unwrap();
    fs.store().checkpoint(Default::default()).unwrap();
    assert_eq!(fs.statfs().unwrap().inodes_free, before);
}

/// What two transactions do at the same time, and whether the second to commit has to run again.
#[test]
fn changes_conflict_only_where_they_meet() {
    type Change = fn(&mut FsTx) -> vexfs_fs::Result<()>;
    fn dir(tx: &FsTx) -> vexfs_fs::Ino {
        tx.lookup(ROOT, b"d").unwrap().ino
    }
    fn file(tx: &FsTx) -> vexfs_fs::Ino {
        tx.lookup(ROOT, b"f").unwrap().ino
    }
    let create: Change = |tx| tx.create(dir(tx), b"x", 0o644).map(drop);
    let create_other: Change = |tx| tx.mkdir(dir(tx), b"y", 0o755).map(drop);
    let rmdir: Change = |tx| tx.rmdir(ROOT, b"d");
    let move_dir: Change = |tx| tx.rename(ROOT, b"d", tx.lookup(ROOT, b"e")?.ino, b"d", RenameFlags::Replace);
    let move_other: Change = |tx| tx.rename(ROOT, b"e", dir(tx), b"e", RenameFlags::Replace);
    let chmod_dir: Change =
        |tx| tx.setattr(dir(tx), &SetAttr { mode: Some(0o700), ..Default::default() }).map(drop);
    let link: Change = |tx| tx.link(file(tx), ROOT, b"second").map(drop);
    let link_elsewhere: Change = |tx| tx.link(file(tx), dir(tx), b"third").map(drop);
    let unlink: Change = |tx| tx.unlink(ROOT, b"f");
    let attribute: Change = |tx| tx.setxattr(file(tx), b"user.a", b"", Default::default());
    let other_attribute: Change = |tx| tx.setxattr(file(tx), b"user.b", b"", Default::default());
    let table: [(&str, Change, Change, bool); 18] = [
        ("creates of two names", create, create_other, false),
        ("creates of one name", create, create, true),
        ("create after rmdir", rmdir, create, true),
        ("rmdir after create", create, rmdir, true),
        ("create in a moved directory", move_dir, create, false),
        ("move of a directory created in", create, move_dir, false),
        ("two moves that close a circle", move_dir, move_other, true),
        ("create after chmod", chmod_dir, create, false),
        ("chmod after create", create, chmod_dir, true),
        ("two links of one inode", link, link_elsewhere, true),
        ("link after unlink", unlink, link, true),
        ("unlink after link", link, unlink, true),
        ("two removals", unlink, unlink, true),
        ("attribute after unlink", unlink, attribute, true),
        ("unlink after attribute", attribute, unlink, true),
        ("two attributes", attribute, other_attribute, false),
        ("one attribute twice", attribute, attribute, true),
        ("rmdir after its move", move_dir, rmdir, true),
    ];
    for (name, first, second, conflict) in table {
        let fs = volume();
        make_dir(&fs, "/d", 0o755);
        make_dir(&fs, "/e", 0o755);
        make_file(&fs, "/f", 0o644);
        let (mut a, mut b) = (begin(&fs), begin(&fs));
        first(&mut a).unwrap();
        second(&mut b).unwrap();
        a.commit(Durability::Visible).unwrap();
        let expected = if conflict { "conflict" } else { "ok" };
        assert_eq!(code(b.commit(Durability::Visible)), expected, "{name}");
    }
}

#[test]
fn commuting_changes_of_a_directory_all_count() {
    let fs = volume();
    let mut open: Vec<FsTx> = (0..20).map(|_| begin(&fs)).collect();
    for (i, tx) in open.iter_mut().enumerate() {
        for j in 0..3 {
            tx.mkdir(ROOT, format!("{i} {j}").as_bytes(), 0o755).unwrap();
        }
    }
    let last = open.last_mut().unwrap();
    last.rmdir(ROOT, b"19 0").unwrap();
    open.into_iter().for_each(|tx| {
        tx.commit(Durability::Visible).unwrap();
    });
    assert_eq!(stat(&fs, "/").unwrap().nlink, 2 + 59);
}

#[test]
fn serializable_transactions_conflict_over_what_they_read() {
    let fs = volume();
    make_file(&fs, "/a", 0o644);
    let mut tx = fs.begin(&Caller::root(), Isolation::Serializable).unwrap();
    assert_eq!(tx.list(ROOT).unwrap().len(), 1);
    tx.mkdir(ROOT, b"seen one", 0o755).unwrap();
    make_file(&fs, "/b", 0o644);
    assert_eq!(code(tx.commit(Durability::Visible)), "conflict");
}

#[test]
fn a_durable_commit_is_there_after_the_process_is_gone() {
    let device = device(16);
    let fs = open(&device);
    fs.auto_with(&Caller::root(), Durability::Durable, |tx| tx.create(ROOT, b"durable", 0o644)).unwrap();
    root(&fs, |tx| tx.create(ROOT, b"synced", 0o644)).unwrap();
    fs.fsync(ROOT).unwrap();
    std::mem::forget(fs);
    assert_eq!(names(&open(&device), "/"), ["durable", "synced"]);
}

#[test]
fn a_closed_volume_says_so() {
    let fs = volume();
    let clone = fs.clone();
    fs.close().unwrap();
    assert_eq!(code(clone.view(&Caller::root()).map(drop)), "closed");
    assert_eq!(code(root(&clone, |tx| tx.create(ROOT, b"x", 0o644))), "closed");
    assert_eq!(code(clone.sync()), "closed");
    clone.close().unwrap();
}

#[test]
fn a_volume_opened_for_reading_refuses_changes() {
    let device = device(16);
    let fs = open(&device);
    make_file(&fs, "/f", 0o644);
    fs.close().unwrap();
    drop(fs);
    let options =
        vexfs_fs::Options { mode: vexfs_store::Mode::Read, background: false, ..Default::default() };
    let fs = vexfs_fs::Fs::open(device, options).unwrap();
    assert_eq!(names(&fs, "/"), ["f"]);
    let refused = root(&fs, |tx| tx.unlink(ROOT, b"f"));
    assert_eq!((code(refused.clone()), refused.unwrap_err().errno()), ("read_only", 30));
    let open = |write| {
        let options = vexfs_fs::OpenOptions { read: true, write, ..Default::default() };
        fs.open_file(&Caller::root(), b"/f", &options)
    };
    assert_eq!((code(open(false)), code(open(true))), ("ok", "read_only"));
    fs.fsync(ROOT).unwrap();
}
