//! An open file: what `vexfs.RawFile` is made of.

use parking_lot::{Mutex, RwLock};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vexfs_fs::data::Allocate;
use vexfs_fs::{Durability, Error, FsTx, Ino, OpenFile, Scope};
use vexfs_store::{Mode, Read};

use crate::args::{DataArg, SpaceArg};
use crate::error::{Failure, Result, invalid};
use crate::session::{Session, State, in_pinned};
use crate::stat::Stat;

/// More is written in several transactions, so that one write cannot be too large for the log.
const STEP: usize = 64 << 20;
/// So much is set aside for a read without a look at the size of the file.
const SMALL: usize = 64 << 10;

const RANGE_CHANGES: [(&str, Allocate); 7] = [
    ("allocate", Allocate::Grow),
    ("allocate_keep_size", Allocate::KeepSize),
    ("punch", Allocate::Punch),
    ("zero", Allocate::Zero),
    ("zero_keep_size", Allocate::ZeroKeepSize),
    ("collapse", Allocate::Collapse),
    ("insert", Allocate::Insert),
];

/// An open file with a position.
#[pyclass(frozen, module = "vexfs._vexfs")]
pub struct File {
    session: Session,
    /// What it was opened by, for errors.
    path: Py<PyAny>,
    open: RwLock<Option<OpenFile>>,
    position: Mutex<u64>,
    append: bool,
}

impl Drop for File {
    fn drop(&mut self) {
        if self.session.state().is_err() {
            // A forked child: what is open belongs to the parent.
            std::mem::forget(self.open.get_mut().take());
        }
    }
}

impl File {
    pub fn new(session: Session, path: &Bound<'_, PyAny>, open: OpenFile, append: bool) -> Self {
        let path = path.clone().unbind();
        Self { session, path, open: RwLock::new(Some(open)), position: Mutex::new(0), append }
    }

    /// Runs `work` on the file without Python's lock.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&State, &OpenFile) -> Result<T> + Send,
    ) -> PyResult<T> {
        let done = self.session.run(py, |state| {
            let open = self.open.read();
            work(state, open.as_ref().ok_or(Failure::FileClosed)?)
        });
        done.map_err(|failure| failure.raise_at(self.path.bind(py)))
    }

    /// As [`File::run`], with the position.
    fn at_position<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&State, &OpenFile, &mut u64) -> Result<T> + Send,
    ) -> PyResult<T> {
        self.run(py, |state, open| work(state, open, &mut self.position.lock()))
    }

    fn change<T>(
        state: &State,
        open: &OpenFile,
        mut work: impl FnMut(&mut FsTx) -> vexfs_fs::Result<T>,
    ) -> Result<T> {
        open.check_write()?;
        match &state.tx {
            None => Ok(open.hold.fs().auto_with(&state.caller, Durability::Visible, work)?),
            Some(tx) => Ok(work(tx.lock().as_mut().ok_or(Failure::Ended)?)?),
        }
    }

    /// Writes in steps; a failure after the first is a short write.
    fn write_steps(data: &[u8], mut write: impl FnMut(&[u8], u64) -> Result<()>) -> Result<usize> {
        let mut done = 0;
        for step in data.chunks(STEP) {
            match write(step, done as u64) {
                Ok(()) => done += step.len(),
                Err(failure) if done == 0 => return Err(failure),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write_at(state: &State, open: &OpenFile, data: &[u8], offset: u64) -> Result<usize> {
        open.check_write()?;
        Self::write_steps(data, |step, done| {
            let at = offset.checked_add(done).ok_or(Error::FileTooLarge)?;
            Self::change(state, open, |tx| tx.write(open.ino(), at, step))
        })
    }

    fn read_at(state: &State, open: &OpenFile, offset: u64, into: &mut [u8]) -> Result<usize> {
        open.check_read()?;
        in_pinned!(&state.pin()?, |scope| Ok(scope.read(same(scope, open)?, offset, into)?))
    }

    fn size(state: &State, open: &OpenFile) -> Result<u64> {
        in_pinned!(&state.pin()?, |scope| Ok(scope.getattr(same(scope, open)?)?.size))
    }

    fn seek_data(state: &State, open: &OpenFile, offset: u64) -> Result<u64> {
        in_pinned!(&state.pin()?, |scope| Ok(scope.seek_data(same(scope, open)?, offset)?))
    }

    fn seek_hole(state: &State, open: &OpenFile, offset: u64) -> Result<u64> {
        in_pinned!(&state.pin()?, |scope| Ok(scope.seek_hole(same(scope, open)?, offset)?))
    }

    fn read_on(state: &State, open: &OpenFile, position: &mut u64, into: &mut [u8]) -> Result<usize> {
        let read = Self::read_at(state, open, *position, into)?;
        *position += read as u64;
        Ok(read)
    }

    /// What `read` puts into `len` bytes.
    fn bytes<'py>(
        py: Python<'py>,
        len: usize,
        read: impl FnOnce(&mut [u8]) -> PyResult<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut there = 0;
        let bytes = PyBytes::new_with(py, len, |into| {
            there = read(into)?;
            Ok(())
        })?;
        match bytes.as_bytes().get(..there) {
            Some(part) if there < len => Ok(PyBytes::new(py, part)),
            _ => Ok(bytes),
        }
    }

    fn read_bytes<'py>(&self, py: Python<'py>, len: usize, offset: u64) -> PyResult<Bound<'py, PyBytes>> {
        Self::bytes(py, len, |into| self.run(py, |state, open| Self::read_at(state, open, offset, into)))
    }

    /// Moves the position with Python's lock, since to give that up costs more than to move; `None` if somebody else
    /// uses the file just now, or if it takes more than a sum.
    fn seek_at_once(&self, offset: i64, whence: i32) -> Option<u64> {
        let usable = self.session.is_usable() && self.open.try_read()?.is_some();
        let mut position = self.position.try_lock().filter(|_| usable)?;
        *position = match whence {
            libc::SEEK_SET => u64::try_from(offset).ok()?,
            libc::SEEK_CUR => position.checked_add_signed(offset)?,
            _ => return None,
        };
        Some(*position)
    }
}

/// The inode of the open file. Beside a writer, whom nobody's hold keeps from removing it, the number may be another
/// file's by now.
fn same<R: Read>(scope: &Scope<R>, open: &OpenFile) -> vexfs_fs::Result<Ino> {
    let ino = open.ino();
    if scope.fs().store().mode() == Mode::Beside && scope.getattr(ino)?.generation != open.hold.generation() {
        return Err(Error::Stale(ino));
    }
    Ok(ino)
}

/// An offset or length of the caller.
fn unsigned(py: Python<'_>, value: i64, what: &str) -> PyResult<u64> {
    u64::try_from(value).map_err(|_| invalid(py, format!("the {what} cannot be negative")))
}

#[pymethods]
impl File {
    /// Reads at the position into a buffer; returns the number of bytes.
    #[pyo3(signature = (buffer, /))]
    fn readinto(&self, py: Python<'_>, mut buffer: SpaceArg) -> PyResult<usize> {
        let into = buffer.bytes();
        self.at_position(py, |state, open, position| Self::read_on(state, open, position, into))
    }

    /// Up to `size` bytes from the position; everything to the end if None or negative.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else { return self.readall(py) };
        let len = match size {
            0..=SMALL => size,
            _ => self.at_position(py, |state, open, position| {
                open.check_read()?;
                let there = Self::size(state, open)?.saturating_sub(*position);
                Ok(size.min(usize::try_from(there).unwrap_or(usize::MAX)))
            })?,
        };
        Self::bytes(py, len, |into| {
            self.at_position(py, |state, open, position| Self::read_on(state, open, position, into))
        })
    }

    /// Everything from the position to the end.
    fn readall<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let (from, size) = self.at_position(py, |state, open, position| {
            open.check_read()?;
            Ok((*position, Self::size(state, open)?))
        })?;
        let len = usize::try_from(size.saturating_sub(from)).unwrap_or(usize::MAX);
        let bytes = self.read_bytes(py, len, from)?;
        let end = from.saturating_add(bytes.as_bytes().len() as u64);
        self.at_position(py, |_, _, position| {
            *position = end;
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Writes at the position, or at the end if opened to append; returns the number of bytes.
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: DataArg<'_>) -> PyResult<usize> {
        let bytes = data.bytes();
        self.at_position(py, |state, open, position| {
            if !self.append {
                let written = Self::write_at(state, open, bytes, *position)?;
                *position += written as u64;
                return Ok(written);
            }
            Self::write_steps(bytes, |step, _| {
                let start = Self::change(state, open, |tx| tx.append(open.ino(), step))?;
                *position = start + step.len() as u64;
                Ok(())
            })
        })
    }

    /// Up to `size` bytes from `offset`; the position stays.
    #[pyo3(signature = (size, offset, /))]
    fn pread<'py>(&self, py: Python<'py>, size: i64, offset: i64) -> PyResult<Bound<'py, PyBytes>> {
        let (wanted, offset) = (unsigned(py, size, "size")?, unsigned(py, offset, "offset")?);
        let there = self.run(py, |state, open| {
            open.check_read()?;
            Ok(Self::size(state, open)?.saturating_sub(offset))
        })?;
        self.read_bytes(py, usize::try_from(wanted.min(there)).unwrap_or(usize::MAX), offset)
    }

    /// Writes at `offset`; the position stays.
    #[pyo3(signature = (data, offset, /))]
    fn pwrite(&self, py: Python<'_>, data: DataArg<'_>, offset: i64) -> PyResult<usize> {
        let (bytes, offset) = (data.bytes(), unsigned(py, offset, "offset")?);
        self.run(py, |state, open| Self::write_at(state, open, bytes, offset))
    }

    /// Moves the position; returns it.
    #[pyo3(signature = (offset, whence = 0, /))]
    fn seek(&self, py: Python<'_>, offset: i64, whence: i32) -> PyResult<u64> {
        if let Some(position) = self.seek_at_once(offset, whence) {
            return Ok(position);
        }
        let from_start =
            || u64::try_from(offset).map_err(|_| Failure::Argument("the position cannot be negative".into()));
        self.at_position(py, |state, open, position| {
            let relative = |base: u64| {
                let moved = base.checked_add_signed(offset);
                moved.ok_or_else(|| Failure::Argument("the position cannot be negative".into()))
            };
            *position = match whence {
                libc::SEEK_SET => from_start()?,
                libc::SEEK_CUR => relative(*position)?,
                libc::SEEK_END => relative(Self::size(state, open)?)?,
                libc::SEEK_DATA => Self::seek_data(state, open, from_start()?)?,
                libc::SEEK_HOLE => Self::seek_hole(state, open, from_start()?)?,
                _ => return Err(Failure::Argument(format!("{whence} is no way to seek"))),
            };
            Ok(*position)
        })
    }

    /// The position.
    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        self.seek(py, 0, libc::SEEK_CUR)
    }

    /// Sets the length, to the position if None; returns it.
    #[pyo3(signature = (size = None, /))]
    fn truncate(&self, py: Python<'_>, size: Option<i64>) -> PyResult<u64> {
        let size = size.map(|size| unsigned(py, size, "size")).transpose()?;
        self.at_position(py, |state, open, position| {
            let size = size.unwrap_or(*position);
            Self::change(state, open, |tx| tx.truncate(open.ino(), size))?;
            Ok(size)
        })
    }

    /// Changes how a range is allocated, as `fallocate` does; `how` is one of the names of `RANGE_CHANGES`.
    #[pyo3(signature = (how, offset, length, /))]
    fn change_range(&self, py: Python<'_>, how: &str, offset: i64, length: i64) -> PyResult<()> {
        let what = RANGE_CHANGES.iter().find(|(name, _)| *name == how).map(|(_, what)| *what);
        let what = what.ok_or_else(|| invalid(py, format!("{how:?} is no change of a range")))?;
        let (offset, length) = (unsigned(py, offset, "offset")?, unsigned(py, length, "length")?);
        self.run(py, |state, open| {
            Self::change(state, open, |tx| tx.allocate(open.ino(), what, offset, length))
        })
    }

    /// Where data begins at or behind `offset`; None if there is none.
    #[pyo3(signature = (offset, /))]
    fn next_data(&self, py: Python<'_>, offset: u64) -> PyResult<Option<u64>> {
        self.run(py, |state, open| match Self::seek_data(state, open, offset) {
            Err(Failure::Fs(Error::NoSuchOffset { .. })) => Ok(None),
            found => found.map(Some),
        })
    }

    /// Where a hole begins at or behind `offset`, which lies within the file; the end counts as one.
    #[pyo3(signature = (offset, /))]
    fn next_hole(&self, py: Python<'_>, offset: u64) -> PyResult<u64> {
        self.run(py, |state, open| Self::seek_hole(state, open, offset))
    }

    /// The attributes of the file.
    fn stat(&self, py: Python<'_>) -> PyResult<Stat> {
        self.run(py, |state, open| {
            let attr = in_pinned!(&state.pin()?, |scope| scope.getattr(same(scope, open)?)?);
            Ok(Stat::new(attr, state.device))
        })
    }

    /// Returns when what was written is on the device; in a transaction, its commit decides.
    #[pyo3(signature = (data_only = false, /))]
    fn sync(&self, py: Python<'_>, data_only: bool) -> PyResult<()> {
        self.run(py, |_, open| match data_only {
            true => Ok(open.hold.fs().fdatasync(open.ino())?),
            false => Ok(open.hold.fs().fsync(open.ino())?),
        })
    }

    /// Closes the file.
    fn close(&self, py: Python<'_>) {
        if self.session.state().is_ok() {
            py.detach(|| drop(self.open.write().take()));
        }
    }
}
