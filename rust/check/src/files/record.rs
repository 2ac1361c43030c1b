//! An inode's record by itself, and against the list of orphans.

use vexfs_format::orphan::Work;
use vexfs_format::{FileType, Inode, MAX_LINKS, objects};

use super::object::Record;
use super::{Files, Relations};
use crate::finding::{
    GENERATION_UNKNOWN, INODE_DAMAGED, INODE_IMPOSSIBLE, ORPHAN_HAS_LINKS, ORPHAN_MISSING, ORPHAN_OF_ANOTHER,
};
use crate::report::Location;

/// Reads the record.
pub(crate) fn read(files: &Files<'_>, relations: &mut Relations, ino: u64, value: &[u8]) -> Record {
    relations.totals.inodes += 1;
    if let Some(claimed) = &files.replay {
        claimed.inodes.set_one(ino);
    }
    match Inode::parse(value) {
        Ok(inode) => {
            files.links.record(ino, Some((inode.file_type, inode.nlink)));
            Record::Good(inode)
        }
        Err(error) => {
            files.links.record(ino, None);
            files.volume.ledger.add(&INODE_DAMAGED, Location::inode(ino), format!("inode {ino}: {error}"));
            Record::Damaged
        }
    }
}

/// Judges what it says.
pub(crate) fn judge(files: &Files<'_>, relations: &mut Relations, ino: u64, inode: &Inode) {
    let directory = inode.file_type == FileType::Directory;
    match directory {
        true => relations.totals.directories += 1,
        false => relations.totals.files += 1,
    }
    if directory && inode.nlink > 0 {
        relations.parents.push((ino, inode.parent_or_rdev));
    }
    relations.generations.push(inode.generation);
    for what in impossible(ino, inode) {
        let message = format!("inode {ino}: {what}");
        files.volume.ledger.add(&INODE_IMPOSSIBLE, Location::inode(ino), message);
    }
    if inode.generation > files.unique_high {
        let (generation, high) = (inode.generation, files.unique_high);
        let message =
            format!("inode {ino} has generation {generation}, none above {high} was ever handed out");
        files.volume.ledger.add(&GENERATION_UNKNOWN, Location::inode(ino), message);
    }
    judge_orphan(files, ino, inode);
}

/// What cannot be about a record, whatever else there is.
fn impossible(ino: u64, inode: &Inode) -> Vec<String> {
    let mut wrong = Vec::new();
    let directory = inode.file_type == FileType::Directory;
    let device = matches!(inode.file_type, FileType::CharDevice | FileType::BlockDevice);
    if directory && inode.nlink > 1 {
        wrong.push(format!("it is a directory and has {} links; a directory has one", inode.nlink));
    }
    if inode.nlink > MAX_LINKS {
        wrong.push(format!("it has {} links, more than {MAX_LINKS} are not possible", inode.nlink));
    }
    if !directory && inode.subdirs > 0 {
        wrong.push(format!("it is no directory and has {} directories in it", inode.subdirs));
    }
    if !directory && !device && inode.parent_or_rdev != 0 {
        wrong.push(format!("it has device number {} and is no device", inode.parent_or_rdev));
    }
    if ino == objects::ROOT && inode.nlink == 0 {
        wrong.push("it is the root and has no link".into());
    }
    if !matches!(inode.file_type, FileType::Regular | FileType::Symlink) && inode.size > 0 {
        wrong.push(format!("it has {} bytes and can have none by its type", inode.size));
    }
    wrong
}

/// An inode without links is on the list of those to remove, and no other is.
fn judge_orphan(files: &Files<'_>, ino: u64, inode: &Inode) {
    let here = Location::inode(ino);
    let ledger = &files.volume.ledger;
    match files.orphans.get(ino) {
        Some(orphan) if orphan.generation != inode.generation => {
            let (generation, own) = (orphan.generation, inode.generation);
            let message = format!(
                "what is left to do is for inode {ino} of generation {generation}, this one has {own}"
            );
            ledger.add(&ORPHAN_OF_ANOTHER, here, message);
        }
        Some(orphan) if orphan.work == Work::Remove && inode.nlink > 0 => {
            let message = format!("inode {ino} is to be removed and has {} links", inode.nlink);
            ledger.add(&ORPHAN_HAS_LINKS, here, message);
        }
        Some(orphan) if orphan.work == Work::Remove || inode.nlink > 0 => {}
        // A damaged item about it is reported as that.
        None if files.orphans.is_known(ino) && inode.nlink == 0 && ino != objects::ROOT => {
            ledger.add(&ORPHAN_MISSING, here, format!("inode {ino} has no links and is not to be removed"));
        }
        Some(_) => {
            ledger.add(&ORPHAN_MISSING, here, format!("inode {ino} has no links and is only to be cut"))
        }
        None => {}
    }
}
