//! Making inodes.

use vexfs_format::{FileType, Ino, Inode};

use crate::acl::{self, Acl};
use crate::dir::Place;
use crate::error::Quoted;
use crate::perm::{EXEC, SET_GID, WRITE};
use crate::{Attr, Error, FsTx, Hold, Result, clock, keys};

/// The longest target of a symbolic link in bytes.
pub const MAX_SYMLINK: usize = 4095;

/// What an inode is to be.
struct New {
    file_type: FileType,
    mode: u32,
    rdev: u64,
    size: u64,
}

impl FsTx {
    /// Makes a regular file.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::AccessDenied`], [`Error::NotFound`] (the directory was removed), no space.
    pub fn create(&mut self, dir: Ino, name: &[u8], mode: u32) -> Result<Attr> {
        self.make(dir, name, New { file_type: FileType::Regular, mode, rdev: 0, size: 0 })
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As [`FsTx::create`].
    pub fn mkdir(&mut self, dir: Ino, name: &[u8], mode: u32) -> Result<Attr> {
        self.make(dir, name, New { file_type: FileType::Directory, mode: mode & 0o1777, rdev: 0, size: 0 })
    }

    /// Makes a regular file, a named pipe, a socket or a device file (`mode` has the type, 0 for a regular one;
    /// `rdev` the number of a device).
    ///
    /// # Errors
    /// As [`FsTx::create`]; [`Error::NotPermitted`] for devices unless root makes them; [`Error::Invalid`] for
    /// another type.
    pub fn mknod(&mut self, dir: Ino, name: &[u8], mode: u32, rdev: u64) -> Result<Attr> {
        let file_type = match mode & 0o170_000 {
            0 => Some(FileType::Regular),
            mode => FileType::from_mode(mode),
        };
        let rdev = match file_type {
            Some(FileType::CharDevice | FileType::BlockDevice) if !self.caller.is_super() => {
                return Err(Error::NotPermitted { what: "only root may make device files" });
            }
            Some(FileType::CharDevice | FileType::BlockDevice) => rdev,
            Some(FileType::Regular | FileType::Fifo | FileType::Socket) => 0,
            Some(FileType::Directory) => {
                return Err(Error::NotPermitted { what: "mknod makes no directories; use mkdir" });
            }
            _ => {
                return Err(Error::Invalid { what: "mknod makes regular files, pipes, sockets and devices" });
            }
        };
        let file_type = file_type.unwrap_or(FileType::Regular);
        self.make(dir, name, New { file_type, mode, rdev, size: 0 })
    }

    /// Makes a symbolic link to `target`, any 1 to 4095 bytes without zero.
    ///
    /// # Errors
    /// As [`FsTx::create`]; [`Error::NameTooLong`] for a longer target.
    pub fn symlink(&mut self, dir: Ino, name: &[u8], target: &[u8]) -> Result<Attr> {
        match target {
            [] => return Err(Error::NotFound(Quoted::from(target))),
            _ if target.len() > MAX_SYMLINK => return Err(Error::NameTooLong(Quoted::from(target))),
            _ if target.contains(&0) => return Err(Error::InvalidName(Quoted::from(target))),
            _ => {}
        }
        let size = target.len() as u64;
        let attr = self.make(dir, name, New { file_type: FileType::Symlink, mode: 0o777, rdev: 0, size })?;
        self.store.put(keys::inline(attr.ino, 0), target);
        Ok(attr)
    }

    /// Makes a regular file without a name, as `O_TMPFILE` does. It lives as long as it is held; if it is
    /// `linkable`, [`FsTx::link`] can give it a name.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] unless the caller may make files in `dir`, no space.
    pub fn tmpfile(&mut self, dir: Ino, mode: u32, linkable: bool) -> Result<(Attr, Hold)> {
        self.grows();
        let parent = self.dir_inode(dir)?;
        self.check(dir, &parent, WRITE | EXEC, b"")?;
        if parent.nlink == 0 {
            return Err(Error::NotFound(Quoted::from(b".".as_slice())));
        }
        let new = New { file_type: FileType::Regular, mode, rdev: 0, size: 0 };
        let (ino, mut inode) = self.whole(|tx| tx.make_inode(dir, &parent, &new, clock::now()))?;
        inode.nlink = 0;
        self.put_nameless(ino, &inode);
        let hold = self.hold(ino)?;
        if linkable {
            self.fs.handles().set_linkable(ino);
        }
        Ok((Attr::new(ino, &inode), hold))
    }

    fn make(&mut self, dir: Ino, name: &[u8], new: New) -> Result<Attr> {
        let (parent, place) = self.free_place(dir, name)?;
        let now = clock::now();
        let (ino, inode) = self.whole(|tx| {
            let (ino, inode) = tx.make_inode(dir, &parent, &new, now)?;
            tx.put_inode(ino, &inode);
            tx.set_entry(&place, name, ino, new.file_type)?;
            Ok((ino, inode))
        })?;
        self.touch_dir(dir, now, i32::from(new.file_type == FileType::Directory));
        Ok(Attr::new(ino, &inode))
    }

    /// The place of a new entry, in a directory that the caller may write to.
    pub(crate) fn free_place(&mut self, dir: Ino, name: &[u8]) -> Result<(Inode, Place)> {
        self.grows();
        let parent = self.search(dir, name)?;
        if matches!(name, b"." | b"..") {
            return Err(Error::Exists(Quoted::from(name)));
        }
        let place = self.place(dir, name)?;
        if place.found.is_some() {
            return Err(Error::Exists(Quoted::from(name)));
        }
        self.check(dir, &parent, WRITE, name)?;
        if parent.nlink == 0 {
            return Err(Error::NotFound(Quoted::from(name)));
        }
        Ok((parent, place))
    }

    /// A new inode with owner, group, permissions and lists as POSIX gives them; its record is not yet put.
    fn make_inode(&mut self, dir: Ino, parent: &Inode, new: &New, now: i64) -> Result<(Ino, Inode)> {
        let directory = new.file_type == FileType::Directory;
        let set_gid = parent.permissions & SET_GID != 0;
        let gid = if set_gid { parent.gid } else { self.caller.gid };
        let mut permissions = (new.mode & 0o7777) as u16;
        if directory && set_gid {
            permissions |= SET_GID;
        }
        if !directory
            && permissions & 0o2010 == 0o2010
            && !self.caller.is_super()
            && !self.caller.in_group(gid)
        {
            permissions &= !SET_GID;
        }
        let ino = self.store.alloc_inode(Some(dir), directory)?;
        let mut inode = Inode {
            file_type: new.file_type,
            permissions,
            nlink: 1,
            uid: self.caller.uid,
            gid,
            size: new.size,
            blocks: 0,
            atime_ns: now,
            mtime_ns: now,
            ctime_ns: now,
            btime_ns: now,
            generation: self.fs.store().unique(),
            version: 0,
            parent_or_rdev: if directory { dir.0 } else { new.rdev },
            flags: 0,
            subdirs: 0,
        };
        if new.file_type != FileType::Symlink {
            self.inherit(dir, parent, ino, &mut inode)?;
        }
        Ok((ino, inode))
    }

    /// Gives a new inode the lists that its directory has for it, or else what the umask leaves.
    fn inherit(&mut self, dir: Ino, parent: &Inode, ino: Ino, inode: &mut Inode) -> Result<()> {
        let default = match parent.flags & Inode::HAS_DEFAULT_ACL {
            0 => None,
            _ => self.acl(dir, acl::DEFAULT)?,
        };
        let Some(default) = default else {
            inode.permissions &= !(self.caller.umask & 0o777) as u16;
            return Ok(());
        };
        let mut access: Acl = default.clone();
        access.restrict(inode.permissions);
        inode.permissions = inode.permissions & !0o777 | access.mode();
        if !access.is_mode() {
            inode.flags |= Inode::HAS_ACL;
            self.put_xattr(ino, acl::ACCESS, &access.encode())?;
        }
        if inode.file_type == FileType::Directory {
            inode.flags |= Inode::HAS_DEFAULT_ACL;
            self.put_xattr(ino, acl::DEFAULT, &default.encode())?;
        }
        Ok(())
    }
}
