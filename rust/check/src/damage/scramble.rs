//! Random bytes in a random structure, with every checksum made right again: what an attacker would do.

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::node::NodeHeader;
use vexfs_format::{BitmapKind, BlockNo, ChainPtr, NODE_SIZE, stamp};

use super::volume::Volume;
use super::{Error, Result};

/// Numbers that depend on the seed alone.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }

    /// Changes up to eight bytes, by a bit, to an extreme, or to anything.
    fn change(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(7) {
            let at = self.below(bytes.len());
            let (bit, any) = (1 << self.below(8), self.below(256) as u8);
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte = match self.below(4) {
                0 => *byte ^ bit,
                1 => 0,
                2 => 0xff,
                _ => any,
            };
        }
    }
}

/// Changes something of a healthy volume.
///
/// # Errors
/// The volume has nothing that could be changed so, or the device fails.
pub fn scramble(device: &Arc<dyn Device>, seed: u64) -> Result<()> {
    let mut volume = Volume::open(Arc::clone(device))?;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    random.below(2);
    match random.below(10) {
        0..=4 => scramble_leaf(&mut volume, &mut random),
        5 => scramble_descriptor(&volume, &mut random),
        6 => scramble_table(&mut volume, &mut random),
        7 => volume.edit_bitmap(0, BitmapKind::Block, |bits| {
            for _ in 0..random.below(50) {
                let (start, len) = (random.below(4096) as u32, random.below(40) as u32);
                if random.below(2) == 0 { bits.set(start, len) } else { bits.clear(start, len) }
            }
        }),
        8 => scramble_lists(&mut volume, &mut random),
        _ => volume.edit_last_frame(|records| {
            random.change(records);
            Ok(())
        }),
    }
}

fn scramble_leaf(volume: &mut Volume, random: &mut Random) -> Result<()> {
    let items = volume.items();
    let (key, _) = items.get(random.below(items.len())).ok_or(Error::Lacks("items"))?;
    volume.edit_leaf(*key, |bytes| {
        let view = vexfs_format::node::NodeView::trust(bytes);
        // Mostly the values, which lie behind the slots: order and places are checked before anything else.
        let heap = view.items().iter().map(|slot| usize::from(slot.offset.get())).min().unwrap_or(0);
        let from = if random.below(4) == 0 { size_of::<NodeHeader>() } else { heap };
        random.change(bytes.get_mut(from..NODE_SIZE).unwrap_or_default());
        Ok(())
    })
}

fn scramble_descriptor(volume: &Volume, random: &mut Random) -> Result<()> {
    let places = volume.geometry.descriptor_blocks(volume.newest.id);
    let seed = random.0;
    for place in places {
        let mut bytes = volume.read(place)?;
        Random(seed).change(&mut bytes[32..192]);
        stamp::seal(&mut bytes);
        volume.write(place, &bytes)?;
    }
    Ok(())
}

fn scramble_table(volume: &mut Volume, random: &mut Random) -> Result<()> {
    let block = volume.table_block(0);
    let mut bytes = volume.read(block)?;
    random.change(&mut bytes[32..128]);
    stamp::seal(&mut bytes);
    volume.write(block, &bytes)?;
    volume.edit_newest(|newest| newest.table_crc = crc32c::crc32c(&bytes))
}

fn scramble_lists(volume: &mut Volume, random: &mut Random) -> Result<()> {
    let table = volume.newest.retention.ok_or(Error::Lacks("retained checkpoints"))?;
    let crc = scramble_block(volume, table.block, random)?;
    volume.edit_newest(|newest| newest.retention = Some(ChainPtr { crc, ..table }))
}

fn scramble_block(volume: &Volume, block: BlockNo, random: &mut Random) -> Result<u32> {
    let mut bytes = volume.read(block)?;
    random.change(&mut bytes[32..1024]);
    let crc = stamp::seal(&mut bytes);
    volume.write(block, &bytes)?;
    Ok(crc)
}
