use std::collections::HashSet;

use proptest::prelude::*;
use vexfs_format::chain::{self, Link};
use vexfs_format::*;

use crate::samples::{self, Sample, VOLUME};

/// The code with which the sample is refused after `change`, which is sealed again.
fn code_after(sample: &Sample, change: impl Fn(&mut [u8])) -> &'static str {
    let mut bytes = sample.bytes;
    change(&mut bytes);
    stamp::seal(&mut bytes);
    (sample.parse)(&bytes).map_or_else(|error| error.code(), |()| "accepted")
}

#[test]
fn every_structure_is_accepted_as_it_was_written() {
    for sample in samples::all() {
        assert_eq!((sample.parse)(&sample.bytes), Ok(()), "{}", sample.name);
    }
}

#[test]
fn every_structure_refuses_a_wrong_stamp_field_with_its_own_code() {
    for sample in samples::all() {
        let name = sample.name;
        assert_eq!(code_after(&sample, |bytes| bytes[0] ^= 1), "bad_magic", "{name}");
        assert_eq!(code_after(&sample, |bytes| bytes[4] = 2), "newer_format", "{name}");
        assert_eq!(code_after(&sample, |bytes| bytes[4] = 0), "bad_version", "{name}");
        assert_eq!(code_after(&sample, |bytes| bytes[15] ^= 1), "wrong_volume", "{name}");
        assert_eq!(code_after(&sample, |bytes| bytes[23] ^= 1), "misdirected", "{name}");
    }
}

#[test]
fn a_flipped_version_is_damage_and_not_a_newer_format() {
    for sample in samples::all() {
        let mut bytes = sample.bytes;
        bytes[4] ^= 2;
        assert_eq!((sample.parse)(&bytes).unwrap_err().code(), "bad_checksum", "{}", sample.name);
    }
}

#[test]
fn what_a_pointer_names_is_refused_as_stale_when_it_is_another_version_of_itself() {
    for sample in samples::all().into_iter().filter(|sample| sample.named) {
        // A field that no parser reads: the checkpoint of a bitmap, the reserved bytes of a chain.
        let older = |bytes: &mut [u8]| bytes[if sample.name == "bitmap" { 32 } else { 52 }] ^= 1;
        assert_eq!(code_after(&sample, older), "outdated", "{}", sample.name);
    }
}

#[test]
fn every_cut_structure_is_refused_as_truncated() {
    for sample in samples::all() {
        for len in [0, 1, 31, 32, 63, 64, 4095] {
            let code = (sample.parse)(&sample.bytes[..len]).unwrap_err().code();
            assert_eq!(code, "truncated", "{} of {len} bytes", sample.name);
        }
    }
}

#[test]
fn an_unknown_incompatible_feature_forbids_opening() {
    let mut superblock = samples::superblock();
    superblock.features.incompat = 1 << 40;
    let bytes = superblock.encode(0, BlockNo(0));
    assert_eq!(Superblock::parse(&bytes, BlockNo(0)), Err(Error::UnknownFeatures { bits: 1 << 40 }));
}

#[test]
fn an_unknown_read_only_feature_forbids_writing_and_an_unknown_compatible_one_nothing() {
    let mut superblock = samples::superblock();
    superblock.features.compat = u64::MAX;
    let bytes = superblock.encode(0, BlockNo(0));
    assert_eq!(Superblock::parse(&bytes, BlockNo(0)).unwrap().features.forbid_writing(), 0);

    superblock.features.ro_compat = 2;
    let bytes = superblock.encode(0, BlockNo(0));
    assert_eq!(Superblock::parse(&bytes, BlockNo(0)).unwrap().features.forbid_writing(), 2);
}

#[test]
fn a_superblock_with_an_impossible_layout_is_refused() {
    let good = samples::superblock();
    let refused = |change: &dyn Fn(&mut Superblock)| {
        let mut superblock = good.clone();
        change(&mut superblock);
        Superblock::parse(&superblock.encode(0, BlockNo(0)), BlockNo(0)).unwrap_err().code()
    };
    assert_eq!(refused(&|superblock| superblock.block_count = 511), "volume_too_small");
    assert_eq!(refused(&|superblock| superblock.block_count = u64::MAX), "volume_too_large");
    assert_eq!(refused(&|superblock| superblock.journal_blocks = u32::MAX), "bad_journal_size");
    assert_eq!(refused(&|superblock| superblock.journal_blocks = 63), "bad_journal_size");
    assert_eq!(refused(&|superblock| superblock.reserve_units = u32::MAX), "bad_value");
}

#[test]
fn a_label_has_at_most_64_bytes_of_utf8_without_zero() {
    assert_eq!(Label::new(&"x".repeat(64)).unwrap().as_str().len(), 64);
    assert_eq!(Label::new(&"x".repeat(65)).unwrap_err().code(), "bad_label");
    assert_eq!(Label::new("a\0b").unwrap_err().code(), "bad_label");
    let mut bytes = samples::superblock().encode(0, BlockNo(0));
    for (at, byte) in [(48, 0xff), (48 + 20, b'x')] {
        let mut bytes = bytes;
        bytes[at] = byte;
        stamp::seal(&mut bytes);
        assert_eq!(Superblock::parse(&bytes, BlockNo(0)).unwrap_err().code(), "bad_value");
    }
    stamp::seal(&mut bytes);
    assert_eq!(Superblock::parse(&bytes, BlockNo(0)).unwrap().label.as_str(), "work");
}

#[test]
fn a_group_entry_cannot_count_more_than_its_group_has() {
    let geometry = Geometry::plan(100_000, None).unwrap();
    let good: Vec<_> = (0..4).map(|group| GroupEntry::at_birth(&geometry, group)).collect();
    let refused = |change: &dyn Fn(&mut GroupEntry)| {
        let mut entries = good.clone();
        change(&mut entries[3]);
        let bytes = group::encode_block(&geometry, VOLUME, 0, 0, CheckpointId(1), &entries);
        group::parse_block(&geometry, VOLUME, 0, 0, &bytes).unwrap_err().code()
    };
    let len = geometry.group_len(3) as u16;
    assert_eq!(refused(&|entry| entry.free_blocks = len + 1), "bad_value");
    assert_eq!(refused(&|entry| entry.free_inodes = GROUP_BLOCKS as u16 + 1), "bad_value");
    assert_eq!(refused(&|entry| entry.largest_run = entry.free_blocks + 1), "bad_value");
    assert_eq!(refused(&|entry| entry.free_units = entry.free_blocks / 4 + 1), "bad_value");
    assert_eq!(refused(&|entry| entry.block = Some(LiveSlot { side: 2, crc: 0 })), "bad_value");
}

#[test]
fn a_table_block_of_the_other_side_or_place_is_refused() {
    let geometry = Geometry::plan(130 * u64::from(GROUP_BLOCKS), None).unwrap();
    let entries: Vec<_> = (0..126).map(|group| GroupEntry::at_birth(&geometry, group)).collect();
    let bytes = group::encode_block(&geometry, VOLUME, 0, 0, CheckpointId(1), &entries);
    assert!(group::parse_block(&geometry, VOLUME, 0, 0, &bytes).is_ok());
    assert_eq!(group::parse_block(&geometry, VOLUME, 1, 0, &bytes).unwrap_err().code(), "misdirected");
    assert_eq!(group::parse_block(&geometry, VOLUME, 0, 1, &bytes).unwrap_err().code(), "misdirected");
    let few = group::encode_block(&geometry, VOLUME, 0, 0, CheckpointId(1), &entries[1..]);
    assert_eq!(group::parse_block(&geometry, VOLUME, 0, 0, &few).unwrap_err().code(), "bad_value");
}

#[test]
fn a_bitmap_whose_count_of_set_bits_is_wrong_is_refused() {
    let bitmap = Bitmap {
        kind: BitmapKind::Inode,
        group: 5,
        checkpoint: CheckpointId(1),
        bits: Box::new([0; bitmap::BITMAP_WORDS]),
    };
    let (mut bytes, _) = bitmap.encode(VOLUME, BlockNo(9));
    bytes[64] = 1;
    let crc = stamp::seal(&mut bytes);
    let parse = |kind, group| Bitmap::parse(&bytes, VOLUME, BlockNo(9), kind, group, crc).unwrap_err();
    assert!(parse(BitmapKind::Inode, 5).to_string().contains("count of set bits"));
    assert!(parse(BitmapKind::Block, 5).to_string().contains("kind"));
    assert!(parse(BitmapKind::Inode, 6).to_string().contains("group"));
}

#[test]
fn a_chain_can_neither_be_endless_nor_end_early() {
    let runs = vec![samples::dead_run(); 500];
    let (blocks, ptr) = chain::build(VOLUME, &[BlockNo(10), BlockNo(11), BlockNo(12)], &runs, None);
    let ptr = ptr.unwrap();
    for wrong in [0, 1, 2, 4, u32::MAX] {
        let wrong = ChainPtr { blocks: wrong, ..ptr };
        assert_eq!(Link::<DeadRun>::parse(&blocks[2].1, VOLUME, wrong).unwrap_err().code(), "bad_value");
    }
}

#[test]
fn every_error_has_a_code_of_its_own_and_says_what_to_do() {
    let (what, address) = ("thing", 1);
    let errors = [
        Error::Truncated { what, need: 2, have: 1 },
        Error::BadMagic { what, address, found: 0 },
        Error::BadChecksum { what, address, found: 0, expected: 1 },
        Error::NewerFormat { what, version: 2, supported: 1 },
        Error::BadVersion { what, address, version: 0 },
        Error::WrongVolume { what, address, found: 0, expected: 1 },
        Error::Misdirected { what, address, found: 2 },
        Error::Stale { what, address, found: 0, expected: 1 },
        Error::BadValue { what, field: "field", value: 1 },
        Error::UnknownFeatures { bits: 1 },
        Error::VolumeTooSmall { blocks: 1, minimum: 2 },
        Error::VolumeTooLarge { blocks: 2, maximum: 1 },
        Error::BadJournalSize { bytes: 1, minimum: 2, maximum: 3 },
        Error::BadLabel { bytes: 65 },
        Error::BadName { bytes: 256 },
        Error::ItemFull { what },
    ];
    let codes: HashSet<_> = errors.iter().map(Error::code).collect();
    assert_eq!(codes.len(), errors.len());
    for error in errors {
        let advice = ["run fsck", "restore", "upgrade", "choose", "use ", "a name has"];
        let message = error.to_string();
        assert!(advice.iter().any(|advice| message.contains(advice)), "{message}");
    }
}

proptest! {
    #[test]
    fn any_flipped_bit_is_noticed(which in 0..samples::all().len(), bit in 0usize..4096 * 8) {
        let sample = &samples::all()[which];
        let mut bytes = sample.bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let code = (sample.parse)(&bytes).unwrap_err().code();
        prop_assert_eq!(code, if bit < 32 { "bad_magic" } else { "bad_checksum" });
    }
}
