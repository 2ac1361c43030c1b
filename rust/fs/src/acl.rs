//! POSIX access control lists: the bytes of `system.posix_acl_*`, and what they mean (as in acl(5)).
//!
//! Invariant of a parsed list: one entry each for owner, owning group and others, in the order owner, named users,
//! group, named groups, mask, others; a mask if there is any named entry; permissions within rwx.

use vexfs_format::Inode;

use crate::Caller;

/// The attribute that holds what an inode allows beyond its mode.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute of a directory that holds what new files in it get.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
/// The bytes of a list without entries.
pub(crate) const EMPTY: [u8; 4] = VERSION.to_le_bytes();
const NO_ID: u32 = u32::MAX;

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Tag {
    /// The owner.
    Owner = 0x01,
    /// The user named by the id.
    User = 0x02,
    /// The owning group.
    Group = 0x04,
    /// The group named by the id.
    NamedGroup = 0x08,
    /// The most that named users and all groups get.
    Mask = 0x10,
    /// Everybody else.
    Other = 0x20,
}

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it is about.
    pub tag: Tag,
    /// rwx as 4, 2, 1.
    pub permissions: u16,
    /// The user or group, for named entries; else it means nothing.
    pub id: u32,
}

/// A checked access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl(Vec<AclEntry>);

impl Tag {
    fn from_number(number: u16) -> Option<Self> {
        [Self::Owner, Self::User, Self::Group, Self::NamedGroup, Self::Mask, Self::Other]
            .into_iter()
            .find(|&tag| tag as u16 == number)
    }

    fn is_named(self) -> bool {
        matches!(self, Self::User | Self::NamedGroup)
    }
}

impl Acl {
    /// Checks the entries; `None` if they are no valid list.
    #[must_use]
    pub fn new(mut entries: Vec<AclEntry>) -> Option<Self> {
        entries.iter_mut().filter(|entry| !entry.tag.is_named()).for_each(|entry| entry.id = NO_ID);
        let count = |tag| entries.iter().filter(|entry| entry.tag == tag).count();
        let named = entries.iter().any(|entry| entry.tag.is_named());
        let valid = [Tag::Owner, Tag::Group, Tag::Other].into_iter().all(|tag| count(tag) == 1)
            && count(Tag::Mask) <= 1
            && (count(Tag::Mask) == 1 || !named)
            && entries.is_sorted_by_key(|entry| entry.tag)
            && entries.iter().all(|entry| entry.permissions <= 7);
        valid.then_some(Self(entries))
    }

    /// Reads the value of the attribute; `None` if it is no valid list.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (version, rest) = value.split_first_chunk::<4>()?;
        let (entries, tail) = rest.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !tail.is_empty() {
            return None;
        }
        let entry = |&[t0, t1, p0, p1, i0, i1, i2, i3]: &[u8; 8]| {
            Some(AclEntry {
                tag: Tag::from_number(u16::from_le_bytes([t0, t1]))?,
                permissions: u16::from_le_bytes([p0, p1]),
                id: u32::from_le_bytes([i0, i1, i2, i3]),
            })
        };
        Self::new(entries.iter().map(entry).collect::<Option<_>>()?)
    }

    /// The value of the attribute.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            value.extend_from_slice(&(entry.tag as u16).to_le_bytes());
            value.extend_from_slice(&entry.permissions.to_le_bytes());
            value.extend_from_slice(&entry.id.to_le_bytes());
        }
        value
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[AclEntry] {
        &self.0
    }

    /// Whether the list says no more than a mode does.
    #[must_use]
    pub fn is_mode(&self) -> bool {
        self.0.len() == 3
    }

    /// The rwx bits of a mode that go with the list: those of the group are the mask's.
    #[must_use]
    pub fn mode(&self) -> u16 {
        let group = self.bits(Tag::Mask).or(self.bits(Tag::Group));
        self.bits(Tag::Owner).unwrap_or(0) << 6 | group.unwrap_or(0) << 3 | self.bits(Tag::Other).unwrap_or(0)
    }

    /// Makes the list go with a changed mode.
    pub fn set_mode(&mut self, mode: u16) {
        self.change_mode(|_, bits| bits, mode);
    }

    /// Makes a directory's default list the list of a new file created with `mode`: neither grants more than the
    /// other. The mode that results is [`Acl::mode`].
    pub fn restrict(&mut self, mode: u16) {
        self.change_mode(|has, bits| has & bits, mode);
    }

    fn change_mode(&mut self, change: impl Fn(u16, u16) -> u16, mode: u16) {
        let group = if self.bits(Tag::Mask).is_some() { Tag::Mask } else { Tag::Group };
        for entry in &mut self.0 {
            let bits = match entry.tag {
                Tag::Owner => mode >> 6 & 7,
                Tag::Other => mode & 7,
                tag if tag == group => mode >> 3 & 7,
                _ => continue,
            };
            entry.permissions = change(entry.permissions, bits);
        }
    }

    fn bits(&self, tag: Tag) -> Option<u16> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.permissions)
    }

    /// Whether the list of this inode grants `want` (rwx as 4, 2, 1) to the caller.
    #[must_use]
    pub fn grants(&self, caller: &Caller, inode: &Inode, want: u16) -> bool {
        let has = |permissions: u16| permissions & want == want;
        let mask = self.bits(Tag::Mask).unwrap_or(7);
        if caller.uid == inode.uid {
            return self.bits(Tag::Owner).is_some_and(has);
        }
        if let Some(user) = self.0.iter().find(|entry| entry.tag == Tag::User && entry.id == caller.uid) {
            return has(user.permissions & mask);
        }
        let mut groups = self
            .0
            .iter()
            .filter(|entry| match entry.tag {
                Tag::Group => caller.in_group(inode.gid),
                Tag::NamedGroup => caller.in_group(entry.id),
                _ => false,
            })
            .peekable();
        match groups.peek() {
            Some(_) => groups.any(|entry| has(entry.permissions & mask)),
            None => self.bits(Tag::Other).is_some_and(has),
        }
    }
}
