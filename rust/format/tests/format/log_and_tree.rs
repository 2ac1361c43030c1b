//! Frames, redo records and nodes: those structures whose checksums work in a way of their own.

use std::collections::BTreeMap;
use std::hint::black_box;

use proptest::collection::vec;
use proptest::prelude::*;
use vexfs_format::frame::{FLAG_FIRST, FRAME_HEADER, Frame};
use vexfs_format::node::{self, NodeBytes, NodeView, NodeWriter};
use vexfs_format::redo::{FreeRun, RecordBuilder, RecordView, SetRun};
use vexfs_format::*;

use crate::samples::VOLUME;

const LSN: Lsn = Lsn(3 * 4096);

fn frame() -> Frame {
    Frame {
        volume: VOLUME,
        lsn: LSN,
        crc: 0,
        previous_crc: 5,
        epoch: 6,
        epoch_lsn: LSN,
        predecessor_epoch: 7,
        predecessor_crc: 5,
        flags: FLAG_FIRST,
        length: 8192,
        payload: 1000,
        records: 1,
        durable_lsn: Lsn(4096),
        checkpoint: CheckpointId(8),
        first_seq: Seq(9),
        unique_high: 10,
        ahead: Lsn(11),
    }
}

fn sealed_frame() -> Vec<u8> {
    let mut bytes = vec![0xee; 8192];
    frame().seal(&mut bytes);
    bytes
}

/// Sums up a changed header, as its writer would.
fn reseal_header(bytes: &mut [u8]) {
    bytes[24..28].fill(0);
    bytes[32..36].fill(0);
    let crc = crc32c::crc32c(&bytes[..FRAME_HEADER]);
    bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    stamp::seal(bytes);
}

#[test]
fn a_frame_reads_back_and_notices_every_wrong_field() {
    let bytes = sealed_frame();
    let read = Frame::parse(&bytes, VOLUME, LSN).unwrap();
    assert_eq!(read.verify(&bytes), Ok(()));
    assert_eq!(Frame { crc: 0, ..read }, frame());

    let code = |at: usize, byte: u8, reseal: bool| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        if reseal {
            reseal_header(&mut bytes);
        }
        Frame::parse(&bytes, VOLUME, LSN).map_or_else(|error| error.code(), |_| "accepted")
    };
    assert_eq!(code(0, 0, true), "bad_magic");
    assert_eq!(code(4, 2, true), "newer_format");
    assert_eq!(code(4, 2, false), "bad_checksum");
    assert_eq!(code(4, 0, true), "bad_version");
    assert_eq!(code(15, 0, true), "wrong_volume");
    assert_eq!(code(23, 1, true), "misdirected");
    assert_eq!(code(40, 0, false), "bad_checksum");
    assert_eq!(code(72, 1, true), "bad_value");
    let mut torn = bytes.clone();
    torn[8000] ^= 1;
    assert_eq!(Frame::parse(&torn, VOLUME, LSN).unwrap().verify(&torn).unwrap_err().code(), "bad_checksum");
    assert_eq!(Frame::parse(&bytes[..100], VOLUME, LSN).unwrap_err().code(), "truncated");
}

/// What a record holds, read through its view.
type Contents = (
    Vec<(Key, Option<Vec<u8>>)>,
    Vec<SetRun>,
    Vec<FreeRun>,
    Vec<Ino>,
    Vec<Ino>,
    Vec<(BlockRun, u32, Vec<u8>)>,
);

fn contents(view: &RecordView) -> Contents {
    let ops = view.ops().map(|op| (op.key, op.value.map(<[u8]>::to_vec))).collect();
    (
        ops,
        view.sets().collect(),
        view.frees().collect(),
        view.inode_sets().collect(),
        view.inode_frees().collect(),
        view.carried().map(|run| (run.run, run.crc, run.bytes.to_vec())).collect(),
    )
}

fn built(contents: &Contents) -> Vec<u8> {
    let mut record = RecordBuilder::default();
    for (key, value) in &contents.0 {
        match value {
            Some(value) => record.put(*key, value),
            None => record.delete(*key),
        }
    }
    contents.1.iter().for_each(|set| record.set(*set));
    contents.2.iter().for_each(|free| record.free(*free));
    contents.3.iter().for_each(|ino| record.set_inode(*ino));
    contents.4.iter().for_each(|ino| record.free_inode(*ino));
    contents.5.iter().for_each(|(run, crc, bytes)| record.carry(*run, *crc, bytes));
    record.finish()
}

fn key() -> impl Strategy<Value = Key> {
    (0u64..4, any::<u8>(), any::<u64>()).prop_map(|(object, kind, offset)| Key::new(object, kind, offset))
}

fn a_record() -> impl Strategy<Value = Contents> {
    let run = || (any::<u64>(), any::<u32>()).prop_map(|(start, len)| BlockRun::new(start, len));
    let set = (run(), any::<Option<u32>>()).prop_map(|(run, crc)| SetRun { run, crc });
    let free = (run(), any::<u64>()).prop_map(|(run, birth)| FreeRun { run, birth: Seq(birth) });
    let inos = || vec(any::<u64>().prop_map(Ino), 0..4);
    let op = (key(), prop::option::of(vec(any::<u8>(), 0..40)));
    let carried = (any::<u64>(), any::<u8>(), 0..3_u32).prop_map(|(start, fill, len)| {
        let bytes = std::vec![fill; len as usize * BLOCK_SIZE];
        (BlockRun::new(start, len), redo::digest_of(&bytes), bytes)
    });
    (vec(op, 0..6), vec(set, 0..4), vec(free, 0..4), inos(), inos(), vec(carried, 0..3))
}

/// Sorted items that fit one leaf.
fn items() -> impl Strategy<Value = BTreeMap<Key, Vec<u8>>> {
    prop::collection::btree_map(key(), vec(any::<u8>(), 0..200), 1..60)
}

fn leaf(items: &BTreeMap<Key, Vec<u8>>) -> (Box<NodeBytes>, NodePtr) {
    let mut bytes = Box::new([0; NODE_SIZE]);
    let mut writer = NodeWriter::new(&mut bytes, 0);
    assert!(items.iter().all(|(key, value)| writer.item(*key, 0, value)));
    writer.finish(Seq(5));
    let ptr = node::place(&mut bytes, VOLUME, BlockNo(400));
    (bytes, ptr)
}

#[test]
fn a_node_that_is_not_the_one_pointed_to_is_refused_with_its_own_code() {
    let (bytes, ptr) = leaf(&BTreeMap::from([(Key::new(1, 1, 0), vec![1, 2, 3])]));
    let code = |at: usize, byte: u8, follow: bool| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        let crc = if follow { crc32c::crc32c(&bytes[..]) } else { ptr.crc };
        NodeView::check(&bytes, VOLUME, &NodePtr { crc, ..ptr })
            .map_or_else(|error| error.code(), |_| "accepted")
    };
    assert_eq!(code(0, b'V', true), "accepted");
    assert_eq!(code(0, 0, true), "bad_magic");
    assert_eq!(code(4, 2, true), "newer_format");
    assert_eq!(code(4, 0, true), "bad_version");
    assert_eq!(code(15, 0, true), "wrong_volume");
    assert_eq!(code(23, 1, true), "misdirected");
    assert_eq!(code(40, 1, true), "bad_value");
    assert_eq!(code(16_383, 0, false), "bad_checksum");
}

proptest! {
    #[test]
    fn redo_records_read_back(contents in a_record(), seq: u64, behind in vec(any::<u8>(), 0..50)) {
        let mut bytes = built(&contents);
        redo::set_seq(&mut bytes, Seq(seq));
        let len = bytes.len();
        bytes.extend(behind);
        let view = RecordView::parse(&bytes).unwrap();
        prop_assert_eq!((view.encoded_len(), view.seq()), (len, Seq(seq)));
        prop_assert!(view.carried().all(|run| run.is_whole() && &bytes[run.offset..][..run.bytes.len()] == run.bytes));
        prop_assert_eq!(view.taken().count(), contents.1.len() + contents.5.len());
        prop_assert_eq!(self::contents(&view), contents);
    }

    #[test]
    fn mutated_redo_records_never_panic(
        contents in a_record(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in 0usize..3,
    ) {
        let mut bytes = built(&contents);
        changes.into_iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = byte);
        bytes.truncate(bytes.len() - cut);
        if let Ok(view) = RecordView::parse(&bytes) {
            prop_assert_eq!(view.ops().count(), view.op_count() as usize);
            let _ = self::contents(&view);
        }
    }

    #[test]
    fn random_bytes_as_log_or_node_never_panic(bytes in vec(any::<u8>(), 0..500)) {
        let _ = RecordView::parse(&bytes).map(|view| contents(&view));
        let _ = Frame::parse_anywhere(&bytes);
        let mut node = [0; NODE_SIZE];
        node[..bytes.len()].copy_from_slice(&bytes);
        let view = NodeView::trust(&node);
        view.items().iter().for_each(|slot| _ = black_box((view.value(slot), view.out_of_line(slot))));
        prop_assert!(view.children().len() <= NODE_SIZE);
    }

    #[test]
    fn mutated_frame_headers_behind_a_good_checksum_never_panic(changes in vec((4usize..144, any::<u8>()), 1..12)) {
        let mut bytes = sealed_frame();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        reseal_header(&mut bytes);
        if let Ok(frame) = Frame::parse_anywhere(&bytes) {
            let _ = (frame.verify(&bytes), frame.end());
        }
    }

    #[test]
    fn leaves_read_back(items in items()) {
        let (bytes, ptr) = leaf(&items);
        let view = NodeView::check(&bytes, VOLUME, &ptr).unwrap();
        let read: BTreeMap<_, _> =
            view.items().iter().map(|slot| (Key::from(slot.key), view.value(slot).to_vec())).collect();
        prop_assert_eq!(read, items);
    }

    #[test]
    fn mutated_nodes_behind_a_good_checksum_never_panic(
        items in items(), level in 0u8..2, changes in vec((40usize..400, any::<u8>()), 1..8),
    ) {
        let (mut bytes, ptr) = leaf(&items);
        bytes[40] = level;
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        let ptr = NodePtr { crc: crc32c::crc32c(&bytes[..]), level, ..ptr };
        if let Ok(view) = NodeView::check(&bytes, VOLUME, &ptr) {
            let keys: Vec<_> = view.items().iter().map(|slot| Key::from(slot.key)).collect();
            prop_assert!(level > 0 || keys.is_sorted_by(|a, b| a < b));
            view.items().iter().for_each(|slot| _ = black_box((view.value(slot), view.out_of_line(slot))));
        }
    }
}
