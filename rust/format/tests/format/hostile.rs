use proptest::collection::vec;
use proptest::prelude::*;
use vexfs_format::*;

use crate::samples;

/// Reads the bytes as everything that they could be.
fn read_as_everything(bytes: &[u8]) {
    for sample in samples::all() {
        let _ = (sample.parse)(bytes);
    }
    let _ = Inode::parse(bytes);
    let _ = Orphan::parse(bytes);
    let _ = Dirents::parse(bytes);
    let _ = Xattrs::parse(bytes);
    let _ = Extent::parse(0, bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..5000)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_good_stamp_never_panic(
        which in 0..samples::all().len(), from in 32usize..200, noise in vec(any::<u8>(), 1..300),
    ) {
        let sample = &samples::all()[which];
        let mut bytes = sample.bytes;
        bytes[from..from + noise.len()].copy_from_slice(&noise);
        stamp::seal(&mut bytes);
        let _ = (sample.parse)(&bytes);
    }

    #[test]
    fn mutated_fields_behind_a_good_checksum_never_panic(
        which in 0..samples::all().len(), changes in vec((0usize..256, prop::sample::select(vec![0u8, 1, 127, 128, 255])), 1..12),
    ) {
        let sample = &samples::all()[which];
        let mut bytes = sample.bytes;
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        stamp::seal(&mut bytes);
        read_as_everything(&bytes);
    }

    #[test]
    fn a_superblock_that_is_accepted_has_a_layout_inside_its_volume(
        blocks: u64, journal in 0u32..1 << 20, reserve: u32, noise in vec((112usize..200, any::<u8>()), 0..3),
    ) {
        let mut superblock = samples::superblock();
        (superblock.block_count, superblock.journal_blocks, superblock.reserve_units) = (blocks >> 31, journal, reserve);
        let mut bytes = superblock.encode(0, BlockNo(0));
        noise.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        stamp::seal(&mut bytes);
        if let Ok(superblock) = Superblock::parse(&bytes, BlockNo(0)) {
            let geometry = superblock.geometry().unwrap();
            prop_assert!(geometry.areas().iter().all(|(_, run)| run.end() <= geometry.block_count));
        }
    }

    #[test]
    fn directory_items_that_are_accepted_are_what_we_would_write(item in dirent_like()) {
        if let Ok(entries) = Dirents::parse(&item) {
            prop_assert_eq!(entries.remove(b"no such name"), item.clone());
            let last = entries.iter().last().unwrap();
            prop_assert_eq!(entries.insert(last.name, last.ino, last.file_type), Ok(item.clone()));
        }
    }

    #[test]
    fn attribute_items_that_are_accepted_are_what_we_would_write(item in vec(0u8..6, 0..40)) {
        if let Ok(xattrs) = Xattrs::parse(&item) {
            prop_assert_eq!(xattrs.remove(b"no such name"), item.clone());
        }
    }

    #[test]
    fn extents_that_are_accepted_are_what_we_would_write(
        physical: u64, blocks in 0u16..300, flags in 0u16..3, crcs in 0usize..300, offset in 0u64..600,
    ) {
        let mut value = physical.to_le_bytes().to_vec();
        value.extend_from_slice(&[0; 8]);
        value.extend_from_slice(&blocks.to_le_bytes());
        value.extend_from_slice(&flags.to_le_bytes());
        value.resize(20 + 4 * if crcs % 2 == 0 { usize::from(blocks) } else { crcs }, 0xaa);
        if let Ok(extent) = Extent::parse(offset * 2048, &value) {
            prop_assert_eq!(extent.encode(), value.clone());
            prop_assert!(offset * 2048 / CHUNK_BYTES == (offset * 2048 + extent.run.bytes() - 1) / CHUNK_BYTES);
            let _ = extent.part(1..3);
        }
    }
}

/// Bytes that look like a directory item: entries with small fields, now and then cut or damaged.
fn dirent_like() -> impl Strategy<Value = Vec<u8>> {
    let entry = (0u64..4, 0u8..13, 0u8..8, 0u8..4, vec(b'-'..b'c', 0..4));
    (vec(entry, 0..4), 0usize..4).prop_map(|(entries, cut)| {
        let mut item = Vec::new();
        for (ino, file_type, slot, name_len, name) in entries {
            item.extend_from_slice(&ino.to_le_bytes());
            let name_len = if cut == 3 { name_len } else { name.len() as u8 };
            item.extend_from_slice(&[file_type, slot, name_len]);
            item.extend_from_slice(&name);
        }
        item.truncate(item.len().saturating_sub(cut % 3));
        item
    })
}
