//! How files of 1 MiB lie after a life of filling and deleting: the volume is filled to nine tenths with files of
//! many sizes, half of them, chosen at random, are deleted, and it is filled again, over and over.

use std::sync::Arc;

use vexfs_device::MemoryDevice;
use vexfs_format::{Extent, Key, kinds};
use vexfs_fs::{Caller, FormatOptions, Fs, Ino, Options, RootOptions};
use vexfs_store::Read;

use crate::Result;

const LARGE: usize = 1 << 20;

/// A sequence of numbers that is the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Half of the files have 1 MiB, the others 4 KiB to 4 MiB, each power of two as likely as the next.
    fn size(&mut self) -> usize {
        match self.below(2) {
            0 => LARGE,
            _ => {
                let most = 1 << self.below(11);
                4096 * (1 + self.below(most) as usize)
            }
        }
    }
}

struct Aged {
    fs: Fs,
    files: Vec<(String, Ino, usize)>,
    made: u64,
    /// Bytes that the files of a full enough volume have together.
    enough: u64,
    content: Vec<u8>,
}

/// Ages a volume of `bytes` in memory `times` times; prints the mean of extents of its files of 1 MiB.
pub fn run(bytes: u64, times: u32) -> Result<()> {
    let device = Arc::new(MemoryDevice::new(bytes));
    Fs::mkfs(device.clone(), FormatOptions::default(), RootOptions::default())?;
    let fs = Fs::open(device, Options::default())?;
    let enough = fs.statfs()?.blocks_available * 4096 / 10 * 9;
    let mut numbers = Numbers(42);
    let content = (0..4 * LARGE).map(|_| numbers.below(256) as u8).collect();
    let mut aged = Aged { fs, files: Vec::new(), made: 0, enough, content };
    aged.fill(&mut numbers)?;
    for _ in 0..times {
        aged.halve(&mut numbers)?;
        aged.fill(&mut numbers)?;
    }
    let large: Vec<Ino> = aged.files.iter().filter(|file| file.2 == LARGE).map(|file| file.1).collect();
    let extents = large.iter().map(|&ino| aged.extents(ino)).collect::<Result<Vec<u64>>>()?;
    println!("files {}", large.len());
    println!("extents-mean {:.3}", extents.iter().sum::<u64>() as f64 / large.len() as f64);
    println!("extents-most {}", extents.iter().max().unwrap_or(&0));
    Ok(aged.fs.close()?)
}

impl Aged {
    fn fill(&mut self, numbers: &mut Numbers) -> Result<()> {
        let mut held: u64 = self.files.iter().map(|file| file.2 as u64).sum();
        while held < self.enough {
            let (name, size) = (format!("/{}", self.made), numbers.size());
            let content = &self.content[..size];
            let ino = self.fs.auto(&Caller::root(), |tx| {
                let ino = tx.create_path(name.as_bytes(), 0o644)?.ino;
                tx.write_all(ino, content).map(|()| ino)
            })?;
            self.files.push((name, ino, size));
            self.made += 1;
            held += size as u64;
        }
        Ok(())
    }

    fn halve(&mut self, numbers: &mut Numbers) -> Result<()> {
        for _ in 0..self.files.len() / 2 {
            let (name, ..) = self.files.swap_remove(numbers.below(self.files.len() as u64) as usize);
            self.fs.auto(&Caller::root(), |tx| tx.unlink_path(name.as_bytes()))?;
        }
        Ok(())
    }

    /// Runs of blocks that lie one behind the other; items of the tree that continue each other are one.
    fn extents(&self, ino: Ino) -> Result<u64> {
        let (from, to) = (Key::new(ino.0, kinds::EXTENT, 0), Key::new(ino.0, kinds::EXTENT, u64::MAX));
        let (mut count, mut expected) = (0, None);
        for item in self.fs.store().view().range(from, to) {
            let (key, value) = item?;
            let run = Extent::parse(key.offset, &value)?.run;
            count += u64::from(expected != Some(run.start.0));
            expected = Some(run.end());
        }
        Ok(count)
    }
}
