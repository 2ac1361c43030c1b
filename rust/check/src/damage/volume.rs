//! The volume to be damaged, and its outer structures: blocks, superblocks, descriptors, group table, bitmaps.

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::bitmap::{self, Bitmap, RawBitmap};
use vexfs_format::geometry::RING_SLOTS;
use vexfs_format::group::{self, RawTableBlock};
use vexfs_format::{
    BLOCK_SIZE, BitmapKind, Block, BlockNo, CheckpointId, Descriptor, Geometry, GroupEntry, LiveSlot,
    Superblock, stamp,
};
use vexfs_space::{BITS, Bitset};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::{Error, Result};

/// A healthy volume, as far as is needed to damage it.
#[derive(Debug)]
pub struct Volume {
    pub device: Arc<dyn Device>,
    pub superblock: Superblock,
    pub geometry: Geometry,
    pub newest: Descriptor,
}

impl Volume {
    pub fn open(device: Arc<dyn Device>) -> Result<Self> {
        let superblock = vexfs_store::superblock::read(&*device).map_err(Error::refused)?.superblock;
        let geometry = superblock.geometry().map_err(Error::refused)?;
        let mut volume = Self { device, superblock, geometry, newest: none() };
        let all = (0..u64::from(RING_SLOTS)).filter_map(|slot| volume.descriptor(CheckpointId(slot), 0).ok());
        volume.newest = all.max_by_key(|found| found.id).ok_or(Error::Lacks("a checkpoint"))?;
        Ok(volume)
    }

    pub fn bits(&self) -> u64 {
        self.superblock.volume()
    }

    pub fn read(&self, block: BlockNo) -> Result<Block> {
        let mut bytes = [0; BLOCK_SIZE];
        self.device.read_at(&mut bytes, block.byte_offset()).map_err(Error::refused)?;
        Ok(bytes)
    }

    pub fn write(&self, block: BlockNo, bytes: &[u8]) -> Result<()> {
        self.device.write_at(bytes, block.byte_offset()).map_err(Error::refused)
    }

    /// Changes a byte in the middle of a block.
    pub fn flip(&self, block: BlockNo) -> Result<()> {
        let mut bytes = self.read(block)?;
        bytes[BLOCK_SIZE / 2] ^= 0xff;
        self.write(block, &bytes)
    }

    // Superblocks.

    /// Writes copy `copy` with what `change` makes of it.
    pub fn edit_superblock(&self, copy: usize, change: impl Fn(&mut Superblock)) -> Result<()> {
        let place =
            *self.geometry.superblocks.get(copy).ok_or(Error::Lacks("so many copies of the superblock"))?;
        let mut superblock = self.superblock.clone();
        change(&mut superblock);
        self.write(place, &superblock.encode(copy as u32, place))
    }

    // Descriptors.

    /// The descriptor in one copy of a checkpoint's slot.
    pub fn descriptor(&self, id: CheckpointId, copy: usize) -> Result<Descriptor> {
        let place = self.geometry.descriptor_blocks(id)[copy];
        Descriptor::parse(&self.read(place)?, self.bits(), place).map_err(Error::refused)
    }

    pub fn write_descriptor(&self, descriptor: &Descriptor, copy: usize) -> Result<()> {
        let place = self.geometry.descriptor_blocks(descriptor.id)[copy];
        self.write(place, &descriptor.encode(self.bits(), place))
    }

    /// A checkpoint before the newest.
    pub fn older(&self, back: u64) -> Result<CheckpointId> {
        let id = self.newest.id.0.checked_sub(back).filter(|id| *id > 0);
        id.map(CheckpointId).ok_or(Error::Lacks("so many checkpoints"))
    }

    /// Changes the newest descriptor, in both copies.
    pub fn edit_newest(&mut self, change: impl FnOnce(&mut Descriptor)) -> Result<()> {
        change(&mut self.newest);
        self.write_descriptor(&self.newest, 0)?;
        self.write_descriptor(&self.newest, 1)
    }

    // Group table.

    /// The blocks of the table's live side.
    pub fn table_block(&self, index: u32) -> BlockNo {
        group::block_of(&self.geometry, self.newest.table_side, index)
    }

    pub fn entry(&self, group: u32) -> Result<GroupEntry> {
        let (index, within) = (group / 126, group as usize % 126);
        let bytes = self.read(self.table_block(index))?;
        let side = self.newest.table_side;
        let entries =
            group::parse_block(&self.geometry, self.bits(), side, index, &bytes).map_err(Error::refused)?;
        entries.get(within).copied().ok_or(Error::Lacks("so many groups"))
    }

    /// Changes an entry, with table, descriptor and totals as they then must be.
    pub fn edit_entry(&mut self, group: u32, change: impl FnOnce(&mut GroupEntry)) -> Result<()> {
        let (index, within, side) = (group / 126, group as usize % 126, self.newest.table_side);
        let block = self.table_block(index);
        let bytes = self.read(block)?;
        let raw = RawTableBlock::ref_from_bytes(&bytes).map_err(|_| Error::Lacks("a table"))?;
        let mut entries =
            group::parse_block(&self.geometry, self.bits(), side, index, &bytes).map_err(Error::refused)?;
        change(entries.get_mut(within).ok_or(Error::Lacks("so many groups"))?);
        let bytes =
            group::encode_block(&self.geometry, self.bits(), side, index, raw.checkpoint.into(), &entries);
        self.write(block, &bytes)?;
        let (mut sum, mut blocks, mut inodes) = (0, 0, 0);
        for index in 0..self.geometry.table[0].len {
            sum = crc32c::crc32c_append(sum, &self.read(self.table_block(index))?);
        }
        for group in 0..self.geometry.group_count {
            let entry = self.entry_unchecked(group)?;
            blocks += u64::from(entry.free_blocks);
            inodes += u64::from(entry.free_inodes);
        }
        self.edit_newest(|newest| {
            newest.table_crc = sum;
            newest.counts.free_blocks = blocks;
            newest.counts.free_inodes = inodes;
        })
    }

    fn entry_unchecked(&self, group: u32) -> Result<GroupEntry> {
        self.entry(group)
    }

    // Bitmaps.

    /// The block of a bitmap's live slot.
    pub fn slot(&self, group: u32, kind: BitmapKind) -> Result<(BlockNo, LiveSlot)> {
        let live = self.entry(group)?.slot(kind).ok_or(Error::Lacks("a bitmap that was ever written"))?;
        Ok((self.geometry.slot(group, kind, live.side), live))
    }

    pub fn bitmap(&self, group: u32, kind: BitmapKind) -> Result<Bitmap> {
        let (block, live) = self.slot(group, kind)?;
        Bitmap::parse(&self.read(block)?, self.bits(), block, kind, group, live.crc).map_err(Error::refused)
    }

    /// Changes a bitmap, with all counts as they then must be.
    pub fn edit_bitmap(
        &mut self,
        group: u32,
        kind: BitmapKind,
        change: impl FnOnce(&mut Bitset),
    ) -> Result<()> {
        let old = self.bitmap(group, kind)?;
        let (block, _) = self.slot(group, kind)?;
        let mut bits = Bitset::from(*old.bits);
        change(&mut bits);
        let (bytes, crc) = bitmap::encode(kind, group, old.checkpoint, bits.words(), self.bits(), block);
        self.write(block, &bytes)?;
        let free = (BITS - bits.count()) as u16;
        self.edit_entry(group, |entry| match kind {
            BitmapKind::Block => {
                entry.block = entry.block.map(|slot| LiveSlot { crc, ..slot });
                entry.free_blocks = free;
                entry.largest_run = bits.free_runs().map(|(_, len)| len as u16).max().unwrap_or(0);
                entry.free_units = bits.count_free_units() as u16;
            }
            BitmapKind::Inode => {
                entry.inode = entry.inode.map(|slot| LiveSlot { crc, ..slot });
                entry.free_inodes = free;
            }
        })
    }

    /// Changes a bitmap's own count of its bits.
    pub fn miscount_bitmap(&mut self, group: u32, kind: BitmapKind) -> Result<()> {
        let (block, _) = self.slot(group, kind)?;
        let mut bytes = self.read(block)?;
        if let Ok(raw) = RawBitmap::mut_from_bytes(&mut bytes) {
            raw.set_bits = U32::new(raw.set_bits.get() + 1);
        }
        let crc = stamp::seal(&mut bytes);
        self.write(block, &bytes)?;
        self.edit_entry(group, |entry| match kind {
            BitmapKind::Block => entry.block = entry.block.map(|slot| LiveSlot { crc, ..slot }),
            BitmapKind::Inode => entry.inode = entry.inode.map(|slot| LiveSlot { crc, ..slot }),
        })
    }

    /// Changes the bit of a block or inode number, with all counts as they then must be.
    pub fn set_bit(&mut self, kind: BitmapKind, number: u64, used: bool) -> Result<()> {
        let (group, index) = Geometry::locate(BlockNo(number));
        self.edit_bitmap(group, kind, |bits| match used {
            true => bits.set(index, 1),
            false => bits.clear(index, 1),
        })
    }

    /// A block or inode number that is free.
    pub fn free_number(&self, kind: BitmapKind) -> Result<u64> {
        let bits = Bitset::from(*self.bitmap(0, kind)?.bits);
        let run = bits.free_runs().max_by_key(|(_, len)| *len).ok_or(Error::Lacks("anything free"))?;
        Ok(u64::from(run.0 + run.1 - 1))
    }
}

fn none() -> Descriptor {
    Descriptor {
        id: CheckpointId(0),
        kind: Default::default(),
        time_ns: 0,
        seq: Default::default(),
        lsn: Default::default(),
        epoch: 0,
        chain_crc: 0,
        root: None,
        table_side: 0,
        table_crc: 0,
        retention: None,
        counts: Default::default(),
        unique_high: 0,
    }
}
