//! Modes, owners and times.

use pyo3::prelude::*;
use vexfs_fs::{SetAttr, SetTime};

use super::Verbs;
use crate::args::{PathArg, number, optional, pair};
use crate::error::invalid;
use crate::session::follow;

impl Verbs {
    fn set(&self, py: Python<'_>, path: &PathArg<'_>, set: &SetAttr, follow_symlinks: bool) -> PyResult<()> {
        let bytes = path.bytes();
        self.session
            .change(py, |tx| tx.setattr_path(bytes, set, follow(follow_symlinks)).map(drop))
            .map_err(|failure| failure.raise_at(&path.given))
    }
}

/// A user or group; -1 leaves it as it is.
fn id(py: Python<'_>, id: i64) -> PyResult<Option<u32>> {
    match id {
        -1 => Ok(None),
        id => {
            u32::try_from(id).map(Some).map_err(|_| invalid(py, format!("{id} is no user or group number")))
        }
    }
}

/// Nanoseconds of a time in seconds.
fn nanoseconds(py: Python<'_>, seconds: f64) -> PyResult<i64> {
    let nanos = (seconds * 1e9).round();
    match nanos.is_finite() && nanos.abs() < i64::MAX as f64 {
        true => Ok(nanos as i64),
        false => Err(invalid(py, format!("{seconds} seconds is no time between the years 1678 and 2262"))),
    }
}

#[pymethods]
impl Verbs {
    /// Changes permissions: the low 12 bits of `mode`.
    ///
    /// Raises:
    ///     PermissionDenied: the volume's user does not own it.
    #[pyo3(signature = (path, mode, *, follow_symlinks = true))]
    fn chmod(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        #[pyo3(from_py_with = number)] mode: u32,
        follow_symlinks: bool,
    ) -> PyResult<()> {
        self.set(py, &path, &SetAttr { mode: Some(mode), ..SetAttr::default() }, follow_symlinks)
    }

    /// Changes owner and group; -1 leaves one as it is.
    ///
    /// Raises:
    ///     PermissionDenied: the volume's user may not give it away.
    #[pyo3(signature = (path, uid, gid, *, follow_symlinks = true))]
    fn chown(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        #[pyo3(from_py_with = number)] uid: i64,
        #[pyo3(from_py_with = number)] gid: i64,
        follow_symlinks: bool,
    ) -> PyResult<()> {
        self.set(
            py,
            &path,
            &SetAttr { uid: id(py, uid)?, gid: id(py, gid)?, ..SetAttr::default() },
            follow_symlinks,
        )
    }

    /// Sets the times of access and of change of the data, as `os.utime`.
    ///
    /// Args:
    ///     path: anything.
    ///     times: both in seconds since 1970.
    ///     ns: both in nanoseconds since 1970. With neither, both are now.
    ///     follow_symlinks: whether a symbolic link at the end stands for what it leads to.
    #[pyo3(signature = (path, times = None, *, ns = None, follow_symlinks = true))]
    fn utime(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        times: Option<(f64, f64)>,
        #[pyo3(from_py_with = pair)] ns: Option<(i64, i64)>,
        follow_symlinks: bool,
    ) -> PyResult<()> {
        let (atime, mtime) = match (times, ns) {
            (Some(_), Some(_)) => return Err(invalid(py, "give times or ns, not both")),
            (Some((a, m)), None) => (SetTime::At(nanoseconds(py, a)?), SetTime::At(nanoseconds(py, m)?)),
            (None, Some((a, m))) => (SetTime::At(a), SetTime::At(m)),
            (None, None) => (SetTime::Now, SetTime::Now),
        };
        self.set(
            py,
            &path,
            &SetAttr { atime: Some(atime), mtime: Some(mtime), ..SetAttr::default() },
            follow_symlinks,
        )
    }

    /// Changes those attributes that are given, all or none.
    ///
    /// Args:
    ///     path: anything.
    ///     mode: permissions.
    ///     uid: owner.
    ///     gid: group.
    ///     atime_ns: last access, nanoseconds since 1970.
    ///     mtime_ns: last change of the data, nanoseconds since 1970.
    ///     follow_symlinks: whether a symbolic link at the end stands for what it leads to.
    #[pyo3(signature = (path, *, mode = None, uid = None, gid = None, atime_ns = None, mtime_ns = None, follow_symlinks = true))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn set_attributes(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        #[pyo3(from_py_with = optional)] mode: Option<u32>,
        #[pyo3(from_py_with = optional)] uid: Option<u32>,
        #[pyo3(from_py_with = optional)] gid: Option<u32>,
        #[pyo3(from_py_with = optional)] atime_ns: Option<i64>,
        #[pyo3(from_py_with = optional)] mtime_ns: Option<i64>,
        follow_symlinks: bool,
    ) -> PyResult<()> {
        let (atime, mtime) = (atime_ns.map(SetTime::At), mtime_ns.map(SetTime::At));
        self.set(py, &path, &SetAttr { mode, uid, gid, atime, mtime, size: None }, follow_symlinks)
    }
}
