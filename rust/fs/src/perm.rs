//! Who may do what: the rules of POSIX and, where it leaves a choice, those of Linux.

use vexfs_format::{FileType, Ino, Inode};
use vexfs_store::Read;

use crate::acl::{self, Acl};
use crate::error::Quoted;
use crate::{Caller, Error, Result, Scope};

/// To read, or to list a directory.
pub const READ: u16 = 4;
/// To write, or to change entries of a directory.
pub const WRITE: u16 = 2;
/// To execute, or to look names up in a directory.
pub const EXEC: u16 = 1;

pub(crate) const SET_UID: u16 = 0o4000;
pub(crate) const SET_GID: u16 = 0o2000;
pub(crate) const STICKY: u16 = 0o1000;

/// Whether mode bits alone grant `want`.
pub(crate) fn mode_grants(caller: &Caller, inode: &Inode, want: u16) -> bool {
    let shift = match () {
        () if caller.uid == inode.uid => 6,
        () if caller.in_group(inode.gid) => 3,
        () => 0,
    };
    inode.permissions >> shift & want == want
}

/// Whether the capabilities of root grant `want`: all but to execute a file that nobody may execute.
fn super_grants(caller: &Caller, inode: &Inode, want: u16) -> bool {
    let executable = inode.file_type == FileType::Directory || inode.permissions & 0o111 != 0;
    caller.privileged || caller.uid == 0 && (want & EXEC == 0 || executable)
}

/// Whether the caller owns the inode or may act as its owner.
pub(crate) fn owns(caller: &Caller, inode: &Inode) -> bool {
    caller.is_super() || caller.uid == inode.uid
}

/// Fails unless the caller may act as the owner.
pub(crate) fn check_owner(caller: &Caller, inode: &Inode) -> Result<()> {
    match owns(caller, inode) {
        true => Ok(()),
        false => Err(Error::NotPermitted { what: "only the owner and root may change this" }),
    }
}

/// Fails if a sticky directory keeps the caller from removing or renaming an entry that is another's.
pub(crate) fn check_sticky(caller: &Caller, dir: &Inode, entry: &Inode) -> Result<()> {
    let free = dir.permissions & STICKY == 0 || owns(caller, entry) || caller.uid == dir.uid;
    match free {
        true => Ok(()),
        false => Err(Error::NotPermitted {
            what: "in a sticky directory only the owners of entry and directory and root may remove or rename it",
        }),
    }
}

/// Takes the set-id bits away that a change of the data by this caller takes away.
pub(crate) fn clear_set_id(caller: &Caller, inode: &mut Inode) {
    if !caller.is_super() {
        drop_set_id(inode);
    }
}

/// Takes the set-id bits away; the set-group bit without group execution means something else and stays.
pub(crate) fn drop_set_id(inode: &mut Inode) {
    if inode.file_type == FileType::Directory {
        return;
    }
    inode.permissions &= !SET_UID;
    if inode.permissions & 0o010 != 0 {
        inode.permissions &= !SET_GID;
    }
}

impl<R: Read> Scope<R> {
    /// Whether the caller may `want` (rwx as 4, 2, 1; 0 for mere existence).
    pub(crate) fn may(&self, ino: Ino, inode: &Inode, want: u16) -> Result<bool> {
        if want == 0 || super_grants(&self.caller, inode, want) {
            return Ok(true);
        }
        if inode.flags & Inode::HAS_ACL == 0 || self.caller.uid == inode.uid {
            return Ok(mode_grants(&self.caller, inode, want));
        }
        match self.acl(ino, acl::ACCESS)? {
            Some(acl) => Ok(acl.grants(&self.caller, inode, want)),
            None => Ok(mode_grants(&self.caller, inode, want)),
        }
    }

    /// Fails unless the caller may `want`; `name` is for the message.
    pub(crate) fn check(&self, ino: Ino, inode: &Inode, want: u16, name: &[u8]) -> Result<()> {
        match self.may(ino, inode, want)? {
            true => Ok(()),
            false => Err(Error::AccessDenied(Quoted::from(name))),
        }
    }

    /// Fails unless the caller may do all of `want` (rwx as 4, 2, 1; 0 for mere existence) with the inode.
    ///
    /// # Errors
    /// [`Error::AccessDenied`], [`Error::Stale`].
    pub fn access(&self, ino: Ino, want: u16) -> Result<()> {
        let inode = self.inode(ino)?;
        self.check(ino, &inode, want & 7, b"")
    }

    /// The inode's list of this kind.
    pub(crate) fn acl(&self, ino: Ino, name: &[u8]) -> Result<Option<Acl>> {
        let bad =
            vexfs_format::Error::BadValue { what: "access control list", field: "entries", value: ino.0 };
        let Some(value) = self.xattr_value(ino, name)? else { return Ok(None) };
        Acl::parse(&value).map(Some).ok_or(Error::Damaged { ino, source: bad })
    }
}
