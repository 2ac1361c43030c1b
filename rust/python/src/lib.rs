//! The Python module `vexfs._vexfs`: one verb, one small function, no logic.

mod args;
mod error;
mod fork;

use pyo3::prelude::*;

/// The engine of the package `vexfs`.
#[pymodule]
fn _vexfs(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DEBUG", cfg!(debug_assertions))?;
    Ok(())
}
