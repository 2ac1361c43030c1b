//! Attributes and kinds of what a path leads to.

use pyo3::prelude::*;
use vexfs_fs::{Attr, FileType};

use super::Verbs;
use crate::args::PathArg;
use crate::error::{Failure, Result};
use crate::names::name;
use crate::session::{follow, read};
use crate::stat::Stat;

impl Verbs {
    fn attr(&self, py: Python<'_>, path: &[u8], follow_symlinks: bool) -> Result<Attr> {
        read!(self.session, py, |scope| scope.stat(path, follow(follow_symlinks)))
    }

    /// As `os.path.exists` has it: what cannot be reached does not exist; other errors are errors.
    fn found(&self, py: Python<'_>, path: &PathArg<'_>, follow_symlinks: bool) -> PyResult<Option<Attr>> {
        let bytes = path.bytes();
        match read!(self.session, py, |scope| scope.try_stat(bytes, follow(follow_symlinks))) {
            Err(Failure::Fs(vexfs_fs::Error::NotADirectory(_) | vexfs_fs::Error::Loop(_))) => Ok(None),
            found => found.map_err(|failure| failure.raise_at(&path.given)),
        }
    }

    fn is_kind(
        &self,
        py: Python<'_>,
        path: &PathArg<'_>,
        follow_symlinks: bool,
        kind: FileType,
    ) -> PyResult<bool> {
        Ok(self.found(py, path, follow_symlinks)?.is_some_and(|attr| attr.file_type == kind))
    }
}

#[pymethods]
impl Verbs {
    /// The attributes of what a path leads to, with the names of `os.stat_result`.
    ///
    /// Reading never changes the time of access, as on a file system mounted with `noatime`.
    ///
    /// Args:
    ///     path: anything.
    ///     follow_symlinks: whether a symbolic link at the end stands for what it leads to.
    ///
    /// Raises:
    ///     NotFound: there is nothing.
    #[pyo3(signature = (path, *, follow_symlinks = true))]
    fn stat(&self, py: Python<'_>, path: PathArg<'_>, follow_symlinks: bool) -> PyResult<Stat> {
        let attr =
            self.attr(py, path.bytes(), follow_symlinks).map_err(|failure| failure.raise_at(&path.given))?;
        Ok(Stat::new(attr, self.session.state().map_err(|failure| failure.raise(py))?.device))
    }

    /// As `stat` without following a symbolic link.
    #[pyo3(signature = (path, /))]
    fn lstat(&self, py: Python<'_>, path: PathArg<'_>) -> PyResult<Stat> {
        self.stat(py, path, false)
    }

    /// As `stat`; None if there is nothing.
    #[pyo3(signature = (path, *, follow_symlinks = true))]
    fn stat_or_none(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        follow_symlinks: bool,
    ) -> PyResult<Option<Stat>> {
        let device = self.session.state().map_err(|failure| failure.raise(py))?.device;
        Ok(self.found(py, &path, follow_symlinks)?.map(|attr| Stat::new(attr, device)))
    }

    /// Whether there is anything at a path; what cannot be reached because a name on the way is a file is not there.
    #[pyo3(signature = (path, *, follow_symlinks = true))]
    fn exists(&self, py: Python<'_>, path: PathArg<'_>, follow_symlinks: bool) -> PyResult<bool> {
        Ok(self.found(py, &path, follow_symlinks)?.is_some())
    }

    /// Whether a path leads to a directory.
    #[pyo3(signature = (path, *, follow_symlinks = true))]
    fn is_dir(&self, py: Python<'_>, path: PathArg<'_>, follow_symlinks: bool) -> PyResult<bool> {
        self.is_kind(py, &path, follow_symlinks, FileType::Directory)
    }

    /// Whether a path leads to a regular file.
    #[pyo3(signature = (path, *, follow_symlinks = true))]
    fn is_file(&self, py: Python<'_>, path: PathArg<'_>, follow_symlinks: bool) -> PyResult<bool> {
        self.is_kind(py, &path, follow_symlinks, FileType::Regular)
    }

    /// Whether a path is a symbolic link.
    #[pyo3(signature = (path, /))]
    fn is_symlink(&self, py: Python<'_>, path: PathArg<'_>) -> PyResult<bool> {
        self.is_kind(py, &path, false, FileType::Symlink)
    }

    /// Whether the volume's user may do all of `mode` with what a path leads to: 4 read, 2 write, 1 execute; 0 whether it is
    /// there.
    #[pyo3(signature = (path, mode, /))]
    fn access(&self, py: Python<'_>, path: PathArg<'_>, mode: u16) -> PyResult<bool> {
        let bytes = path.bytes();
        match read!(self.session, py, |scope| scope.access_path(bytes, mode)) {
            Ok(()) => Ok(true),
            Err(Failure::Fs(vexfs_fs::Error::AccessDenied(_) | vexfs_fs::Error::NotFound(_))) => Ok(false),
            Err(failure) => Err(failure.raise_at(&path.given)),
        }
    }

    /// Where a symbolic link leads to: `str`, or `bytes` if the path is.
    ///
    /// Raises:
    ///     InvalidArgument: it is no symbolic link.
    #[pyo3(signature = (path, /))]
    fn readlink<'py>(&self, py: Python<'py>, path: PathArg<'py>) -> PyResult<Bound<'py, PyAny>> {
        let bytes = path.bytes();
        let target = read!(self.session, py, |scope| scope.readlink_path(bytes));
        target.map(|target| name(py, &target, path.as_bytes)).map_err(|failure| failure.raise_at(&path.given))
    }
}
