//! Island of unsafe code: `bytes` objects that are filled without Python's lock, before anybody else has them.
#![allow(unsafe_code, reason = "an object that Python has not seen yet is written to in place")]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A `bytes` object that nobody else has.
pub struct Blank {
    object: Py<PyBytes>,
    start: *mut u8,
    len: usize,
}

// SAFETY: the pointer is to memory of the object, which only the owner of this value can reach.
unsafe impl Send for Blank {}

impl Blank {
    /// An object of `len` bytes.
    pub fn new(py: Python<'_>, len: usize) -> PyResult<Self> {
        let size = ffi::Py_ssize_t::try_from(len)?;
        // SAFETY: a null pointer asks for an object whose bytes are not set; it is a `bytes` object or an error is set.
        unsafe {
            let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), size);
            let object = Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked::<PyBytes>();
            let start = ffi::PyBytes_AsString(object.as_ptr()).cast::<u8>();
            Ok(Self { object: object.unbind(), start, len })
        }
    }

    /// Its bytes, all zero.
    pub fn zeroed(&mut self) -> &mut [u8] {
        // SAFETY: the object is alive and has that many bytes, which only `self`, borrowed exclusively, can reach. (An
        // empty one is shared by all of Python, and nothing of it is written.)
        unsafe {
            std::ptr::write_bytes(self.start, 0, self.len);
            std::slice::from_raw_parts_mut(self.start, self.len)
        }
    }

    /// The object, or a shorter one if only `len` bytes of it count.
    pub fn finish(self, py: Python<'_>, len: usize) -> Bound<'_, PyBytes> {
        let object = self.object.into_bound(py);
        match object.as_bytes().get(..len) {
            Some(part) if len < self.len => PyBytes::new(py, part),
            _ => object,
        }
    }
}
