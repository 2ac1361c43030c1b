//! Volumes to test on.

use std::sync::Arc;

use vexfs_device::{Device, SimDevice};
use vexfs_format::{BlockRun, Geometry};
use vexfs_space::{Space, TableState};

pub const VOLUME: u64 = 0x1122_3344_5566_7788;
pub const GROUP: u64 = 32256;

/// The layout of a volume of so many blocks, with the smallest journal.
pub fn geometry(blocks: u64) -> Geometry {
    Geometry::plan(blocks, Some(256 << 10)).unwrap()
}

/// A new volume: its device, its layout, and what its first descriptor would name.
pub fn format(blocks: u64) -> (Arc<SimDevice>, Geometry, TableState) {
    let geometry = geometry(blocks);
    let device = Arc::new(SimDevice::new(blocks * 4096));
    let state = Space::format(&*device, &geometry, VOLUME).unwrap();
    (device, geometry, state)
}

pub fn open(device: &Arc<SimDevice>, geometry: &Geometry, state: TableState) -> vexfs_space::Result<Space> {
    let device: Arc<dyn Device> = device.clone();
    Space::open(device, geometry, VOLUME, state.side, state.crc)
}

/// A new volume, opened.
pub fn fresh(blocks: u64) -> (Arc<SimDevice>, Space) {
    let (device, geometry, state) = format(blocks);
    let space = open(&device, &geometry, state).unwrap();
    (device, space)
}

/// A sequence of numbers that is the same at every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Which blocks of a new volume can never be allocated.
pub fn static_blocks(geometry: &Geometry) -> Vec<bool> {
    (0..geometry.block_count).map(|block| !geometry.holds(BlockRun::new(block, 1))).collect()
}

/// Aligned units of four free blocks in a list of used ones; every group begins a new list of units.
pub fn free_units(used: &[bool]) -> u64 {
    let groups = used.chunks(GROUP as usize);
    let whole = |unit: &&[bool]| unit.len() == 4 && !unit.contains(&true);
    groups.map(|group| group.chunks(4).filter(whole).count() as u64).sum()
}
