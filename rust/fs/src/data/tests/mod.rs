//! Tests of file contents.

mod cases;
mod model;
mod shared;

use std::sync::Arc;

use vexfs_device::MemoryDevice;
use vexfs_format::{Ino, Key, kinds};
use vexfs_store::{CheckpointKind, FormatOptions, Options, Read};

use super::extents::Held;
use super::{BLOCK, CHUNK_BLOCKS, extents, tail};
use crate::{Caller, Durability, Fs, FsTx, FsView, Isolation, RootOptions, Scope};

const CHUNK: u64 = CHUNK_BLOCKS * BLOCK;
struct Volume {
    device: Arc<MemoryDevice>,
    fs: Fs,
}

fn options() -> Options {
    Options { background: false, retain: 0, ..Options::default() }
}

fn volume(bytes: u64) -> Volume {
    let device = Arc::new(MemoryDevice::new(bytes));
    // A small log, so that steps of bounded size are many.
    let format = FormatOptions { journal_bytes: Some(1 << 20), ..FormatOptions::default() };
    Fs::mkfs(device.clone(), format, RootOptions::default()).unwrap();
    let fs = Fs::open(device.clone(), options()).unwrap();
    Volume { device, fs }
}

impl Volume {
    fn reopen(&mut self) {
        self.fs.close().unwrap();
        self.fs = Fs::open(self.device.clone(), options()).unwrap();
    }

    /// The volume as it is on the device, without a last checkpoint: what a killed process leaves.
    fn kill(&mut self) {
        self.fs.sync().unwrap();
        self.device = Arc::new(MemoryDevice::from_image(self.device.image()));
        self.fs = Fs::open(self.device.clone(), options()).unwrap();
    }

    fn create(&self, name: &str) -> Ino {
        self.change(|tx| tx.create(Ino(1), name.as_bytes(), 0o644).unwrap().ino)
    }

    fn change<T>(&self, change: impl FnOnce(&mut FsTx) -> T) -> T {
        let mut tx = self.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
        let value = change(&mut tx);
        tx.commit(Durability::Visible).unwrap();
        value
    }

    fn view(&self) -> FsView {
        self.fs.view(&Caller::root()).unwrap()
    }

    fn free_blocks(&self) -> u64 {
        while self.fs.store().checkpoint(CheckpointKind::Incremental).unwrap() {}
        self.fs.store().space_status().free_blocks
    }
}

/// The file's extents.
fn extents_of<R: Read>(scope: &Scope<R>, ino: Ino) -> Vec<Held> {
    extents::overlapping(&scope.store, ino, 0..super::MAX_BLOCKS).unwrap().map(Result::unwrap).collect()
}

/// Bytes that differ from block to block, none of them zero.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(31).wrapping_add((i >> 8) as u32) as u8 ^ seed | 1).collect()
}

/// Checks what the head of `mod.rs` and of `tail.rs` say of a file's records.
fn check_records<R: Read>(scope: &Scope<R>, ino: Ino) {
    let inode = scope.inode(ino).unwrap();
    let all = extents_of(scope, ino);
    let blocks: u64 = all.iter().map(|held| u64::from(held.run.len)).sum();
    assert_eq!(inode.blocks, blocks, "blocks that the file has");
    let (from, to) = (Key::new(ino.0, kinds::INLINE, 0), Key::new(ino.0, kinds::INLINE, u64::MAX));
    let tails: Vec<_> = scope.store.range(from, to).map(Result::unwrap).collect();
    assert!(tails.len() <= 1);
    for (key, value) in tails {
        assert_eq!(Some(key.offset / BLOCK), tail::block(inode.size), "a tail is where the file ends");
        assert!(value.len() as u64 <= inode.size - key.offset);
        assert!(all.iter().all(|held| held.end() <= key.offset / BLOCK || held.at > key.offset / BLOCK));
    }
    let runs = all.iter().map(|held| (held.run.start.0, held.run.end()));
    let mut runs: Vec<_> = runs.collect();
    runs.sort_unstable();
    assert!(runs.windows(2).all(|pair| pair[0].1 <= pair[1].0), "a block belongs to the file twice");
}

/// Checks all that can be read of a file.
fn check_bytes<R: Read>(scope: &Scope<R>, ino: Ino, model: &[u8]) {
    let inode = scope.inode(ino).unwrap();
    assert_eq!(inode.size, model.len() as u64);
    assert!(scope.read_all(ino).unwrap() == model, "bytes differ");
    let mut at = 0;
    while at < inode.size {
        let data = scope.seek_data(ino, at).unwrap_or(inode.size);
        assert!(model[at as usize..data as usize].iter().all(|&byte| byte == 0), "a hole with data in it");
        if data == inode.size {
            break;
        }
        at = scope.seek_hole(ino, data).unwrap();
        assert!(at > data);
    }
}
