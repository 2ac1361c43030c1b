//! Names and paths on their way back to Python.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A name as `bytes`, or as `str` with `surrogateescape` for what is no UTF-8.
pub fn name<'py>(py: Python<'py>, bytes: &[u8], as_bytes: bool) -> Bound<'py, PyAny> {
    if as_bytes {
        return PyBytes::new(py, bytes).into_any();
    }
    match OsStr::from_bytes(bytes).into_pyobject(py) {
        Ok(text) => text.into_any(),
        Err(never) => match never {},
    }
}

/// The path of `name` in the directory at `path`.
pub fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    [path, slash, name].concat()
}
