//! `scandir`: a directory's entries, a few at a time.
//!
//! Between two batches the directory may change: entries that are there all the time are met exactly once.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyString;
use vexfs_fs::{FileType, Follow, Ino, Scope};
use vexfs_store::Read;

use crate::args::PathArg;
use crate::error::Result;
use crate::names::{join, name};
use crate::session::{Session, read, read_once};
use crate::verbs::Verbs;

/// Entries fetched at once.
const BATCH: usize = 1024;

struct Fetched {
    ino: Ino,
    file_type: FileType,
    name: Box<[u8]>,
}

/// Where a listing stands.
struct Progress {
    entries: VecDeque<Fetched>,
    /// The cookie to go on after; `None` at the end.
    after: Option<u64>,
}

/// The iterator that `scandir` returns.
#[pyclass(frozen, module = "vexfs._vexfs")]
pub struct Listing {
    verbs: Py<Verbs>,
    session: Session,
    dir: Ino,
    generation: u64,
    /// The directory as it was given, as bytes.
    path: Box<[u8]>,
    as_bytes: bool,
    progress: Mutex<Progress>,
}

impl Progress {
    const END: Self = Self { entries: VecDeque::new(), after: None };
}

impl Listing {
    pub fn open(verbs: &Bound<'_, Verbs>, path: Option<PathArg<'_>>) -> PyResult<Self> {
        let py = verbs.py();
        let session = verbs.get().session.clone();
        let bytes = path.as_ref().map_or(b"/".as_slice(), |path| path.bytes());
        let opened = read!(session, py, |scope| {
            let dir = scope.resolve(bytes, Follow::Always)?;
            let generation = scope.getattr(dir)?.generation;
            fetch(scope, dir, 0).map(|progress| (dir, generation, progress)).map_err(|error| error.at(bytes))
        });
        let (dir, generation, progress) = opened.map_err(|failure| match &path {
            Some(path) => failure.raise_at(&path.given),
            None => failure.raise(py),
        })?;
        let (path, as_bytes) = (bytes.into(), path.as_ref().is_some_and(|path| path.as_bytes));
        Ok(Self {
            verbs: verbs.clone().unbind(),
            session,
            dir,
            generation,
            path,
            as_bytes,
            progress: Mutex::new(progress),
        })
    }

    fn advance(&self, py: Python<'_>) -> Result<Option<Fetched>> {
        let after = {
            let mut progress = self.progress.lock();
            match (progress.entries.pop_front(), progress.after) {
                (Some(entry), _) => return Ok(Some(entry)),
                (None, None) => return Ok(None),
                (None, Some(after)) => after,
            }
        };
        let mut next = read_once!(self.session, py, |scope| self.go_on(scope, after))?;
        let first = next.entries.pop_front();
        *self.progress.lock() = next;
        Ok(first)
    }
}

impl Listing {
    /// The next entries. The number of a directory that was removed may be another inode's by now.
    fn go_on<R: Read>(&self, scope: &Scope<R>, after: u64) -> vexfs_fs::Result<Progress> {
        match scope.getattr(self.dir) {
            Ok(attr) if attr.generation != self.generation => Ok(Progress::END),
            _ => fetch(scope, self.dir, after),
        }
    }
}

fn fetch<R: Read>(scope: &Scope<R>, dir: Ino, after: u64) -> vexfs_fs::Result<Progress> {
    let mut progress = Progress::END;
    let listed = scope.readdir(dir, after, |entry| {
        if !entry.is_dot() {
            let name = entry.name.into();
            progress.entries.push_back(Fetched { ino: entry.ino, file_type: entry.file_type, name });
        }
        progress.after = (progress.entries.len() >= BATCH).then_some(entry.cookie);
        Ok(progress.after.is_none())
    });
    match listed {
        // The directory was removed meanwhile: there is nothing more in it.
        Err(vexfs_fs::Error::Stale(_)) if after > 0 => Ok(progress),
        listed => listed.map(|()| progress),
    }
}

#[pymethods]
impl Listing {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<DirEntry>> {
        let (py, this) = (slf.py(), slf.get());
        let entry =
            this.advance(py).map_err(|failure| failure.raise_at(&name(py, &this.path, this.as_bytes)))?;
        Ok(entry.map(|Fetched { ino, file_type, name: bytes }| {
            let name = name(py, &bytes, this.as_bytes).unbind();
            DirEntry { listing: slf.clone().unbind(), name, bytes, ino, file_type }
        }))
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyAny>) {
        self.close();
    }

    /// Ends the listing.
    fn close(&self) {
        *self.progress.lock() = Progress { entries: VecDeque::new(), after: None };
    }
}

/// An entry of a directory, with the names of `os.DirEntry`.
#[pyclass(frozen, module = "vexfs")]
pub struct DirEntry {
    listing: Py<Listing>,
    /// The name.
    #[pyo3(get)]
    name: Py<PyAny>,
    bytes: Box<[u8]>,
    ino: Ino,
    file_type: FileType,
}

impl DirEntry {
    fn path_of<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        let listing = self.listing.get();
        name(py, &join(&listing.path, &self.bytes), listing.as_bytes)
    }

    /// Whether it is of a kind, perhaps through a symbolic link.
    fn is_kind(&self, py: Python<'_>, method: &str, kind: FileType, follow_symlinks: bool) -> PyResult<bool> {
        if self.file_type != FileType::Symlink || !follow_symlinks {
            return Ok(self.file_type == kind);
        }
        self.listing.get().verbs.bind(py).call_method1(method, (self.path_of(py),))?.extract()
    }
}

#[pymethods]
impl DirEntry {
    /// The path: that of the directory as it was given, and the name.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.path_of(py)
    }

    /// The inode number.
    fn inode(&self) -> u64 {
        self.ino.0
    }

    /// Whether it is a directory.
    #[pyo3(signature = (*, follow_symlinks = true))]
    fn is_dir(&self, py: Python<'_>, follow_symlinks: bool) -> PyResult<bool> {
        self.is_kind(py, "is_dir", FileType::Directory, follow_symlinks)
    }

    /// Whether it is a regular file.
    #[pyo3(signature = (*, follow_symlinks = true))]
    fn is_file(&self, py: Python<'_>, follow_symlinks: bool) -> PyResult<bool> {
        self.is_kind(py, "is_file", FileType::Regular, follow_symlinks)
    }

    /// Whether it is a symbolic link.
    fn is_symlink(&self) -> bool {
        self.file_type == FileType::Symlink
    }

    /// The attributes, as they are now.
    #[pyo3(signature = (*, follow_symlinks = true))]
    fn stat<'py>(&self, py: Python<'py>, follow_symlinks: bool) -> PyResult<Bound<'py, PyAny>> {
        let verbs = self.listing.get().verbs.bind(py);
        match follow_symlinks {
            true => verbs.call_method1("stat", (self.path_of(py),)),
            false => verbs.call_method1("lstat", (self.path_of(py),)),
        }
    }

    fn __fspath__<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.path_of(py)
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_fmt(py, format_args!("<vexfs.DirEntry {}>", self.name.bind(py).repr()?))
    }
}
