//! Damage to all but the tree: superblocks, descriptors, log, lists, group table and bitmaps, data.

use vexfs_format::redo::{OpHeader, RawFree, RawSet, RecordHeader, RecordView};
use vexfs_format::{
    BLOCK_SIZE, BitmapKind, BlockNo, BlockRun, CheckpointId, DeadRun, Extent, Label, Lsn, Retained, Seq,
    kinds,
};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U32, U64};

use super::volume::Volume;
use super::{Error, Result, sample};

// Superblocks.

pub fn superblock_damaged(volume: &mut Volume) -> Result<()> {
    volume.flip(BlockNo(1))
}

pub fn superblock_stale(volume: &mut Volume) -> Result<()> {
    (1..volume.geometry.superblocks.len())
        .try_for_each(|copy| volume.edit_superblock(copy, |superblock| superblock.revision += 1))
}

pub fn superblock_differs(volume: &mut Volume) -> Result<()> {
    let label = Label::new("another").map_err(Error::refused)?;
    volume.edit_superblock(1, |superblock| superblock.label = label)
}

// Descriptors.

pub fn descriptor_damaged(volume: &mut Volume) -> Result<()> {
    volume.flip(volume.geometry.descriptor_blocks(volume.newest.id)[1])
}

pub fn descriptor_stale(volume: &mut Volume) -> Result<()> {
    let (place, oldest) = (volume.older(0)?, volume.descriptor(volume.older(63)?, 0)?);
    let mut stale = oldest;
    stale.id =
        CheckpointId(place.0.checked_sub(64).ok_or(Error::Lacks("more checkpoints than the ring holds"))?);
    stale.seq = Seq(oldest.seq.0 - 1);
    volume.write_descriptor(&stale, 1)
}

pub fn descriptor_lost(volume: &mut Volume) -> Result<()> {
    let old = volume.older(1)?;
    volume.geometry.descriptor_blocks(old).into_iter().try_for_each(|block| volume.flip(block))
}

pub fn descriptors_differ(volume: &mut Volume) -> Result<()> {
    let mut other = volume.descriptor(volume.older(1)?, 1)?;
    other.time_ns += 1;
    volume.write_descriptor(&other, 1)
}

pub fn descriptor_in_the_wrong_slot(volume: &mut Volume) -> Result<()> {
    let (old, older) = (volume.older(1)?, volume.newest);
    let place = volume.geometry.descriptor_blocks(old)[1];
    volume.write(place, &older.encode(volume.bits(), place))
}

pub fn descriptor_with_an_impossible_root(volume: &mut Volume) -> Result<()> {
    let mut old = volume.descriptor(volume.older(1)?, 1)?;
    if let Some(root) = &mut old.root {
        root.block = BlockNo(4);
    }
    volume.write_descriptor(&old, 1)
}

pub fn descriptors_out_of_order(volume: &mut Volume) -> Result<()> {
    let mut old = volume.descriptor(volume.older(1)?, 1)?;
    old.seq = Seq(volume.newest.seq.0 + 1);
    (0..2).try_for_each(|copy| volume.write_descriptor(&old, copy))
}

pub fn checkpoint_lost(volume: &mut Volume) -> Result<()> {
    volume.geometry.descriptor_blocks(volume.newest.id).into_iter().try_for_each(|block| volume.flip(block))
}

pub fn no_checkpoint(volume: &mut Volume) -> Result<()> {
    let rings = volume.geometry.ring;
    rings.into_iter().try_for_each(|ring| volume.write(ring, &[0; BLOCK_SIZE * 64]))
}

pub fn tree_miscounted(volume: &mut Volume) -> Result<()> {
    volume.edit_newest(|newest| newest.counts.items += 1)
}

pub fn free_blocks_miscounted(volume: &mut Volume) -> Result<()> {
    volume.edit_newest(|newest| newest.counts.free_blocks += 1)
}

pub fn impossible_place_in_the_log(volume: &mut Volume) -> Result<()> {
    volume.edit_newest(|newest| newest.lsn = Lsn(newest.lsn.0 + 1))
}

// The log.

pub fn log_damaged(volume: &mut Volume) -> Result<()> {
    let frames = volume.frames()?;
    let early =
        frames.get(1).filter(|_| frames.len() > 4).ok_or(Error::Lacks("several transactions in the log"))?;
    volume.flip(BlockNo(volume.log().device_offset(early.lsn) / BLOCK_SIZE as u64))
}

pub fn transaction_out_of_order(volume: &mut Volume) -> Result<()> {
    volume.edit_last_frame(|records| {
        let (header, _) = RecordHeader::mut_from_prefix(records).map_err(|_| Error::Lacks("a record"))?;
        header.seq = U64::new(1);
        Ok(())
    })
}

pub fn log_names_static_blocks(volume: &mut Volume) -> Result<()> {
    volume.edit_last_frame(|records| edit_first_set(records, |set| set.start = U64::new(3)))
}

pub fn log_holds_a_token(volume: &mut Volume) -> Result<()> {
    volume.edit_last_frame(|records| {
        let behind = records.get_mut(size_of::<RecordHeader>()..).ok_or(Error::Lacks("a record"))?;
        let (op, _) = OpHeader::mut_from_prefix(behind).map_err(|_| Error::Lacks("an operation"))?;
        op.key.kind = kinds::CHUNK_TOKEN;
        Ok(())
    })
}

pub fn log_carries_other_bytes(volume: &mut Volume) -> Result<()> {
    sample::log_data(&volume.device)?;
    volume.edit_last_frame(|records| {
        let mut at = 0;
        while let Ok(view) = RecordView::parse(records.get(at..).unwrap_or_default()) {
            let carried = view.carried().next().map(|carried| at + carried.offset);
            at += view.encoded_len();
            if let Some(byte) = carried.and_then(|carried| records.get_mut(carried)) {
                *byte ^= 1;
                return Ok(());
            }
        }
        Err(Error::Lacks("blocks in the log"))
    })
}

/// Changes the first run of blocks that the first record takes, and says that its data need not be compared.
fn edit_first_set(records: &mut [u8], change: impl FnOnce(&mut RawSet)) -> Result<()> {
    let at = tail(records)?;
    let set = records.get_mut(at..).and_then(|rest| RawSet::mut_from_prefix(rest).ok());
    let (set, _) = set.ok_or(Error::Lacks("a run of blocks taken"))?;
    set.flags = U32::new(0);
    change(set);
    Ok(())
}

/// Where the runs of the first record begin; it must take some.
fn tail(records: &[u8]) -> Result<usize> {
    let view = RecordView::parse(records).map_err(Error::refused)?;
    match view.sets().len() {
        0 => Err(Error::Lacks("a transaction that takes blocks, last in the log")),
        _ => Ok(size_of::<RecordHeader>() + view.ops().map(|op| op.encoded_len()).sum::<usize>()),
    }
}

pub fn replay_takes_used(volume: &mut Volume) -> Result<()> {
    let (_, used) = first_extent(volume, 3)?;
    volume.edit_last_frame(|records| edit_first_set(records, |set| set.start = U64::new(used.start.0)))
}

pub fn replay_takes_elsewhere(volume: &mut Volume) -> Result<()> {
    let free = volume.free_number(BitmapKind::Block)?;
    volume.edit_last_frame(|records| edit_first_set(records, |set| set.start = U64::new(free - 8)))
}

pub fn replay_takes_too_little(volume: &mut Volume) -> Result<()> {
    volume.edit_last_frame(|records| {
        let at = tail(records)?;
        let count = RecordView::parse(records).map_err(Error::refused)?.sets().len();
        let sets =
            records.get_mut(at..).and_then(|rest| <[RawSet]>::mut_from_prefix_with_elems(rest, count).ok());
        let (sets, _) = sets.ok_or(Error::Lacks("runs of blocks taken"))?;
        let long = sets.iter_mut().find(|set| set.len.get() > 1);
        let set =
            long.ok_or(Error::Lacks("a transaction that takes a run of several blocks, last in the log"))?;
        (set.len, set.flags) = (U32::new(set.len.get() - 1), U32::new(0));
        Ok(())
    })
}

pub fn replay_takes_too_much(volume: &mut Volume) -> Result<()> {
    let free = volume.free_number(BitmapKind::Block)?;
    volume.edit_last_frame(|records| {
        // The first run that is given back is as long as another one to take, which is what it becomes.
        let count = RecordView::parse(records).map_err(Error::refused)?.sets().len();
        let at = tail(records)? + count * size_of::<RawSet>();
        let (header, _) = RecordHeader::mut_from_prefix(records).map_err(|_| Error::Lacks("a record"))?;
        if header.frees.get() == 0 {
            return Err(Error::Lacks("a transaction that gives blocks back, last in the log"));
        }
        (header.sets, header.frees) = (U32::new(header.sets.get() + 1), U32::new(header.frees.get() - 1));
        let set = records.get_mut(at..).and_then(|rest| RawSet::mut_from_prefix(rest).ok());
        let (set, _) = set.ok_or(Error::Lacks("a run of blocks given back"))?;
        (set.start, set.len, set.flags) = (U64::new(free), U32::new(1), U32::new(0));
        Ok(())
    })
}

pub fn replay_frees_free(volume: &mut Volume) -> Result<()> {
    let free = volume.free_number(BitmapKind::Block)?;
    volume.edit_last_frame(|records| {
        let view = RecordView::parse(records).map_err(Error::refused)?;
        let at = tail(records)? + view.sets().len() * size_of::<RawSet>();
        let run = records.get_mut(at..).and_then(|rest| RawFree::mut_from_prefix(rest).ok());
        let (run, _) = run.ok_or(Error::Lacks("a transaction that gives blocks back, last in the log"))?;
        run.start = U64::new(free - u64::from(run.len.get()));
        Ok(())
    })
}

// Retained checkpoints.

pub fn retention_damaged(volume: &mut Volume) -> Result<()> {
    let table = volume.newest.retention.ok_or(Error::Lacks("retained checkpoints"))?;
    volume.flip(table.block)
}

pub fn dead_list_damaged(volume: &mut Volume) -> Result<()> {
    let (entry, _) = volume.retained()?;
    volume.flip(entry.dead.ok_or(Error::Lacks("a list"))?.block)
}

pub fn bucket_damaged(volume: &mut Volume) -> Result<()> {
    let (_, buckets) = volume.retained()?;
    let runs = buckets.first().and_then(|bucket| bucket.runs).ok_or(Error::Lacks("a bucket"))?;
    volume.flip(runs.block)
}

pub fn retained_is_not_what_its_descriptor_says(volume: &mut Volume) -> Result<()> {
    edit_last_retained(volume, |entry| entry.lsn = Lsn(entry.lsn.0 + 4096))
}

pub fn retained_out_of_order(volume: &mut Volume) -> Result<()> {
    volume.edit_retained(|entries| {
        entries.swap(0, 1);
        Ok(())
    })
}

fn edit_last_retained(volume: &mut Volume, change: impl FnOnce(&mut Retained)) -> Result<()> {
    volume.edit_retained(|entries| {
        change(entries.last_mut().ok_or(Error::Lacks("a retained checkpoint"))?);
        Ok(())
    })
}

pub fn dead_blocks_miscounted(volume: &mut Volume) -> Result<()> {
    volume.edit_dead(0, |bucket, _| {
        bucket.blocks += 1;
        Ok(())
    })
}

pub fn dead_block_born_elsewhen(volume: &mut Volume) -> Result<()> {
    volume.edit_dead(0, |bucket, runs| {
        runs.first_mut().ok_or(Error::Lacks("a run"))?.birth = Seq(bucket.birth_to.0 + 1);
        Ok(())
    })
}

pub fn dead_block_in_use(volume: &mut Volume) -> Result<()> {
    let (_, extent) = first_extent(volume, 2)?;
    volume.edit_dead(0, |bucket, runs| {
        runs.push(DeadRun { run: BlockRun { len: 1, ..extent }, birth: bucket.birth_to });
        bucket.blocks += 1;
        Ok(())
    })
}

pub fn dead_block_unlisted(volume: &mut Volume) -> Result<()> {
    let (entry, buckets) = volume.retained()?;
    let root = entry.root.ok_or(Error::Lacks("a tree"))?.block;
    for index in 0..buckets.len() {
        let found = volume.edit_dead(index, |bucket, runs| {
            let at = runs
                .iter()
                .position(|dead| dead.run.start == root)
                .ok_or(Error::Lacks("its root on its list"))?;
            if runs.len() == 1 {
                return Err(Error::Lacks("another run on its list"));
            }
            bucket.blocks -= u64::from(runs.remove(at).run.len);
            Ok(())
        });
        if found.is_ok() {
            return found;
        }
    }
    Err(Error::Lacks("its root on its list"))
}

pub fn retained_damaged(volume: &mut Volume) -> Result<()> {
    let (entry, _) = volume.retained()?;
    volume.flip(entry.root.ok_or(Error::Lacks("a tree"))?.block)
}

// Group table and bitmaps.

pub fn table_damaged(volume: &mut Volume) -> Result<()> {
    volume.flip(volume.table_block(0))
}

pub fn table_stale(volume: &mut Volume) -> Result<()> {
    volume.edit_newest(|newest| newest.table_crc ^= 1)
}

pub fn table_wrong(volume: &mut Volume) -> Result<()> {
    volume.edit_entry(0, |entry| entry.largest_run -= 1)
}

pub fn block_bitmap_damaged(volume: &mut Volume) -> Result<()> {
    volume.flip(volume.slot(0, BitmapKind::Block)?.0)
}

pub fn inode_bitmap_damaged(volume: &mut Volume) -> Result<()> {
    volume.flip(volume.slot(0, BitmapKind::Inode)?.0)
}

pub fn bitmap_stale(volume: &mut Volume) -> Result<()> {
    let (block, live) = volume.slot(0, BitmapKind::Block)?;
    let other = volume.geometry.slot(0, BitmapKind::Block, 1 - live.side);
    volume.write(block, &volume.read(other)?)
}

pub fn bitmap_miscounted(volume: &mut Volume) -> Result<()> {
    volume.miscount_bitmap(0, BitmapKind::Inode)
}

pub fn static_block_free(volume: &mut Volume) -> Result<()> {
    volume.set_bit(BitmapKind::Block, 5, false)
}

pub fn reserved_inode_free(volume: &mut Volume) -> Result<()> {
    volume.set_bit(BitmapKind::Inode, 7, false)
}

pub fn block_leaked(volume: &mut Volume) -> Result<()> {
    let free = volume.free_number(BitmapKind::Block)?;
    volume.set_bit(BitmapKind::Block, free, true)
}

pub fn block_unprotected(volume: &mut Volume) -> Result<()> {
    let (_, extent) = first_extent(volume, 1)?;
    volume.set_bit(BitmapKind::Block, extent.start.0, false)
}

pub fn node_unprotected(volume: &mut Volume) -> Result<()> {
    let root = volume.newest.root.ok_or(Error::Lacks("a tree"))?;
    volume.set_bit(BitmapKind::Block, root.block.0, false)
}

pub fn inode_leaked(volume: &mut Volume) -> Result<()> {
    let free = volume.free_number(BitmapKind::Inode)?;
    volume.set_bit(BitmapKind::Inode, free, true)
}

pub fn inode_unprotected(volume: &mut Volume) -> Result<()> {
    let (ino, _) = volume.find_inode("a file", |ino, _| ino > 1)?;
    volume.set_bit(BitmapKind::Inode, ino, false)
}

// Data.

pub fn data_damaged(volume: &mut Volume) -> Result<()> {
    let (_, extent) = first_extent(volume, 1)?;
    volume.flip(extent.start)
}

/// The first extent with data of so many blocks: its key's object and position, and its blocks.
pub fn first_extent(volume: &Volume, blocks: u32) -> Result<((u64, u64), BlockRun)> {
    let run = |key: &vexfs_format::Key, value: &[u8]| {
        let extent = Extent::parse(key.offset, value).ok()?;
        (extent.crcs.is_some() && extent.run.len >= blocks).then_some(extent.run)
    };
    let wanted =
        |key: &vexfs_format::Key, value: &[u8]| key.kind == kinds::EXTENT && run(key, value).is_some();
    let (key, value) = volume.find("a file with blocks", wanted)?;
    let run = run(&key, &value).ok_or(Error::Lacks("a file with blocks"))?;
    Ok(((key.object, key.offset), run))
}
