//! The open volume.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use vexfs_device::{Access, Device, FileDevice};
use vexfs_fs::{Fs, Options, RecoveryProgress, RecoveryWatch};
use vexfs_journal::Options as JournalOptions;
use vexfs_store::{CheckpointKind, Mode};

use crate::args::{PathArg, optional};
use crate::error::{Failure, Result, invalid};
use crate::format::Formatted;
use crate::names::name;
use crate::report;
use crate::session::Session;
use crate::stat::StatVfs;
use crate::user::{self, User};
use crate::verbs::Verbs;
use crate::watched::{self, Watch};

/// Who waits longer for others has lost his way.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// More threads than this help nobody.
const MAX_WORKERS: u32 = 1024;

/// A volume: the verbs, and what concerns it as a whole.
#[pyclass(frozen, extends = Verbs, subclass, module = "vexfs._vexfs")]
pub struct Volume {
    path: PathBuf,
    mode: Mode,
}

/// Opens for writing; or for reading what nobody writes; or beside whoever writes.
fn open(path: &Path, options: &Options) -> Result<(Fs, Arc<FileDevice>)> {
    let (access, beside) = match options.mode {
        Mode::Write => (Access::Write, None),
        Mode::Read => (Access::Read, Some(Mode::Beside)),
        Mode::Beside => (Access::Beside, None),
    };
    match (FileDevice::open(path, access), beside) {
        (Err(vexfs_device::Error::Busy { .. }), Some(mode)) => {
            open(path, &Options { mode, ..options.clone() })
        }
        (device, _) => open_held(Arc::new(device.map_err(not_a_volume)?), options),
    }
}

fn open_held(device: Arc<FileDevice>, options: &Options) -> Result<(Fs, Arc<FileDevice>)> {
    Ok((Fs::open(Arc::clone(&device) as Arc<dyn Device>, options.clone())?, device))
}

/// As [`open`]; `tell` is called now and then with the phase of recovery, the operations found and the bytes read.
fn open_watched(
    py: Python<'_>,
    path: &Path,
    options: &Options,
    tell: &Bound<'_, PyAny>,
) -> PyResult<Result<(Fs, Arc<FileDevice>)>> {
    let (path, options) = (path.to_owned(), options.clone());
    let work = move |watch: Arc<Watch<RecoveryProgress>>| {
        let watch = Some(RecoveryWatch::new(move |progress| watch.tell(progress)));
        open(&path, &Options { watch, ..options })
    };
    watched::run(py, work, |RecoveryProgress { phase, operations, bytes }| {
        tell.call1((phase, operations, bytes)).map(drop)
    })
}

/// Why a file cannot be opened as a volume: one whose length no volume has is none.
pub fn not_a_volume(error: vexfs_device::Error) -> Failure {
    match error {
        vexfs_device::Error::BadSize { name, reason } => {
            vexfs_store::Error::NotAVolume { name, reason }.into()
        }
        error => vexfs_store::Error::from(error).into(),
    }
}

fn session(slf: &Bound<'_, Volume>) -> Session {
    slf.as_super().get().session.clone()
}

fn seconds(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid(py, format!("{seconds} is no length of time")))
}

fn delay(py: Python<'_>, delay: f64) -> PyResult<Duration> {
    match seconds(py, delay)? {
        delay if delay <= MAX_DELAY => Ok(delay),
        _ => Err(invalid(py, format!("a commit waits for others at most {MAX_DELAY:?}, not {delay} s"))),
    }
}

fn threads(py: Python<'_>, count: u32) -> PyResult<usize> {
    match count {
        1..=MAX_WORKERS => Ok(count as usize),
        _ => Err(invalid(py, format!("recovery has 1 to {MAX_WORKERS} workers, not {count}"))),
    }
}

#[pymethods]
impl Volume {
    #[new]
    #[pyo3(signature = (image, mode = "rw", user = None, *, workers = None, cache_bytes = None, memtable_bytes = None,
                        commit_interval = None, commit_batch_bytes = None, commit_delay = None,
                        checkpoint_interval = None, discard = false, formatted = None, progress = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        image: PathArg<'_>,
        mode: &str,
        #[pyo3(from_py_with = user::given)] user: Option<User>,
        #[pyo3(from_py_with = optional)] workers: Option<u32>,
        #[pyo3(from_py_with = optional)] cache_bytes: Option<u64>,
        #[pyo3(from_py_with = optional)] memtable_bytes: Option<u64>,
        commit_interval: Option<f64>,
        #[pyo3(from_py_with = optional)] commit_batch_bytes: Option<u64>,
        commit_delay: Option<f64>,
        checkpoint_interval: Option<f64>,
        discard: bool,
        formatted: Option<&Formatted>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let usual = Options::default();
        let options = Options {
            mode: match mode {
                "rw" => Mode::Write,
                "r" => Mode::Read,
                _ => return Err(invalid(py, format!("mode is 'rw' or 'r', not {mode:?}"))),
            },
            workers: workers.map(|count| threads(py, count)).transpose()?,
            cache_bytes: cache_bytes.unwrap_or(usual.cache_bytes),
            memtable_bytes: memtable_bytes.unwrap_or(usual.memtable_bytes),
            commit_interval: commit_interval.map_or(Ok(usual.commit_interval), |s| seconds(py, s))?,
            checkpoint_interval: checkpoint_interval
                .map_or(Ok(usual.checkpoint_interval), |s| seconds(py, s))?,
            discard,
            journal: JournalOptions {
                batch_bytes: commit_batch_bytes.unwrap_or(usual.journal.batch_bytes),
                gather: commit_delay.map_or(Ok(usual.journal.gather), |s| delay(py, s))?,
                ..usual.journal
            },
            ..usual
        };
        let path = image.path();
        let opened = match (formatted, progress) {
            (Some(Formatted(device)), _) => py.detach(|| open_held(Arc::clone(device), &options)),
            (None, None) => py.detach(|| open(path, &options)),
            (None, Some(tell)) => open_watched(py, path, &options, &tell)?,
        };
        let (fs, device) = opened.map_err(|failure| failure.raise_at(&image.given))?;
        let session = Session::new(fs, device, user::caller(user));
        let volume = Self { path: path.to_owned(), mode: options.mode };
        Ok(PyClassInitializer::from(Verbs { session }).add_subclass(volume))
    }

    /// The file or device.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        use std::os::unix::ffi::OsStrExt;
        name(py, self.path.as_os_str().as_bytes(), false)
    }

    /// "rw" or "r".
    #[getter]
    fn mode(&self) -> &'static str {
        if self.mode == Mode::Write { "rw" } else { "r" }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(slf: &Bound<'_, Self>) -> PyResult<bool> {
        slf.as_super().get().session.is_closed().map_err(|failure| failure.raise(slf.py()))
    }

    /// The volume's name for people.
    #[getter]
    fn label(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let label = session(slf).run(py, |state| Ok(state.fs.store().superblock().label.as_str().to_owned()));
        label.map_err(|failure| failure.raise(py))
    }

    /// The blocks of damaged copies of the superblock; the volume works from another copy.
    fn bad_superblocks(slf: &Bound<'_, Self>) -> PyResult<Vec<u64>> {
        let py = slf.py();
        let copies =
            session(slf).run(py, |state| Ok(vexfs_store::superblock::read(&**state.fs.store().device())?));
        let copies = copies.map_err(|failure| failure.raise(py))?;
        Ok(copies.bad.iter().map(|(block, _)| block.0).collect())
    }

    /// Beside a writer: when the checkpoint that is shown was made, in nanoseconds since 1970.
    fn as_of_ns(slf: &Bound<'_, Self>) -> PyResult<Option<i64>> {
        let py = slf.py();
        let time = session(slf).run(py, |state| {
            let fs = &state.fs;
            let beside = fs.store().mode() == Mode::Beside;
            Ok(beside.then(|| fs.store().newest_checkpoint().time_ns))
        });
        time.map_err(|failure| failure.raise(py))
    }

    /// Beside a writer: goes on to its newest checkpoint; says whether there was a newer one. Otherwise what is seen is
    /// always the newest.
    fn refresh(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        let done = session(slf).run(py, |state| Ok(state.fs.store().refresh()?));
        done.map_err(|failure| failure.raise(py))
    }

    /// Returns when everything committed so far is on the device.
    ///
    /// Raises:
    ///     ReadOnly: the device refused. The volume takes no more changes; opening it again recovers what was durable.
    fn sync(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        session(slf).run(py, |state| Ok(state.fs.sync()?)).map_err(|failure| failure.raise(py))
    }

    /// Writes a checkpoint: everything committed moves from the log to the tree, and the next opening has nothing to recover.
    ///
    /// Returns:
    ///     The number of the newest checkpoint.
    fn checkpoint(slf: &Bound<'_, Self>) -> PyResult<u64> {
        let py = slf.py();
        let made = session(slf).run(py, |state| {
            let fs = &state.fs;
            while fs.store().checkpoint(CheckpointKind::Incremental)? {}
            Ok(fs.store().newest_checkpoint().id.0)
        });
        made.map_err(|failure| failure.raise(py))
    }

    /// Free and used space, with the names of `os.statvfs_result`; units are blocks of 4096 bytes.
    fn statvfs(slf: &Bound<'_, Self>) -> PyResult<StatVfs> {
        let py = slf.py();
        let read_only = slf.get().mode != Mode::Write;
        let status = session(slf).run(py, |state| Ok(state.fs.statfs()?));
        status.map(|status| StatVfs::new(status, read_only)).map_err(|failure| failure.raise(py))
    }

    /// The fields of `Volume.info`.
    fn info_fields<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        report::info(slf.py(), &session(slf))
    }

    /// The fields of `Volume.stats`.
    fn stats_fields<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        report::stats(slf.py(), &session(slf))
    }

    /// The fields of `Volume.recovery`.
    fn recovery_fields<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        report::recovery(slf.py(), &session(slf))
    }

    /// Closes the volume: everything committed is durable on return. Closing twice is nothing.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.as_super().get().session.close(slf.py()).map_err(|failure| failure.raise(slf.py()))
    }
}
