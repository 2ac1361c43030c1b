//! The oracle behind the random tests: whatever was done, the volume is a tree, every count is what the tree says,
//! and there is no key that belongs to nothing.

use std::collections::{BTreeMap, BTreeSet};

use vexfs_format::{Key, Orphan, kinds, objects};
use vexfs_fs::{Attr, Caller, FileType, Fs, Ino};
use vexfs_store::Read;

/// Checks the volume and returns every path with what it leads to, and the inodes without a name.
pub fn audit(fs: &Fs) -> (BTreeMap<Vec<u8>, Attr>, BTreeSet<Ino>) {
    let view = fs.view(&Caller::privileged(0, 0, 0)).unwrap();
    let mut paths = BTreeMap::new();
    let mut links: BTreeMap<Ino, u32> = BTreeMap::new();
    let mut open = vec![(b"".to_vec(), Ino(1), Ino(1))];
    while let Some((path, dir, parent)) = open.pop() {
        let attr = view.getattr(dir).unwrap();
        assert!(paths.insert(path.clone(), attr).is_none());
        let mut subdirs = 0;
        view.readdir_plus(dir, 0, |entry, attr| {
            match entry.name {
                b"." => assert_eq!(entry.ino, dir),
                b".." => assert_eq!(entry.ino, parent, "parent of {dir}"),
                name => {
                    assert_eq!(entry.file_type, attr.file_type);
                    let path = [path.as_slice(), b"/", name].concat();
                    if attr.is_dir() {
                        subdirs += 1;
                        open.push((path, attr.ino, dir));
                    } else {
                        *links.entry(attr.ino).or_default() += 1;
                        paths.insert(path, *attr);
                    }
                }
            }
            assert!(paths.len() < 100_000, "a directory is under itself");
            Ok(true)
        })
        .unwrap();
        assert_eq!(attr.nlink, 2 + subdirs, "links of directory {dir}");
    }
    for attr in paths.values().filter(|attr| attr.file_type != FileType::Directory) {
        assert_eq!(attr.nlink, links[&attr.ino], "links of inode {}", attr.ino);
    }
    let reachable: BTreeSet<Ino> = paths.values().map(|attr| attr.ino).collect();
    let nameless = check_keys(fs, &reachable);
    (paths, nameless)
}

/// Checks that every key belongs to an inode, and every inode has a name or an orphan item.
fn check_keys(fs: &Fs, reachable: &BTreeSet<Ino>) -> BTreeSet<Ino> {
    let view = fs.store().view();
    let (mut inodes, mut owners, mut orphans) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for item in view.range(Key::MIN, Key::MAX) {
        let (key, value) = item.unwrap();
        match key.kind {
            kinds::ORPHAN => {
                assert_eq!(key.object, objects::ORPHANS);
                Orphan::parse(&value).unwrap();
                orphans.insert(Ino(key.offset));
            }
            kinds::INODE => drop(inodes.insert(Ino(key.object))),
            _ => drop(owners.insert(Ino(key.object))),
        }
    }
    assert!(owners.is_subset(&inodes), "keys without inode: {:?}", owners.difference(&inodes));
    let nameless: BTreeSet<Ino> = inodes.difference(reachable).copied().collect();
    assert_eq!(nameless, orphans, "inodes without a name, orphans");
    nameless
}
