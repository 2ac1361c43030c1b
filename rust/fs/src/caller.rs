//! On whose behalf an operation runs.

use std::sync::Arc;

/// The credentials that permissions are checked against, and what a new file gets from whoever makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
    /// Permission bits that new files do not get (unless the directory has a default access control list).
    pub umask: u32,
    /// No permission is checked at all, though new files still belong to `uid` and `gid`.
    pub privileged: bool,
}

impl Caller {
    /// A caller whose permissions are checked as POSIX says; user 0 has the capabilities of root.
    #[must_use]
    pub fn new(uid: u32, gid: u32, groups: &[u32], umask: u32) -> Self {
        Self { uid, gid, groups: groups.into(), umask: umask & 0o777, privileged: false }
    }

    /// A caller that may do everything; its new files belong to `uid` and `gid`.
    #[must_use]
    pub fn privileged(uid: u32, gid: u32, umask: u32) -> Self {
        Self { privileged: true, ..Self::new(uid, gid, &[], umask) }
    }

    /// User 0 with umask 022.
    #[must_use]
    pub fn root() -> Self {
        Self::new(0, 0, &[], 0o022)
    }

    /// Whether the caller has the capabilities of root.
    #[must_use]
    pub fn is_super(&self) -> bool {
        self.privileged || self.uid == 0
    }

    /// Whether the caller is a member of the group.
    #[must_use]
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}
