//! The checker.

use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use vexfs_check::{Options, Progress, Report, What};
use vexfs_device::{Access, Device, FileDevice};

use crate::args::{PathArg, optional};
use crate::error::{Failure, Result, invalid};
use crate::volume::not_a_volume;
use crate::watched::{self, Watch};

fn check(path: &Path, data: bool, watch: Arc<Watch<Progress>>) -> Result<Report> {
    let device = FileDevice::open(path, Access::Read).map_err(not_a_volume)?;
    let progress = move |progress| watch.tell(progress);
    let options = Options { data, progress: Some(Arc::new(progress)), ..Options::default() };
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
    let path = image.path().to_owned();
    let tell = |Progress { pass, done, total }| match &progress {
        Some(tell) => tell.call1((pass, done, total)).map(drop),
        None => Ok(()),
    };
    let report = watched::run(py, move |watch| check(&path, data, watch), tell)?;
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
