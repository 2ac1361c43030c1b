//! Making volumes and changing what was decided then.

use std::sync::Arc;

use pyo3::prelude::*;
use vexfs_device::{Access, Device, FileDevice};
use vexfs_format::superblock::Label;
use vexfs_fs::{FormatOptions, Fs, RootOptions};
use vexfs_store::superblock;

use crate::args::{PathArg, optional, text};
use crate::error::{Failure, Result};
use crate::user;
use crate::volume::not_a_volume;

/// Formats a file or block device.
#[pyfunction]
#[pyo3(signature = (image, size, *, label, force = false, journal_size = None))]
pub fn mkfs(
    py: Python<'_>,
    image: PathArg<'_>,
    #[pyo3(from_py_with = optional)] size: Option<u64>,
    #[pyo3(from_py_with = text)] label: String,
    force: bool,
    #[pyo3(from_py_with = optional)] journal_size: Option<u64>,
) -> PyResult<()> {
    let path = image.path();
    let make = || -> Result<()> {
        let given = size.map_or_else(|| vexfs_device::file::existing_len(path), |size| Ok(Some(size)));
        let size = given.map_err(vexfs_store::Error::from)?.filter(|&size| size > 0);
        let size =
            size.ok_or_else(|| Failure::Argument("a new file needs a size, such as \"1GiB\"".into()))?;
        let options =
            FormatOptions { label: label.clone(), journal_bytes: journal_size, ..FormatOptions::default() };
        // What no volume can have is refused before there is a file.
        let blocks = size / vexfs_format::BLOCK_SIZE as u64;
        vexfs_format::Geometry::plan(blocks, journal_size).map_err(vexfs_store::Error::from)?;
        Label::new(&label).map_err(vexfs_store::Error::from)?;
        let device = FileDevice::create(path, blocks * vexfs_format::BLOCK_SIZE as u64, force);
        let device = Arc::new(device.map_err(vexfs_store::Error::from)?);
        let (uid, gid) = user::process();
        let made =
            Fs::mkfs(Arc::clone(&device) as Arc<dyn Device>, options, RootOptions { uid, gid, mode: 0o755 });
        made.inspect_err(|_| device.abandon())?;
        Ok(())
    };
    py.detach(make).map_err(|failure| failure.raise_at(&image.given))
}

/// Changes the label of a volume that nobody has open.
#[pyfunction]
#[pyo3(signature = (image, *, label))]
pub fn tune(py: Python<'_>, image: PathArg<'_>, #[pyo3(from_py_with = text)] label: String) -> PyResult<()> {
    let path = image.path();
    let change = || -> Result<()> {
        let device = FileDevice::open(path, Access::Write).map_err(not_a_volume)?;
        superblock::relabel(&device, &label)?;
        Ok(())
    };
    py.detach(change).map_err(|failure| failure.raise_at(&image.given))
}
