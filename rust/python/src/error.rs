//! Failures of the engine as exceptions. The classes are Python's: `vexfs.errors.build` chooses one by its code.

use pyo3::exceptions::PySystemError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What a call can fail with before it is back in Python.
#[derive(Debug)]
pub enum Failure {
    /// The engine says no.
    Fs(vexfs_fs::Error),
    /// The transaction was committed or aborted.
    Ended,
    /// The file was closed.
    FileClosed,
    /// The process is a child of the one that opened the volume.
    Forked(u32),
    /// The caller gave something impossible.
    Argument(String),
    /// The checker could not begin, or was told to end.
    Check(vexfs_check::Error),
}

impl<E: Into<vexfs_fs::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Fs(error.into())
    }
}

/// The result of a call before it is back in Python.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    fn parts(&self) -> (&'static str, i32, String) {
        match self {
            Self::Fs(error) => (error.code(), error.errno(), error.to_string()),
            Self::Ended => (
                "closed",
                libc::EBADF,
                "the transaction has ended: begin another, or work on the volume".into(),
            ),
            Self::FileClosed => ("closed", libc::EBADF, "the file is closed".into()),
            Self::Forked(pid) => (
                "forked",
                libc::EBADF,
                format!(
                    "the volume was opened by process {pid}, and this is its forked child: open it again here"
                ),
            ),
            Self::Check(error) => (error.code(), check_errno(error), error.to_string()),
            Self::Argument(message) => ("invalid_argument", libc::EINVAL, message.clone()),
        }
    }

    /// Whether what was read beside a writer is no longer kept by it.
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Fs(vexfs_fs::Error::Store(vexfs_store::Error::FellBehind)))
    }

    /// The exception, for no path in particular.
    pub fn raise(self, py: Python<'_>) -> PyErr {
        self.build(py, py.None().bind(py), py.None().bind(py))
    }

    /// The exception, for the path that the caller gave.
    pub fn raise_at(self, path: &Bound<'_, PyAny>) -> PyErr {
        self.build(path.py(), path, path.py().None().bind(path.py()))
    }

    /// The exception, for the two paths that the caller gave.
    pub fn raise_between(self, path: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyErr {
        self.build(path.py(), path, other)
    }

    fn build(self, py: Python<'_>, path: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyErr {
        static BUILD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let (code, errno, message) = self.parts();
        let built = BUILD
            .import(py, "vexfs.errors", "build")
            .and_then(|build| build.call1((code, errno, message, path, other)));
        match built {
            Ok(error) => PyErr::from_value(error),
            Err(error) => PySystemError::new_err(format!("no exception could be made for {code}: {error}")),
        }
    }
}

const fn check_errno(error: &vexfs_check::Error) -> i32 {
    match error {
        vexfs_check::Error::NotThere { .. } => libc::ENOENT,
        vexfs_check::Error::Cancelled => libc::ECANCELED,
        _ => libc::EIO,
    }
}

/// An error of the caller, which concerns no path.
pub fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    Failure::Argument(message.into()).raise(py)
}
