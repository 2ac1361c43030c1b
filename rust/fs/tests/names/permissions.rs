//! The rules of POSIX as a table: who may do what, for every mode.

use vexfs_fs::{Attr, Caller, Fs, Ino, Result, SetAttr};

use crate::{ROOT, code, make_dir, make_file, root, stat, user, volume};

fn give(fs: &Fs, ino: Ino, uid: u32, gid: u32, mode: u32) {
    root(fs, |tx| tx.setattr(ino, &SetAttr { uid: Some(uid), gid: Some(gid), ..SetAttr::default() }))
        .unwrap();
    root(fs, |tx| tx.setattr(ino, &SetAttr { mode: Some(mode), ..SetAttr::default() })).unwrap();
}

#[test]
fn access_follows_the_class_of_the_caller_for_every_mode() {
    let fs = volume();
    let file = make_file(&fs, "/f", 0o644).ino;
    let callers = [
        (user(1000, &[5]), 6),                    // the owner, though in the group
        (user(1001, &[2000]), 3),                 // by primary group
        (Caller::new(1001, 5, &[7, 2000], 0), 3), // by supplementary group
        (user(1001, &[5]), 0),                    // others
    ];
    for mode in 0..0o1000 {
        give(&fs, file, 1000, 2000, mode);
        for (caller, shift) in &callers {
            let view = fs.view(caller).unwrap();
            for want in 0..8_u16 {
                let granted = (mode >> shift) as u16 & want == want;
                assert_eq!(view.access(file, want).is_ok(), granted, "{mode:o} {caller:?} {want}");
            }
        }
        let view = fs.view(&Caller::root()).unwrap();
        assert!(view.access(file, 6).is_ok());
        assert_eq!(
            view.access(file, 1).is_ok(),
            mode & 0o111 != 0,
            "root executes what somebody may execute"
        );
        assert!(fs.view(&Caller::privileged(1001, 5, 0)).unwrap().access(file, 7).is_ok());
    }
}

/// What each verb needs of the directory: the verb, and the least rwx bits with which it works.
#[test]
fn verbs_need_of_a_directory_what_posix_says() {
    type Verb = fn(&Fs, &Caller, Ino, Ino) -> Result<()>;
    let verbs: [(&str, Verb, u32); 12] = [
        ("lookup", |fs, caller, dir, _| fs.view(caller)?.lookup(dir, b"f").map(drop), 1),
        ("readdir", |fs, caller, dir, _| fs.view(caller)?.list(dir).map(drop), 4),
        ("create", |fs, caller, dir, _| fs.auto(caller, |tx| tx.create(dir, b"new", 0o644)).map(drop), 3),
        ("mkdir", |fs, caller, dir, _| fs.auto(caller, |tx| tx.mkdir(dir, b"new", 0o755)).map(drop), 3),
        (
            "mknod",
            |fs, caller, dir, _| fs.auto(caller, |tx| tx.mknod(dir, b"new", 0o010_644, 0)).map(drop),
            3,
        ),
        ("symlink", |fs, caller, dir, _| fs.auto(caller, |tx| tx.symlink(dir, b"new", b"x")).map(drop), 3),
        ("tmpfile", |fs, caller, dir, _| fs.auto(caller, |tx| tx.tmpfile(dir, 0o600, false)).map(drop), 3),
        ("unlink", |fs, caller, dir, _| fs.auto(caller, |tx| tx.unlink(dir, b"f")), 3),
        ("rmdir", |fs, caller, dir, _| fs.auto(caller, |tx| tx.rmdir(dir, b"d")), 3),
        (
            "rename out",
            |fs, caller, dir, open| {
                fs.auto(caller, |tx| tx.rename(dir, b"f", open, b"x", Default::default()))
            },
            3,
        ),
        (
            "rename in",
            |fs, caller, dir, open| {
                fs.auto(caller, |tx| tx.rename(open, b"f", dir, b"x", Default::default()))
            },
            3,
        ),
        (
            "link",
            |fs, caller, dir, open| {
                let ino = fs.view(&Caller::root())?.lookup(open, b"f")?.ino;
                fs.auto(caller, |tx| tx.link(ino, dir, b"new")).map(drop)
            },
            3,
        ),
    ];
    for (name, verb, needs) in verbs {
        for bits in 0..8 {
            let fs = volume();
            let dir = make_dir(&fs, "/dir", 0o777).ino;
            let open = make_dir(&fs, "/open", 0o777).ino;
            make_file(&fs, "/dir/f", 0o666);
            make_dir(&fs, "/dir/d", 0o777);
            make_file(&fs, "/open/f", 0o666);
            give(&fs, dir, 1000, 1000, 0o700 | bits);
            let result = verb(&fs, &user(1001, &[1001]), dir, open);
            let expected = if bits & needs == needs { "ok" } else { "access_denied" };
            assert_eq!(code(result), expected, "{name} with {bits}");
        }
    }
}

#[test]
fn a_sticky_directory_keeps_entries_for_their_owners() {
    // (who, may remove what belongs to 1000 in a directory of 2000)
    let callers =
        [(user(1000, &[]), true), (user(2000, &[]), true), (user(3000, &[]), false), (Caller::root(), true)];
    for (caller, may) in callers {
        let expected = if may { "ok" } else { "not_permitted" };
        let fs = volume();
        let dir = make_dir(&fs, "/t", 0o777).ino;
        let open = make_dir(&fs, "/open", 0o777).ino;
        give(&fs, dir, 2000, 2000, 0o1777);
        for name in ["a", "b", "c"] {
            let ino = make_file(&fs, &format!("/t/{name}"), 0o666).ino;
            give(&fs, ino, 1000, 1000, 0o666);
        }
        let sub = make_dir(&fs, "/t/sub", 0o777).ino;
        give(&fs, sub, 1000, 1000, 0o777);
        let mine = make_file(&fs, "/open/mine", 0o666).ino;
        give(&fs, mine, caller.uid, 1, 0o666);
        let rename = |from: &[u8], to_dir, to: &[u8]| {
            fs.auto(&caller, |tx| tx.rename(dir, from, to_dir, to, Default::default()))
        };
        assert_eq!(code(fs.auto(&caller, |tx| tx.unlink(dir, b"a"))), expected, "{caller:?}");
        assert_eq!(code(fs.auto(&caller, |tx| tx.rmdir(dir, b"sub"))), expected, "{caller:?}");
        assert_eq!(code(rename(b"b", open, b"b")), expected, "{caller:?}");
        let over = fs.auto(&caller, |tx| tx.rename(open, b"mine", dir, b"c", Default::default()));
        assert_eq!(code(over), expected, "{caller:?}");
    }
}

#[test]
fn a_directory_that_is_moved_elsewhere_must_be_writable() {
    let fs = volume();
    let a = make_dir(&fs, "/a", 0o777).ino;
    let b = make_dir(&fs, "/b", 0o777).ino;
    let sub = make_dir(&fs, "/a/sub", 0o755).ino;
    give(&fs, sub, 1000, 1000, 0o755);
    let caller = user(1001, &[]);
    let rename = |to, name: &[u8]| fs.auto(&caller, |tx| tx.rename(a, b"sub", to, name, Default::default()));
    assert_eq!(code(rename(b, b"sub")), "access_denied");
    assert_eq!(code(rename(a, b"sub")), "ok");
    let same_parent = fs.auto(&caller, |tx| tx.rename(a, b"sub", a, b"other", Default::default()));
    assert_eq!(code(same_parent), "ok");
}

#[test]
fn new_inodes_get_owner_group_and_umask_as_posix_says() {
    let fs = volume();
    let caller = Caller::new(1000, 100, &[100, 200], 0o027);
    let plain = make_dir(&fs, "/plain", 0o777).ino;
    let grouped = make_dir(&fs, "/grouped", 0o777).ino;
    give(&fs, grouped, 0, 3000, 0o2777);
    let made = |attr: Attr| (attr.uid, attr.gid, attr.permissions);
    let create = |dir, name: &[u8], mode| made(fs.auto(&caller, |tx| tx.create(dir, name, mode)).unwrap());
    assert_eq!(create(plain, b"f", 0o666), (1000, 100, 0o640));
    assert_eq!(create(plain, b"s", 0o6777), (1000, 100, 0o6750));
    assert_eq!(create(grouped, b"f", 0o666), (1000, 3000, 0o640));
    assert_eq!(create(grouped, b"s", 0o6777), (1000, 3000, 0o4750), "no set-group bit of a foreign group");
    let mkdir = |dir, name: &[u8]| made(fs.auto(&caller, |tx| tx.mkdir(dir, name, 0o777)).unwrap());
    assert_eq!(mkdir(plain, b"d"), (1000, 100, 0o750));
    assert_eq!(mkdir(grouped, b"d"), (1000, 3000, 0o2750));
    let link = fs.auto(&caller, |tx| tx.symlink(plain, b"l", b"x")).unwrap();
    assert_eq!(made(link), (1000, 100, 0o777));
}

#[test]
fn devices_are_made_by_root_and_pipes_by_anyone() {
    let fs = volume();
    make_dir(&fs, "/d", 0o777);
    let dir = stat(&fs, "/d").unwrap().ino;
    let mknod = |caller: &Caller, name: &[u8], mode| code(fs.auto(caller, |tx| tx.mknod(dir, name, mode, 7)));
    assert_eq!(mknod(&user(1, &[]), b"b", 0o060_600), "not_permitted");
    assert_eq!(mknod(&user(1, &[]), b"c", 0o020_600), "not_permitted");
    assert_eq!(mknod(&user(1, &[]), b"p", 0o010_600), "ok");
    assert_eq!(mknod(&user(1, &[]), b"s", 0o140_600), "ok");
    assert_eq!(mknod(&Caller::root(), b"b", 0o060_600), "ok");
    assert_eq!(mknod(&Caller::privileged(1, 1, 0), b"c", 0o020_600), "ok");
    assert_eq!(stat(&fs, "/d").unwrap().nlink, 2);
    assert_eq!(fs.view(&Caller::root()).unwrap().getattr(ROOT).unwrap().nlink, 3);
}
