use vexfs_fs::acl::{ACCESS, Acl, AclEntry, DEFAULT, Tag};
use vexfs_fs::{Caller, Fs, Ino, Result, SetAttr, XattrMode};

use crate::{code, make_dir, make_file, root, stat, user, volume};

fn entry(tag: Tag, permissions: u16, id: u32) -> AclEntry {
    AclEntry { tag, permissions, id }
}

/// rwx of owner, group, mask, others, with user 1001 and group 2001 named.
fn list(owner: u16, user: u16, group: u16, named_group: u16, mask: u16, other: u16) -> Acl {
    Acl::new(vec![
        entry(Tag::Owner, owner, 0),
        entry(Tag::User, user, 1001),
        entry(Tag::Group, group, 0),
        entry(Tag::NamedGroup, named_group, 2001),
        entry(Tag::Mask, mask, 0),
        entry(Tag::Other, other, 0),
    ])
    .unwrap()
}

fn set(fs: &Fs, caller: &Caller, ino: Ino, name: &[u8], value: &[u8]) -> Result<()> {
    fs.auto(caller, |tx| tx.setxattr(ino, name, value, XattrMode::Set))
}

fn get(fs: &Fs, ino: Ino, name: &[u8]) -> Result<Acl> {
    fs.view(&Caller::root())?.getxattr(ino, name).map(|value| Acl::parse(&value).unwrap())
}

fn owned_file(fs: &Fs, path: &str) -> Ino {
    let ino = make_file(fs, path, 0o640).ino;
    let set = SetAttr { uid: Some(1000), gid: Some(2000), ..SetAttr::default() };
    root(fs, |tx| tx.setattr(ino, &set)).unwrap();
    ino
}

#[test]
fn a_list_is_what_was_set_and_the_mode_goes_with_it() {
    let fs = volume();
    let ino = owned_file(&fs, "/f");
    let acl = list(6, 7, 4, 6, 5, 1);
    set(&fs, &user(1000, &[]), ino, ACCESS, &acl.encode()).unwrap();
    assert_eq!(get(&fs, ino, ACCESS).unwrap(), acl);
    assert_eq!(stat(&fs, "/f").unwrap().permissions, 0o651);
    let mode = SetAttr { mode: Some(0o736), ..SetAttr::default() };
    root(&fs, |tx| tx.setattr(ino, &mode)).unwrap();
    assert_eq!(get(&fs, ino, ACCESS).unwrap(), list(7, 7, 4, 6, 3, 6));
    root(&fs, |tx| tx.removexattr(ino, ACCESS)).unwrap();
    assert_eq!(code(get(&fs, ino, ACCESS)), "no_attribute");
    assert_eq!(stat(&fs, "/f").unwrap().permissions, 0o736);
}

#[test]
fn a_list_that_says_what_a_mode_says_is_kept_as_the_mode() {
    let fs = volume();
    let ino = owned_file(&fs, "/f");
    set(&fs, &Caller::root(), ino, ACCESS, &list(7, 7, 7, 7, 7, 7).encode()).unwrap();
    let plain =
        Acl::new(vec![entry(Tag::Owner, 6, 0), entry(Tag::Group, 4, 0), entry(Tag::Other, 0, 0)]).unwrap();
    set(&fs, &Caller::root(), ino, ACCESS, &plain.encode()).unwrap();
    assert_eq!(code(get(&fs, ino, ACCESS)), "no_attribute");
    assert_eq!(stat(&fs, "/f").unwrap().permissions, 0o640);
    assert_eq!(fs.view(&Caller::root()).unwrap().listxattr(ino).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn access_follows_the_list_entry_by_entry() {
    let fs = volume();
    let ino = owned_file(&fs, "/f");
    // (caller, what each entry of the list below gives it)
    let cases: [(Caller, u16); 8] = [
        (user(1000, &[2000]), 1),     // the owner: not masked, though in the group
        (user(1001, &[2000]), 6 & 5), // named, masked, though in the group
        (user(1002, &[2000]), 4 & 5), // the group, masked
        (user(1003, &[2001]), 7 & 5), // a named group, masked
        (user(1004, &[9]), 2),        // others: not masked
        (Caller::new(1005, 9, &[2001], 0), 7 & 5), // by supplementary group
        (Caller::root(), 7),
        (Caller::privileged(5, 5, 0), 7),
    ];
    set(&fs, &Caller::root(), ino, ACCESS, &list(1, 6, 4, 7, 5, 2).encode()).unwrap();
    for (caller, grants) in cases {
        let view = fs.view(&caller).unwrap();
        for want in 0..8 {
            assert_eq!(view.access(ino, want).is_ok(), grants & want == want, "{caller:?} {want}");
        }
    }
}

#[test]
fn of_several_groups_one_that_grants_is_enough_but_they_do_not_add_up() {
    let fs = volume();
    let ino = owned_file(&fs, "/f");
    set(&fs, &Caller::root(), ino, ACCESS, &list(7, 7, 4, 2, 7, 7).encode()).unwrap();
    let view = fs.view(&Caller::new(1009, 2000, &[2000, 2001], 0)).unwrap();
    assert!(view.access(ino, 4).is_ok());
    assert!(view.access(ino, 2).is_ok());
    assert!(view.access(ino, 6).is_err());
    assert!(view.access(ino, 1).is_err(), "a member of a listed group is not one of the others");
}

#[test]
fn new_files_inherit_the_default_list_within_the_mode_they_ask_for() {
    let fs = volume();
    let dir = make_dir(&fs, "/d", 0o777).ino;
    let default = list(7, 6, 5, 7, 7, 4);
    set(&fs, &Caller::root(), dir, DEFAULT, &default.encode()).unwrap();
    assert_eq!(stat(&fs, "/d").unwrap().permissions, 0o777, "a default list does not change the mode");
    let caller = Caller::new(1000, 2000, &[], 0o077);
    let file = fs.auto(&caller, |tx| tx.create(dir, b"f", 0o640)).unwrap();
    assert_eq!(file.permissions, 0o640, "the umask does not count beside a default list");
    assert_eq!(get(&fs, file.ino, ACCESS).unwrap(), list(6, 6, 5, 7, 4, 0));
    assert_eq!(code(get(&fs, file.ino, DEFAULT)), "no_attribute");
    let sub = fs.auto(&caller, |tx| tx.mkdir(dir, b"sub", 0o777)).unwrap();
    assert_eq!(sub.permissions, 0o774);
    assert_eq!(get(&fs, sub.ino, ACCESS).unwrap(), default);
    assert_eq!(get(&fs, sub.ino, DEFAULT).unwrap(), default);
    let deeper = fs.auto(&caller, |tx| tx.create(sub.ino, b"f", 0o666)).unwrap();
    assert_eq!(get(&fs, deeper.ino, ACCESS).unwrap(), list(6, 6, 5, 7, 6, 4));
    let link = fs.auto(&caller, |tx| tx.symlink(dir, b"l", b"x")).unwrap();
    assert_eq!(link.permissions, 0o777);
}

#[test]
fn a_plain_default_list_gives_a_mode_and_no_list() {
    let fs = volume();
    let dir = make_dir(&fs, "/d", 0o777).ino;
    let plain =
        Acl::new(vec![entry(Tag::Owner, 7, 0), entry(Tag::Group, 5, 0), entry(Tag::Other, 1, 0)]).unwrap();
    set(&fs, &Caller::root(), dir, DEFAULT, &plain.encode()).unwrap();
    let file = fs.auto(&user(1000, &[]), |tx| tx.create(dir, b"f", 0o666)).unwrap();
    assert_eq!(file.permissions, 0o640);
    assert_eq!(code(get(&fs, file.ino, ACCESS)), "no_attribute");
    // A list without entries takes the default away again.
    set(&fs, &Caller::root(), dir, DEFAULT, &2_u32.to_le_bytes()).unwrap();
    let file = fs.auto(&user(1000, &[]), |tx| tx.create(dir, b"g", 0o666)).unwrap();
    assert_eq!(file.permissions, 0o644);
}

#[test]
fn lists_are_set_by_owners_where_they_make_sense() {
    let fs = volume();
    let ino = owned_file(&fs, "/f");
    let dir = make_dir(&fs, "/d", 0o777).ino;
    let link = root(&fs, |tx| tx.symlink_path(b"f", b"/l")).unwrap().ino;
    let value = list(7, 7, 7, 7, 7, 7).encode();
    assert_eq!(code(set(&fs, &user(1001, &[]), ino, ACCESS, &value)), "not_permitted");
    assert_eq!(code(set(&fs, &user(1000, &[]), ino, DEFAULT, &value)), "access_denied");
    assert_eq!(code(set(&fs, &user(1001, &[]), dir, DEFAULT, &value)), "not_permitted");
    assert_eq!(code(set(&fs, &Caller::root(), link, ACCESS, &value)), "not_supported");
    assert_eq!(code(get(&fs, link, ACCESS)), "not_supported");
    assert_eq!(code(get(&fs, ino, ACCESS)), "no_attribute");
    for bad in [&b""[..], b"\x02", b"\x03\0\0\0", &value[..value.len() - 1], &value[..value.len() - 8]] {
        assert_eq!(code(set(&fs, &Caller::root(), ino, ACCESS, bad)), "invalid_argument", "{bad:?}");
    }
}

#[test]
fn lists_that_make_no_sense_are_none() {
    let (owner, group, other) = (entry(Tag::Owner, 7, 0), entry(Tag::Group, 7, 0), entry(Tag::Other, 7, 0));
    let (named, mask) = (entry(Tag::User, 7, 5), entry(Tag::Mask, 7, 0));
    let bad: [Vec<AclEntry>; 7] = [
        vec![],
        vec![owner, group],
        vec![owner, other, group],
        vec![owner, owner, group, other],
        vec![owner, named, group, other],
        vec![owner, group, mask, mask, other],
        vec![entry(Tag::Owner, 8, 0), group, other],
    ];
    for entries in bad {
        assert_eq!(Acl::new(entries.clone()), None, "{entries:?}");
    }
    assert!(Acl::new(vec![owner, named, group, mask, other]).is_some());
}
