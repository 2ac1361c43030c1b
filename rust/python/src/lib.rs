//! The Python module `vexfs._vexfs`: one verb, one small function, no logic.
//!
//! The package `vexfs` builds its classes on those of this module. The engine always runs without Python's lock; what
//! a forked child inherits is neither used nor closed; failures become exceptions by their stable code.

mod args;
mod blank;
mod check;
mod compound;
mod error;
mod file;
mod fork;
mod format;
mod listing;
mod names;
mod report;
mod session;
mod stat;
mod transaction;
mod user;
mod verbs;
mod volume;
mod watched;

use pyo3::prelude::*;

/// The engine of the package `vexfs`.
#[pymodule]
fn _vexfs(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DEBUG", cfg!(debug_assertions))?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<verbs::Verbs>()?;
    module.add_class::<volume::Volume>()?;
    module.add_class::<format::Formatted>()?;
    module.add_class::<transaction::Transaction>()?;
    module.add_class::<file::File>()?;
    module.add_class::<listing::Listing>()?;
    module.add_class::<listing::DirEntry>()?;
    module.add_class::<stat::Stat>()?;
    module.add_class::<stat::StatVfs>()?;
    module.add_function(wrap_pyfunction!(format::mkfs, module)?)?;
    module.add_function(wrap_pyfunction!(format::tune, module)?)?;
    module.add_function(wrap_pyfunction!(check::fsck, module)?)?;
    module.add_function(wrap_pyfunction!(check::fsck_passes, module)?)?;
    module.add_function(wrap_pyfunction!(check::debug_show, module)?)
}
