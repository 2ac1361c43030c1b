//! Names: renaming, linking, removing, and making what is neither file nor directory.

use pyo3::prelude::*;
use vexfs_fs::RenameFlags;

use super::Verbs;
use crate::args::{PathArg, number};
use crate::error::Failure;
use crate::session::follow;

impl Verbs {
    fn rename_by(
        &self,
        py: Python<'_>,
        source: &PathArg<'_>,
        target: &PathArg<'_>,
        flags: RenameFlags,
    ) -> PyResult<()> {
        let (from, to) = (source.bytes(), target.bytes());
        self.session
            .change(py, |tx| tx.rename_path(from, to, flags))
            .map_err(|failure| failure.raise_between(&source.given, &target.given))
    }
}

#[pymethods]
impl Verbs {
    /// Renames a file or directory; what is at the target is replaced, a directory only if it is empty.
    ///
    /// Args:
    ///     source: what to rename; a symbolic link itself.
    ///     target: its new path in this volume.
    ///     noreplace: whether something at the target is an error.
    ///
    /// Raises:
    ///     Exists: there is something at the target, and `noreplace` is True.
    ///     DirectoryNotEmpty, NotADirectory, IsADirectory: the target cannot be replaced by the source.
    ///     InvalidArgument: a directory would come to lie under itself, or one of the two is the root.
    #[pyo3(signature = (source, target, *, noreplace = false))]
    fn rename(
        &self,
        py: Python<'_>,
        source: PathArg<'_>,
        target: PathArg<'_>,
        noreplace: bool,
    ) -> PyResult<()> {
        let flags = if noreplace { RenameFlags::NoReplace } else { RenameFlags::Replace };
        self.rename_by(py, &source, &target, flags)
    }

    /// As `rename`, as `os.replace` calls it.
    #[pyo3(signature = (source, target, /))]
    fn replace(&self, py: Python<'_>, source: PathArg<'_>, target: PathArg<'_>) -> PyResult<()> {
        self.rename_by(py, &source, &target, RenameFlags::Replace)
    }

    /// Lets two names change places, at once for everybody.
    ///
    /// Raises:
    ///     NotFound: one of the two is missing.
    #[pyo3(signature = (source, target, /))]
    fn exchange(&self, py: Python<'_>, source: PathArg<'_>, target: PathArg<'_>) -> PyResult<()> {
        self.rename_by(py, &source, &target, RenameFlags::Exchange)
    }

    /// Removes a name of what is no directory. The file itself goes with its last name, once nobody has it open.
    ///
    /// Args:
    ///     path: the name; of a symbolic link itself.
    ///     missing_ok: whether it may be missing.
    ///
    /// Raises:
    ///     NotFound, IsADirectory, PermissionDenied.
    #[pyo3(signature = (path, missing_ok = false))]
    fn unlink(&self, py: Python<'_>, path: PathArg<'_>, missing_ok: bool) -> PyResult<()> {
        let bytes = path.bytes();
        match self.session.change(py, |tx| tx.unlink_path(bytes)) {
            Err(Failure::Fs(vexfs_fs::Error::NotFound(_))) if missing_ok => Ok(()),
            done => done.map_err(|failure| failure.raise_at(&path.given)),
        }
    }

    /// Gives a file a further name, up to 65,000.
    ///
    /// Args:
    ///     source: the file.
    ///     target: the new name.
    ///     follow_symlinks: whether a symbolic link at `source` stands for what it leads to.
    ///
    /// Raises:
    ///     Exists: the name is taken.
    ///     PermissionDenied: the source is a directory.
    #[pyo3(signature = (source, target, *, follow_symlinks = true))]
    fn link(
        &self,
        py: Python<'_>,
        source: PathArg<'_>,
        target: PathArg<'_>,
        follow_symlinks: bool,
    ) -> PyResult<()> {
        let (from, to) = (source.bytes(), target.bytes());
        self.session
            .change(py, |tx| tx.link_path(from, to, follow(follow_symlinks)).map(drop))
            .map_err(|failure| failure.raise_between(&source.given, &target.given))
    }

    /// Makes a symbolic link at `path` that leads to `target`, which need not exist: any 1 to 4095 bytes.
    ///
    /// Raises:
    ///     Exists: there is something at `path`.
    #[pyo3(signature = (target, path, /))]
    fn symlink(&self, py: Python<'_>, target: PathArg<'_>, path: PathArg<'_>) -> PyResult<()> {
        let (to, at) = (target.bytes(), path.bytes());
        self.session
            .change(py, |tx| tx.symlink_path(to, at).map(drop))
            .map_err(|failure| failure.raise_between(&target.given, &path.given))
    }

    /// Makes a fifo, socket, device file or regular file.
    ///
    /// Args:
    ///     path: where.
    ///     mode: type and permissions, as `stat.S_IFIFO | 0o600`; without type a regular file.
    ///     device: the number of a device, as `os.makedev` gives it.
    #[pyo3(signature = (path, mode = 0o600, device = 0))]
    fn mknod(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        #[pyo3(from_py_with = number)] mode: u32,
        #[pyo3(from_py_with = number)] device: u64,
    ) -> PyResult<()> {
        let bytes = path.bytes();
        self.session
            .change(py, |tx| tx.mknod_path(bytes, mode, device).map(drop))
            .map_err(|failure| failure.raise_at(&path.given))
    }
}
