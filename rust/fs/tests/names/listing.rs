use std::collections::{BTreeMap, BTreeSet};

use vexfs_fs::{Caller, FileType, Fs, Ino};

use crate::{ROOT, code, make_dir, make_file, root, user, volume};

/// One page of a listing: names and cookies.
fn page(fs: &Fs, dir: Ino, after: u64, limit: usize) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let view = fs.view(&Caller::root()).unwrap();
    view.readdir(dir, after, |entry| {
        found.push((String::from_utf8(entry.name.to_vec()).unwrap(), entry.cookie));
        Ok(found.len() < limit)
    })
    .unwrap();
    found
}

#[test]
fn a_listing_has_every_entry_once_with_type_and_number() {
    let fs = volume();
    make_dir(&fs, "/d", 0o755);
    make_file(&fs, "/f", 0o644);
    let view = fs.view(&Caller::root()).unwrap();
    let mut seen = BTreeMap::new();
    view.readdir_plus(ROOT, 0, |entry, attr| {
        assert_eq!((entry.ino, entry.file_type), (attr.ino, attr.file_type));
        assert!(entry.cookie > 0 && entry.cookie < 1 << 63);
        let name = String::from_utf8(entry.name.to_vec()).unwrap();
        assert_eq!(seen.insert(name, entry.file_type), None);
        Ok(true)
    })
    .unwrap();
    let expected = [
        (".", FileType::Directory),
        ("..", FileType::Directory),
        ("d", FileType::Directory),
        ("f", FileType::Regular),
    ];
    assert_eq!(seen, expected.map(|(name, kind)| (name.to_owned(), kind)).into());
}

#[test]
fn pages_of_any_size_make_the_whole_listing() {
    let fs = volume();
    root(&fs, |tx| (0..300).try_for_each(|i| tx.create(ROOT, format!("{i}").as_bytes(), 0o644).map(drop)))
        .unwrap();
    let whole = page(&fs, ROOT, 0, usize::MAX);
    assert_eq!(whole.len(), 302);
    for size in [1, 2, 3, 7, 301] {
        let mut pages = Vec::new();
        let mut after = 0;
        loop {
            let page = page(&fs, ROOT, after, size);
            let Some((_, last)) = page.last() else { break };
            after = *last;
            pages.extend(page);
        }
        assert_eq!(pages, whole, "pages of {size}");
    }
}

#[test]
fn entries_that_stay_are_listed_once_whatever_comes_and_goes_meanwhile() {
    let fs = volume();
    let stay: BTreeSet<String> = (0..200).map(|i| format!("stay {i}")).collect();
    root(&fs, |tx| {
        stay.iter().try_for_each(|name| tx.create(ROOT, name.as_bytes(), 0o644).map(drop))?;
        (0..200).try_for_each(|i| tx.create(ROOT, format!("go {i}").as_bytes(), 0o644).map(drop))
    })
    .unwrap();
    let mut seen = Vec::new();
    let (mut after, mut round) = (0, 0);
    loop {
        let page = page(&fs, ROOT, after, 11);
        let Some((_, last)) = page.last() else { break };
        after = *last;
        seen.extend(page.into_iter().map(|(name, _)| name).filter(|name| name.starts_with("stay")));
        root(&fs, |tx| {
            tx.unlink(ROOT, format!("go {round}").as_bytes())?;
            tx.create(ROOT, format!("come {round}").as_bytes(), 0o644)?;
            // Replacing an entry is not a reason to show it again.
            let name = format!("stay {}", round * 5 % 200);
            tx.create(ROOT, b"new", 0o644)?;
            tx.rename(ROOT, b"new", ROOT, name.as_bytes(), Default::default())
        })
        .unwrap();
        round += 1;
    }
    let unique: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(seen.len(), unique.len());
    assert_eq!(unique, stay);
}

#[test]
fn listing_needs_a_directory_that_may_be_read() {
    let fs = volume();
    let file = make_file(&fs, "/f", 0o644).ino;
    let shut = make_dir(&fs, "/shut", 0o711).ino;
    let view = fs.view(&user(1000, &[])).unwrap();
    assert_eq!(code(view.list(file)), "not_a_directory");
    assert_eq!(code(view.list(shut)), "access_denied");
    assert_eq!(code(view.list(Ino(999))), "stale");
    assert_eq!(code(view.list_path(b"/shut/..")), "ok");
}

#[test]
fn walking_visits_parents_first_and_only_what_is_left_in() {
    let fs = volume();
    for path in ["/a", "/a/b", "/a/b/c", "/a/skip", "/a/skip/deep", "/z"] {
        make_dir(&fs, path, 0o755);
    }
    make_file(&fs, "/a/b/file", 0o644);
    root(&fs, |tx| tx.symlink_path(b"/a", b"/a/b/link")).unwrap();
    let mut seen = Vec::new();
    let view = fs.view(&Caller::root()).unwrap();
    view.walk(b"/", |walked| {
        seen.push(String::from_utf8(walked.path.clone()).unwrap());
        walked.entries.retain(|entry| entry.name != b"skip");
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, ["/", "/a", "/a/b", "/a/b/c", "/z"]);
}
