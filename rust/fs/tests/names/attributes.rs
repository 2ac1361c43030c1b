use vexfs_fs::{Caller, Fs, Ino, Result, SetAttr, SetTime};

use crate::{ROOT, code, make_dir, make_file, root, stat, user, volume};

fn chmod(fs: &Fs, caller: &Caller, ino: Ino, mode: u32) -> Result<u32> {
    let set = SetAttr { mode: Some(mode), ..SetAttr::default() };
    fs.auto(caller, |tx| tx.setattr(ino, &set)).map(|attr| attr.permissions)
}

fn chown(fs: &Fs, caller: &Caller, ino: Ino, uid: Option<u32>, gid: Option<u32>) -> Result<u32> {
    let set = SetAttr { uid, gid, ..SetAttr::default() };
    fs.auto(caller, |tx| tx.setattr(ino, &set)).map(|attr| attr.permissions)
}

fn file_of(fs: &Fs, uid: u32, gid: u32, mode: u32) -> Ino {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let path = format!("/file{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let ino = make_file(fs, &path, 0o600).ino;
    chown(fs, &Caller::root(), ino, Some(uid), Some(gid)).unwrap();
    chmod(fs, &Caller::root(), ino, mode).unwrap();
    ino
}

#[test]
fn only_the_owner_and_root_change_the_mode() {
    let fs = volume();
    let ino = file_of(&fs, 1000, 1000, 0o644);
    assert_eq!(chmod(&fs, &user(1000, &[1000]), ino, 0o7777).unwrap(), 0o7777);
    assert_eq!(code(chmod(&fs, &user(1001, &[1000]), ino, 0o600)), "not_permitted");
    assert_eq!(chmod(&fs, &Caller::root(), ino, 0o100_755).unwrap(), 0o755);
}

#[test]
fn the_set_group_bit_is_for_members_of_the_group() {
    let fs = volume();
    let ino = file_of(&fs, 1000, 2000, 0o644);
    assert_eq!(chmod(&fs, &user(1000, &[1000]), ino, 0o2755).unwrap(), 0o755);
    assert_eq!(chmod(&fs, &user(1000, &[1000, 2000]), ino, 0o2755).unwrap(), 0o2755);
    assert_eq!(chmod(&fs, &Caller::root(), ino, 0o6755).unwrap(), 0o6755);
}

#[test]
fn owners_change_the_group_to_one_of_theirs_and_root_changes_anything() {
    let fs = volume();
    let ino = file_of(&fs, 1000, 1000, 0o644);
    let owner = user(1000, &[1000, 2000]);
    let table = [
        (owner.clone(), None, Some(2000), "ok"),
        (owner.clone(), Some(1000), Some(1000), "ok"),
        (owner.clone(), Some(1000), None, "ok"),
        (owner.clone(), None, Some(3000), "not_permitted"),
        (owner, Some(1001), None, "not_permitted"),
        (user(1001, &[1000]), None, Some(1000), "not_permitted"),
        (user(1001, &[1000]), Some(1001), None, "not_permitted"),
        (Caller::root(), Some(5), Some(6), "ok"),
    ];
    for (caller, uid, gid, expected) in table {
        assert_eq!(code(chown(&fs, &caller, ino, uid, gid)), expected, "{caller:?} {uid:?} {gid:?}");
    }
    let attr = fs.view(&Caller::root()).unwrap().getattr(ino).unwrap();
    assert_eq!((attr.uid, attr.gid), (5, 6));
}

#[test]
fn a_change_of_owner_takes_set_id_bits_from_files_not_directories() {
    let fs = volume();
    let root_caller = Caller::root();
    let executable = file_of(&fs, 1000, 1000, 0o6755);
    assert_eq!(chown(&fs, &root_caller, executable, Some(1001), None).unwrap(), 0o755);
    let locking = file_of(&fs, 1000, 1000, 0o6744);
    assert_eq!(chown(&fs, &root_caller, locking, Some(1001), None).unwrap(), 0o2744);
    let owned = file_of(&fs, 1000, 1000, 0o6755);
    assert_eq!(chown(&fs, &user(1000, &[1000, 2000]), owned, None, Some(2000)).unwrap(), 0o755);
    let dir = make_dir(&fs, "/dir", 0o755).ino;
    chmod(&fs, &root_caller, dir, 0o6755).unwrap();
    assert_eq!(chown(&fs, &root_caller, dir, Some(1001), Some(1001)).unwrap(), 0o6755);
}

#[test]
fn writing_and_cutting_take_set_id_bits_unless_root_does_it() {
    let fs = volume();
    let other = user(1001, &[1001]);
    for (caller, mode, left) in [
        (&other, 0o6777, 0o777),
        (&other, 0o6767, 0o2767 & !0o2000 | 0o2000),
        (&Caller::root(), 0o6777, 0o6777),
    ] {
        let left = if mode & 0o010 != 0 || caller.uid == 0 { left } else { mode & !0o4000 };
        let written = file_of(&fs, 1000, 1000, mode);
        fs.auto(caller, |tx| tx.write(written, 0, b"x")).unwrap();
        let cut = file_of(&fs, 1000, 1000, mode);
        let set = SetAttr { size: Some(10), ..SetAttr::default() };
        fs.auto(caller, |tx| tx.setattr(cut, &set)).unwrap();
        let view = fs.view(&Caller::root()).unwrap();
        assert_eq!(view.getattr(written).unwrap().permissions, left, "written {mode:o}");
        assert_eq!(view.getattr(cut).unwrap().permissions, left, "cut {mode:o}");
    }
}

#[test]
fn times_are_set_by_owners_and_the_present_by_writers() {
    let fs = volume();
    let ino = file_of(&fs, 1000, 1000, 0o622);
    let set = |caller: &Caller, atime, mtime| {
        let set = SetAttr { atime, mtime, ..SetAttr::default() };
        fs.auto(caller, |tx| tx.setattr(ino, &set))
    };
    let (owner, writer) = (user(1000, &[]), user(1001, &[]));
    let exact = set(&owner, Some(SetTime::At(-5)), Some(SetTime::At(1_234_567_890_123_456_789))).unwrap();
    assert_eq!((exact.atime_ns, exact.mtime_ns), (-5, 1_234_567_890_123_456_789));
    assert!(exact.ctime_ns > 1_600_000_000_000_000_000);
    assert_eq!(code(set(&writer, Some(SetTime::At(1)), None)), "not_permitted");
    assert_eq!(code(set(&writer, Some(SetTime::Now), None)), "not_permitted");
    let now = set(&writer, Some(SetTime::Now), Some(SetTime::Now)).unwrap();
    assert_eq!(now.atime_ns, now.mtime_ns);
    chmod(&fs, &owner, ino, 0o644).unwrap();
    assert_eq!(code(set(&writer, Some(SetTime::Now), Some(SetTime::Now))), "access_denied");
    let kept = set(&owner, None, None).unwrap();
    assert_eq!((kept.atime_ns, kept.mtime_ns), (now.atime_ns, now.mtime_ns));
}

#[test]
fn the_length_is_set_by_writers_of_regular_files() {
    let fs = volume();
    let ino = file_of(&fs, 1000, 1000, 0o644);
    let set = SetAttr { size: Some(5000), ..SetAttr::default() };
    assert_eq!(fs.auto(&user(1000, &[]), |tx| tx.setattr(ino, &set)).unwrap().size, 5000);
    assert_eq!(code(fs.auto(&user(1001, &[]), |tx| tx.setattr(ino, &set))), "access_denied");
    assert_eq!(code(root(&fs, |tx| tx.setattr(ROOT, &set))), "is_a_directory");
}

#[test]
fn changes_move_the_times_that_posix_says_they_move() {
    let fs = volume();
    let dir = make_dir(&fs, "/d", 0o755).ino;
    let times = |path: &str| {
        let attr = stat(&fs, path).unwrap();
        (attr.atime_ns, attr.mtime_ns, attr.ctime_ns, attr.btime_ns)
    };
    let made = times("/d");
    assert!(made.0 == made.1 && made.1 == made.2 && made.2 == made.3);
    let file = root(&fs, |tx| tx.create(dir, b"f", 0o644)).unwrap();
    let grown = times("/d");
    assert!(grown.1 > made.1 && grown.2 > made.2 && grown.0 == made.0 && grown.3 == made.3);
    let file_made = times("/d/f");
    root(&fs, |tx| tx.link(file.ino, dir, b"g")).unwrap();
    let linked = times("/d/f");
    assert!(linked.2 > file_made.2 && linked.1 == file_made.1);
    root(&fs, |tx| tx.rename(dir, b"g", dir, b"h", Default::default())).unwrap();
    assert!(times("/d/f").2 > linked.2 && times("/d").1 > grown.1);
    let before = times("/d/f");
    root(&fs, |tx| tx.write(file.ino, 0, b"x")).unwrap();
    assert!(times("/d/f").1 > before.1);
    let before = times("/d/f");
    fs.view(&Caller::root()).unwrap().read_all(file.ino).unwrap();
    assert_eq!(times("/d/f"), before);
    root(&fs, |tx| tx.unlink(dir, b"h")).unwrap();
    assert!(times("/d/f").2 > before.2);
}

#[test]
fn a_change_of_a_directory_beats_a_time_set_in_the_future() {
    let fs = volume();
    let dir = make_dir(&fs, "/d", 0o755).ino;
    let set = SetAttr { mtime: Some(SetTime::At(i64::MAX)), ..SetAttr::default() };
    root(&fs, |tx| tx.setattr(dir, &set)).unwrap();
    root(&fs, |tx| tx.create(dir, b"f", 0o644)).unwrap();
    assert!(stat(&fs, "/d").unwrap().mtime_ns < i64::MAX);
}

#[test]
fn a_refused_change_changes_nothing() {
    let fs = volume();
    let ino = file_of(&fs, 1000, 1000, 0o644);
    let before = fs.view(&Caller::root()).unwrap().getattr(ino).unwrap();
    let mut tx = fs.begin(&user(1000, &[1000]), vexfs_fs::Isolation::Snapshot).unwrap();
    let set = SetAttr { size: Some(9), mode: Some(0o600), uid: Some(0), ..SetAttr::default() };
    assert_eq!(code(tx.setattr(ino, &set)), "not_permitted");
    tx.commit(vexfs_fs::Durability::Visible).unwrap();
    assert_eq!(fs.view(&Caller::root()).unwrap().getattr(ino).unwrap(), before);
}
