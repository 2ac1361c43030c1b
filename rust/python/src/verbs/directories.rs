//! Directories: making, listing, removing.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::Verbs;
use crate::args::{PathArg, number};
use crate::compound;
use crate::listing::Listing;
use crate::names::name;
use crate::session::{durability, read};

/// Names one behind the other, with where each ends.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packed {
    fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.bytes.get(start..end).unwrap_or_default())
    }
}

#[pymethods]
impl Verbs {
    /// Makes a directory.
    ///
    /// Args:
    ///     path: where.
    ///     mode: its permissions, before the umask.
    ///     parents: make the directories above that are missing.
    ///     exist_ok: whether there may be a directory already.
    ///
    /// Raises:
    ///     Exists: there is something already.
    ///     NotFound: the directory above is missing.
    #[pyo3(signature = (path, mode = 0o777, parents = false, exist_ok = false))]
    fn mkdir(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        #[pyo3(from_py_with = number)] mode: u32,
        parents: bool,
        exist_ok: bool,
    ) -> PyResult<()> {
        let bytes = path.bytes();
        self.session
            .change_whole(py, durability(false), |tx| compound::mkdir(tx, bytes, mode, parents, exist_ok))
            .map_err(|failure| failure.raise_at(&path.given))
    }

    /// The names in a directory, without "." and "..", in no order that means anything.
    ///
    /// Args:
    ///     path: the directory; the root if None. Names are `bytes` if it is.
    ///
    /// Raises:
    ///     NotFound, NotADirectory, PermissionDenied.
    #[pyo3(signature = (path = None, /))]
    fn listdir<'py>(&self, py: Python<'py>, path: Option<PathArg<'py>>) -> PyResult<Bound<'py, PyList>> {
        let bytes = path.as_ref().map_or(b"/".as_slice(), |path| path.bytes());
        let found = read!(self.session, py, |scope| {
            let mut names = Packed::default();
            let ino = scope.resolve(bytes, vexfs_fs::Follow::Always)?;
            let listed = scope.readdir(ino, 0, |entry| {
                if !entry.is_dot() {
                    names.push(entry.name);
                }
                Ok(true)
            });
            listed.map(|()| names).map_err(|error| error.at(bytes))
        });
        let names = found.map_err(|failure| match &path {
            Some(path) => failure.raise_at(&path.given),
            None => failure.raise(py),
        })?;
        let as_bytes = path.is_some_and(|path| path.as_bytes);
        let names: Vec<_> = names.iter().map(|bytes| name(py, bytes, as_bytes)).collect();
        PyList::new(py, names)
    }

    /// The entries of a directory one after the other, as `os.scandir`: an iterator and context manager.
    ///
    /// What is there all the time is met exactly once, whatever is made and removed meanwhile.
    ///
    /// Args:
    ///     path: the directory; the root if None. Names are `bytes` if it is.
    #[pyo3(signature = (path = None, /))]
    fn scandir(slf: &Bound<'_, Self>, path: Option<PathArg<'_>>) -> PyResult<Listing> {
        Listing::open(slf, path)
    }

    /// Removes an empty directory.
    ///
    /// Raises:
    ///     DirectoryNotEmpty: it has entries; `rmtree` removes those too.
    ///     NotADirectory: it is something else.
    ///     InvalidArgument: it is the root.
    #[pyo3(signature = (path, /))]
    fn rmdir(&self, py: Python<'_>, path: PathArg<'_>) -> PyResult<()> {
        let bytes = path.bytes();
        self.session.change(py, |tx| tx.rmdir_path(bytes)).map_err(|failure| failure.raise_at(&path.given))
    }

    /// Removes what a path leads to and everything below it; `rmtree` is the verb for people.
    #[pyo3(signature = (path, /))]
    fn remove_tree(&self, py: Python<'_>, path: PathArg<'_>) -> PyResult<()> {
        let bytes = path.bytes();
        let done = match self.session.state().map_err(|failure| failure.raise(py))?.tx {
            None => self.session.run(py, |state| Ok(state.fs.rmtree(&state.caller, bytes)?)),
            Some(_) => self.session.change_whole(py, durability(false), |tx| tx.rmtree(bytes)),
        };
        done.map_err(|failure| failure.raise_at(&path.given))
    }
}
