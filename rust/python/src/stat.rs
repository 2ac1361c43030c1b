//! What `stat` and `statvfs` return: the attributes are made when they are asked for.

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use vexfs_fs::{Attr, StatFs};

const NANOS: i64 = 1_000_000_000;

fn seconds(nanos: i64) -> f64 {
    nanos.div_euclid(NANOS) as f64 + nanos.rem_euclid(NANOS) as f64 * 1e-9
}

/// Attributes of a file, with the names of `os.stat_result`.
#[pyclass(frozen, module = "vexfs")]
pub struct Stat {
    attr: Attr,
    device: u64,
}

impl Stat {
    pub const fn new(attr: Attr, device: u64) -> Self {
        Self { attr, device }
    }

    fn items(&self) -> [i64; 10] {
        let attr = &self.attr;
        let whole = |nanos: i64| nanos.div_euclid(NANOS);
        [
            i64::from(attr.mode()),
            attr.ino.0 as i64,
            self.device as i64,
            i64::from(attr.nlink),
            i64::from(attr.uid),
            i64::from(attr.gid),
            attr.size as i64,
            whole(attr.atime_ns),
            whole(attr.mtime_ns),
            whole(attr.ctime_ns),
        ]
    }
}

#[pymethods]
impl Stat {
    /// Type and permissions; see the module `stat`.
    #[getter]
    fn st_mode(&self) -> u32 {
        self.attr.mode()
    }

    /// The inode number.
    #[getter]
    fn st_ino(&self) -> u64 {
        self.attr.ino.0
    }

    /// The volume: a number made of its UUID.
    #[getter]
    fn st_dev(&self) -> u64 {
        self.device
    }

    /// How many names it has.
    #[getter]
    fn st_nlink(&self) -> u32 {
        self.attr.nlink
    }

    /// The owner.
    #[getter]
    fn st_uid(&self) -> u32 {
        self.attr.uid
    }

    /// The group.
    #[getter]
    fn st_gid(&self) -> u32 {
        self.attr.gid
    }

    /// Bytes.
    #[getter]
    fn st_size(&self) -> u64 {
        self.attr.size
    }

    /// Occupied units of 512 bytes.
    #[getter]
    fn st_blocks(&self) -> u64 {
        self.attr.sectors()
    }

    /// Bytes of a block.
    #[getter]
    fn st_blksize(&self) -> usize {
        vexfs_format::BLOCK_SIZE
    }

    /// The number of a device file.
    #[getter]
    fn st_rdev(&self) -> u64 {
        self.attr.rdev
    }

    /// Last access, seconds since 1970.
    #[getter]
    fn st_atime(&self) -> f64 {
        seconds(self.attr.atime_ns)
    }

    /// Last change of the data, seconds since 1970.
    #[getter]
    fn st_mtime(&self) -> f64 {
        seconds(self.attr.mtime_ns)
    }

    /// Last change of data or attributes, seconds since 1970.
    #[getter]
    fn st_ctime(&self) -> f64 {
        seconds(self.attr.ctime_ns)
    }

    /// When it was made, seconds since 1970.
    #[getter]
    fn st_birthtime(&self) -> f64 {
        seconds(self.attr.btime_ns)
    }

    /// Last access, nanoseconds since 1970.
    #[getter]
    fn st_atime_ns(&self) -> i64 {
        self.attr.atime_ns
    }

    /// Last change of the data, nanoseconds since 1970.
    #[getter]
    fn st_mtime_ns(&self) -> i64 {
        self.attr.mtime_ns
    }

    /// Last change of data or attributes, nanoseconds since 1970.
    #[getter]
    fn st_ctime_ns(&self) -> i64 {
        self.attr.ctime_ns
    }

    /// When it was made, nanoseconds since 1970.
    #[getter]
    fn st_birthtime_ns(&self) -> i64 {
        self.attr.btime_ns
    }

    /// A number that no other inode of the volume has or ever had.
    #[getter]
    fn st_gen(&self) -> u64 {
        self.attr.generation
    }

    fn __len__(&self) -> usize {
        self.items().len()
    }

    fn __getitem__(&self, index: isize) -> PyResult<i64> {
        let items = self.items();
        let index = if index < 0 { index.saturating_add_unsigned(items.len()) } else { index };
        let item = usize::try_from(index).ok().and_then(|index| items.get(index));
        item.copied().ok_or_else(|| PyIndexError::new_err("index out of range"))
    }

    fn __richcmp__(&self, other: &Bound<'_, Self>, op: CompareOp) -> Option<bool> {
        let equal = self.attr == other.get().attr && self.device == other.get().device;
        match op {
            CompareOp::Eq => Some(equal),
            CompareOp::Ne => Some(!equal),
            _ => None,
        }
    }

    fn __hash__<'py>(&self, py: Python<'py>) -> PyResult<isize> {
        PyTuple::new(py, self.items())?.hash()
    }

    fn __repr__(&self) -> String {
        let Attr { nlink, uid, gid, size, atime_ns, mtime_ns, ctime_ns, btime_ns, .. } = self.attr;
        format!(
            "vexfs.Stat(st_mode=0o{:o}, st_ino={}, st_dev={}, st_nlink={nlink}, st_uid={uid}, st_gid={gid}, \
             st_size={size}, st_atime_ns={atime_ns}, st_mtime_ns={mtime_ns}, st_ctime_ns={ctime_ns}, \
             st_birthtime_ns={btime_ns})",
            self.attr.mode(),
            self.attr.ino.0,
            self.device,
        )
    }
}

/// Free and used space, with the names of `os.statvfs_result`.
#[pyclass(frozen, module = "vexfs")]
pub struct StatVfs {
    status: StatFs,
    read_only: bool,
}

impl StatVfs {
    pub const fn new(status: StatFs, read_only: bool) -> Self {
        Self { status, read_only }
    }
}

#[pymethods]
impl StatVfs {
    /// Bytes of a block.
    #[getter]
    fn f_bsize(&self) -> usize {
        vexfs_format::BLOCK_SIZE
    }

    /// The unit of the counts of blocks, in bytes.
    #[getter]
    fn f_frsize(&self) -> usize {
        vexfs_format::BLOCK_SIZE
    }

    /// Blocks for data and metadata.
    #[getter]
    fn f_blocks(&self) -> u64 {
        self.status.blocks
    }

    /// Free blocks.
    #[getter]
    fn f_bfree(&self) -> u64 {
        self.status.blocks_free
    }

    /// Free blocks that files can have.
    #[getter]
    fn f_bavail(&self) -> u64 {
        self.status.blocks_available
    }

    /// Inodes.
    #[getter]
    fn f_files(&self) -> u64 {
        self.status.inodes
    }

    /// Free inodes.
    #[getter]
    fn f_ffree(&self) -> u64 {
        self.status.inodes_free
    }

    /// Free inodes that files can have.
    #[getter]
    fn f_favail(&self) -> u64 {
        self.status.inodes_free
    }

    /// A number made of the volume's UUID.
    #[getter]
    fn f_fsid(&self) -> u64 {
        self.status.id
    }

    /// `os.ST_RDONLY` if it cannot be written, `os.ST_NODEV` in any case.
    #[getter]
    fn f_flag(&self) -> u64 {
        libc::ST_NODEV | if self.read_only { libc::ST_RDONLY } else { 0 }
    }

    /// Bytes that a name can have.
    #[getter]
    fn f_namemax(&self) -> usize {
        vexfs_format::MAX_NAME
    }

    fn __repr__(&self) -> String {
        let StatFs { blocks, blocks_free, blocks_available, inodes, inodes_free, .. } = self.status;
        format!(
            "vexfs.StatVfs(f_bsize=4096, f_blocks={blocks}, f_bfree={blocks_free}, f_bavail={blocks_available}, \
             f_files={inodes}, f_ffree={inodes_free})"
        )
    }
}
