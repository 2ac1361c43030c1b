//! Small healthy volumes that have something of everything, always the same.

use std::sync::Arc;

use vexfs_device::{Device, Image, MemoryDevice};
use vexfs_fs::acl::{self, Acl, AclEntry, Tag};
use vexfs_fs::data::Allocate;
use vexfs_fs::{
    Caller, Durability, Follow, FormatOptions, Fs, FsTx, Hold, Ino, Isolation, Options, RootOptions,
};
use vexfs_fs::{FileType, XattrMode};

use super::{Error, Result};

/// Which volume a damage needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Closed, with no past state kept.
    Plain,
    /// Closed, with past states kept, and more checkpoints behind it than the ring holds.
    Retained,
    /// Left in the middle: the log holds transactions that no checkpoint does.
    Logged,
}

/// Bytes of a sample.
pub const BYTES: u64 = 16 << 20;
/// Bytes that do not repeat, so that no block is another's.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(len)
    .collect()
}

fn options(sample: Sample) -> Options {
    let retain = if sample == Sample::Retained { 12 } else { 0 };
    Options { background: false, workers: Some(1), retain, ..Options::default() }
}

/// A new, empty volume.
///
/// # Errors
/// None that anybody knows of.
pub fn fresh(device: &Arc<dyn Device>) -> Result<()> {
    let options = FormatOptions {
        label: "sample".into(),
        uuid: Some(*b"a sample volume!"),
        hash_seed: Some([5; 16]),
        created_ns: Some(1_700_000_000_000_000_000),
        ..FormatOptions::default()
    };
    Ok(Fs::mkfs(Arc::clone(device), options, RootOptions::default())?)
}

/// Makes the sample on an empty device.
///
/// # Errors
/// None that anybody knows of.
pub fn make(device: &Arc<dyn Device>, sample: Sample) -> Result<()> {
    fresh(device)?;
    let fs = Fs::open(Arc::clone(device), options(sample))?;
    let hold = fill(&fs)?;
    if sample == Sample::Retained {
        for round in 0..70 {
            change(&fs, round)?;
            checkpoint(&fs)?;
        }
    }
    checkpoint(&fs)?;
    if sample == Sample::Logged {
        // The process is gone: nothing is closed, and nobody lets go of anything.
        for round in 0..8 {
            change(&fs, round)?;
        }
        std::mem::forget(hold);
        std::mem::forget(fs);
        return Ok(());
    }
    // The file that is held stays an orphan.
    fs.close()?;
    drop(hold);
    Ok(())
}

/// The sample's bytes.
///
/// # Errors
/// None that anybody knows of.
pub fn image(sample: Sample) -> Result<Image> {
    let memory = Arc::new(MemoryDevice::new(BYTES));
    let device: Arc<dyn Device> = Arc::clone(&memory) as Arc<dyn Device>;
    make(&device, sample)?;
    Ok(memory.image())
}

fn checkpoint(fs: &Fs) -> Result<()> {
    fs.store().checkpoint(Default::default()).map_err(vexfs_fs::Error::from)?;
    Ok(())
}

fn run<T>(fs: &Fs, operation: impl FnOnce(&mut FsTx) -> vexfs_fs::Result<T>) -> Result<T> {
    run_as(fs, Durability::Durable, operation)
}

fn run_as<T>(
    fs: &Fs,
    durability: Durability,
    operation: impl FnOnce(&mut FsTx) -> vexfs_fs::Result<T>,
) -> Result<T> {
    let mut tx = fs.begin(&Caller::privileged(0, 0, 0), Isolation::Snapshot)?;
    let result = operation(&mut tx)?;
    tx.commit(durability)?;
    Ok(result)
}

/// Opens the volume, and leaves it with one more transaction in the log, whose record carries its data.
pub(super) fn log_data(device: &Arc<dyn Device>) -> Result<()> {
    let fs = Fs::open(Arc::clone(device), options(Sample::Logged))?;
    run(&fs, |tx| file(tx, "/data/carried", &content(11, 3 * 4096)))?;
    std::mem::forget(fs);
    Ok(())
}

fn file(tx: &mut FsTx, path: &str, bytes: &[u8]) -> vexfs_fs::Result<Ino> {
    let ino = tx.create_path(path.as_bytes(), 0o644)?.ino;
    if !bytes.is_empty() {
        tx.write_all(ino, bytes)?;
    }
    Ok(ino)
}

/// Files of every sort; what is returned holds one that has lost its name.
fn fill(fs: &Fs) -> Result<Hold> {
    run(fs, |tx| {
        for dir in ["/tree", "/data", "/links", "/attrs", "/special", "/deep", "/deep/a", "/deep/a/b"] {
            tx.mkdir_path(dir.as_bytes(), 0o755)?;
        }
        Ok(())
    })?;
    run(fs, tree)?;
    let gone = run(fs, files)?;
    run(fs, |tx| {
        let sparse = file(tx, "/data/sparse", b"")?;
        tx.write(sparse, 5 << 20, &content(3, 8192))?;
        tx.write(sparse, 0, &content(4, 8192))?;
        let reserved = file(tx, "/data/reserved", &content(5, 20_000))?;
        tx.allocate(reserved, Allocate::KeepSize, 0, 200_000)
    })?;
    let hold = fs.hold(gone, None)?;
    run(fs, |tx| tx.unlink_path(b"/data/gone"))?;
    Ok(hold)
}

/// Enough small files for a tree of several nodes.
fn tree(tx: &mut FsTx) -> vexfs_fs::Result<()> {
    for dir in 0..5 {
        tx.mkdir_path(format!("/tree/d{dir}").as_bytes(), 0o755)?;
        for number in 0..40 {
            file(tx, &format!("/tree/d{dir}/file {number}"), &content(number, number as usize * 13))?;
        }
    }
    Ok(())
}

fn files(tx: &mut FsTx) -> vexfs_fs::Result<Ino> {
    file(tx, "/data/big", &content(1, 3 << 20))?;
    file(tx, "/data/three", &content(2, 3 * 4096))?;
    file(tx, "/data/end", &content(6, 4096 + 3000))?;
    file(tx, "/data/a", &content(7, 2 * 4096))?;
    file(tx, "/data/b", &content(8, 2 * 4096))?;
    let gone = file(tx, "/data/gone", &content(9, 50_000))?;
    tx.symlink_path(b"../data/big", b"/links/short")?;
    tx.symlink_path(&[b'x'; 3000], b"/links/long")?;
    file(tx, "/links/one", b"linked")?;
    tx.link_path(b"/links/one", b"/links/two", Follow::Never)?;
    file(tx, "/attrs/file", b"attributes")?;
    tx.setxattr_path(b"/attrs/file", b"user.colour", b"blue", XattrMode::Set, Follow::Never)?;
    tx.setxattr_path(b"/attrs/file", b"user.large", &content(10, 5000), XattrMode::Set, Follow::Never)?;
    tx.setxattr_path(b"/attrs/file", acl::ACCESS, &list(0o640), XattrMode::Set, Follow::Never)?;
    tx.setxattr_path(b"/attrs", acl::DEFAULT, &list(0o750), XattrMode::Set, Follow::Never)?;
    tx.mknod_path(b"/special/fifo", FileType::Fifo.mode_bits() | 0o600, 0)?;
    tx.mknod_path(b"/special/device", FileType::CharDevice.mode_bits() | 0o600, 0x103)?;
    tx.mknod_path(b"/special/socket", FileType::Socket.mode_bits() | 0o600, 0)?;
    Ok(gone)
}

fn list(mode: u16) -> Vec<u8> {
    let entry = |tag, permissions, id| AclEntry { tag, permissions, id };
    let list = Acl::new(vec![
        entry(Tag::Owner, mode >> 6 & 7, u32::MAX),
        entry(Tag::User, 6, 1000),
        entry(Tag::Group, 4, u32::MAX),
        entry(Tag::Mask, mode >> 3 & 7, u32::MAX),
        entry(Tag::Other, mode & 7, u32::MAX),
    ]);
    list.map_or_else(Vec::new, |list| list.encode())
}

/// A little of everything that changes, different in every round. The log carries the data of the first of its two
/// transactions, and names that of the second.
pub fn change(fs: &Fs, round: u64) -> Result<()> {
    run(fs, |tx| {
        file(tx, &format!("/special/round {round}"), &content(round, 300))?;
        let three = tx.resolve(b"/data/three", Follow::Never)?;
        tx.write(three, (round % 3) * 4096, &content(100 + round, 4096))?;
        let name = format!("/tree/d{}/file {}", round % 5, round % 40);
        let small = tx.resolve(name.as_bytes(), Follow::Never)?;
        tx.write_all(small, &content(200 + round, 900))?;
        if let Some(old) = round.checked_sub(3) {
            tx.unlink_path(format!("/special/round {old}").as_bytes())?;
        }
        Ok(())
    })?;
    run_as(fs, Durability::Visible, |tx| {
        let blocks = file(tx, &format!("/data/round {round}"), &content(300 + round, 6 * 4096))?;
        tx.setxattr(blocks, b"user.round", format!("{round}").as_bytes(), XattrMode::Set)?;
        if let Some(old) = round.checked_sub(2) {
            tx.unlink_path(format!("/data/round {old}").as_bytes())?;
        }
        Ok(())
    })?;
    Ok(fs.store().sync().map_err(vexfs_fs::Error::from)?)
}

impl From<vexfs_fs::Error> for Error {
    fn from(error: vexfs_fs::Error) -> Self {
        Self::Sample(error.to_string())
    }
}
