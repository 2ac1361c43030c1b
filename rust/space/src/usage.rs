//! Bitmaps computed from what a walk found in use: to compare with those on the device, or to replace them.

use std::collections::BTreeMap;

use vexfs_device::Device;
use vexfs_format::{BitmapKind, BlockRun, CheckpointId, Geometry, GroupEntry, Ino};

use crate::bits::{BITS, Bitset, Words};
use crate::error::{Error, Result};
use crate::inodes::locate_inode;
use crate::release::pieces;
use crate::slot::{self, Place};
use crate::space::Space;
use crate::table::{Other, Table, TableState};

/// Blocks and inode numbers that have an owner. Static metadata and reserved numbers always have; memory is
/// used only for groups in which there is something.
#[derive(Clone, Debug)]
pub struct Usage {
    geometry: Geometry,
    bitmaps: BTreeMap<Place, Bitset>,
}

/// What is wrong with bits on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Marked as in use, but nobody owns them: space is lost.
    Leaked,
    /// Owned, but marked as free: they will be overwritten.
    Unprotected,
}

/// Neighbouring bits on the device that differ from the computed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Blocks or inode numbers.
    pub kind: BitmapKind,
    /// The first block or inode number.
    pub first: u64,
    /// How many.
    pub len: u32,
    /// Which way.
    pub wrong: Wrong,
}

impl Usage {
    /// Nothing but static metadata.
    #[must_use]
    pub fn new(geometry: &Geometry) -> Self {
        Self { geometry: geometry.clone(), bitmaps: BTreeMap::new() }
    }

    /// Blocks that must have no other owner: if one of them has, nothing is added and the error names it.
    pub fn add(&mut self, run: BlockRun) -> Result<()> {
        self.check(run)?;
        for (group, start, len) in pieces(run) {
            let used = self.bitmap(BitmapKind::Block, group).next_used(start);
            if used < start + len {
                let block = Geometry::group_start(group).0 + u64::from(used);
                return Err(Error::AlreadyUsed { run, block });
            }
        }
        self.share(run)
    }

    /// Blocks that may have other owners, as those that retained states have in common.
    pub fn share(&mut self, run: BlockRun) -> Result<()> {
        self.check(run)?;
        for (group, start, len) in pieces(run) {
            self.bitmap(BitmapKind::Block, group).set(start, len);
        }
        Ok(())
    }

    /// An inode number that must have no other owner.
    pub fn add_inode(&mut self, ino: Ino) -> Result<()> {
        let (group, index) = locate_inode(&self.geometry, ino)?;
        let bits = self.bitmap(BitmapKind::Inode, group);
        if bits.get(index) {
            return Err(Error::AlreadyUsedInode { ino });
        }
        bits.set(index, 1);
        Ok(())
    }

    /// An inode number that other retained states may use as well.
    pub fn share_inode(&mut self, ino: Ino) -> Result<()> {
        let (group, index) = locate_inode(&self.geometry, ino)?;
        self.bitmap(BitmapKind::Inode, group).set(index, 1);
        Ok(())
    }

    /// The bits of a group.
    #[must_use]
    pub fn bits(&self, kind: BitmapKind, group: u32) -> Bitset {
        let place = Place { kind, group };
        self.bitmaps.get(&place).cloned().unwrap_or_else(|| place.at_birth(&self.geometry))
    }

    fn check(&self, run: BlockRun) -> Result<()> {
        if self.geometry.holds(run) { Ok(()) } else { Err(Error::InvalidRun { run }) }
    }

    fn bitmap(&mut self, kind: BitmapKind, group: u32) -> &mut Bitset {
        let place = Place { kind, group };
        self.bitmaps.entry(place).or_insert_with(|| place.at_birth(&self.geometry))
    }

    fn knows(&self, kind: BitmapKind, group: u32) -> bool {
        self.bitmaps.contains_key(&Place { kind, group })
    }
}

impl Space {
    /// Where one of a group's bitmaps on the device differs from the computed one, in order.
    pub fn compare(&self, usage: &Usage, kind: BitmapKind, group: u32) -> Result<Vec<Difference>> {
        if self.entry(group)?.slot(kind).is_none() && !usage.knows(kind, group) {
            return Ok(Vec::new());
        }
        let (disk, computed) = (self.disk_bits(kind, group)?, usage.bits(kind, group));
        let base = u64::from(group) * u64::from(BITS);
        let mut found = Vec::new();
        for (wrong, bits) in
            [(Wrong::Leaked, disk.minus(&computed)), (Wrong::Unprotected, computed.minus(&disk))]
        {
            let difference = |(start, len)| Difference { kind, first: base + u64::from(start), len, wrong };
            found.extend(bits.used_runs().map(difference));
        }
        found.sort_unstable_by_key(|difference| difference.first);
        Ok(found)
    }

    /// Writes fresh bitmaps and a fresh table for what is in use, without a flush. `live` is the table that a
    /// descriptor still names, as side and checksum: neither that side nor, if it can be read, the slots that it
    /// names are touched.
    pub fn rebuild(
        device: &dyn Device,
        usage: &Usage,
        volume: u64,
        id: CheckpointId,
        live: Option<(u8, u32)>,
    ) -> Result<TableState> {
        let geometry = &usage.geometry;
        let table = match live {
            Some((side, crc)) => match Table::read(device, geometry, volume, side, crc) {
                Err(Error::TableCorrupt { .. }) => Table::at_birth(geometry, side & 1),
                read => read?,
            },
            None => Table::at_birth(geometry, 1),
        };
        let mut changes = Vec::new();
        for (group, old) in (0_u32..).zip(table.entries()) {
            let mut entry = GroupEntry::at_birth(geometry, group);
            for kind in [BitmapKind::Block, BitmapKind::Inode] {
                if let Some(bits) = usage.bitmaps.get(&Place { kind, group }) {
                    let avoid = old.slot(kind);
                    slot::write(
                        device,
                        geometry,
                        volume,
                        (Place { kind, group }, id),
                        bits,
                        avoid,
                        &mut entry,
                    )?;
                }
            }
            if entry != *old {
                changes.push((group, entry));
            }
        }
        Other::unknown(geometry).write(device, (geometry, volume), &table, id, changes)
    }
}
