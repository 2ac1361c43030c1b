//! Extended attributes.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vexfs_fs::XattrMode;

use super::Verbs;
use crate::args::{DataArg, PathArg};
use crate::error::invalid;
use crate::names::name as shown;
use crate::session::{follow, read};

#[pymethods]
impl Verbs {
    /// Sets an extended attribute.
    ///
    /// Args:
    ///     path: anything.
    ///     name: begins with `user.`, `trusted.` or `security.`, or is one of the two access control lists.
    ///     value: any bytes-like object of just under 64 KiB at most.
    ///     flags: 0, `os.XATTR_CREATE` (it must not be there) or `os.XATTR_REPLACE` (it must).
    ///     follow_symlinks: whether a symbolic link at the end stands for what it leads to.
    #[pyo3(signature = (path, name, value, flags = 0, *, follow_symlinks = true))]
    fn setxattr(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        name: PathArg<'_>,
        value: DataArg<'_>,
        flags: i32,
        follow_symlinks: bool,
    ) -> PyResult<()> {
        let mode = match flags {
            0 => XattrMode::Set,
            libc::XATTR_CREATE => XattrMode::Create,
            libc::XATTR_REPLACE => XattrMode::Replace,
            _ => return Err(invalid(py, "flags is 0, os.XATTR_CREATE or os.XATTR_REPLACE")),
        };
        let (at, key, bytes) = (path.bytes(), name.bytes(), value.bytes());
        self.session
            .change(py, |tx| tx.setxattr_path(at, key, bytes, mode, follow(follow_symlinks)))
            .map_err(|failure| failure.raise_at(&path.given))
    }

    /// The value of an extended attribute.
    ///
    /// Raises:
    ///     Error: with code "no_attribute" and errno ENODATA if there is none of this name.
    #[pyo3(signature = (path, name, *, follow_symlinks = true))]
    fn getxattr<'py>(
        &self,
        py: Python<'py>,
        path: PathArg<'py>,
        name: PathArg<'py>,
        follow_symlinks: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (at, key) = (path.bytes(), name.bytes());
        let value = read!(self.session, py, |scope| scope.getxattr_path(at, key, follow(follow_symlinks)));
        value.map(|value| PyBytes::new(py, &value)).map_err(|failure| failure.raise_at(&path.given))
    }

    /// The names of the extended attributes.
    #[pyo3(signature = (path, *, follow_symlinks = true))]
    fn listxattr<'py>(
        &self,
        py: Python<'py>,
        path: PathArg<'py>,
        follow_symlinks: bool,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let at = path.bytes();
        let names = read!(self.session, py, |scope| scope.listxattr_path(at, follow(follow_symlinks)));
        let names = names.map_err(|failure| failure.raise_at(&path.given))?;
        Ok(names.iter().map(|bytes| shown(py, bytes, false)).collect())
    }

    /// Removes an extended attribute.
    #[pyo3(signature = (path, name, *, follow_symlinks = true))]
    fn removexattr(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        name: PathArg<'_>,
        follow_symlinks: bool,
    ) -> PyResult<()> {
        let (at, key) = (path.bytes(), name.bytes());
        self.session
            .change(py, |tx| tx.removexattr_path(at, key, follow(follow_symlinks)))
            .map_err(|failure| failure.raise_at(&path.given))
    }
}
