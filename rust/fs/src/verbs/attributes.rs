//! Changing attributes.

use vexfs_format::{FileType, Ino, Inode};

use crate::acl;
use crate::perm::{SET_GID, WRITE, check_owner, drop_set_id, owns};
use crate::{Attr, Caller, Error, FsTx, Result, SetAttr, SetTime, clock};

impl FsTx {
    /// Changes attributes: all that are given, or none. The length is changed as [`FsTx::truncate`] does it.
    ///
    /// Changing the owner or group of a file takes its set-id bits away, and so does changing its data unless root
    /// does it. A caller outside the file's group cannot set the set-group bit.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless the owner (for the owner itself: root) asks; [`Error::AccessDenied`] for the
    /// present time or the length without write permission; [`Error::Stale`].
    pub fn setattr(&mut self, ino: Ino, set: &SetAttr) -> Result<Attr> {
        self.whole(|tx| tx.change(ino, set))
    }

    fn change(&mut self, ino: Ino, set: &SetAttr) -> Result<Attr> {
        if let Some(size) = set.size {
            let inode = self.inode(ino)?;
            self.check(ino, &inode, WRITE, b"")?;
            self.truncate(ino, size)?;
        }
        let mut inode = self.inode(ino)?;
        if *set == (SetAttr { size: set.size, ..SetAttr::default() }) {
            return Ok(Attr::new(ino, &inode));
        }
        if set.mode.is_some() {
            check_owner(&self.caller, &inode)?;
        }
        let now = clock::now();
        self.set_times(ino, &mut inode, set, now)?;
        if set.uid.is_some() || set.gid.is_some() {
            set_owner(&self.caller, &mut inode, set)?;
        }
        if let Some(mode) = set.mode {
            self.set_mode(ino, &mut inode, mode)?;
        }
        inode.ctime_ns = now;
        self.put_inode(ino, &inode);
        Ok(Attr::new(ino, &inode))
    }

    fn set_times(&self, ino: Ino, inode: &mut Inode, set: &SetAttr, now: i64) -> Result<()> {
        let times = [set.atime, set.mtime];
        if times == [None, None] {
            return Ok(());
        }
        let only_now = times == [Some(SetTime::Now); 2];
        match only_now && !owns(&self.caller, inode) {
            true => self.check(ino, inode, WRITE, b"")?,
            false => check_owner(&self.caller, inode)?,
        }
        let time = |set: Option<SetTime>, old| match set {
            Some(SetTime::Now) => now,
            Some(SetTime::At(time)) => time,
            None => old,
        };
        inode.atime_ns = time(set.atime, inode.atime_ns);
        inode.mtime_ns = time(set.mtime, inode.mtime_ns);
        Ok(())
    }

    fn set_mode(&mut self, ino: Ino, inode: &mut Inode, mode: u32) -> Result<()> {
        if inode.file_type == FileType::Symlink {
            return Err(Error::NotSupported { what: "a symbolic link has no permissions of its own" });
        }
        inode.permissions = (mode & 0o7777) as u16;
        if !self.caller.is_super() && !self.caller.in_group(inode.gid) {
            inode.permissions &= !SET_GID;
        }
        if inode.flags & Inode::HAS_ACL != 0
            && let Some(mut acl) = self.acl(ino, acl::ACCESS)?
        {
            acl.set_mode(inode.permissions);
            self.put_xattr(ino, acl::ACCESS, &acl.encode())?;
        }
        Ok(())
    }
}

fn set_owner(caller: &Caller, inode: &mut Inode, set: &SetAttr) -> Result<()> {
    let uid = set.uid.unwrap_or(inode.uid);
    let gid = set.gid.unwrap_or(inode.gid);
    let own = caller.uid == inode.uid && uid == inode.uid && (gid == inode.gid || caller.in_group(gid));
    if !own && !caller.is_super() {
        return Err(Error::NotPermitted {
            what: "only root may change the owner, and only the owner the group, to one of their own groups",
        });
    }
    if inode.file_type != FileType::Directory {
        if inode.permissions & 0o010 == 0 && !caller.is_super() && !caller.in_group(inode.gid) {
            inode.permissions &= !SET_GID;
        }
        drop_set_id(inode);
    }
    (inode.uid, inode.gid) = (uid, gid);
    Ok(())
}
