//! Extended attributes: `user.`, `trusted.`, `security.` and the two lists of `system.posix_acl_*`.

use vexfs_format::{FileType, Ino, Inode, MAX_NAME, MAX_XATTR_VALUE, Xattrs};
use vexfs_store::{Read, Value};

use crate::acl::{self, Acl};
use crate::error::Quoted;
use crate::perm::{READ, SET_GID, STICKY, WRITE, check_owner, owns};
use crate::touch::Touch;
use crate::{Error, FsTx, Result, Scope, clock, keys};

/// How setting an attribute treats one that is there, or is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XattrMode {
    /// Sets it in either case.
    #[default]
    Set,
    /// Fails if it is there.
    Create,
    /// Fails if it is not there.
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Namespace {
    User,
    Trusted,
    Security,
    AccessAcl,
    DefaultAcl,
}

fn namespace(name: &[u8]) -> Result<Namespace> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains(&0) {
        return Err(Error::AttributeName(Quoted::from(name)));
    }
    let prefixes: [(&[u8], _); 3] =
        [(b"user.", Namespace::User), (b"trusted.", Namespace::Trusted), (b"security.", Namespace::Security)];
    match name {
        acl::ACCESS => return Ok(Namespace::AccessAcl),
        acl::DEFAULT => return Ok(Namespace::DefaultAcl),
        _ => {}
    }
    match prefixes.into_iter().find(|(prefix, _)| name.starts_with(prefix)) {
        Some((prefix, _)) if prefix.len() == name.len() => {
            Err(Error::Invalid { what: "an attribute's name goes on after its namespace" })
        }
        Some((_, namespace)) => Ok(namespace),
        None => Err(Error::AttributeNamespace(Quoted::from(name))),
    }
}

fn none(name: &[u8]) -> Error {
    Error::NoAttribute(Quoted::from(name))
}

impl<R: Read> Scope<R> {
    /// The value of an attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], [`Error::AttributeNamespace`], [`Error::AccessDenied`] (`user.`, without read
    /// permission).
    pub fn getxattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        let namespace = namespace(name)?;
        let inode = self.inode(ino)?;
        match namespace {
            Namespace::User if !has_user_attributes(&inode) => return Err(none(name)),
            Namespace::User => self.check(ino, &inode, READ, name)?,
            Namespace::Trusted if !self.caller.is_super() => return Err(none(name)),
            Namespace::AccessAcl | Namespace::DefaultAcl if inode.file_type == FileType::Symlink => {
                return Err(Error::NotSupported { what: "a symbolic link has no access control list" });
            }
            _ => {}
        }
        self.xattr_value(ino, name)?.ok_or_else(|| none(name))
    }

    /// The names of all attributes, in no particular order; `trusted.` ones are for root only.
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub fn listxattr(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        self.inode(ino)?;
        let mut names = Vec::new();
        for item in self.store.range(keys::xattr(ino, 0), keys::xattr(ino, u64::MAX)) {
            let (_, value) = item?;
            names.extend(xattrs(ino, Some(&value))?.iter().map(|xattr| xattr.name.to_vec()));
        }
        if !self.caller.is_super() {
            names.retain(|name| !name.starts_with(b"trusted."));
        }
        Ok(names)
    }

    pub(crate) fn xattr_value(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let item = self.store.get(keys::xattr(ino, self.fs.hash(name)))?;
        Ok(xattrs(ino, item.as_ref())?.find(name).map(<[u8]>::to_vec))
    }
}

fn xattrs(ino: Ino, item: Option<&Value>) -> Result<Xattrs<'_>> {
    match item {
        Some(item) => Xattrs::parse(item).map_err(|source| Error::Damaged { ino, source }),
        None => Ok(Xattrs::EMPTY),
    }
}

/// Only files and directories have attributes that users may set: others' permissions mean something else.
fn has_user_attributes(inode: &Inode) -> bool {
    matches!(inode.file_type, FileType::Regular | FileType::Directory)
}

impl FsTx {
    /// Sets an attribute. Setting an access control list changes the mode with it; one that says no more than a
    /// mode does is kept as the mode alone.
    ///
    /// # Errors
    /// [`Error::AttributeExists`], [`Error::NoAttribute`] (by `mode`), [`Error::AttributeTooLarge`],
    /// [`Error::AttributeNamespace`], [`Error::NotPermitted`], [`Error::AccessDenied`], [`Error::Invalid`] (a list
    /// that makes no sense).
    pub fn setxattr(&mut self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        let namespace = namespace(name)?;
        let inode = self.inode(ino)?;
        self.check_change(ino, &inode, namespace, name)?;
        if value.len() > MAX_XATTR_VALUE {
            return Err(Error::AttributeTooLarge(Quoted::from(name)));
        }
        match (mode, self.xattr_value(ino, name)?) {
            (XattrMode::Create, Some(_)) => return Err(Error::AttributeExists(Quoted::from(name))),
            (XattrMode::Replace, None) => return Err(none(name)),
            _ => {}
        }
        self.grows();
        match namespace {
            Namespace::AccessAcl => self.set_access_acl(ino, inode, value),
            Namespace::DefaultAcl => self.set_default_acl(ino, inode, value),
            _ => {
                self.put_xattr(ino, name, value)?;
                self.touch(ino, Touch::flagged(clock::now(), Inode::HAS_XATTRS));
                Ok(())
            }
        }
    }

    /// Removes an attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], and as [`FsTx::setxattr`].
    pub fn removexattr(&mut self, ino: Ino, name: &[u8]) -> Result<()> {
        let namespace = namespace(name)?;
        let inode = self.inode(ino)?;
        self.check_change(ino, &inode, namespace, name)?;
        if self.xattr_value(ino, name)?.is_none() {
            return Err(none(name));
        }
        match namespace {
            Namespace::AccessAcl => self.drop_acl(ino, inode, name, Inode::HAS_ACL),
            Namespace::DefaultAcl => self.drop_acl(ino, inode, name, Inode::HAS_DEFAULT_ACL),
            _ => {
                self.delete_xattr(ino, name)?;
                self.touch(ino, Touch::inode(clock::now()));
                Ok(())
            }
        }
    }

    fn drop_acl(&mut self, ino: Ino, mut inode: Inode, name: &[u8], flag: u32) -> Result<()> {
        self.delete_xattr(ino, name)?;
        inode.flags &= !flag;
        inode.ctime_ns = clock::now();
        self.put_inode(ino, &inode);
        Ok(())
    }

    /// Fails unless the caller may set and remove attributes of the namespace.
    fn check_change(&self, ino: Ino, inode: &Inode, namespace: Namespace, name: &[u8]) -> Result<()> {
        let owner = owns(&self.caller, inode);
        match namespace {
            Namespace::User if !has_user_attributes(inode) => {
                Err(Error::NotPermitted { what: "only files and directories have user attributes" })
            }
            Namespace::User
                if inode.file_type == FileType::Directory && inode.permissions & STICKY != 0 && !owner =>
            {
                Err(Error::NotPermitted { what: "only its owner sets attributes of a sticky directory" })
            }
            Namespace::User => self.check(ino, inode, WRITE, name),
            Namespace::Trusted | Namespace::Security if !self.caller.is_super() => {
                Err(Error::NotPermitted { what: "only root may change trusted and security attributes" })
            }
            Namespace::Trusted | Namespace::Security => Ok(()),
            Namespace::AccessAcl | Namespace::DefaultAcl if inode.file_type == FileType::Symlink => {
                Err(Error::NotSupported { what: "a symbolic link has no access control list" })
            }
            Namespace::DefaultAcl if inode.file_type != FileType::Directory => {
                Err(Error::AccessDenied(Quoted::from(name)))
            }
            Namespace::AccessAcl | Namespace::DefaultAcl => check_owner(&self.caller, inode),
        }
    }

    fn set_access_acl(&mut self, ino: Ino, mut inode: Inode, value: &[u8]) -> Result<()> {
        let Some(acl) = parse(value)? else { return self.drop_acl(ino, inode, acl::ACCESS, Inode::HAS_ACL) };
        inode.permissions = inode.permissions & !0o777 | acl.mode();
        if !self.caller.is_super() && !self.caller.in_group(inode.gid) {
            inode.permissions &= !SET_GID;
        }
        match acl.is_mode() {
            true => {
                self.delete_xattr(ino, acl::ACCESS)?;
                inode.flags &= !Inode::HAS_ACL;
            }
            false => {
                self.put_xattr(ino, acl::ACCESS, &acl.encode())?;
                inode.flags |= Inode::HAS_ACL;
            }
        }
        inode.ctime_ns = clock::now();
        self.put_inode(ino, &inode);
        Ok(())
    }

    fn set_default_acl(&mut self, ino: Ino, mut inode: Inode, value: &[u8]) -> Result<()> {
        let Some(acl) = parse(value)? else {
            return self.drop_acl(ino, inode, acl::DEFAULT, Inode::HAS_DEFAULT_ACL);
        };
        self.put_xattr(ino, acl::DEFAULT, &acl.encode())?;
        inode.flags |= Inode::HAS_DEFAULT_ACL;
        inode.ctime_ns = clock::now();
        self.put_inode(ino, &inode);
        Ok(())
    }

    /// Sets an attribute and nothing else.
    pub(crate) fn put_xattr(&mut self, ino: Ino, name: &[u8], value: &[u8]) -> Result<()> {
        let key = keys::xattr(ino, self.fs.hash(name));
        let item = self.store.get(key)?;
        let set = xattrs(ino, item.as_ref())?.insert(name, value);
        self.store.put(key, set.map_err(|_| Error::AttributeTooLarge(Quoted::from(name)))?);
        Ok(())
    }

    /// Removes an attribute, if it is there, and nothing else.
    fn delete_xattr(&mut self, ino: Ino, name: &[u8]) -> Result<()> {
        let key = keys::xattr(ino, self.fs.hash(name));
        let Some(item) = self.store.get(key)? else { return Ok(()) };
        let rest = xattrs(ino, Some(&item))?.remove(name);
        match rest.is_empty() {
            true => self.store.delete(key),
            false => self.store.put(key, rest),
        }
        Ok(())
    }
}

/// The list that is to be set; one without entries stands for none.
fn parse(value: &[u8]) -> Result<Option<Acl>> {
    if value == acl::EMPTY {
        return Ok(None);
    }
    Acl::parse(value)
        .map(Some)
        .ok_or(Error::Invalid { what: "the access control list is malformed; see acl(5)" })
}
