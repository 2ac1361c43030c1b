use proptest::prelude::*;
use vexfs_format::geometry::{MAX_BLOCKS, MIN_BLOCKS, MIN_JOURNAL_BYTES, superblock_places};
use vexfs_format::*;

/// What must hold for every layout.
fn check(geometry: &Geometry) {
    let areas = geometry.areas();
    let blocks = geometry.block_count;
    assert_eq!(areas[0].1.start, BlockNo(0), "{blocks}");
    assert_eq!(areas.last().unwrap().1.end(), blocks, "{blocks}");
    for pair in areas.windows(2) {
        assert!(pair[0].1.end() <= pair[1].1.start.0, "{} overlaps {} of {blocks}", pair[0].0, pair[1].0);
    }
    let named: u64 = areas.iter().map(|(_, run)| u64::from(run.len)).sum();
    assert_eq!(named + geometry.data_blocks(), blocks, "every block is an area's or data's, of {blocks}");
    for (name, run) in &areas {
        assert!(run.len > 0, "{name} of {blocks}");
        assert!(
            geometry.is_static(run.start) && geometry.is_static(BlockNo(run.end() - 1)),
            "{name} of {blocks}"
        );
        assert!(!geometry.holds(*run), "{name} of {blocks}");
    }
    for pair in geometry.static_runs().windows(2) {
        let between = BlockRun::new(pair[0].end(), (pair[1].start.0 - pair[0].end()) as u32);
        assert!(between.len > 0 && geometry.holds(between), "{between:?} of {blocks}");
        assert!(!geometry.holds(BlockRun { len: between.len + 1, ..between }), "{blocks}");
        assert!(!geometry.holds(BlockRun::new(between.start.0 - 1, 2)), "{blocks}");
    }
    assert!(geometry.is_static(BlockNo(blocks)) && geometry.is_static(BlockNo(u64::MAX)));
    assert!(
        !geometry.holds(BlockRun::new(u64::MAX, u32::MAX))
            && !geometry.holds(BlockRun::new(geometry.journal.end(), 0))
    );
    assert!(geometry.data_blocks() >= 247, "room for files in {blocks}");
    assert!(u64::from(geometry.reserve_units) * 4 <= geometry.data_blocks() / 2, "{blocks}");
    assert_eq!(geometry.superblocks, superblock_places(blocks), "found without the first copy, {blocks}");
    let again = Geometry::lay_out(blocks, geometry.journal.len, geometry.reserve_units);
    assert_eq!(again.as_ref(), Ok(geometry), "the superblock's numbers give the same layout");
}

/// The layouts of a size with the usual, the smallest and the largest journal.
fn check_all(blocks: u64) {
    let largest = blocks / 4 * 4096;
    for journal in [None, Some(MIN_JOURNAL_BYTES), Some(largest)] {
        check(&Geometry::plan(blocks, journal).unwrap());
    }
}

#[test]
fn areas_never_overlap_at_any_size_up_to_five_groups() {
    for blocks in MIN_BLOCKS..1 << 14 {
        check_all(blocks);
    }
    for blocks in (1 << 14..5 * u64::from(GROUP_BLOCKS)).step_by(61) {
        check_all(blocks);
    }
}

#[test]
fn areas_never_overlap_around_the_edges_of_groups() {
    for groups in [1, 2, 3, 4, 5, 6, 7, 125, 126, 127, 252, 253, 10_000, 133_152] {
        let edge = groups * u64::from(GROUP_BLOCKS);
        (edge - 70..edge + 70).for_each(check_all);
    }
    check_all(MAX_BLOCKS);
}

#[test]
fn sizes_and_journals_outside_the_limits_are_refused() {
    let code = |blocks, journal| Geometry::plan(blocks, journal).unwrap_err().code();
    assert_eq!(code(0, None), "volume_too_small");
    assert_eq!(code(MIN_BLOCKS - 1, None), "volume_too_small");
    assert_eq!(code(MAX_BLOCKS + 1, None), "volume_too_large");
    assert_eq!(code(u64::MAX, Some(u64::MAX)), "volume_too_large");
    for journal in [0, MIN_JOURNAL_BYTES - 4096, MIN_JOURNAL_BYTES + 1, 513 * 4096, u64::MAX] {
        assert_eq!(code(2048, Some(journal)), "bad_journal_size", "{journal}");
    }
}

#[test]
fn the_usual_journal_is_a_thirty_second_part_within_limits() {
    let journal = |bytes: u64| Geometry::plan(bytes / 4096, None).unwrap().journal.bytes();
    assert_eq!(journal(2 << 20), 256 << 10);
    assert_eq!(journal(512 << 20), 16 << 20);
    assert_eq!(journal(1 << 44), 1 << 30);
}

#[test]
fn a_group_counts_at_birth_what_its_bitmaps_at_birth_show() {
    for blocks in [512, 40_000, 129_024, 129_100, 200_000] {
        let geometry = Geometry::plan(blocks, None).unwrap();
        let mut free = 0;
        for group in 0..geometry.group_count {
            let entry = GroupEntry::at_birth(&geometry, group);
            let bitmap = Bitmap::at_birth(&geometry, BitmapKind::Block, group);
            let is_free = |index: u32| bitmap.bits[index as usize / 64] >> (index % 64) & 1 == 0;
            for index in 0..GROUP_BLOCKS {
                let block = BlockNo(Geometry::group_start(group).0 + u64::from(index));
                assert_eq!(is_free(index), !geometry.is_static(block), "{block} of {blocks}");
                assert_eq!(Geometry::locate(block), (group, index));
            }
            let frees: Vec<u32> = (0..GROUP_BLOCKS).filter(|&index| is_free(index)).collect();
            let longest = frees.chunk_by(|a, b| a + 1 == *b).map(<[u32]>::len).max().unwrap_or(0);
            let units = (0..GROUP_BLOCKS / 4).filter(|unit| (unit * 4..unit * 4 + 4).all(is_free)).count();
            assert_eq!(usize::from(entry.free_blocks), frees.len(), "{blocks}");
            assert_eq!(usize::from(entry.largest_run), longest, "{blocks}");
            assert_eq!(usize::from(entry.free_units), units, "{blocks}");
            let inodes = Bitmap::at_birth(&geometry, BitmapKind::Inode, group);
            assert_eq!(GROUP_BLOCKS - bitmap::count(&inodes.bits), entry.free_inodes.into());
            free += u64::from(entry.free_blocks);
        }
        assert_eq!(free, geometry.data_blocks(), "{blocks}");
    }
}

#[test]
fn slots_of_bitmaps_and_descriptors_are_all_different_blocks() {
    let geometry = Geometry::plan(10 * u64::from(GROUP_BLOCKS), None).unwrap();
    let slots = |group| {
        [BitmapKind::Block, BitmapKind::Inode]
            .into_iter()
            .flat_map(move |kind| [0, 1].map(|side| (group, kind, side)))
    };
    let mut blocks: Vec<_> =
        (0..10).flat_map(slots).map(|(group, kind, side)| geometry.slot(group, kind, side)).collect();
    let (_, area) = geometry.areas().into_iter().find(|(name, _)| *name == "bitmap slots").unwrap();
    assert!(blocks.iter().all(|block| (area.start.0..area.end()).contains(&block.0)));
    blocks.extend((0..64).flat_map(|id| geometry.descriptor_blocks(CheckpointId(id))));
    let count = blocks.len();
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len(), count);
    assert_eq!(geometry.descriptor_blocks(CheckpointId(64)), geometry.descriptor_blocks(CheckpointId(0)));
}

proptest! {
    #[test]
    fn areas_never_overlap_at_any_size(blocks in MIN_BLOCKS..=MAX_BLOCKS, scale in 0u32..23) {
        check_all((blocks >> scale).max(MIN_BLOCKS));
    }
}
