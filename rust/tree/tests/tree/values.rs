//! Values of every length, what is given back for them, and what is refused.

use std::collections::BTreeMap;

use vexfs_format::{Key, Seq};
use vexfs_tree::{Change, Error, MAX_INLINE, MAX_VALUE, Root};

use crate::common::{Batch, Volume, value};

fn key(place: u64) -> Key {
    Key::new(place, 3, 0)
}

#[test]
fn a_value_may_have_any_length_up_to_64_kib() {
    let mut volume = Volume::new(64 << 20);
    let lengths = [0, 1, MAX_INLINE - 1, MAX_INLINE, MAX_INLINE + 1, 4095, 4096, 4097, 12_288, MAX_VALUE];
    volume.apply_over(&(0..).map(key).zip(lengths.map(|len| Some(value(len, len as u64)))).collect());
    let seen = volume.check();
    let out_of_line: Vec<usize> = seen.values.iter().map(|ptr| ptr.len as usize).collect();
    assert_eq!(out_of_line, [MAX_INLINE + 1, 4095, 4096, 4097, 12_288, MAX_VALUE]);
    for (place, len) in (0..).zip(lengths) {
        let got = volume.reader.get(&volume.root, key(place)).unwrap().unwrap();
        assert!(*got == value(len, len as u64)[..]);
        // A value outlives the cache and the root.
        volume.reader.cache().clear();
        assert_eq!(got.clone().len(), len);
    }
}

#[test]
fn a_longer_value_is_refused_by_name() {
    let mut volume = Volume::new(64 << 20);
    let error = volume.try_apply(&Batch::from([(key(5), Some(vec![0; MAX_VALUE + 1]))])).unwrap_err();
    assert!(matches!(error, Error::TooLarge { len, .. } if len == MAX_VALUE + 1));
    assert_eq!(error.code(), "value_too_large");
    assert!(error.to_string().contains("5/0x03/0") && error.to_string().contains("65537 bytes"), "{error}");
}

#[test]
fn a_batch_out_of_order_is_refused() {
    let mut volume = Volume::new(64 << 20);
    volume.apply_over(&(0..100).map(|place| (key(place), Some(vec![1]))).collect());
    for keys in [[3, 2], [3, 3], [500, 3]] {
        let mut batch = keys.map(|place| (key(place), Change::Put([7]))).into_iter();
        let error = volume.reader.apply(&volume.root, &mut batch, Seq(9), &mut volume.blocks).unwrap_err();
        assert_eq!(error.code(), "unsorted_batch", "{keys:?}");
        let mut batch = keys.map(|place| (key(place), Change::Put([7]))).into_iter();
        let error = volume.reader.apply(&Root::empty(), &mut batch, Seq(9), &mut volume.blocks).unwrap_err();
        assert_eq!(error.code(), "unsorted_batch", "{keys:?}");
    }
}

#[test]
fn deletes_of_what_is_not_there_change_nothing() {
    let mut volume = Volume::new(64 << 20);
    let nothing: Batch = (0..100).map(|place| (key(place * 7), None)).collect();
    volume.apply_over(&nothing);
    assert_eq!(volume.root.ptr(), None);
    volume.apply_over(&(0..100).map(|place| (key(place * 7 + 1), Some(vec![1; 10]))).collect());
    let before = volume.root.clone();
    let (_, freed) = volume.apply(&nothing);
    assert_eq!((&volume.root, freed.len()), (&before, 0), "not even the leaf is written");
    volume.check();
}

#[test]
fn what_is_freed_carries_the_birth_of_what_lay_there() {
    let mut volume = Volume::new(256 << 20);
    let put = |from: u64, to: u64, step: usize, len: usize| -> Batch {
        (from..to).step_by(step).map(|place| (key(place), Some(value(len, place)))).collect()
    };
    volume.apply_over(&put(0, 6000, 1, 1500));
    volume.apply_over(&put(100, 6000, 900, 30_000));
    volume.apply_over(&put(3000, 3100, 1, 5000));
    volume.apply_over(&put(0, 6000, 700, 40));
    for batch in [put(0, 6000, 350, 9000), put(2900, 3050, 1, 8), (0..6000).map(|p| (key(p), None)).collect()]
    {
        let seen = volume.check();
        let nodes = seen.nodes.iter().map(|(ptr, _)| (ptr.run(), ptr.birth));
        let runs = nodes.chain(seen.values.iter().map(|ptr| (ptr.run(), ptr.birth)));
        let births: BTreeMap<u64, Seq> =
            runs.flat_map(|(run, birth)| (run.start.0..run.end()).map(move |block| (block, birth))).collect();
        let (_, freed) = volume.apply(&batch);
        assert!(!freed.is_empty());
        for (run, birth) in &freed {
            for block in run.start.0..run.end() {
                assert_eq!(births.get(&block), Some(birth), "block {block}");
            }
        }
        volume.release(&freed);
    }
    assert_eq!(volume.root.ptr(), None);
}

#[test]
fn new_nodes_and_values_have_the_birth_of_their_batch() {
    let mut volume = Volume::new(64 << 20);
    volume.apply_over(&(0..4000).map(|place| (key(place), Some(value(900, place)))).collect());
    let before = volume.check();
    volume.apply_over(&Batch::from([(key(2000), Some(value(20_000, 1)))]));
    let after = volume.check();
    let old = |block: u64| before.nodes.iter().any(|(ptr, _)| ptr.block.0 == block);
    for (ptr, _) in &after.nodes {
        assert_eq!(ptr.birth.0, if old(ptr.block.0) { 1 } else { 2 });
    }
    assert_eq!(after.values[0].birth, Seq(2));
    let new = after.nodes.iter().filter(|(ptr, _)| ptr.birth.0 == 2).count();
    assert!(new <= 5, "one item changed, {new} nodes are new");
}
