use std::collections::BTreeMap;

use vexfs_format::MAX_XATTR_VALUE;
use vexfs_fs::{Caller, Follow, XattrMode};

use crate::{ROOT, code, device, make_dir, make_file, open, root, user, volume};

use XattrMode::{Create, Replace, Set};

#[test]
fn attributes_are_kept_under_their_names() {
    let device = device(16);
    let mut expected = BTreeMap::new();
    let ino = {
        let fs = open(&device);
        let ino = make_file(&fs, "/f", 0o644).ino;
        for i in 0..200_u32 {
            let (name, value) = (format!("user.attribute {i}").into_bytes(), vec![i as u8; i as usize * 13]);
            root(&fs, |tx| tx.setxattr(ino, &name, &value, Set)).unwrap();
            expected.insert(name, value);
        }
        for (name, value) in [(&b"trusted.t"[..], &b""[..]), (b"security.s", b"x"), (b"user.\xff", b"bytes")]
        {
            root(&fs, |tx| tx.setxattr(ino, name, value, Create)).unwrap();
            expected.insert(name.to_vec(), value.to_vec());
        }
        root(&fs, |tx| tx.removexattr(ino, b"user.attribute 77")).unwrap();
        expected.remove(&b"user.attribute 77"[..]);
        fs.close().unwrap();
        ino
    };
    let fs = open(&device);
    let view = fs.view(&Caller::root()).unwrap();
    let mut names = view.listxattr(ino).unwrap();
    names.sort();
    assert_eq!(names, expected.keys().cloned().collect::<Vec<_>>());
    for (name, value) in &expected {
        assert_eq!(&view.getxattr(ino, name).unwrap(), value);
    }
    assert_eq!(view.getxattr_path(b"/f", b"security.s", Follow::Always).unwrap(), b"x");
}

#[test]
fn setting_refuses_what_xattr_7_refuses() {
    let fs = volume();
    let ino = make_file(&fs, "/f", 0o644).ino;
    let longest = [b"user.".as_slice(), &[b'n'; 250]].concat();
    let set = |name: &[u8], value: &[u8], mode| code(root(&fs, |tx| tx.setxattr(ino, name, value, mode)));
    assert_eq!(set(b"user.a", b"1", Replace), "no_attribute");
    assert_eq!(set(b"user.a", b"1", Create), "ok");
    assert_eq!(set(b"user.a", b"2", Create), "attribute_exists");
    assert_eq!(set(b"user.a", b"3", Replace), "ok");
    assert_eq!(set(b"user.", b"", Set), "invalid_argument");
    assert_eq!(set(b"", b"", Set), "attribute_name");
    assert_eq!(set(b"user.a\0b", b"", Set), "attribute_name");
    assert_eq!(set(b"other.a", b"", Set), "attribute_namespace");
    assert_eq!(set(b"system.other", b"", Set), "attribute_namespace");
    assert_eq!(set(&longest, &vec![1; MAX_XATTR_VALUE], Set), "ok");
    assert_eq!(set(&[longest.as_slice(), b"x"].concat(), b"", Set), "attribute_name");
    assert_eq!(set(b"user.big", &vec![1; MAX_XATTR_VALUE + 1], Set), "attribute_too_large");
    let view = fs.view(&Caller::root()).unwrap();
    assert_eq!(view.getxattr(ino, &longest).unwrap(), vec![1; MAX_XATTR_VALUE]);
    assert_eq!(view.getxattr(ino, b"user.a").unwrap(), b"3");
    assert_eq!(code(view.getxattr(ino, b"user.none")), "no_attribute");
    assert_eq!(code(root(&fs, |tx| tx.removexattr(ino, b"user.none"))), "no_attribute");
    assert_eq!(code(root(&fs, |tx| tx.removexattr(ino, b"other.none"))), "attribute_namespace");
}

#[test]
fn namespaces_are_for_those_they_are_meant_for() {
    let fs = volume();
    let file = make_file(&fs, "/f", 0o604).ino;
    let sticky = make_dir(&fs, "/t", 0o777).ino;
    let set = vexfs_fs::SetAttr { mode: Some(0o1777), ..Default::default() };
    root(&fs, |tx| tx.setattr(sticky, &set)).unwrap();
    let link = root(&fs, |tx| tx.symlink(ROOT, b"l", b"f")).unwrap().ino;
    let pipe = root(&fs, |tx| tx.mknod(ROOT, b"p", 0o010_666, 0)).unwrap().ino;
    for name in [&b"user.u"[..], b"trusted.t", b"security.s"] {
        root(&fs, |tx| tx.setxattr(file, name, b"v", Set)).unwrap();
    }
    let other = user(1000, &[]);
    let set = |ino, name: &[u8]| code(fs.auto(&other, |tx| tx.setxattr(ino, name, b"w", Set)));
    assert_eq!(set(file, b"user.u"), "access_denied");
    assert_eq!(set(file, b"trusted.t"), "not_permitted");
    assert_eq!(set(file, b"security.s"), "not_permitted");
    assert_eq!(set(sticky, b"user.u"), "not_permitted");
    assert_eq!(set(link, b"user.u"), "not_permitted");
    assert_eq!(set(pipe, b"user.u"), "not_permitted");
    let view = fs.view(&other).unwrap();
    assert_eq!(view.getxattr(file, b"user.u").unwrap(), b"v");
    assert_eq!(view.getxattr(file, b"security.s").unwrap(), b"v");
    assert_eq!(code(view.getxattr(file, b"trusted.t")), "no_attribute");
    let mut listed = view.listxattr(file).unwrap();
    listed.sort();
    assert_eq!(listed, [b"security.s".to_vec(), b"user.u".to_vec()]);
    let hidden = make_file(&fs, "/hidden", 0o600).ino;
    root(&fs, |tx| tx.setxattr(hidden, b"user.u", b"v", Set)).unwrap();
    assert_eq!(code(fs.view(&other).unwrap().getxattr(hidden, b"user.u")), "access_denied");
}

#[test]
fn setting_an_attribute_moves_the_change_time_only() {
    let fs = volume();
    let before = make_file(&fs, "/f", 0o644);
    root(&fs, |tx| tx.setxattr(before.ino, b"user.a", b"", Set)).unwrap();
    let after = fs.view(&Caller::root()).unwrap().getattr(before.ino).unwrap();
    assert!(after.ctime_ns > before.ctime_ns);
    assert_eq!((after.mtime_ns, after.version), (before.mtime_ns, before.version));
}
