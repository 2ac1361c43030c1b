//! The checker. It runs beside the calling thread, which passes progress on to Python and hears of Ctrl-C.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use vexfs_check::{Options, Progress, Report, What};
use vexfs_device::{Access, Device, FileDevice};

use crate::args::{PathArg, optional};
use crate::error::{Failure, Result, invalid};
use crate::volume::not_a_volume;

/// How often Python is asked whether to go on.
const INTERVAL: Duration = Duration::from_millis(100);

/// What the checker's threads and the calling thread tell each other.
#[derive(Default)]
struct Shared {
    progress: Mutex<Option<Progress>>,
    cancelled: AtomicBool,
}

fn check(path: &std::path::Path, data: bool, shared: &Arc<Shared>) -> Result<Report> {
    let device = FileDevice::open(path, Access::Read).map_err(not_a_volume)?;
    let watched = Arc::clone(shared);
    let watch = move |progress: Progress| {
        *watched.progress.lock() = Some(progress);
        match watched.cancelled.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let options = Options { data, progress: Some(Arc::new(watch)), ..Options::default() };
    vexfs_check::check(Arc::new(device) as Arc<dyn Device>, &options).map_err(unchecked)
}

fn unchecked(error: vexfs_check::Error) -> Failure {
    match error {
        vexfs_check::Error::Store(error) => error.into(),
        vexfs_check::Error::Device(error) => not_a_volume(error),
        error => Failure::Check(error),
    }
}

/// Checks a volume; returns the report as JSON.
#[pyfunction]
#[pyo3(signature = (image, data, progress = None, /))]
pub fn fsck(
    py: Python<'_>,
    image: PathArg<'_>,
    data: bool,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<String> {
    let (shared, (done, answer)) = (Arc::<Shared>::default(), sync_channel(1));
    let answer = Mutex::new(answer);
    let (watched, path) = (Arc::clone(&shared), image.path().to_owned());
    std::thread::spawn(move || {
        // Nobody waits any more if the caller was interrupted.
        let _ = done.send(check(&path, data, &watched));
    });
    let mut stopped = Ok(());
    let report = loop {
        let waited = py.detach(|| answer.lock().recv_timeout(INTERVAL));
        match waited {
            Ok(report) => break report,
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the checker ended without a report".to_owned();
                break Err(Failure::Check(vexfs_check::Error::Threads { reason: message }));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let seen = shared.progress.lock().take();
        stopped = stopped.and_then(|()| py.check_signals()).and_then(|()| match (&progress, seen) {
            (Some(tell), Some(Progress { pass, done, total })) => tell.call1((pass, done, total)).map(drop),
            _ => Ok(()),
        });
        shared.cancelled.store(stopped.is_err(), Ordering::Relaxed);
    };
    stopped?;
    let report = report.map_err(|failure| failure.raise_at(&image.given))?;
    serde_json::to_string(&report).map_err(|error| Failure::Argument(error.to_string()).raise(py))
}

/// What a check consists of, as JSON.
#[pyfunction]
pub fn fsck_passes(py: Python<'_>) -> PyResult<String> {
    let passes = serde_json::to_string(vexfs_check::passes());
    passes.map_err(|error| Failure::Argument(error.to_string()).raise(py))
}

/// One structure of a volume, as JSON.
#[pyfunction]
#[pyo3(signature = (image, what, number = None, /))]
pub fn debug_show(
    py: Python<'_>,
    image: PathArg<'_>,
    what: &str,
    #[pyo3(from_py_with = optional)] number: Option<u64>,
) -> PyResult<String> {
    let what = match (what, number) {
        ("superblock", None) => What::Superblock,
        ("checkpoint", number) => What::Checkpoint(number),
        ("journal", number) => What::Journal(number),
        ("inode", Some(number)) => What::Inode(number),
        ("node", Some(number)) => What::Node(number),
        ("block", Some(number)) => What::Block(number),
        ("group", number) => What::Group(number),
        ("retained", None) => What::Retained,
        _ => return Err(invalid(py, format!("{what} cannot be shown with, or without, a number"))),
    };
    let path = image.path();
    let shown = py.detach(|| -> Result<String> {
        let device = match FileDevice::open(path, Access::Read) {
            // Whoever writes does not keep others from looking.
            Err(vexfs_device::Error::Busy { .. }) => FileDevice::open(path, Access::Beside),
            device => device,
        };
        let device: Arc<dyn Device> = Arc::new(device.map_err(not_a_volume)?);
        Ok(vexfs_check::show(&device, what).map_err(unchecked)?.to_string())
    });
    shown.map_err(|failure| failure.raise_at(&image.given))
}
