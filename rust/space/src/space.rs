//! The space of a volume: which blocks and inode numbers are in use.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use vexfs_device::Device;
use vexfs_format::{BitmapKind, CheckpointId, Geometry, GroupEntry};

use crate::bits::Bitset;
use crate::error::{Error, Result};
use crate::group::{Group, Hint};
use crate::inodes::InodeGroup;
use crate::lane::Lanes;
use crate::slot::{self, Place};
use crate::table::{Other, Table, TableState};
use crate::units::Units;

/// Allocates blocks and inode numbers, and writes their bitmaps at checkpoints. All of it can be called from
/// any number of threads.
///
/// Invariants: memory never says *free* of a block or inode that the committed state, a reservation or a free not
/// yet reusable holds. What memory says and what the slots on the device say change separately: allocations and
/// releases change memory, a checkpoint's delta changes the slots. A group is loaded on first use, and before a
/// checkpoint first changes its slots (else a block that the delta clears would be free before it is released);
/// once loaded it stays.
#[derive(Debug)]
pub struct Space {
    pub(crate) device: Arc<dyn Device>,
    pub(crate) geometry: Geometry,
    pub(crate) volume: u64,
    pub(crate) table: RwLock<Table>,
    pub(crate) other: Mutex<Other>,
    /// What the table said at opening; of groups not loaded it is still true.
    at_open: Box<[(Hint, u16)]>,
    groups: Box<[OnceLock<Box<Group>>]>,
    inodes: Box<[OnceLock<Box<InodeGroup>>]>,
    loading: Mutex<()>,
    pub(crate) lanes: Lanes,
    pub(crate) units: Units,
    blocks_at_open: u64,
    inodes_at_open: u64,
}

impl Space {
    /// Writes the group table of a new volume: side A, no group written yet.
    pub fn format(device: &dyn Device, geometry: &Geometry, volume: u64) -> Result<TableState> {
        let birth = Table::at_birth(geometry, 1);
        Other::unknown(geometry).write(device, (geometry, volume), &birth, CheckpointId(0), Vec::new())
    }

    /// Opens the space that a descriptor names. Reads the group table and no bitmap.
    pub fn open(
        device: Arc<dyn Device>,
        geometry: &Geometry,
        volume: u64,
        side: u8,
        table_crc: u32,
    ) -> Result<Self> {
        let table = Table::read(&*device, geometry, volume, side, table_crc)?;
        let entries = table.entries();
        let sum = |count: fn(&GroupEntry) -> u16| entries.iter().map(|entry| u64::from(count(entry))).sum();
        Ok(Self {
            at_open: entries.iter().map(|entry| (hint_of(entry), entry.free_inodes)).collect(),
            groups: entries.iter().map(|_| OnceLock::new()).collect(),
            inodes: entries.iter().map(|_| OnceLock::new()).collect(),
            loading: Mutex::new(()),
            lanes: Lanes::new(geometry.group_count),
            units: Units::new(sum(|entry| entry.free_units)),
            blocks_at_open: sum(|entry| entry.free_blocks),
            inodes_at_open: sum(|entry| entry.free_inodes),
            other: Mutex::new(Other::unknown(geometry)),
            table: RwLock::new(table),
            geometry: geometry.clone(),
            device,
            volume,
        })
    }

    /// Free blocks.
    #[must_use]
    pub fn free_blocks(&self) -> u64 {
        let change: i64 = self.lanes.all().map(|lane| lane.free_blocks.load(Relaxed)).sum();
        self.blocks_at_open.saturating_add_signed(change)
    }

    /// Aligned units of four blocks that are wholly free.
    #[must_use]
    pub fn free_units(&self) -> u64 {
        self.units.free(&self.lanes)
    }

    /// Free inode numbers.
    #[must_use]
    pub fn free_inodes(&self) -> u64 {
        let change: i64 = self.lanes.all().map(|lane| lane.free_inodes.load(Relaxed)).sum();
        self.inodes_at_open.saturating_add_signed(change)
    }

    /// How many free units data leaves alone.
    #[must_use]
    pub fn unit_floor(&self) -> u64 {
        self.units.floor()
    }

    /// Sets how many free units data must leave alone. Allocations that begin after this returns keep to it,
    /// whether or not there are as many.
    pub fn set_unit_floor(&self, units: u64) {
        self.units.set_floor(&self.lanes, units);
    }

    /// Keeps so many more units from data, if there are that many above the floor: admission in one step.
    #[must_use]
    pub fn raise_unit_floor(&self, units: u64) -> bool {
        self.units.raise_floor(&self.lanes, units)
    }

    /// Lowers the floor again; never below zero.
    pub fn lower_unit_floor(&self, units: u64) {
        self.units.lower_floor(units);
    }

    /// The bits of a group's bitmap as the last checkpoint wrote them, verified.
    pub fn disk_bits(&self, kind: BitmapKind, group: u32) -> Result<Bitset> {
        let entry = self.entry(group)?;
        slot::read(&*self.device, &self.geometry, self.volume, Place { kind, group }, &entry)
    }

    /// What the live table says of a group.
    pub(crate) fn entry(&self, group: u32) -> Result<GroupEntry> {
        self.table.read().entry(group).ok_or_else(|| self.no_group(group))
    }

    /// The group's blocks, loaded.
    pub(crate) fn group(&self, group: u32) -> Result<&Group> {
        let cell = self.groups.get(group as usize).ok_or_else(|| self.no_group(group))?;
        if let Some(loaded) = cell.get() {
            return Ok(loaded);
        }
        let _alone = self.loading.lock();
        if cell.get().is_none() {
            let bits = self.disk_bits(BitmapKind::Block, group)?;
            let base = Geometry::group_start(group).0;
            let largest = self.hint(group).largest;
            return Ok(cell.get_or_init(|| Box::new(Group::new(bits, base, largest))));
        }
        cell.get().map(|group| &**group).ok_or_else(|| self.no_group(group))
    }

    /// The group's inodes, loaded.
    pub(crate) fn inode_group(&self, group: u32) -> Result<&InodeGroup> {
        let cell = self.inodes.get(group as usize).ok_or_else(|| self.no_group(group))?;
        if let Some(loaded) = cell.get() {
            return Ok(loaded);
        }
        let _alone = self.loading.lock();
        if cell.get().is_none() {
            let bits = self.disk_bits(BitmapKind::Inode, group)?;
            return Ok(cell.get_or_init(|| Box::new(InodeGroup::new(bits))));
        }
        cell.get().map(|group| &**group).ok_or_else(|| self.no_group(group))
    }

    /// The group's blocks, if they are loaded.
    pub(crate) fn loaded(&self, group: u32) -> Option<&Group> {
        self.groups.get(group as usize)?.get().map(|loaded| &**loaded)
    }

    /// What is known of a group without loading it.
    pub(crate) fn hint(&self, group: u32) -> Hint {
        match self.loaded(group) {
            Some(loaded) => loaded.hint(),
            None => self.at_open.get(group as usize).map_or(Hint::default(), |(hint, _)| *hint),
        }
    }

    /// Free inodes of a group, without loading it.
    pub(crate) fn inode_hint(&self, group: u32) -> u32 {
        match self.inodes.get(group as usize).and_then(OnceLock::get) {
            Some(loaded) => loaded.free(),
            None => self.at_open.get(group as usize).map_or(0, |(_, free)| u32::from(*free)),
        }
    }

    /// All groups, from one of them on and round to it.
    pub(crate) fn ring(&self, first: u32) -> impl Iterator<Item = u32> + use<> {
        let groups = self.geometry.group_count;
        let first = if first < groups { first } else { 0 };
        (first..groups).chain(0..first)
    }

    pub(crate) fn no_group(&self, group: u32) -> Error {
        Error::InvalidGroup { group: group.into(), groups: self.geometry.group_count }
    }
}

fn hint_of(entry: &GroupEntry) -> Hint {
    Hint { free: entry.free_blocks, units: entry.free_units, largest: entry.largest_run }
}
