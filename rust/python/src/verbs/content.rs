//! Whole files: reading, writing, copying, truncating, opening.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vexfs_fs::{Attr, FileType, OpenOptions, Scope};
use vexfs_store::Read;

use super::Verbs;
use crate::args::{DataArg, PathArg, number};
use crate::compound;
use crate::error::{Result, invalid};
use crate::file::File;
use crate::session::{Pinned, State, durability, in_pinned, read};

/// Up to here a file is read into memory of the thread and copied; a longer one is read into its `bytes` object, which
/// costs Python's lock once more.
const COPIED: u64 = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A file on its way to Python.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one call")]
enum Content<'a> {
    /// So many bytes of the memory.
    Bytes(Vec<u8>, usize),
    Rest {
        pinned: Pinned<'a>,
        ino: vexfs_fs::Ino,
        size: u64,
    },
}

fn begin<'a>(state: &'a State, path: &[u8]) -> Result<Content<'a>> {
    let pinned = state.pin()?;
    let (bytes, ino, size) = in_pinned!(&pinned, |scope| {
        let file = compound::file_to_read(scope, path)?;
        let bytes = if file.size <= COPIED { Some(copied(scope, &file)?) } else { None };
        (bytes, file.ino, file.size)
    });
    Ok(match bytes {
        Some((bytes, len)) => Content::Bytes(bytes, len),
        None => Content::Rest { pinned, ino, size },
    })
}

/// The content of a small file in the memory of this thread, to be given back.
fn copied<R: Read>(scope: &Scope<R>, file: &Attr) -> Result<(Vec<u8>, usize)> {
    let mut bytes = SCRATCH.take();
    let len = file.size.min(COPIED) as usize;
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
    let len = scope.content(file, bytes.get_mut(..len).unwrap_or_default())?;
    Ok((bytes, len))
}

fn finish(pinned: &Pinned<'_>, ino: vexfs_fs::Ino, into: &mut [u8]) -> Result<usize> {
    in_pinned!(pinned, |scope| Ok(scope.read(ino, 0, into)?))
}

impl Verbs {
    fn content<'py>(&self, py: Python<'py>, path: &PathArg<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = path.bytes();
        let content = self
            .session
            .run(py, |state| begin(state, bytes))
            .map_err(|failure| failure.raise_at(&path.given))?;
        let (pinned, ino, size) = match content {
            Content::Bytes(bytes, len) => {
                let object = PyBytes::new(py, bytes.get(..len).unwrap_or_default());
                SCRATCH.set(bytes);
                return Ok(object);
            }
            Content::Rest { pinned, ino, size } => (pinned, ino, size),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        PyBytes::new_with(py, size, |into| {
            let finish = |_| finish(&pinned, ino, into);
            self.session.run(py, finish).map(drop).map_err(|failure| failure.raise_at(&path.given))
        })
    }
}

#[pymethods]
impl Verbs {
    /// The content of a file.
    ///
    /// Returns:
    ///     All of it, as it was at one moment.
    ///
    /// Raises:
    ///     NotFound: there is no such file.
    ///     IsADirectory: it is a directory.
    ///     PermissionDenied: the volume's user may not read it.
    ///     Corrupt: a block is not what was written.
    #[pyo3(signature = (path, /))]
    fn read_bytes<'py>(&self, py: Python<'py>, path: PathArg<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.session.read_anew(py, || self.content(py, &path))
    }

    /// Replaces the content of a file, which is made if it is missing.
    ///
    /// Visible to everybody when it returns (in a transaction: at its commit), and durable with the next group commit.
    ///
    /// Args:
    ///     path: the file; a symbolic link is followed.
    ///     data: any bytes-like object.
    ///     durable: return only when it is on the device; in a transaction its commit decides.
    ///     parents: make the directories above that are missing.
    ///
    /// Returns:
    ///     The number of bytes.
    ///
    /// Raises:
    ///     NotFound: a directory above is missing.
    ///     IsADirectory: it is a directory.
    ///     NoSpace: it does not fit; the old content stays.
    ///     ReadOnly: the volume is open for reading.
    #[pyo3(signature = (path, data, *, durable = false, parents = false))]
    fn write_bytes(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        data: DataArg<'_>,
        durable: bool,
        parents: bool,
    ) -> PyResult<usize> {
        let (name, bytes) = (path.bytes(), data.bytes());
        let work = |tx: &mut vexfs_fs::FsTx| compound::write_file(tx, name, bytes, parents);
        let done = match parents {
            true => self.session.change_whole(py, durability(durable), work),
            false => self.session.change_with(py, durability(durable), work),
        };
        done.map(|()| bytes.len()).map_err(|failure| failure.raise_at(&path.given))
    }

    /// Copies a file's content, holes and permissions to another file, which is made or replaced.
    ///
    /// Raises:
    ///     NotFound: there is no such file, or no directory for the copy.
    ///     IsADirectory: one of the two is a directory.
    ///     NoSpace: it does not fit.
    #[pyo3(signature = (source, target, /))]
    fn copy(&self, py: Python<'_>, source: PathArg<'_>, target: PathArg<'_>) -> PyResult<()> {
        let (from, to) = (source.bytes(), target.bytes());
        self.session
            .change_whole(py, durability(false), |tx| compound::copy_file(tx, from, to))
            .map_err(|failure| failure.raise_between(&source.given, &target.given))
    }

    /// Sets the length of a file in bytes; what is added is a hole, which reads as zeros.
    ///
    /// Raises:
    ///     InvalidArgument: the length is negative.
    ///     TooLarge: it is more than 16 TiB.
    ///     NotFound, IsADirectory, PermissionDenied.
    #[pyo3(signature = (path, length, /))]
    fn truncate(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        #[pyo3(from_py_with = number)] length: i64,
    ) -> PyResult<()> {
        let size = u64::try_from(length).map_err(|_| invalid(py, "a file's length cannot be negative"))?;
        let set = vexfs_fs::SetAttr { size: Some(size), ..Default::default() };
        let bytes = path.bytes();
        self.session
            .change(py, |tx| tx.setattr_path(bytes, &set, vexfs_fs::Follow::Always))
            .map(drop)
            .map_err(|failure| failure.raise_at(&path.given))
    }

    /// Opens a file as open(2) does; `open` wraps what it returns in Python's file objects.
    ///
    /// Args:
    ///     path: the file.
    ///     flags: `os.O_RDONLY`, `O_WRONLY` or `O_RDWR`, with `O_CREAT`, `O_EXCL`, `O_TRUNC`, `O_APPEND`, `O_NOFOLLOW`.
    ///     mode: permissions of a file that is made, before the umask.
    #[pyo3(signature = (path, flags, mode = 0o666, /))]
    fn open_handle(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        flags: i32,
        #[pyo3(from_py_with = number)] mode: u32,
    ) -> PyResult<File> {
        let access = flags & libc::O_ACCMODE;
        let options = OpenOptions {
            read: access != libc::O_WRONLY,
            write: access != libc::O_RDONLY,
            create: flags & libc::O_CREAT != 0,
            exclusive: flags & libc::O_EXCL != 0,
            truncate: flags & libc::O_TRUNC != 0,
            no_follow: flags & libc::O_NOFOLLOW != 0,
            directory: false,
            mode,
        };
        let bytes = path.bytes();
        let opened =
            self.session.run_fresh(py, |state| {
                if options.write && !state.fs.store().is_writable() {
                    return Err(vexfs_store::Error::ReadOnly.into());
                }
                let open = match &state.tx {
                    None => state.fs.open_file(&state.caller, bytes, &options)?,
                    Some(tx) => {
                        tx.lock().as_mut().ok_or(crate::error::Failure::Ended)?.open_file(bytes, &options)?
                    }
                };
                match open.file_type {
                    FileType::Regular => Ok(open),
                    FileType::Directory => Err(vexfs_fs::Error::IsADirectory(bytes.into()).into()),
                    _ => Err(vexfs_fs::Error::NotSupported { what: "only regular files can be opened here" }
                        .into()),
                }
            });
        let opened = opened.map_err(|failure| failure.raise_at(&path.given))?;
        Ok(File::new(self.session.clone(), &path.given, opened, flags & libc::O_APPEND != 0))
    }

    /// Makes an empty file, or sets the times of an existing one to now.
    ///
    /// Args:
    ///     path: the file.
    ///     mode: permissions of a file that is made, before the umask.
    ///     exist_ok: whether there may be something already.
    ///
    /// Raises:
    ///     Exists: there is something, and `exist_ok` is False.
    #[pyo3(signature = (path, mode = 0o666, exist_ok = true))]
    fn touch(
        &self,
        py: Python<'_>,
        path: PathArg<'_>,
        #[pyo3(from_py_with = number)] mode: u32,
        exist_ok: bool,
    ) -> PyResult<()> {
        let bytes = path.bytes();
        self.session
            .change(py, |tx| compound::touch(tx, bytes, mode, exist_ok))
            .map_err(|failure| failure.raise_at(&path.given))
    }

    /// The size of a file without its other attributes.
    #[pyo3(signature = (path, /))]
    fn size(&self, py: Python<'_>, path: PathArg<'_>) -> PyResult<u64> {
        let bytes = path.bytes();
        read!(self.session, py, |scope| scope.stat(bytes, vexfs_fs::Follow::Always))
            .map(|attr| attr.size)
            .map_err(|failure| failure.raise_at(&path.given))
    }
}
