//! Names: renaming, linking, removing, and making what is neither file nor directory.

use pyo3::prelude::*;
use vexfs_fs::RenameFlags;

use super::Verbs;
use crate::args::PathArg;
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
    /// Renames; a file at the target is replaced unless `noreplace` is given.
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

    /// Renames; what is at the target is replaced.
    #[pyo3(signature = (source, target, /))]
    fn replace(&self, py: Python<'_>, source: PathArg<'_>, target: PathArg<'_>) -> PyResult<()> {
        self.rename_by(py, &source, &target, RenameFlags::Replace)
    }

    /// Lets two names change places.
    #[pyo3(signature = (source, target, /))]
    fn exchange(&self, py: Python<'_>, source: PathArg<'_>, target: PathArg<'_>) -> PyResult<()> {
        self.rename_by(py, &source, &target, RenameFlags::Exchange)
    }

    /// Removes a name of what is no directory.
    #[pyo3(signature = (path, missing_ok = false))]
    fn unlink(&self, py: Python<'_>, path: PathArg<'_>, missing_ok: bool) -> PyResult<()> {
        let bytes = path.bytes();
        match self.session.change(py, |tx| tx.unlink_path(bytes)) {
            Err(Failure::Fs(vexfs_fs::Error::NotFound(_))) if missing_ok => Ok(()),
            done => done.map_err(|failure| failure.raise_at(&path.given)),
        }
    }

    /// Gives a file a further name.
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

    /// Makes a symbolic link at `path` to `target`.
    #[pyo3(signature = (target, path, /))]
    fn symlink(&self, py: Python<'_>, target: PathArg<'_>, path: PathArg<'_>) -> PyResult<()> {
        let (to, at) = (target.bytes(), path.bytes());
        self.session
            .change(py, |tx| tx.symlink_path(to, at).map(drop))
            .map_err(|failure| failure.raise_between(&target.given, &path.given))
    }

    /// Makes a regular file, fifo, socket or device file, by the type in `mode`.
    #[pyo3(signature = (path, mode = 0o600, device = 0))]
    fn mknod(&self, py: Python<'_>, path: PathArg<'_>, mode: u32, device: u64) -> PyResult<()> {
        let bytes = path.bytes();
        self.session
            .change(py, |tx| tx.mknod_path(bytes, mode, device).map(drop))
            .map_err(|failure| failure.raise_at(&path.given))
    }
}
