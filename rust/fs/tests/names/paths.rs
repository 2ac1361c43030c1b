use vexfs_fs::{Caller, Follow, Fs, OpenOptions};

use crate::{code, make_dir, make_file, names, root, stat, user, volume};

fn link(fs: &Fs, target: &str, path: &str) {
    root(fs, |tx| tx.symlink_path(target.as_bytes(), path.as_bytes())).unwrap();
}

fn resolved(fs: &Fs, path: &str, follow: Follow) -> String {
    let view = fs.view(&Caller::root()).unwrap();
    match view.resolve(path.as_bytes(), follow) {
        Ok(ino) => {
            let mut found = "?".to_owned();
            let known = ["/", "/d", "/d/f", "/d/e", "/d/e/g", "/to_f", "/to_d"];
            for name in known {
                if view.resolve(name.as_bytes(), Follow::Never).is_ok_and(|at| at == ino) {
                    found = name.to_owned();
                }
            }
            found
        }
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn paths_lead_where_posix_says() {
    let fs = volume();
    make_dir(&fs, "/d", 0o755);
    make_dir(&fs, "/d/e", 0o755);
    make_file(&fs, "/d/f", 0o644);
    make_file(&fs, "/d/e/g", 0o644);
    link(&fs, "d/f", "/to_f");
    link(&fs, "/d", "/to_d");
    link(&fs, "../to_d/e", "/d/to_e");
    link(&fs, "e/", "/d/to_e_slash");
    link(&fs, "nowhere", "/dangling");
    link(&fs, "loop_b", "/loop_a");
    link(&fs, "loop_a", "/loop_b");
    let table = [
        ("/", "/"),
        ("//", "/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/../../d/./e/../f", "/d/f"),
        ("/d", "/d"),
        ("/d/", "/d"),
        ("/d//e///g", "/d/e/g"),
        ("/d/f/", "not_a_directory"),
        ("/d/f/x", "not_a_directory"),
        ("/d/f/..", "not_a_directory"),
        ("/d/none", "not_found"),
        ("/none/x", "not_found"),
        ("/to_f", "/d/f"),
        ("/to_f/", "not_a_directory"),
        ("/to_d/f", "/d/f"),
        ("/to_d/to_e/g", "/d/e/g"),
        ("/d/to_e_slash/g", "/d/e/g"),
        ("/d/to_e_slash", "/d/e"),
        ("/to_d/..", "/"),
        ("/dangling", "not_found"),
        ("/loop_a", "symlink_loop"),
        ("/loop_a/x", "symlink_loop"),
        ("", "not_found"),
        ("d/f", "invalid_argument"),
    ];
    for (path, expected) in table {
        assert_eq!(resolved(&fs, path, Follow::Always), expected, "{path}");
    }
    assert_eq!(resolved(&fs, "/to_f", Follow::Never), "/to_f");
    assert_eq!(resolved(&fs, "/to_d", Follow::Never), "/to_d");
    assert_eq!(resolved(&fs, "/to_d/", Follow::Never), "/d");
    assert_eq!(resolved(&fs, "/loop_a", Follow::Never), "?");
    let nul = fs.view(&Caller::root()).unwrap().resolve(b"/d\0/f", Follow::Always);
    assert_eq!(code(nul), "invalid_name");
}

#[test]
fn forty_links_are_followed_and_not_one_more() {
    let fs = volume();
    make_file(&fs, "/0", 0o644);
    for i in 1..=41 {
        link(&fs, &(i - 1).to_string(), &format!("/{i}"));
    }
    let view = fs.view(&Caller::root()).unwrap();
    assert_eq!(code(view.resolve(b"/40", Follow::Always)), "ok");
    assert_eq!(code(view.resolve(b"/41", Follow::Always)), "symlink_loop");
}

#[test]
fn paths_longer_than_path_max_work() {
    let fs = volume();
    let name = "n".repeat(200);
    let mut path = String::new();
    for _ in 0..100 {
        path = format!("{path}/{name}");
        make_dir(&fs, &path, 0o755);
    }
    assert!(path.len() > 4 * 4096);
    make_file(&fs, &format!("{path}/file"), 0o644);
    assert_eq!(names(&fs, &path), ["file"]);
    let view = fs.view(&Caller::root()).unwrap();
    let dir = view.resolve(path.as_bytes(), Follow::Always).unwrap();
    assert_eq!(code(view.resolve_from(dir, b"../././file", Follow::Always)), "not_found");
    assert_eq!(code(view.resolve_from(dir, b"./file", Follow::Always)), "ok");
    fs.rmtree(&Caller::root(), format!("/{name}").as_bytes()).unwrap();
    assert_eq!(names(&fs, "/"), Vec::<String>::new());
}

#[test]
fn verbs_on_paths_follow_the_rules_for_slashes_and_dots() {
    let fs = volume();
    make_dir(&fs, "/d", 0o755);
    make_file(&fs, "/f", 0o644);
    link(&fs, "d", "/to_d");
    link(&fs, "nowhere", "/dangling");
    assert_eq!(code(root(&fs, |tx| tx.mkdir_path(b"/", 0o755))), "exists");
    assert_eq!(code(root(&fs, |tx| tx.mkdir_path(b"/d/.", 0o755))), "exists");
    assert_eq!(code(root(&fs, |tx| tx.mkdir_path(b"/to_d", 0o755))), "exists");
    assert_eq!(code(root(&fs, |tx| tx.mkdir_path(b"/new/", 0o755))), "ok");
    assert_eq!(code(root(&fs, |tx| tx.create_path(b"/file/", 0o644))), "not_found");
    assert_eq!(code(root(&fs, |tx| tx.create_path(b"/d/", 0o644))), "exists");
    assert_eq!(code(root(&fs, |tx| tx.symlink_path(b"x", b"/link/"))), "not_found");
    assert_eq!(code(root(&fs, |tx| tx.mknod_path(b"/pipe/", 0o010_644, 0))), "not_found");
    assert_eq!(code(root(&fs, |tx| tx.unlink_path(b"/"))), "is_a_directory");
    assert_eq!(code(root(&fs, |tx| tx.unlink_path(b"/f/"))), "not_a_directory");
    assert_eq!(code(root(&fs, |tx| tx.unlink_path(b"/d/"))), "is_a_directory");
    assert_eq!(code(root(&fs, |tx| tx.unlink_path(b"/to_d/"))), "not_a_directory");
    assert_eq!(code(root(&fs, |tx| tx.rmdir_path(b"/"))), "root_busy");
    assert_eq!(code(root(&fs, |tx| tx.rmdir_path(b"/d/."))), "invalid_argument");
    assert_eq!(code(root(&fs, |tx| tx.rmdir_path(b"/d/.."))), "not_empty");
    assert_eq!(code(root(&fs, |tx| tx.rmdir_path(b"/to_d/"))), "not_a_directory");
    assert_eq!(code(root(&fs, |tx| tx.rmdir_path(b"/d/"))), "ok");
    assert_eq!(code(root(&fs, |tx| tx.link_path(b"/f", b"/g/", Follow::Never))), "not_found");
    assert_eq!(code(root(&fs, |tx| tx.link_path(b"/dangling", b"/g", Follow::Always))), "not_found");
    assert_eq!(code(root(&fs, |tx| tx.link_path(b"/dangling", b"/g", Follow::Never))), "ok");
    assert_eq!(names(&fs, "/"), ["dangling", "f", "g", "new", "to_d"]);
}

#[test]
fn searching_needs_permission_on_every_directory_of_the_way() {
    let fs = volume();
    make_dir(&fs, "/closed", 0o700);
    make_dir(&fs, "/closed/open", 0o777);
    make_file(&fs, "/closed/open/f", 0o666);
    link(&fs, "/closed/open/f", "/way");
    let view = fs.view(&user(1000, &[])).unwrap();
    for path in ["/closed/open/f", "/closed/open", "/closed/none", "/closed/.", "/closed/..", "/way"] {
        assert_eq!(code(view.resolve(path.as_bytes(), Follow::Always)), "access_denied", "{path}");
    }
    assert_eq!(code(view.resolve(b"/closed", Follow::Always)), "ok");
    let inner = stat(&fs, "/closed/open").unwrap().ino;
    assert_eq!(code(view.resolve_from(inner, b"f", Follow::Always)), "ok");
}

#[test]
fn opening_makes_cuts_and_refuses_as_open_does() {
    let fs = volume();
    let caller = Caller::new(1000, 1000, &[1000], 0o027);
    make_dir(&fs, "/d", 0o777);
    make_dir(&fs, "/shut", 0o755);
    make_file(&fs, "/d/theirs", 0o644);
    link(&fs, "made", "/d/to_made");
    link(&fs, "/d/absolute", "/d/to_absolute");
    let read = OpenOptions { read: true, ..OpenOptions::default() };
    let write = OpenOptions { write: true, ..OpenOptions::default() };
    let create = OpenOptions { write: true, create: true, mode: 0o666, ..OpenOptions::default() };
    let exclusive = OpenOptions { exclusive: true, ..create };
    let open = |path: &str, options: &OpenOptions| fs.open_file(&caller, path.as_bytes(), options);
    assert_eq!(code(open("/d/none", &read)), "not_found");
    assert_eq!(code(open("/d/theirs", &read)), "ok");
    assert_eq!(code(open("/d/theirs", &write)), "access_denied");
    assert_eq!(code(open("/d/theirs", &OpenOptions { truncate: true, ..read })), "access_denied");
    assert_eq!(code(open("/d", &read)), "ok");
    assert_eq!(code(open("/d", &write)), "is_a_directory");
    assert_eq!(code(open("/d", &create)), "is_a_directory");
    assert_eq!(code(open("/d/new/", &create)), "is_a_directory");
    assert_eq!(code(open("/shut/new", &create)), "access_denied");
    assert_eq!(code(open("/d/theirs", &OpenOptions { directory: true, ..read })), "not_a_directory");
    assert_eq!(code(open("/d/to_made", &OpenOptions { no_follow: true, ..read })), "symlink_loop");
    assert_eq!(code(open("/d/to_made", &exclusive)), "exists");
    assert_eq!(code(open("/d/theirs", &exclusive)), "exists");
    let made = open("/d/to_made", &create).unwrap();
    assert_eq!(stat(&fs, "/d/made").unwrap().ino, made.ino());
    assert_eq!((stat(&fs, "/d/made").unwrap().permissions, stat(&fs, "/d/made").unwrap().uid), (0o640, 1000));
    assert_eq!((code(made.check_read()), code(made.check_write())), ("bad_handle", "ok"));
    let absolute = open("/d/to_absolute", &create).unwrap();
    assert_eq!(stat(&fs, "/d/absolute").unwrap().ino, absolute.ino());
    fs.auto(&caller, |tx| tx.write(made.ino(), 0, b"some data")).unwrap();
    let again = open("/d/made", &OpenOptions { truncate: true, ..write }).unwrap();
    assert_eq!((again.ino(), stat(&fs, "/d/made").unwrap().size), (made.ino(), 0));
    // A file that one makes without permission to write it is open to be written all the same.
    let unwritable = open("/d/unwritable", &OpenOptions { mode: 0o000, ..exclusive }).unwrap();
    assert_eq!(code(unwritable.check_write()), "ok");
}
