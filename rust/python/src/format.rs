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

/// A file or device that was just formatted, and that nobody else can have until it is let go.
#[pyclass(frozen, module = "vexfs._vexfs")]
pub struct Formatted(pub Arc<FileDevice>);

/// Formats a file or block device.
#[pyfunction]
#[pyo3(signature = (image, size, *, label, force = false, journal_size = None, preallocate = false))]
pub fn mkfs(
    py: Python<'_>,
    image: PathArg<'_>,
    #[pyo3(from_py_with = optional)] size: Option<u64>,
    #[pyo3(from_py_with = text)] label: String,
    force: bool,
    #[pyo3(from_py_with = optional)] journal_size: Option<u64>,
    preallocate: bool,
) -> PyResult<Formatted> {
    let path = image.path();
    let make = || -> Result<Formatted> {
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
        let room = if preallocate { device.preallocate() } else { Ok(()) };
        let made = room.map_err(vexfs_store::Error::from).map_err(vexfs_fs::Error::from).and_then(|()| {
            let root = RootOptions { uid, gid, mode: 0o755 };
            Fs::mkfs(Arc::clone(&device) as Arc<dyn Device>, options, root)
        });
        made.inspect_err(|_| device.abandon())?;
        Ok(Formatted(device))
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
