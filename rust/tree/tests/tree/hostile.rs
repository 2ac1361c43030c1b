//! Bytes that were never written by this code: every change is seen by a checksum, and with the checksums made
//! to fit it is refused or read consistently, in finite time and without a panic.

use std::collections::BTreeMap;

use crate::common::{Batch, Random, Seen, VOLUME, Volume, value};
use proptest::prelude::*;
use vexfs_format::node::{ChildSlot, LeafSlot, NodeBytes, NodeHeader, NodeView, place, set_child};
use vexfs_format::{Key, NODE_SIZE, NodePtr, Seq};
use vexfs_tree::{Change, Corruption, Error, Reader, Root};

fn volume() -> Volume {
    let mut volume = Volume::new(64 << 20);
    let len = |place: u64| if place % 500 == 7 { 5000 } else { 1990 };
    volume.apply_over(&(0..4000).map(|p| (Key::new(p, 4, p), Some(value(len(p), p)))).collect());
    assert_eq!(volume.root.ptr().unwrap().level, 2);
    volume
}

fn write(volume: &Volume, ptr: &NodePtr, bytes: &NodeBytes) {
    volume.device.write_at(&bytes[..], ptr.block.byte_offset()).unwrap();
}

#[test]
fn every_changed_byte_of_a_node_is_seen() {
    let volume = volume();
    let nodes = volume.check().nodes;
    for level in 0..=2 {
        let (ptr, _) = nodes.iter().find(|(ptr, _)| ptr.level == level).unwrap();
        let mut bytes = crate::common::node_bytes(&volume.reader, ptr);
        for index in 0..NODE_SIZE {
            bytes[index] ^= 1 << (index % 8);
            assert!(NodeView::check(&bytes, VOLUME, ptr).is_err(), "byte {index} of level {level}");
            bytes[index] ^= 1 << (index % 8);
        }
        NodeView::check(&bytes, VOLUME, ptr).unwrap();
    }
}

#[test]
fn a_damaged_node_costs_its_own_keys_and_the_error_names_them() {
    let volume = volume();
    let nodes = volume.check().nodes;
    for level in 0..=1 {
        let (ptr, count) = *nodes.iter().filter(|(ptr, _)| ptr.level == level).nth(1).unwrap();
        let bytes = crate::common::node_bytes(&volume.reader, &ptr);
        let mut bad = bytes.clone();
        bad[5000] ^= 0x40;
        write(&volume, &ptr, &bad);
        let (reader, root) = volume.reopened();
        let mut seen = Seen::default();
        reader.walk(&root, Default::default(), &mut seen);
        let [Error::Corrupt(corruption)] = &seen.bad[..] else { panic!("{:?}", seen.bad) };
        let Corruption { block, level: found, low, high, .. } = **corruption;
        assert_eq!((block, found), (ptr.block, Some(level)));
        let lost: Vec<Key> =
            volume.model.keys().filter(|key| !seen.items.contains_key(key)).copied().collect();
        assert_eq!(low, lost[0], "the error names the lowest key");
        assert_eq!(high, volume.model.range(*lost.last().unwrap()..).nth(1).map(|(key, _)| *key));
        let lost_leaves = if level == 0 { 1 } else { count };
        assert_eq!(
            seen.nodes.len() + lost_leaves + level as usize,
            nodes.len(),
            "only what is below is lost"
        );
        for key in volume.model.keys() {
            match reader.get(&root, *key) {
                Ok(value) => assert_eq!(value.as_deref(), volume.model.get(key).map(Vec::as_slice)),
                Err(error) => {
                    assert!(*key >= low && high.is_none_or(|high| *key < high), "{key:?}: {error}");
                    assert_eq!(error.code(), "corrupt_node");
                    assert!(error.to_string().contains(&format!("block {}", ptr.block)), "{error}");
                }
            }
        }
        write(&volume, &ptr, &bytes);
    }
    volume.check();
}

#[test]
fn a_damaged_value_out_of_line_is_named_by_its_key() {
    let volume = volume();
    let value = volume.check().values[3];
    let mut bytes = vec![0; 4096];
    volume.device.read_at(&mut bytes, value.block.byte_offset()).unwrap();
    bytes[1000] ^= 1;
    volume.device.write_at(&bytes, value.block.byte_offset()).unwrap();
    let key = Key::new(1507, 4, 1507);
    let error = volume.reader.get(&volume.root, key).unwrap_err();
    assert_eq!(error.code(), "corrupt_value");
    let Error::Corrupt(corruption) = error else { panic!("{error}") };
    assert_eq!((corruption.block, corruption.low, corruption.level), (value.block, key, None));
    let mut seen = Seen::default();
    volume.reader.walk(&volume.root, Default::default(), &mut seen);
    assert_eq!((seen.bad.len(), seen.items.len()), (1, volume.model.len() - 1));
}

#[test]
fn a_node_of_another_volume_place_or_time_is_refused() {
    let volume = volume();
    let ptr = volume.root.ptr().unwrap();
    let bytes = crate::common::node_bytes(&volume.reader, &ptr);
    let code =
        |bytes: &NodeBytes, volume, ptr: &NodePtr| NodeView::check(bytes, volume, ptr).unwrap_err().code();
    assert_eq!(code(&bytes, VOLUME + 1, &ptr), "wrong_volume");
    let moved = NodePtr { block: vexfs_format::BlockNo(ptr.block.0 + 4), ..ptr };
    assert_eq!(code(&bytes, VOLUME, &moved), "misdirected");
    for wrong in [NodePtr { birth: Seq(ptr.birth.0 + 1), ..ptr }, NodePtr { level: 1, ..ptr }] {
        assert_eq!(code(&bytes, VOLUME, &wrong), "bad_value");
    }
    let zeros = [0; NODE_SIZE];
    assert_eq!(code(&zeros, VOLUME, &ptr), "bad_magic");
}

#[test]
fn a_cached_node_is_not_taken_for_another_with_its_block_and_birth() {
    let volume = volume();
    let ptr = volume.root.ptr().unwrap();
    volume.reader.get(&volume.root, Key::MIN).unwrap();
    let wrong = Root::new(Some(NodePtr { crc: !ptr.crc, ..ptr }), volume.root.counts());
    assert_eq!(volume.reader.get(&wrong, Key::MIN).unwrap_err().code(), "corrupt_node");
    let outside =
        Root::new(Some(NodePtr { block: vexfs_format::BlockNo(1 << 60), ..ptr }), volume.root.counts());
    assert_eq!(volume.reader.get(&outside, Key::MIN).unwrap_err().code(), "corrupt_node");
}

/// A change of a node's bytes by somebody who knows the format.
#[derive(Clone, Debug)]
enum Forgery {
    Byte { at: usize, to: u8 },
    Swap { one: usize, other: usize },
    CopySlot { from: usize, to: usize },
    Child { index: usize, node: usize },
    Count(u16),
}

fn forgery() -> impl Strategy<Value = Forgery> {
    let slots = 0usize..450;
    prop_oneof![
        (prop_oneof![32usize..120, 32usize..NODE_SIZE], any::<u8>())
            .prop_map(|(at, to)| Forgery::Byte { at, to }),
        (64usize..500, 64usize..500).prop_map(|(one, other)| Forgery::Swap { one, other }),
        (slots.clone(), slots.clone()).prop_map(|(from, to)| Forgery::CopySlot { from, to }),
        (slots, any::<usize>()).prop_map(|(index, node)| Forgery::Child { index, node }),
        any::<u16>().prop_map(Forgery::Count),
    ]
}

fn forge(bytes: &mut NodeBytes, level: u8, count: usize, forgery: &Forgery, nodes: &[(NodePtr, usize)]) {
    match *forgery {
        Forgery::Byte { at, to } => bytes[at] = to,
        Forgery::Swap { one, other } => bytes.swap(one, other),
        Forgery::CopySlot { from, to } => {
            let size = if level == 0 { size_of::<LeafSlot>() } else { size_of::<ChildSlot>() };
            let at = |slot: usize| size_of::<NodeHeader>() + slot % count * size;
            bytes.copy_within(at(from)..at(from) + size, at(to));
        }
        Forgery::Child { index, node } => set_child(bytes, index % count, &nodes[node % nodes.len()].0),
        Forgery::Count(count) => bytes[42..44].copy_from_slice(&count.to_le_bytes()),
    }
}

/// Where each node but the root is pointed to from: by its block, the parent and the slot.
fn parents(volume: &Volume, nodes: &[(NodePtr, usize)]) -> BTreeMap<u64, (NodePtr, usize)> {
    let mut parents = BTreeMap::new();
    for (ptr, _) in nodes.iter().filter(|(ptr, _)| ptr.level > 0) {
        let bytes = crate::common::node_bytes(&volume.reader, ptr);
        let children = NodeView::trust(&bytes).children().iter().enumerate();
        parents.extend(children.map(|(index, slot)| (slot.block.get(), (*ptr, index))));
    }
    parents
}

/// Makes the checksums from a forged node up to the root fit again. Returns the new root pointer.
fn reseal(
    volume: &Volume,
    nodes: &[(NodePtr, usize)],
    forged: NodePtr,
    mut bytes: Box<NodeBytes>,
) -> NodePtr {
    let parents = parents(volume, nodes);
    let mut new =
        NodePtr { birth: forged.birth, level: forged.level, ..place(&mut bytes, VOLUME, forged.block) };
    write(volume, &new, &bytes);
    while let Some((parent, index)) = parents.get(&new.block.0) {
        let mut bytes = crate::common::node_bytes(&volume.reader, parent);
        set_child(&mut bytes, *index, &new);
        new = place(&mut bytes, VOLUME, parent.block);
        write(volume, &new, &bytes);
    }
    new
}

fn use_all(reader: &Reader, root: &Root, volume: &mut Volume, seed: u64) {
    let mut random = Random(seed);
    for _ in 0..50 {
        let place = random.below(4100);
        let _ = reader.get(root, Key::new(place, 4, place)).map(|value| value.map(|value| value.len()));
    }
    for rev in [false, true] {
        let range = reader.range(root, Key::MIN, Key::MAX);
        let items: Vec<_> = if rev { range.rev().collect() } else { range.collect() };
        assert!(items.len() <= 4100, "a range is no longer than the tree");
        let keys: Vec<Key> = items.iter().flatten().map(|(key, _)| *key).collect();
        assert!(keys.is_sorted_by(|a, b| if rev { a > b } else { a < b }), "a range is in order");
    }
    reader.walk(root, Default::default(), &mut Seen::default());
    for keys in [5, 500] {
        let keys: Batch = (0..keys).map(|_| random.below(4100)).map(|p| (Key::new(p, 4, p), None)).collect();
        let mut changes = keys.keys().map(|key| match key.object % 2 {
            0 => (*key, Change::Delete),
            _ => (*key, Change::Put(vec![1; 100])),
        });
        volume.seq += 1;
        volume.blocks.begin();
        if let Ok(applied) = reader.apply(root, &mut changes, Seq(volume.seq), &mut volume.blocks) {
            let _ = reader.walk(&applied.root, Default::default(), &mut Seen::default());
        }
    }
}

proptest! {
    #![proptest_config(crate::common::cases(300))]

    #[test]
    fn a_forged_node_is_refused_or_read_consistently(
        which: usize,
        level in 0u8..3,
        forgeries in prop::collection::vec(forgery(), 1..4),
        seed: u64,
    ) {
        let mut volume = shared_volume();
        let nodes = nodes(&volume);
        let level_nodes: Vec<_> = nodes.iter().filter(|(ptr, _)| ptr.level == level).collect();
        let (ptr, count) = *level_nodes[which % level_nodes.len()];
        let mut bytes = crate::common::node_bytes(&volume.reader, &ptr);
        for forgery in &forgeries {
            forge(&mut bytes, level, count, forgery, &nodes);
        }
        let top = reseal(&volume, &nodes, ptr, bytes);
        let (reader, _) = volume.reopened();
        let root = Root::new(Some(top), volume.root.counts());
        use_all(&reader, &root, &mut volume, seed);
    }
}

fn nodes(volume: &Volume) -> Vec<(NodePtr, usize)> {
    let mut seen = Seen::default();
    volume.reader.walk(&volume.root, Default::default(), &mut seen);
    seen.nodes
}

/// The volume anew for each case, from an image made once.
fn shared_volume() -> Volume {
    use std::sync::{Arc, OnceLock};
    use vexfs_device::{Image, MemoryDevice};
    static MADE: OnceLock<(Image, crate::common::Blocks, NodePtr, vexfs_tree::TreeCounts)> = OnceLock::new();
    let (image, blocks, ptr, counts) = MADE.get_or_init(|| {
        let device = Arc::new(MemoryDevice::new(64 << 20));
        let mut volume = Volume::on(Arc::<MemoryDevice>::clone(&device), 1 << 20);
        let len = |place: u64| if place % 500 == 7 { 5000 } else { 1990 };
        volume.apply_over(&(0..4000).map(|p| (Key::new(p, 4, p), Some(value(len(p), p)))).collect());
        (device.image(), volume.blocks, volume.root.ptr().unwrap(), volume.root.counts())
    });
    let device = Arc::new(MemoryDevice::from_image(image.clone()));
    let mut volume = Volume::on(device, 1 << 20);
    volume.blocks = blocks.clone();
    volume.root = Root::new(Some(*ptr), *counts);
    volume.seq = 10;
    volume
}
