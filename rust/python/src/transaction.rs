//! Transactions that Python holds.

use parking_lot::Mutex;
use pyo3::prelude::*;
use vexfs_fs::{FsTx, Isolation, Savepoint};

use crate::error::{Failure, Result, invalid};
use crate::fork::Inherited;
use crate::session::{Session, State, durability};
use crate::verbs::Verbs;
use crate::volume::Volume;

/// A transaction: the verbs, and its end.
#[pyclass(frozen, extends = Verbs, subclass, module = "vexfs._vexfs")]
pub struct Transaction {
    isolation: Isolation,
    /// Whether a commit returns only when it is on the device.
    #[pyo3(get)]
    durable: bool,
    /// The places to undo to, the newest last; their numbers are what Python holds.
    marks: Inherited<Mutex<Vec<Savepoint>>>,
}

fn tx_of(state: &State) -> Result<&Mutex<Option<FsTx>>> {
    state.tx.as_ref().ok_or(Failure::Ended)
}

#[pymethods]
impl Transaction {
    #[new]
    fn new(
        py: Python<'_>,
        volume: &Bound<'_, Volume>,
        isolation: &str,
        durable: bool,
    ) -> PyResult<PyClassInitializer<Self>> {
        let isolation = match isolation {
            "snapshot" => Isolation::Snapshot,
            "serializable" => Isolation::Serializable,
            _ => {
                return Err(invalid(
                    py,
                    format!("isolation is 'snapshot' or 'serializable', not {isolation:?}"),
                ));
            }
        };
        let session = &volume.as_super().get().session;
        let begun =
            session.run(py, |state| Ok(Session::within(state, state.fs.begin(&state.caller, isolation)?)));
        let session = begun.map_err(|failure| failure.raise(py))?;
        let marks = Inherited::new(Mutex::default());
        Ok(PyClassInitializer::from(Verbs { session }).add_subclass(Self { isolation, durable, marks }))
    }

    /// "snapshot" or "serializable".
    #[getter]
    fn isolation(&self) -> &'static str {
        match self.isolation {
            Isolation::Snapshot => "snapshot",
            Isolation::Serializable => "serializable",
        }
    }

    /// Whether it has neither been committed nor aborted.
    #[getter]
    fn active(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        let active = slf.as_super().get().session.run(py, |state| Ok(tx_of(state)?.lock().is_some()));
        active.map_err(|failure| failure.raise(py))
    }

    /// Makes all changes visible to everybody at once; if the transaction is durable, returns when they are on the device.
    ///
    /// Raises:
    ///     Conflict: another transaction changed what this one used. Nothing of this one has happened.
    ///     NoSpace: it does not fit. Nothing of it has happened.
    ///     TooLarge: it needs more than a quarter of the log. Nothing of it has happened.
    fn commit(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, durable) = (slf.py(), slf.get().durable);
        let done = slf.as_super().get().session.run(py, |state| {
            let tx = tx_of(state)?.lock().take().ok_or(Failure::Ended)?;
            Ok(tx.commit(durability(durable))?)
        });
        done.map(drop).map_err(|failure| failure.raise(py))
    }

    /// Undoes everything. Does nothing if the transaction has ended.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let state = slf.as_super().get().session.state().map_err(|failure| failure.raise(py))?;
        // Also when the volume was closed meanwhile.
        py.detach(|| {
            let tx = state.tx.as_ref().and_then(|tx| tx.lock().take());
            drop(tx);
        });
        Ok(())
    }

    /// A place to undo to.
    fn mark(slf: &Bound<'_, Self>) -> PyResult<usize> {
        slf.get().with_marks(slf, |tx, marks| {
            marks.push(tx.savepoint());
            Ok(marks.len() - 1)
        })
    }

    /// Undoes everything since a mark.
    fn rollback_to(slf: &Bound<'_, Self>, mark: usize) -> PyResult<()> {
        slf.get().with_marks(slf, |tx, marks| {
            if let Some(savepoint) = marks.drain(mark.min(marks.len())..).next() {
                tx.rollback_to(savepoint);
            }
            Ok(())
        })
    }

    /// Keeps everything since a mark.
    fn release(slf: &Bound<'_, Self>, mark: usize) -> PyResult<()> {
        slf.get().with_marks(slf, |tx, marks| {
            if let Some(savepoint) = marks.drain(mark.min(marks.len())..).next() {
                tx.release(savepoint);
            }
            Ok(())
        })
    }
}

impl Transaction {
    fn with_marks<T: Send>(
        &self,
        slf: &Bound<'_, Self>,
        work: impl FnOnce(&mut FsTx, &mut Vec<Savepoint>) -> Result<T> + Send,
    ) -> PyResult<T> {
        let py = slf.py();
        let done = slf.as_super().get().session.run(py, |state| {
            let mut tx = tx_of(state)?.lock();
            work(tx.as_mut().ok_or(Failure::Ended)?, &mut self.marks.lock())
        });
        done.map_err(|failure| failure.raise(py))
    }
}
