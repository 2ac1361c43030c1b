//! An inode's extended attributes and access control lists.

use vexfs_format::name::hash;
use vexfs_format::{FileType, Inode, Key, Xattrs};
use vexfs_fs::acl::{self, Acl};

use super::{Files, Relations};
use crate::finding::{
    ACL_DAMAGED, ACL_FLAG_WRONG, ACL_MODE_WRONG, XATTR_DAMAGED, XATTR_HASH_WRONG, XATTR_NAME_WRONG,
};
use crate::paths::quoted;
use crate::report::Location;

/// The namespaces that anybody's attributes are in.
const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// What the attributes of one inode come to.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    access: Option<List>,
    default: Option<List>,
    user: bool,
    damaged: bool,
    stray: Vec<String>,
}

/// An access control list.
#[derive(Debug)]
enum List {
    Good(Acl),
    Damaged,
}

impl Attributes {
    /// Takes up an item.
    pub fn add(&mut self, files: &Files<'_>, relations: &mut Relations, key: Key, value: &[u8]) {
        let (ino, ledger) = (key.object, &files.volume.ledger);
        let here = Location::at(ino, key.offset);
        let xattrs = match Xattrs::parse(value) {
            Ok(xattrs) => xattrs,
            Err(error) => {
                self.damaged = true;
                let message = format!("attributes of inode {ino} with hash {:#x}: {error}", key.offset);
                return ledger.add(&XATTR_DAMAGED, here, message);
            }
        };
        for xattr in xattrs.iter() {
            relations.totals.xattrs += 1;
            let name = quoted(xattr.name);
            let right = hash(&files.volume.superblock.hash_seed, xattr.name);
            if right != key.offset {
                let message = format!(
                    "attribute {name} of inode {ino} lies at {:#x}, its hash is {right:#x}",
                    key.offset
                );
                ledger.add(&XATTR_HASH_WRONG, here.clone(), message);
            }
            let list = || Acl::parse(xattr.value).map_or(List::Damaged, List::Good);
            match xattr.name {
                acl::ACCESS => self.access = Some(list()),
                acl::DEFAULT => self.default = Some(list()),
                known
                    if NAMESPACES
                        .iter()
                        .any(|space| known.starts_with(space) && known.len() > space.len()) =>
                {
                    self.user |= known.starts_with(b"user.");
                }
                _ => self.stray.push(name),
            }
        }
    }

    /// Compares them with the inode's record.
    pub fn judge(&self, files: &Files<'_>, ino: u64, inode: &Inode, lost: bool) {
        let ledger = &files.volume.ledger;
        let here = || Location::inode(ino);
        for name in &self.stray {
            let message = format!("inode {ino} has attribute {name}, in no namespace that there is");
            ledger.add(&XATTR_NAME_WRONG, here(), message);
        }
        if self.user && !matches!(inode.file_type, FileType::Regular | FileType::Directory) {
            let message =
                format!("inode {ino} has an attribute of users, and is neither a file nor a directory");
            ledger.add(&XATTR_NAME_WRONG, here(), message);
        }
        let misplaced = self.access.is_some() && inode.file_type == FileType::Symlink
            || self.default.is_some() && inode.file_type != FileType::Directory;
        if misplaced {
            let message = format!("inode {ino} has an access control list that one of its type cannot have");
            ledger.add(&XATTR_NAME_WRONG, here(), message);
        }
        for list in [&self.access, &self.default].into_iter().flatten() {
            if matches!(list, List::Damaged) {
                ledger.add(&ACL_DAMAGED, here(), format!("an access control list of inode {ino} is none"));
            }
        }
        if let Some(List::Good(list)) = &self.access
            && list.mode() != inode.permissions & 0o777
        {
            let (says, mode) = (list.mode(), inode.permissions & 0o777);
            let message = format!("inode {ino} has mode {mode:03o}, its access control list says {says:03o}");
            ledger.add(&ACL_MODE_WRONG, here(), message);
        }
        // The attributes of what is being removed go before its record.
        if self.damaged || lost || inode.nlink == 0 || misplaced {
            return;
        }
        let flags = [
            ("an access control list", Inode::HAS_ACL, self.access.is_some()),
            ("a default access control list", Inode::HAS_DEFAULT_ACL, self.default.is_some()),
        ];
        for (what, flag, has) in flags {
            let message = match (inode.flags & flag != 0, has) {
                (true, false) => {
                    format!("the record of inode {ino} says that it has {what}, and it has none")
                }
                (false, true) => format!("inode {ino} has {what}, and its record does not say so"),
                _ => continue,
            };
            ledger.add(&ACL_FLAG_WRONG, here(), message);
        }
    }
}
