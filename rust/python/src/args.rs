//! Arguments as Python gives them: paths without a copy, and anything that has bytes.
#![allow(unsafe_code, reason = "borrowing from Python's strings and buffers goes through its C interface")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyOverflowError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::invalid;

/// A path: `str`, `bytes` or `os.PathLike`.
pub struct PathArg<'py> {
    /// What the caller gave, for the error.
    pub given: Bound<'py, PyAny>,
    /// What the bytes are borrowed from, if not from `given`.
    _held: Option<Bound<'py, PyAny>>,
    bytes: *const [u8],
    /// Whether names are to be given back as `bytes`.
    pub as_bytes: bool,
}

impl<'py> PathArg<'py> {
    /// The bytes of the path, as `os.fsencode` makes them.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: they belong to an immutable `str` or `bytes` that `given` or `_held` keeps alive.
        unsafe { &*self.bytes }
    }

    /// The path on the machine.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.bytes()))
    }

    fn of(given: &Bound<'py, PyAny>, held: Option<Bound<'py, PyAny>>) -> PyResult<Option<Self>> {
        let object = held.as_ref().unwrap_or(given);
        if let Ok(text) = object.cast::<PyString>() {
            if let Ok(text) = text.to_str() {
                let bytes: *const [u8] = text.as_bytes();
                return Ok(Some(Self { given: given.clone(), _held: held, bytes, as_bytes: false }));
            }
            // Lone surrogates: bytes that were no text.
            // SAFETY: the argument is a string; the result is new or null.
            let encoded = unsafe {
                Bound::from_owned_ptr_or_err(given.py(), ffi::PyUnicode_EncodeFSDefault(object.as_ptr()))?
            };
            let mut path = Self::of(given, Some(encoded))?;
            if let Some(path) = &mut path {
                path.as_bytes = false;
            }
            return Ok(path);
        }
        let Ok(bytes) = object.cast::<PyBytes>() else { return Ok(None) };
        let bytes: *const [u8] = bytes.as_bytes();
        Ok(Some(Self { given: given.clone(), _held: held, bytes, as_bytes: true }))
    }
}

impl<'py> FromPyObject<'_, 'py> for PathArg<'py> {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Some(path) = Self::of(&given, None)? {
            return Ok(path);
        }
        // SAFETY: the argument is an object; the result is new, or null with an exception.
        let converted =
            unsafe { Bound::from_owned_ptr_or_err(given.py(), ffi::PyOS_FSPath(given.as_ptr()))? };
        match Self::of(&given, Some(converted))? {
            Some(path) => Ok(path),
            None => Err(invalid(given.py(), "a path is str, bytes or os.PathLike")),
        }
    }
}

/// A whole number; one that its type cannot hold is a bad argument.
pub fn number<'py, T: Number>(given: &Bound<'py, PyAny>) -> PyResult<T> {
    let found = given.extract::<i128>();
    let found = found.map(T::try_from).or_else(|error| {
        match error.is_instance_of::<PyOverflowError>(given.py()) {
            true => Ok(T::try_from(i128::MAX)),
            false => Err(error),
        }
    })?;
    found.map_err(|_| {
        invalid(given.py(), format!("{given} is out of range: {} to {} is possible", T::MIN, T::MAX))
    })
}

/// As [`number`], or None.
pub fn optional<T: Number>(given: &Bound<'_, PyAny>) -> PyResult<Option<T>> {
    if given.is_none() { Ok(None) } else { number(given).map(Some) }
}

/// As [`number`], two of them, or None.
pub fn pair<T: Number>(given: &Bound<'_, PyAny>) -> PyResult<Option<(T, T)>> {
    let numbers: Option<(Bound<'_, PyAny>, Bound<'_, PyAny>)> = given.extract()?;
    numbers.map(|(first, second)| Ok((number(&first)?, number(&second)?))).transpose()
}

/// The types of whole numbers that Python gives.
pub trait Number: TryFrom<i128> + std::fmt::Display {
    const MIN: Self;
    const MAX: Self;
}

macro_rules! numbers {
    ($($kind:ty),+) => {$(
        impl Number for $kind {
            const MIN: Self = Self::MIN;
            const MAX: Self = Self::MAX;
        }
    )+};
}

numbers!(u32, u64, i64);

/// Text that is UTF-8, as a label must be.
pub fn text(given: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = given.cast::<PyString>()?;
    match text.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(invalid(given.py(), "the text holds bytes that are not UTF-8")),
    }
}

/// Contiguous bytes of any object that has them, kept while the engine reads them.
pub struct DataArg<'py> {
    bytes: *const [u8],
    _object: Bound<'py, PyAny>,
    _buffer: Option<PyBuffer<u8>>,
}

impl DataArg<'_> {
    /// The bytes. Python code in another thread that changes a `bytearray` while it is being written gets a mix of
    /// old and new, as with any file.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the exporter keeps the memory in place for as long as the buffer is held.
        unsafe { &*self.bytes }
    }
}

impl<'py> FromPyObject<'_, 'py> for DataArg<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            let bytes: *const [u8] = bytes.as_bytes();
            return Ok(Self { bytes, _object: object.to_owned(), _buffer: None });
        }
        let buffer = bytes_of(&object)?;
        let bytes = std::ptr::slice_from_raw_parts(start(&buffer), buffer.len_bytes());
        Ok(Self { bytes, _object: object.to_owned(), _buffer: Some(buffer) })
    }
}

/// Writable contiguous bytes, to be filled by the engine.
pub struct SpaceArg {
    bytes: *mut [u8],
    _buffer: PyBuffer<u8>,
}

impl SpaceArg {
    /// The bytes, for one call.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: as in `DataArg`; the exporter said that they may be written.
        unsafe { &mut *self.bytes }
    }
}

impl FromPyObject<'_, '_> for SpaceArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let buffer = bytes_of(&object)?;
        if buffer.readonly() {
            return Err(pyo3::exceptions::PyTypeError::new_err("a read-write bytes-like object is needed"));
        }
        let bytes = std::ptr::slice_from_raw_parts_mut(start(&buffer).cast_mut(), buffer.len_bytes());
        Ok(Self { bytes, _buffer: buffer })
    }
}

fn bytes_of(object: &Bound<'_, PyAny>) -> PyResult<PyBuffer<u8>> {
    let buffer = PyBuffer::<u8>::get(object)?;
    match buffer.is_c_contiguous() {
        true => Ok(buffer),
        false => Err(pyo3::exceptions::PyBufferError::new_err("the bytes are not contiguous")),
    }
}

/// The first byte; never null, so that an empty slice of it is one.
fn start(buffer: &PyBuffer<u8>) -> *const u8 {
    match buffer.buf_ptr() {
        pointer if pointer.is_null() => std::ptr::NonNull::dangling().as_ptr(),
        pointer => pointer.cast_const().cast(),
    }
}
