//! On whose behalf a volume is used.

use std::fs;

use pyo3::prelude::*;
use vexfs_fs::Caller;

use crate::args::number;

/// User, group, further groups.
pub type User = (u32, u32, Vec<u32>);

type Given<'py> = Bound<'py, PyAny>;

/// The user that Python gives.
pub fn given(user: &Bound<'_, PyAny>) -> PyResult<Option<User>> {
    let parts: Option<(Given<'_>, Given<'_>, Vec<Given<'_>>)> = user.extract()?;
    let of = |(uid, gid, groups): (Given<'_>, Given<'_>, Vec<Given<'_>>)| {
        Ok((number(&uid)?, number(&gid)?, groups.iter().map(number).collect::<PyResult<_>>()?))
    };
    parts.map(of).transpose()
}

/// The given user, whose permissions are checked; or this process, which may do everything.
pub fn caller(user: Option<User>) -> Caller {
    match user {
        Some((uid, gid, groups)) => Caller::new(uid, gid, &groups, umask()),
        None => {
            let (uid, gid) = process();
            Caller::privileged(uid, gid, umask())
        }
    }
}

/// The effective user and group of this process.
pub fn process() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// The process's umask. Asking the kernel for it means setting it, which other threads would notice, so this reads
/// what /proc says.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0o022)
}
