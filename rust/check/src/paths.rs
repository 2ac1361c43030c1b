//! Paths for what was found. Only looked for when something was found.

use std::collections::{BTreeMap, BTreeSet};

use vexfs_format::{Dirents, Inode, Key, kinds, objects};
use vexfs_fs::Quoted;
use vexfs_store::{Read, Store, View};

use crate::report::Finding;
use crate::stream;
use crate::volume::Volume;

/// How many inodes get a path.
const NAMED: usize = 1000;
/// How far up it is looked.
const DEPTH: usize = 512;

/// A name in a message.
pub(crate) fn quoted(name: &[u8]) -> String {
    Quoted::from(name).to_string()
}

/// Where inodes are named: the directory, and the name in it.
type Places = BTreeMap<u64, (u64, Vec<u8>)>;

/// Adds a path to every finding about an inode that has one.
pub(crate) fn fill_in(volume: &Volume, store: &Store, findings: &mut [Finding]) {
    let inodes = findings.iter().filter_map(|finding| finding.location.inode);
    let wanted: BTreeSet<u64> = inodes.filter(|ino| volume.is_inode(*ino)).take(NAMED).collect();
    if wanted.is_empty() {
        return;
    }
    let view = store.view();
    let mut places = Places::new();
    stream::items(volume, &view, Key::MIN, Key::MAX, |key, value| note(&mut places, &wanted, key, value));
    for finding in findings {
        let location = &mut finding.location;
        location.path = location.inode.and_then(|ino| path(volume, &view, &mut places, ino));
    }
}

fn note(places: &mut Places, wanted: &BTreeSet<u64>, key: Key, value: &[u8]) {
    if key.kind != kinds::DIRENT {
        return;
    }
    let Ok(entries) = Dirents::parse(value) else { return };
    for entry in entries.iter().filter(|entry| wanted.contains(&entry.ino.0)) {
        places.entry(entry.ino.0).or_insert_with(|| (key.object, entry.name.to_vec()));
    }
}

/// The path of an inode; with `...` in front if it cannot be followed up to the root.
fn path(volume: &Volume, view: &View, places: &mut Places, ino: u64) -> Option<String> {
    if ino == objects::ROOT {
        return Some("/".into());
    }
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    let mut at = ino;
    // Directories may be above each other.
    while at != objects::ROOT && names.len() < DEPTH && seen.insert(at) {
        if !places.contains_key(&at) && at != ino {
            find_directory(volume, view, places, at);
        }
        let Some((dir, name)) = places.get(&at) else { break };
        names.push(shown(name));
        at = *dir;
    }
    names.reverse();
    let start = if at == objects::ROOT { "/" } else { ".../" };
    (!names.is_empty()).then(|| format!("{start}{}", names.join("/")))
}

/// Looks for a directory's entry where its record says that it is.
fn find_directory(volume: &Volume, view: &View, places: &mut Places, dir: u64) {
    let Ok(Some(value)) = view.get(Key::new(dir, kinds::INODE, 0)) else { return };
    let Ok(inode) = Inode::parse(&value) else { return };
    let parent = inode.parent_or_rdev;
    let (from, to) = (Key::new(parent, kinds::DIRENT, 0), Key::new(parent, kinds::DIRENT, u64::MAX));
    let wanted = BTreeSet::from([dir]);
    stream::items(volume, view, from, to, |key, value| note(places, &wanted, key, value));
}

/// A name as text: what is no text is escaped.
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}
