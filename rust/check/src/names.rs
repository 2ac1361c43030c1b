//! Pass 9: inodes against the entries that lead to them, and directories against each other.

use vexfs_format::{FileType, Key, kinds, objects};

use crate::files::{Files, Link, Relations};
use crate::finding::{
    DIRECTORY_LOOP, DIRECTORY_NAMES, ENTRY_DANGLING, ENTRY_TYPE_WRONG, INODE_UNREACHABLE, Kind, LINKS_WRONG,
    PARENT_WRONG, ROOT_MISSING,
};
use crate::report::Location;

/// Judges what the pass over the items has collected.
pub(crate) fn run(files: &Files<'_>, relations: &mut Relations) {
    check_root(files);
    for link in files.links.iter() {
        check_link(files, &link);
    }
    relations.parents.sort_unstable();
    relations.children.sort_unstable();
    check_parents(files, relations);
    check_loops(files, &relations.children);
}

fn check_root(files: &Files<'_>) {
    let record = Key::new(objects::ROOT, kinds::INODE, 0);
    let root = files.links.iter().next().filter(|link| link.ino == objects::ROOT && link.exists());
    let message = match root.map(|root| root.file_type()) {
        Some(Some(FileType::Directory) | None) => return,
        Some(Some(_)) => "the root is no directory",
        None if files.volume.lost.has(record) => return,
        None => "there is no root directory",
    };
    files.volume.ledger.add(&ROOT_MISSING, Location::inode(objects::ROOT), message);
}

fn check_link(files: &Files<'_>, link: &Link) {
    let Link { ino, found, .. } = *link;
    let (ledger, here) = (&files.volume.ledger, Location::inode(ino));
    if !link.exists() {
        if !files.volume.lost.has(Key::new(ino, kinds::INODE, 0)) {
            ledger.add(
                &ENTRY_DANGLING,
                here,
                format!("{found} entries lead to inode {ino}, which there is not"),
            );
        }
        return;
    }
    if !link.types_agree() {
        ledger.add(
            &ENTRY_TYPE_WRONG,
            here.clone(),
            format!("an entry says another type than inode {ino} has"),
        );
    }
    if let Some((kind, message)) = wrong_names(link, files.knows_entries()) {
        ledger.add(kind, here, message);
    }
}

/// What is wrong with the number of entries that lead to an inode. Unless all entries are known there may be more.
fn wrong_names(link: &Link, all_known: bool) -> Option<(&'static Kind, String)> {
    let Link { ino, said, found, .. } = *link;
    let file_type = link.file_type()?;
    let directory = file_type == FileType::Directory;
    if ino == objects::ROOT {
        return (found > 0)
            .then(|| (&DIRECTORY_NAMES, format!("{found} entries lead to the root directory")));
    }
    if directory && found > 1 {
        return Some((&DIRECTORY_NAMES, format!("{found} entries lead to directory {ino}")));
    }
    if found == 0 && said > 0 {
        let message = || format!("inode {ino} has {said} links, and no entry leads to it");
        return all_known.then(|| (&INODE_UNREACHABLE, message()));
    }
    // That a directory has one link was judged with its record.
    let wrong = if directory && said > 0 { false } else { found > said || found < said && all_known };
    wrong.then(|| (&LINKS_WRONG, format!("inode {ino} has {said} links, {found} entries lead to it")))
}

/// A directory's record names the directory that has its entry; the root's names itself.
fn check_parents(files: &Files<'_>, relations: &Relations) {
    let mut entries = relations.children.iter().peekable();
    for (dir, said) in &relations.parents {
        while entries.next_if(|(child, _)| child < dir).is_some() {}
        let mut parents =
            std::iter::from_fn(|| entries.next_if(|(child, _)| child == dir)).map(|(_, parent)| *parent);
        let found = match *dir {
            objects::ROOT => Some(objects::ROOT),
            _ => parents.next(),
        };
        if let Some(found) = found.filter(|found| found != said && parents.next().is_none()) {
            let message = format!("directory {dir} says that its parent is {said}, its entry is in {found}");
            files.volume.ledger.add(&PARENT_WRONG, Location::inode(*dir), message);
        }
    }
}

/// Going up from any directory ends. `children` are sorted.
fn check_loops(files: &Files<'_>, children: &[(u64, u64)]) {
    const NEW: u8 = 0;
    const ON_THE_WAY: u8 = 1;
    const DONE: u8 = 2;
    let mut states = vec![NEW; children.len()];
    for start in 0..children.len() {
        let (mut way, mut next) = (Vec::new(), Some(start));
        while let Some(index) = next {
            let (Some(state), Some((child, parent))) = (states.get_mut(index), children.get(index)) else {
                break;
            };
            match *state {
                NEW => *state = ON_THE_WAY,
                ON_THE_WAY => {
                    report_loop(files, children, &way, index);
                    break;
                }
                _ => break,
            }
            way.push(index);
            let above = children.partition_point(|(child, _)| child < parent);
            let found = children.get(above).is_some_and(|(child, _)| child == parent);
            next = (found && *child != objects::ROOT && *parent != objects::ROOT).then_some(above);
        }
        for index in way {
            if let Some(state) = states.get_mut(index) {
                *state = DONE;
            }
        }
    }
}

fn report_loop(files: &Files<'_>, children: &[(u64, u64)], way: &[usize], first: usize) {
    let circle = way.iter().skip_while(|index| **index != first);
    let mut members: Vec<u64> =
        circle.filter_map(|index| children.get(*index)).map(|(child, _)| *child).collect();
    members.sort_unstable();
    let Some(least) = members.first() else { return };
    let message = format!("{} directories are above each other, the first is {least}", members.len());
    files.volume.ledger.add(&DIRECTORY_LOOP, Location::inode(*least), message);
}
