//! What names, attributes and permissions promise, verb by verb and error by error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod acl;
mod attributes;
mod audit;
mod faults;
mod handles;
mod known;
mod listing;
mod model;
mod names;
mod paths;
mod permissions;
mod rename;
mod threads;
mod transactions;
mod trees;
mod xattr;

use std::sync::Arc;

use vexfs_device::{Device, MemoryDevice};
use vexfs_fs::{Attr, Caller, Error, FormatOptions, Fs, FsTx, Ino, Options, Result, RootOptions};

const ROOT: Ino = Ino(1);

fn device(mib: u64) -> Arc<dyn Device> {
    let device: Arc<dyn Device> = Arc::new(MemoryDevice::new(mib << 20));
    let options = FormatOptions { hash_seed: Some([7; 16]), ..FormatOptions::default() };
    Fs::mkfs(Arc::clone(&device), options, RootOptions::default()).unwrap();
    device
}

fn open(device: &Arc<dyn Device>) -> Fs {
    Fs::open(Arc::clone(device), Options { background: false, ..Options::default() }).unwrap()
}

fn volume() -> Fs {
    open(&device(16))
}

/// Runs one operation as root, each in a transaction of its own.
fn root<T>(fs: &Fs, operation: impl FnMut(&mut FsTx) -> Result<T>) -> Result<T> {
    fs.auto(&Caller::root(), operation)
}

fn user(uid: u32, groups: &[u32]) -> Caller {
    Caller::new(uid, *groups.first().unwrap_or(&uid), groups, 0o022)
}

fn make_file(fs: &Fs, path: &str, mode: u32) -> Attr {
    let caller = Caller::privileged(0, 0, 0);
    fs.auto(&caller, |tx| tx.create_path(path.as_bytes(), mode)).unwrap()
}

fn make_dir(fs: &Fs, path: &str, mode: u32) -> Attr {
    let caller = Caller::privileged(0, 0, 0);
    fs.auto(&caller, |tx| tx.mkdir_path(path.as_bytes(), mode)).unwrap()
}

fn stat(fs: &Fs, path: &str) -> Result<Attr> {
    fs.view(&Caller::root())?.stat(path.as_bytes(), vexfs_fs::Follow::Never)
}

fn names(fs: &Fs, path: &str) -> Vec<String> {
    let entries = fs.view(&Caller::root()).unwrap().list_path(path.as_bytes()).unwrap();
    let mut names: Vec<_> = entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect();
    names.sort();
    names
}

/// The code of the error that an operation must end with.
fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.as_ref().err().map_or("ok", Error::code)
}
