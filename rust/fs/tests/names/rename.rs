use vexfs_fs::{Caller, Fs, Ino, RenameFlags, Result};

use crate::{ROOT, code, make_dir, make_file, names, root, stat, volume};

fn rename(fs: &Fs, from: &str, to: &str, flags: RenameFlags) -> Result<()> {
    root(fs, |tx| tx.rename_path(from.as_bytes(), to.as_bytes(), flags))
}

use RenameFlags::{Exchange, NoReplace, Replace};

#[test]
fn a_rename_moves_and_replaces_in_one_step() {
    let fs = volume();
    let file = make_file(&fs, "/a", 0o644);
    let old = make_file(&fs, "/b", 0o644);
    rename(&fs, "/a", "/b", Replace).unwrap();
    assert_eq!(names(&fs, "/"), ["b"]);
    assert_eq!(stat(&fs, "/b").unwrap().ino, file.ino);
    assert_eq!(code(fs.view(&Caller::root()).unwrap().getattr(old.ino)), "stale");
    make_dir(&fs, "/d", 0o755);
    rename(&fs, "/b", "/d/c", Replace).unwrap();
    assert_eq!((names(&fs, "/"), names(&fs, "/d")), (vec!["d".into()], vec!["c".into()]));
}

#[test]
fn a_directory_takes_its_parent_and_its_count_along() {
    let fs = volume();
    make_dir(&fs, "/a", 0o755);
    make_dir(&fs, "/b", 0o755);
    let child = make_dir(&fs, "/a/child", 0o755);
    make_dir(&fs, "/b/empty", 0o755);
    assert_eq!(stat(&fs, "/a").unwrap().nlink, 3);
    rename(&fs, "/a/child", "/b/empty", Replace).unwrap();
    assert_eq!((stat(&fs, "/a").unwrap().nlink, stat(&fs, "/b").unwrap().nlink), (2, 3));
    let view = fs.view(&Caller::root()).unwrap();
    assert_eq!(view.lookup(child.ino, b"..").unwrap().ino, stat(&fs, "/b").unwrap().ino);
}

#[test]
fn an_exchange_swaps_two_names_of_any_kind() {
    let fs = volume();
    make_dir(&fs, "/d", 0o755);
    let inner = make_dir(&fs, "/d/inner", 0o755);
    let file = make_file(&fs, "/file", 0o644);
    rename(&fs, "/d/inner", "/file", Exchange).unwrap();
    assert_eq!((stat(&fs, "/file").unwrap().ino, stat(&fs, "/d/inner").unwrap().ino), (inner.ino, file.ino));
    assert_eq!((stat(&fs, "/").unwrap().nlink, stat(&fs, "/d").unwrap().nlink), (4, 2));
    let view = fs.view(&Caller::root()).unwrap();
    assert_eq!(view.lookup(inner.ino, b"..").unwrap().ino, ROOT);
    assert_eq!(code(rename(&fs, "/d", "/none", Exchange)), "not_found");
}

#[test]
fn no_replace_keeps_what_is_there() {
    let fs = volume();
    make_file(&fs, "/a", 0o644);
    let kept = make_file(&fs, "/b", 0o644);
    assert_eq!(code(rename(&fs, "/a", "/b", NoReplace)), "exists");
    assert_eq!(stat(&fs, "/b").unwrap().ino, kept.ino);
    rename(&fs, "/a", "/c", NoReplace).unwrap();
    assert_eq!(names(&fs, "/"), ["b", "c"]);
}

#[test]
fn two_names_of_one_inode_stay() {
    let fs = volume();
    let file = make_file(&fs, "/a", 0o644);
    root(&fs, |tx| tx.link(file.ino, ROOT, b"b")).unwrap();
    rename(&fs, "/a", "/b", Replace).unwrap();
    rename(&fs, "/a", "/a", Replace).unwrap();
    rename(&fs, "/a", "/b", Exchange).unwrap();
    assert_eq!(names(&fs, "/"), ["a", "b"]);
    assert_eq!(code(rename(&fs, "/a", "/b", NoReplace)), "exists");
}

#[test]
fn renaming_refuses_what_posix_refuses() {
    let fs = volume();
    make_dir(&fs, "/d", 0o755);
    make_dir(&fs, "/d/e", 0o755);
    make_dir(&fs, "/empty", 0o755);
    make_file(&fs, "/f", 0o644);
    let table = [
        ("/none", "/x", Replace, "not_found"),
        ("/f", "/none/x", Replace, "not_found"),
        ("/f", "/f/x", Replace, "not_a_directory"),
        ("/d", "/d/e/x", Replace, "into_itself"),
        ("/d", "/d/x", Replace, "into_itself"),
        ("/d", "/d/e", Exchange, "into_itself"),
        ("/d/e", "/d", Exchange, "into_itself"),
        ("/d/e", "/d", Replace, "not_empty"),
        ("/empty", "/d", Replace, "not_empty"),
        ("/empty", "/f", Replace, "not_a_directory"),
        ("/f", "/empty", Replace, "is_a_directory"),
        ("/", "/x", Replace, "root_busy"),
        ("/f", "/", Replace, "root_busy"),
        ("/d/.", "/x", Replace, "root_busy"),
        ("/f", "/d/..", Replace, "root_busy"),
        ("/f", "/x/", Replace, "not_a_directory"),
        ("/f/", "/x", Replace, "not_a_directory"),
        ("f", "/x", Replace, "invalid_argument"),
    ];
    for (from, to, flags, expected) in table {
        assert_eq!(code(rename(&fs, from, to, flags)), expected, "{from} to {to} {flags:?}");
    }
    assert_eq!(
        (names(&fs, "/"), names(&fs, "/d")),
        (vec!["d".into(), "empty".into(), "f".into()], vec!["e".into()])
    );
    rename(&fs, "/d/", "/moved/", Replace).unwrap();
    let dir: Ino = stat(&fs, "/moved").unwrap().ino;
    assert_eq!(code(root(&fs, |tx| tx.rename(dir, b"e", ROOT, b"a/b", Replace))), "invalid_name");
}
