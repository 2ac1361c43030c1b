//! Many files in one call: one transaction, or one moment.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use vexfs_fs::Attr;

use super::Verbs;
use crate::args::{DataArg, PathArg};
use crate::blank::Blank;
use crate::compound::{self, At};
use crate::error::{Failure, Result};
use crate::session::{State, durability, follow, in_pinned, read};
use crate::stat::Stat;

fn paths<'py>(paths: &Bound<'py, PyAny>) -> PyResult<Vec<PathArg<'py>>> {
    paths.try_iter()?.map(|path| path?.extract()).collect()
}

fn bytes_of<'a>(paths: &'a [PathArg<'_>]) -> Vec<&'a [u8]> {
    paths.iter().map(PathArg::bytes).collect()
}

fn raise(py: Python<'_>, (number, error): At, paths: &[PathArg<'_>]) -> PyErr {
    match paths.get(number) {
        Some(path) => Failure::Fs(error).raise_at(&path.given),
        None => Failure::Fs(error).raise(py),
    }
}

impl Verbs {
    fn contents<'py>(
        &self,
        py: Python<'py>,
        paths: &[PathArg<'py>],
        missing_ok: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let names = bytes_of(paths);
        let pinned = self.session.run(py, State::pin).map_err(|failure| failure.raise(py))?;
        let look = |_| Ok(in_pinned!(&pinned, |scope| compound::files_to_read(scope, &names, missing_ok)));
        let found = self.session.run(py, look).map_err(|failure| failure.raise(py))?;
        let found = found.map_err(|at| raise(py, at, paths))?;
        let blank = |file: &Attr| Ok((*file, Blank::new(py, usize::try_from(file.size)?)?));
        let mut wanted = found.iter().flatten().map(blank).collect::<PyResult<Vec<_>>>()?;
        let fill =
            |_| Ok(in_pinned!(&pinned, |scope| compound::read_files(scope, &mut wanted, Blank::zeroed)));
        let done = self.session.run(py, fill).map_err(|failure| failure.raise(py))?;
        let lens = done.map_err(|(index, error)| {
            let present = (0..).zip(&found).filter(|(_, file)| file.is_some());
            let number = present.map(|(number, _)| number).nth(index);
            raise(py, (number.unwrap_or(usize::MAX), error), paths)
        })?;
        let mut contents = wanted.into_iter().zip(lens).map(|((_, blank), len)| blank.finish(py, len));
        let contents: Vec<_> = found.iter().map(|file| file.and_then(|_| contents.next())).collect();
        PyList::new(py, contents)
    }

    fn attributes(
        &self,
        py: Python<'_>,
        paths: &[PathArg<'_>],
        follow_symlinks: bool,
        missing_ok: bool,
    ) -> PyResult<Vec<Option<Stat>>> {
        let names = bytes_of(paths);
        let found = read!(self.session, py, |scope| {
            Result::<_>::Ok(compound::stat_files(scope, &names, follow(follow_symlinks), missing_ok))
        });
        let device = self.session.state().map_err(|failure| failure.raise(py))?.device;
        let attrs = found.map_err(|failure| failure.raise(py))?.map_err(|at| raise(py, at, paths))?;
        Ok(attrs.into_iter().map(|attr| attr.map(|attr| Stat::new(attr, device))).collect())
    }
}

#[pymethods]
impl Verbs {
    /// Replaces the contents of many files in one transaction, with few large writes to the device.
    ///
    /// Args:
    ///     files: a mapping of paths to bytes-like objects.
    ///     durable: return only when all of it is on the device.
    ///     parents: make the directories that are missing.
    ///
    /// Raises:
    ///     TooLarge: more than one transaction can take: a quarter of the log, of which a file of several blocks needs
    ///         some 300 bytes, and one below 2 KiB its content besides.
    ///     NoSpace: it does not fit. Nothing was written.
    #[pyo3(signature = (files, *, durable = false, parents = false))]
    fn write_many(
        &self,
        py: Python<'_>,
        files: &Bound<'_, PyAny>,
        durable: bool,
        parents: bool,
    ) -> PyResult<()> {
        let items = match files.cast::<PyDict>() {
            Ok(files) => files.items().into_any(),
            Err(_) => files.call_method0("items")?,
        };
        let items: Vec<(PathArg<'_>, DataArg<'_>)> =
            items.try_iter()?.map(|item| item?.extract()).collect::<PyResult<_>>()?;
        let files: Vec<(&[u8], &[u8])> =
            items.iter().map(|(path, data)| (path.bytes(), data.bytes())).collect();
        self.session
            .change_whole(py, durability(durable), |tx| compound::write_files(tx, &files, parents))
            .map_err(|failure| failure.raise(py))
    }

    /// The contents of many files as they were at one moment, read by several threads.
    ///
    /// Args:
    ///     files: paths.
    ///     missing_ok: whether a missing file is None in the result instead of an error.
    ///
    /// Returns:
    ///     A list of `bytes` in the order of the paths.
    #[pyo3(signature = (files, *, missing_ok = false))]
    fn read_many<'py>(
        &self,
        py: Python<'py>,
        files: &Bound<'py, PyAny>,
        missing_ok: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let paths = paths(files)?;
        self.session.read_anew(py, || self.contents(py, &paths, missing_ok))
    }

    /// The attributes of many files as they were at one moment, by several threads.
    ///
    /// Args:
    ///     files: paths.
    ///     follow_symlinks: as in `stat`.
    ///     missing_ok: whether a missing file is None in the result instead of an error.
    ///
    /// Returns:
    ///     A list of `Stat` in the order of the paths.
    #[pyo3(signature = (files, *, follow_symlinks = true, missing_ok = false))]
    fn stat_many<'py>(
        &self,
        py: Python<'py>,
        files: &Bound<'py, PyAny>,
        follow_symlinks: bool,
        missing_ok: bool,
    ) -> PyResult<Vec<Option<Stat>>> {
        let paths = paths(files)?;
        self.session.read_anew(py, || self.attributes(py, &paths, follow_symlinks, missing_ok))
    }
}
