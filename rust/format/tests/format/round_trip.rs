use proptest::array::uniform16;
use proptest::option;
use proptest::prelude::*;
use vexfs_format::chain::{self, ChainEntry, Link};
use vexfs_format::orphan::Work;
use vexfs_format::pointer::{RawChainPtr, RawNodePtr, RawOutOfLine};
use vexfs_format::*;

use crate::samples::VOLUME;

fn node_ptr() -> impl Strategy<Value = NodePtr> {
    (1u64.., any::<u64>(), any::<u32>(), any::<u8>()).prop_map(|(block, birth, crc, level)| NodePtr {
        block: BlockNo(block),
        birth: Seq(birth),
        crc,
        level,
    })
}

fn chain_ptr() -> impl Strategy<Value = ChainPtr> {
    (1u64.., any::<u32>(), any::<u32>()).prop_map(|(block, crc, blocks)| ChainPtr {
        block: BlockNo(block),
        crc,
        blocks,
    })
}

prop_compose! {
    fn superblock()(
        blocks in geometry::MIN_BLOCKS..=geometry::MAX_BLOCKS, uuid in uniform16(any::<u8>()),
        seed in uniform16(any::<u8>()), label in "[^\0]{0,16}", created_ns: i64, compat: u64, ro_compat: u64,
        revision: u64,
    ) -> Superblock {
        let geometry = Geometry::plan(blocks, None).unwrap();
        let new = Superblock::new(&geometry, uuid, Label::new(&label).unwrap(), created_ns, seed);
        Superblock { features: Features { compat, ro_compat, incompat: 0 }, revision, ..new }
    }
}

prop_compose! {
    fn descriptor()(
        kind in prop::sample::select(vec![
            CheckpointKind::Incremental, CheckpointKind::MetadataOnly, CheckpointKind::Full,
            CheckpointKind::Emergency,
        ]),
        root in option::of(node_ptr()), retention in option::of(chain_ptr()), table_side in 0u8..=1,
        (id, time_ns, seq, lsn, epoch, unique_high) in any::<(u64, i64, u64, u64, u64, u64)>(),
        (chain_crc, table_crc) in any::<(u32, u32)>(), counts in any::<[u64; 7]>(),
    ) -> Descriptor {
        let [inodes, nodes, leaves, items, out_of_line_blocks, free_blocks, free_inodes] = counts;
        Descriptor {
            id: CheckpointId(id), kind, time_ns, seq: Seq(seq), lsn: Lsn(lsn), epoch, chain_crc, root,
            table_side, table_crc, retention, unique_high,
            counts: Counts { inodes, nodes, leaves, items, out_of_line_blocks, free_blocks, free_inodes },
        }
    }
}

prop_compose! {
    fn retained()(
        root in option::of(node_ptr()), dead in option::of(chain_ptr()), snapshot: bool, time_ns: i64,
        [id, seq, lsn, nodes, leaves, items, inodes] in any::<[u64; 7]>(),
    ) -> Retained {
        Retained {
            id: CheckpointId(id), seq: Seq(seq), lsn: Lsn(lsn), time_ns, root, dead, nodes, leaves, items,
            inodes, snapshot,
        }
    }
}

prop_compose! {
    fn inode()(
        file_type in prop::sample::select(vec![
            FileType::Fifo, FileType::CharDevice, FileType::Directory, FileType::BlockDevice,
            FileType::Regular, FileType::Symlink, FileType::Socket,
        ]),
        permissions in 0u16..=0o7777, size in 0..=MAX_FILE_BYTES,
        [nlink, uid, gid, flags, subdirs] in any::<[u32; 5]>(), times in any::<[i64; 4]>(),
        [blocks, generation, version, parent_or_rdev] in any::<[u64; 4]>(),
    ) -> Inode {
        let [atime_ns, mtime_ns, ctime_ns, btime_ns] = times;
        Inode {
            file_type, permissions, nlink, uid, gid, size, blocks, atime_ns, mtime_ns, ctime_ns, btime_ns,
            generation, version, parent_or_rdev, flags, subdirs,
        }
    }
}

/// Writes the entries as a chain and reads them back, block by block.
fn through_a_chain<E: ChainEntry>(entries: &[E]) -> Vec<E> {
    let places: Vec<_> = (0..chain::blocks_for::<E>(entries.len()) as u64).map(|i| BlockNo(50 + i)).collect();
    let (blocks, mut next) = chain::build(VOLUME, &places, entries, None);
    let mut read = Vec::new();
    while let Some(ptr) = next {
        let (_, block) = blocks.iter().find(|(place, _)| *place == ptr.block).unwrap();
        let link = Link::parse(block, VOLUME, ptr).unwrap();
        read.extend(link.entries);
        next = link.next;
    }
    read
}

proptest! {
    #[test]
    fn superblocks_read_back(superblock in superblock(), copy: u32, at in 0u64..1 << 32) {
        prop_assert_eq!(Superblock::parse(&superblock.encode(copy, BlockNo(at)), BlockNo(at)), Ok(superblock));
    }

    #[test]
    fn descriptors_read_back(descriptor in descriptor(), volume: u64, at: u64) {
        let bytes = descriptor.encode(volume, BlockNo(at));
        prop_assert_eq!(Descriptor::parse(&bytes, volume, BlockNo(at)), Ok(descriptor));
    }

    #[test]
    fn pointers_read_back(node in option::of(node_ptr()), chain in option::of(chain_ptr()), raw: (u64, u64, u32, u32)) {
        prop_assert_eq!(RawNodePtr::from(node).get(), node);
        prop_assert_eq!(RawChainPtr::from(chain).get(), chain);
        let value = OutOfLine { block: BlockNo(raw.0), birth: Seq(raw.1), len: raw.2, crc: raw.3 };
        prop_assert_eq!(OutOfLine::from(RawOutOfLine::from(value)), value);
    }

    #[test]
    fn bitmaps_read_back(words in prop::collection::vec(any::<u64>(), 504), group: u32, checkpoint: u64) {
        let bits = Box::new(words.try_into().unwrap());
        let bitmap = Bitmap { kind: BitmapKind::Inode, group, checkpoint: CheckpointId(checkpoint), bits };
        let (bytes, crc) = bitmap.encode(VOLUME, BlockNo(3));
        let read = Bitmap::parse(&bytes, VOLUME, BlockNo(3), BitmapKind::Inode, group, crc);
        prop_assert_eq!(read, Ok(bitmap));
    }

    #[test]
    fn group_tables_read_back(
        groups in 1u32..400, side in 0u8..=1,
        slots in any::<[Option<(bool, u32)>; 2]>(), used in 0u16..100,
    ) {
        let geometry = Geometry::plan(u64::from(groups) * u64::from(GROUP_BLOCKS), None).unwrap();
        let [block, inode] = slots.map(|slot| slot.map(|(side, crc)| LiveSlot { side: side.into(), crc }));
        for index in 0..geometry.table[0].len {
            let entries: Vec<_> = group::groups_of(&geometry, index).map(|group| {
                let birth = GroupEntry::at_birth(&geometry, group);
                GroupEntry { block, inode, free_inodes: birth.free_inodes - used, ..birth }
            }).collect();
            let bytes = group::encode_block(&geometry, VOLUME, side, index, CheckpointId(4), &entries);
            prop_assert_eq!(group::parse_block(&geometry, VOLUME, side, index, &bytes), Ok(entries));
        }
    }

    #[test]
    fn retention_tables_read_back(entries in prop::collection::vec(retained(), 0..100)) {
        prop_assert_eq!(through_a_chain(&entries), entries);
    }

    #[test]
    fn dead_lists_read_back(
        buckets in prop::collection::vec((any::<[u64; 3]>(), option::of(chain_ptr())), 0..250),
        runs in prop::collection::vec((any::<u64>(), 1u32.., any::<u64>()), 0..500),
    ) {
        let buckets: Vec<_> = buckets.into_iter().map(|([a, b, blocks], runs)| Bucket {
            birth_from: Seq(a.min(b)), birth_to: Seq(a.max(b)), blocks, runs,
        }).collect();
        let runs: Vec<_> = runs.into_iter()
            .map(|(start, len, birth)| DeadRun { run: BlockRun::new(start, len), birth: Seq(birth) }).collect();
        prop_assert_eq!(through_a_chain(&buckets), buckets);
        prop_assert_eq!(through_a_chain(&runs), runs);
    }

    #[test]
    fn inodes_read_back(inode in inode()) {
        prop_assert_eq!(Inode::parse(&inode.encode()), Ok(inode));
    }

    #[test]
    fn orphans_read_back(generation: u64, size in option::of(any::<u64>())) {
        let work = size.map_or(Work::Remove, |size| Work::Truncate { size });
        let orphan = Orphan { generation, work };
        prop_assert_eq!(Orphan::parse(&orphan.encode()), Ok(orphan));
    }

    #[test]
    fn extents_and_their_parts_read_back(
        start in 0u64..1 << 32, birth: u64, crcs in prop::collection::vec(any::<u32>(), 1..=256), chunk in 0u64..1 << 24,
        cut: (prop::sample::Index, prop::sample::Index), written: bool,
    ) {
        let len = crcs.len() as u32;
        let value = match written {
            true => Extent::encode_written(BlockNo(start), Seq(birth), &crcs),
            false => Extent::encode_unwritten(BlockRun::new(start, len), Seq(birth)),
        };
        let extent = Extent::parse(chunk * CHUNK_BYTES, &value).unwrap();
        prop_assert_eq!((extent.run, extent.birth), (BlockRun::new(start, len), Seq(birth)));
        prop_assert_eq!(extent.encode(), value.clone());

        let (a, b) = (cut.0.index(crcs.len()) as u32, cut.1.index(crcs.len()) as u32);
        let range = a.min(b)..a.max(b) + 1;
        let part = extent.part(range.clone()).unwrap();
        prop_assert_eq!(part.run, BlockRun::new(start + u64::from(range.start), range.len() as u32));
        for index in 0..part.run.len {
            let expected = written.then(|| crcs[(range.start + index) as usize]);
            prop_assert_eq!(part.crc(index), expected);
        }
        let value = part.encode();
        prop_assert_eq!(Extent::parse(chunk * CHUNK_BYTES, &value), Ok(part));
        prop_assert_eq!(extent.part(0..len + 1), None);
        prop_assert_eq!(extent.part(1..1), None);
    }
}

#[test]
fn nothing_is_stored_as_the_superblocks_place() {
    assert_eq!(RawNodePtr::NONE.get(), None);
    assert_eq!(RawChainPtr::NONE.get(), None);
}
