//! Pass 2: the two copies of the ring of checkpoint descriptors.
//!
//! Checkpoints are numbered without a gap, so it is known which descriptor each slot must hold. What a crash may
//! leave is no damage: the slot of a checkpoint that nobody has called durable, and the slot of the one that was
//! being made. [`Crash`] says which these are; only the log can tell, so the ring is judged after it was read.

use vexfs_device::Device;
use vexfs_format::geometry::RING_SLOTS;
use vexfs_format::{BLOCK_SIZE, BlockNo, CheckpointId, Descriptor};

use crate::Result;
use crate::finding::{
    DESCRIPTOR_DAMAGED, DESCRIPTOR_IMPOSSIBLE, DESCRIPTOR_LOST, DESCRIPTOR_STALE, DESCRIPTORS_DIFFER,
};
use crate::report::Location;
use crate::volume::Volume;

/// What lies in one place of the ring.
enum Found {
    Nothing,
    Descriptor(Descriptor),
    Damaged(String),
    /// Whole, but it cannot be.
    Impossible(CheckpointId, String),
}

/// What the log says about how the last checkpoints were made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    /// The newest checkpoint may not have been durable when the volume was left.
    pub newest_unproved: bool,
    /// Another one may have been on its way.
    pub next_begun: bool,
}

/// All that lies in the ring.
pub(crate) struct Ring {
    slots: Vec<[(BlockNo, Found); 2]>,
}

impl Ring {
    /// Reads both copies.
    ///
    /// # Errors
    /// The device.
    pub fn read(volume: &Volume) -> Result<Self> {
        let mut slots = Vec::new();
        for slot in 0..u64::from(RING_SLOTS) {
            let [first, second] = volume.geometry.descriptor_blocks(CheckpointId(slot));
            slots.push([(first, read_place(volume, first)?), (second, read_place(volume, second)?)]);
        }
        Ok(Self { slots })
    }

    /// The newest checkpoint, as opening the volume finds it.
    pub fn newest(&self) -> Option<Descriptor> {
        let later = |newest: Descriptor, found: Descriptor| if found.id > newest.id { found } else { newest };
        self.descriptors().reduce(later)
    }

    /// The descriptor of a checkpoint.
    pub fn get(&self, id: CheckpointId) -> Option<&Descriptor> {
        self.descriptors_ref().find(|descriptor| descriptor.id == id)
    }

    /// Says what cannot be, whatever the log says.
    pub fn report_impossible(&self, volume: &Volume) {
        for (block, found) in self.slots.iter().flatten() {
            if let Found::Impossible(id, reason) = found {
                let message = format!("descriptor of checkpoint {id} in block {block}: {reason}");
                volume.ledger.add(
                    &DESCRIPTOR_IMPOSSIBLE,
                    Location::block(block.0).of_checkpoint(id.0),
                    message,
                );
            }
        }
    }

    /// Says what is wrong with descriptors that must be there, or must not.
    pub fn judge(&self, volume: &Volume, newest: &Descriptor, crash: Crash) {
        for (slot, [first, second]) in (0_u64..).zip(&self.slots) {
            let expected = expected_in(slot, newest.id);
            let begun = crash.next_begun && newest.id.0.wrapping_add(1) % u64::from(RING_SLOTS) == slot;
            let unproved = crash.newest_unproved && expected == Some(newest.id);
            if !begun {
                judge_slot(volume, expected, [first, second], unproved);
            }
        }
        self.judge_order(volume);
    }

    /// Later checkpoints hold later transactions.
    fn judge_order(&self, volume: &Volume) {
        let mut all: Vec<&Descriptor> = self.descriptors_ref().collect();
        all.sort_by_key(|descriptor| descriptor.id);
        for pair in all.windows(2) {
            let [before, after] = pair else { continue };
            let in_order = before.id == after.id
                || before.seq < after.seq
                    && before.lsn <= after.lsn
                    && before.unique_high <= after.unique_high;
            if !in_order {
                let (before, after) = (before.id, after.id);
                let message =
                    format!("checkpoint {after} is older than checkpoint {before} by what it holds");
                volume.ledger.add(
                    &DESCRIPTOR_IMPOSSIBLE,
                    Location::default().of_checkpoint(after.0),
                    message,
                );
            }
        }
    }

    fn descriptors_ref(&self) -> impl Iterator<Item = &Descriptor> {
        self.slots.iter().flatten().filter_map(|(_, found)| match found {
            Found::Descriptor(descriptor) => Some(descriptor),
            _ => None,
        })
    }

    fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        self.descriptors_ref().copied()
    }
}

/// The checkpoint that a slot holds while `newest` is the newest.
fn expected_in(slot: u64, newest: CheckpointId) -> Option<CheckpointId> {
    let slots = u64::from(RING_SLOTS);
    let back = (newest.0 % slots + slots - slot) % slots;
    newest.0.checked_sub(back).filter(|id| *id > 0).map(CheckpointId)
}

fn judge_slot(
    volume: &Volume,
    expected: Option<CheckpointId>,
    places: [&(BlockNo, Found); 2],
    unproved: bool,
) {
    let holds = |found: &Found| matches!(found, Found::Descriptor(d) if Some(d.id) == expected);
    let [(first, one), (second, other)] = places;
    if let (Found::Descriptor(a), Found::Descriptor(b)) = (one, other)
        && a.id == b.id
        && a != b
    {
        let message = format!("the descriptors of checkpoint {} in blocks {first} and {second} differ", a.id);
        volume.ledger.add(&DESCRIPTORS_DIFFER, Location::block(second.0).of_checkpoint(a.id.0), message);
    }
    let good = usize::from(holds(one)) + usize::from(holds(other));
    if good == 2 || unproved && good == 1 {
        return;
    }
    if let (Some(id), 0) = (expected, good) {
        let message =
            format!("the descriptor of checkpoint {id} can be read neither in block {first} nor in {second}");
        volume.ledger.add(&DESCRIPTOR_LOST, Location::blocks(first.0, 1).of_checkpoint(id.0), message);
        return;
    }
    for (block, found) in places {
        judge_place(volume, expected, *block, found);
    }
}

fn judge_place(volume: &Volume, expected: Option<CheckpointId>, block: BlockNo, found: &Found) {
    let mut here = Location::block(block.0);
    here.checkpoint = expected.map(|id| id.0);
    match (found, expected) {
        (Found::Descriptor(found), Some(id)) if found.id == id => {}
        (Found::Nothing, None) | (Found::Impossible(..), _) => {}
        (Found::Descriptor(found), _) => {
            let message = format!("block {block} holds the descriptor of checkpoint {} still", found.id);
            volume.ledger.add(&DESCRIPTOR_STALE, here, message);
        }
        (Found::Nothing, Some(id)) => {
            let message = format!("block {block} is empty, it should hold the descriptor of checkpoint {id}");
            volume.ledger.add(&DESCRIPTOR_DAMAGED, here, message);
        }
        (Found::Damaged(reason), _) => volume.ledger.add(&DESCRIPTOR_DAMAGED, here, reason.clone()),
    }
}

fn read_place(volume: &Volume, block: BlockNo) -> Result<Found> {
    let mut bytes = [0; BLOCK_SIZE];
    volume.device.read_at(&mut bytes, block.byte_offset())?;
    if bytes == [0; BLOCK_SIZE] {
        return Ok(Found::Nothing);
    }
    Ok(match Descriptor::parse(&bytes, volume.bits(), block) {
        Err(error) => Found::Damaged(error.to_string()),
        Ok(descriptor) => match impossible(volume, &descriptor, block) {
            Some(reason) => Found::Impossible(descriptor.id, reason),
            None => Found::Descriptor(descriptor),
        },
    })
}

/// Why a descriptor that is whole cannot be.
fn impossible(volume: &Volume, found: &Descriptor, block: BlockNo) -> Option<String> {
    let geometry = &volume.geometry;
    if !geometry.descriptor_blocks(found.id).contains(&block) {
        return Some("this is another checkpoint's slot".into());
    }
    if let Some(root) = found.root.filter(|root| !geometry.holds(root.run())) {
        return Some(format!("its root lies in block {}, outside the area for data", root.block));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_the_newest_checkpoint_that_falls_into_it() {
        let id = |n| Some(CheckpointId(n));
        assert_eq!([expected_in(1, CheckpointId(1)), expected_in(2, CheckpointId(1))], [id(1), None]);
        assert_eq!(expected_in(0, CheckpointId(63)), None);
        assert_eq!([expected_in(6, CheckpointId(70)), expected_in(7, CheckpointId(70))], [id(70), id(7)]);
        assert_eq!(expected_in(0, CheckpointId(128)), id(128));
    }
}
