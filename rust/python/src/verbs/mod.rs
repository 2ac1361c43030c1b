//! The verbs that a volume and a transaction share; a file of this folder has those of one kind.

mod attributes;
mod bulk;
mod content;
mod directories;
mod look;
mod names;
mod xattr;

use pyo3::prelude::*;

use crate::session::Session;

/// What [`crate::volume::Volume`] and [`crate::transaction::Transaction`] have in common.
#[pyclass(frozen, subclass, module = "vexfs._vexfs")]
pub struct Verbs {
    pub session: Session,
}

#[pymethods]
impl Verbs {
    /// Whether no permission is checked for the user of this volume.
    #[getter]
    fn privileged(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.session.state().map_err(|failure| failure.raise(py))?.caller.is_super())
    }
}
