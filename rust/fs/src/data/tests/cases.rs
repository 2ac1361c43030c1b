//! Single promises of file contents.

use vexfs_device::Device;
use vexfs_format::{BlockNo, BlockRun, Extent, Ino, Key, Orphan, Seq, kinds};
use vexfs_store::{CheckpointKind, Mode, Options, Read};

use super::super::{Allocate, BLOCK, CHUNK_BLOCKS};
use super::{CHUNK, check_bytes, check_records, extents_of, pattern, volume};
use crate::{Caller, Durability, Error, Fs, Isolation, SetAttr, keys};

const MAX: u64 = 1 << 44;

#[test]
fn a_file_reaches_16_tib_and_its_holes_cost_nothing() {
    let mut volume = volume(32 << 20);
    let ino = volume.create("sparse");
    let spots = [0, CHUNK - 1, 5 << 30, (1 << 40) + 77, MAX - 3];
    for spot in spots {
        volume.change(|tx| tx.write(ino, spot, b"abc").unwrap());
    }
    volume.reopen();
    let view = volume.view();
    let inode = view.inode(ino).unwrap();
    assert_eq!((inode.size, inode.blocks), (MAX, 6), "one block a spot, two where it crosses a border");
    let mut at = 0;
    for spot in spots {
        let mut bytes = [9; 5];
        let read = view.read(ino, spot.saturating_sub(1), &mut bytes).unwrap();
        let shown: &[u8] = if spot == 0 { b"abc\0\0" } else { &b"\0abc\0"[..read] };
        assert_eq!(&bytes[..read], shown);
        at = view.seek_data(ino, at).unwrap();
        assert_eq!(at, spot / BLOCK * BLOCK);
        at = view.seek_hole(ino, at).unwrap();
    }
    assert_eq!(at, MAX);
    check_records(&view, ino);
    drop(view);
    volume.change(|tx| tx.truncate(ino, 0).unwrap());
    assert_eq!(volume.view().inode(ino).unwrap().blocks, 0);
}

#[test]
fn nothing_goes_beyond_16_tib() {
    let volume = volume(32 << 20);
    let ino = volume.create("long");
    volume.change(|tx| {
        tx.write(ino, MAX - 1, b"x").unwrap();
        let refused = [
            tx.write(ino, MAX, b"x"),
            tx.write(ino, MAX - 1, b"xy"),
            tx.write(ino, u64::MAX, b"x"),
            tx.append(ino, b"x").map(drop),
            tx.truncate(ino, MAX + 1),
            tx.allocate(ino, Allocate::Grow, MAX, 1),
            tx.allocate(ino, Allocate::Punch, 1, u64::MAX),
            tx.allocate(ino, Allocate::Insert, 0, BLOCK),
            tx.copy_range(ino, 0, ino, MAX, 1).map(drop),
        ];
        refused.into_iter().for_each(|result| assert_eq!(result.unwrap_err().code(), "file_too_large"));
        tx.truncate(ino, MAX).unwrap();
    });
    check_records(&volume.view(), ino);
}

#[test]
fn a_corrupt_block_is_named_and_the_rest_is_still_read() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    let data = pattern(10 * BLOCK as usize, 3);
    volume.change(|tx| tx.write(ino, 0, &data).unwrap());
    let bad = extents_of(&volume.view(), ino)[0].run.start.0 + 6;
    volume.device.write_at(&[data[6 * 4096 + 100] ^ 4], bad * BLOCK + 100).unwrap();

    let view = volume.view();
    let error = view.read_all(ino).unwrap_err();
    assert_eq!(error.code(), "corrupt_data");
    assert_eq!(error.errno(), crate::errno::EUCLEAN);
    for part in [format!("block {bad} "), format!("byte {} ", 6 * BLOCK), format!("inode {ino},")] {
        assert!(error.to_string().contains(&part), "{error}");
    }
    let mut bytes = vec![0; 6 * 4096];
    view.read(ino, 0, &mut bytes).unwrap();
    assert!(bytes == data[..6 * 4096]);
    assert_eq!(view.read(ino, 7 * BLOCK + 5, &mut bytes).unwrap(), 3 * 4096 - 5);

    // A change of a part of the block would give the damage a good checksum; one of the whole block heals it.
    volume.change(|tx| {
        assert_eq!(tx.write(ino, 6 * BLOCK + 1, b"x").unwrap_err().code(), "corrupt_data");
        assert_eq!(tx.truncate(ino, 6 * BLOCK + 3000).unwrap_err().code(), "corrupt_data");
        check_records(tx, ino);
        tx.write(ino, 6 * BLOCK, &data[6 * 4096..7 * 4096]).unwrap();
    });
    check_bytes(&volume.view(), ino, &data);
}

#[test]
fn a_corrupt_block_in_a_large_read_is_found_too() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    let data = pattern(3 << 20, 5);
    volume.change(|tx| tx.write(ino, 0, &data).unwrap());
    check_bytes(&volume.view(), ino, &data);
    let all = extents_of(&volume.view(), ino);
    let last = all.last().unwrap().run;
    volume.device.write_at(&[!data[data.len() - 1]], last.end() * BLOCK - 1).unwrap();
    let error = volume.view().read_all(ino).unwrap_err().to_string();
    assert!(error.contains(&format!("block {} ", last.end() - 1)), "{error}");
}

/// Wherever the reader's memory lies, and whatever thread reads the block.
#[test]
fn each_block_of_a_large_read_is_verified_wherever_it_goes() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    let data = pattern(100 * BLOCK as usize, 7);
    volume.change(|tx| tx.write(ino, 0, &data).unwrap());
    let start = extents_of(&volume.view(), ino)[0].run.start.0;
    let mut memory = vec![0; data.len() + 2 * BLOCK as usize];
    let page = memory.as_ptr().align_offset(BLOCK as usize);
    for skip in [0, 1, 16, 31, 32, 4095] {
        for from in [0, 5, BLOCK as usize] {
            let into = &mut memory[page + skip..][..data.len() - from];
            into.fill(0);
            assert_eq!(volume.view().read(ino, from as u64, into).unwrap(), into.len());
            assert!(into == &data[from..], "{skip} bytes into the page, from byte {from} of the file");
        }
        for block in 0..100 {
            let at = (start + block) * BLOCK + 4095;
            volume.device.write_at(&[!data[((block + 1) * BLOCK) as usize - 1]], at).unwrap();
            let error = volume.view().read(ino, 0, &mut memory[page + skip..][..data.len()]).unwrap_err();
            assert!(error.to_string().contains(&format!("block {} ", start + block)), "{error}");
            volume.device.write_at(&[data[((block + 1) * BLOCK) as usize - 1]], at).unwrap();
        }
    }
}

#[test]
fn an_aborted_write_leaves_no_block_behind() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    volume.change(|tx| tx.write(ino, 0, &pattern(100_000, 1)).unwrap());
    let hold = volume.fs.hold(ino, None).unwrap();
    let free = volume.free_blocks();
    for _ in 0..50 {
        let mut tx = volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
        tx.write(ino, 50_000, &pattern(3 << 20, 2)).unwrap();
        tx.allocate(ino, Allocate::Grow, 8 << 20, 1 << 20).unwrap();
        let savepoint = tx.savepoint();
        tx.write_all(ino, &pattern(1 << 20, 2)).unwrap();
        tx.rollback_to(savepoint);
        tx.abort();
    }
    drop(hold);
    assert_eq!(volume.free_blocks(), free);
    check_bytes(&volume.view(), ino, &pattern(100_000, 1));
}

#[test]
fn what_an_open_file_has_in_reserve_comes_back_when_it_is_closed() {
    let volume = volume(64 << 20);
    let ino = volume.create("f");
    let before = volume.free_blocks();
    let hold = volume.fs.hold(ino, None).unwrap();
    for _ in 0..100 {
        volume.change(|tx| tx.append(ino, &pattern(BLOCK as usize, 1)).unwrap());
    }
    assert!(volume.fs.store().space_status().free_blocks < before - 100, "nothing was reserved ahead");
    drop(hold);
    let used = before - volume.free_blocks();
    assert!((100..110).contains(&used), "{used} blocks for 100 blocks of data");
}

#[test]
fn a_file_that_no_space_is_left_for_stays_as_it_was() {
    let volume = volume(16 << 20);
    let ino = volume.create("f");
    volume.change(|tx| tx.write(ino, 0, &pattern(5000, 1)).unwrap());
    let free = volume.free_blocks();
    volume.change(|tx| {
        assert_eq!(tx.write(ino, 3000, &vec![1; 20 << 20]).unwrap_err().code(), "no_space");
        assert_eq!(tx.allocate(ino, Allocate::Grow, 0, 20 << 20).unwrap_err().code(), "no_space");
        assert_eq!(tx.allocate(ino, Allocate::Grow, 0, 1 << 40).unwrap_err().code(), "no_space");
        assert_eq!(tx.write_files(&[(ino, &vec![1; 20 << 20])]).unwrap_err().code(), "no_space");
        check_records(tx, ino);
        tx.append(ino, b"more").unwrap();
    });
    let mut bytes = pattern(5000, 1);
    bytes.extend_from_slice(b"more");
    check_bytes(&volume.view(), ino, &bytes);
    volume.change(|tx| tx.truncate(ino, 5000).unwrap());
    assert_eq!(volume.free_blocks(), free);
}

#[test]
fn appends_of_two_open_files_in_turn_leave_each_in_few_pieces() {
    let volume = volume(128 << 20);
    let files = [volume.create("a"), volume.create("b")];
    let holds = files.map(|ino| volume.fs.hold(ino, None).unwrap());
    for _ in 0..8 * CHUNK_BLOCKS {
        for ino in files {
            volume.change(|tx| tx.append(ino, &pattern(4096, 1)).unwrap());
        }
    }
    drop(holds);
    for ino in files {
        let all = extents_of(&volume.view(), ino);
        let pieces = 1 + all.windows(2).filter(|pair| pair[0].run.end() != pair[1].run.start.0).count();
        assert!(pieces <= 8, "{pieces} pieces for 8 MiB");
        assert!(all.len() <= 8 * 3, "{} extents for 8 MiB", all.len());
    }
}

#[test]
fn small_files_written_one_after_the_other_or_at_once_lie_side_by_side() {
    let volume = volume(64 << 20);
    let files: Vec<Ino> = (0..200).map(|i| volume.create(&i.to_string())).collect();
    let data = pattern(4096 + 700, 1);
    let (single, bulk) = files.split_at(100);
    single.iter().for_each(|ino| volume.change(|tx| tx.write_all(*ino, &data).unwrap()));
    let list: Vec<_> = bulk.iter().map(|ino| (*ino, &data[..])).collect();
    volume.change(|tx| tx.write_files(&list).unwrap());
    let view = volume.view();
    for part in [single, bulk] {
        let starts: Vec<u64> = part.iter().map(|ino| extents_of(&view, *ino)[0].run.start.0).collect();
        let gaps = starts.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
        assert!(gaps <= 2, "{gaps} gaps between {starts:?}");
    }
    assert!(files.iter().all(|ino| view.read_all(*ino).unwrap() == data));
    files.iter().for_each(|ino| check_records(&view, *ino));
}

#[test]
fn what_an_unfinished_truncation_left_never_comes_to_light() {
    let mut volume = volume(64 << 20);
    let empty = volume.free_blocks();
    let ino = volume.create("f");
    // More extents than one step removes: every other block.
    let blocks = 6 * CHUNK_BLOCKS;
    for block in (0..blocks).step_by(2) {
        volume.change(|tx| tx.write(ino, block * BLOCK, &[0xff; 4096]).unwrap());
    }
    let unfinished = |size| {
        let mut tx = volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
        tx.truncate(ino, size).unwrap();
        // As if the process were killed right after the commit.
        tx.pending.unfinished.clear();
        tx.commit(Durability::Visible).unwrap();
    };
    unfinished(100);
    let view = volume.view();
    let orphan = Orphan::parse(&view.store.get(keys::orphan(ino)).unwrap().unwrap()).unwrap();
    assert_eq!(orphan.work, vexfs_format::orphan::Work::Truncate { size: 100 });
    assert!(extents_of(&view, ino).len() > 1, "the test needs something left");
    check_records(&view, ino);
    drop(view);

    let mut model = vec![0xff; 100];
    check_bytes(&volume.view(), ino, &model);
    volume.change(|tx| tx.write(ino, 10 * BLOCK + 5, b"x").unwrap());
    model.resize(10 * 4096 + 5, 0);
    model.push(b'x');
    check_bytes(&volume.view(), ino, &model);
    volume.change(|tx| tx.truncate(ino, 30 * BLOCK).unwrap());
    model.resize(30 * 4096, 0);
    check_bytes(&volume.view(), ino, &model);
    volume.change(|tx| tx.allocate(ino, Allocate::Grow, 40 * BLOCK, 10 * BLOCK).unwrap());
    model.resize(50 * 4096, 0);
    check_bytes(&volume.view(), ino, &model);

    volume.kill();
    let view = volume.view();
    assert!(view.store.get(keys::orphan(ino)).unwrap().is_none(), "the next open finishes it");
    check_bytes(&view, ino, &model);
    check_records(&view, ino);
    assert!(extents_of(&view, ino).iter().all(|held| held.end() <= 50));
    drop(view);
    volume.change(|tx| tx.unlink(Ino(1), b"f").unwrap());
    assert_eq!(volume.free_blocks(), empty);
}

#[test]
fn an_unlinked_open_file_is_still_written_and_read_and_then_gone() {
    let volume = volume(32 << 20);
    let empty = volume.free_blocks();
    let ino = volume.create("f");
    let hold = volume.fs.hold(ino, None).unwrap();
    volume.change(|tx| tx.unlink(Ino(1), b"f").unwrap());
    let data = pattern(300_000, 9);
    volume.change(|tx| tx.write(ino, 0, &data).unwrap());
    volume.change(|tx| tx.truncate(ino, 200_000).unwrap());
    check_bytes(&volume.view(), ino, &data[..200_000]);
    drop(hold);
    assert!(volume.view().find_inode(ino).unwrap().is_none());
    assert_eq!(volume.free_blocks(), empty);
}

#[test]
fn writing_by_another_than_root_takes_set_id_bits_away() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    volume.change(|tx| tx.setattr(ino, &SetAttr { mode: Some(0o6777), ..SetAttr::default() }).unwrap());
    volume.change(|tx| tx.write(ino, 0, b"root").unwrap());
    assert_eq!(volume.view().inode(ino).unwrap().permissions, 0o6777);
    let other = Caller::new(1000, 1000, &[], 0o022);
    let mut tx = volume.fs.begin(&other, Isolation::Snapshot).unwrap();
    tx.write(ino, 0, &pattern(8192, 1)).unwrap();
    tx.commit(Durability::Visible).unwrap();
    assert_eq!(volume.view().inode(ino).unwrap().permissions, 0o777);
}

#[test]
fn every_change_of_the_data_is_counted_and_timed() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    let mut last = volume.view().inode(ino).unwrap();
    let changes: [&dyn Fn(&mut crate::FsTx); 6] = [
        &|tx| tx.write(ino, 0, &pattern(3 << 20, 1)).unwrap(),
        &|tx| tx.write(ino, 8192, &pattern(4096, 2)).unwrap(),
        &|tx| tx.append(ino, b"tail").map(drop).unwrap(),
        &|tx| tx.truncate(ino, 5000).unwrap(),
        &|tx| tx.allocate(ino, Allocate::Punch, 0, 4096).unwrap(),
        &|tx| tx.write_all(ino, b"").unwrap(),
    ];
    for change in changes {
        volume.change(|tx| change(tx));
        let inode = volume.view().inode(ino).unwrap();
        assert!(inode.version > last.version);
        assert!(inode.mtime_ns > last.mtime_ns && inode.ctime_ns > last.ctime_ns);
        assert_eq!(inode.btime_ns, last.btime_ns);
        last = inode;
    }
    assert_eq!((last.size, last.blocks), (0, 0));
}

#[test]
fn many_writes_of_one_transaction_cost_no_more_each_than_a_few() {
    let volume = volume(64 << 20);
    let ino = volume.create("f");
    volume.change(|tx| tx.allocate(ino, Allocate::Grow, 0, 4 << 20).unwrap());
    let data = pattern(4096, 1);
    let mut tx = volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    for round in 0..3000_u64 {
        tx.write(ino, round % 1024 * BLOCK, &data).unwrap();
    }
    assert_eq!(tx.pending.written.len(), 1, "the writes joined one change of the inode");
    let version = volume.view().inode(ino).unwrap().version;
    assert_eq!(tx.inode(ino).unwrap().version, version + 3000);
}

#[test]
fn only_files_have_data() {
    let volume = volume(32 << 20);
    let (dir, link) = volume.change(|tx| {
        let dir = tx.mkdir(Ino(1), b"d", 0o755).unwrap().ino;
        (dir, tx.symlink(Ino(1), b"l", b"target").unwrap().ino)
    });
    volume.change(|tx| {
        assert_eq!(tx.write(dir, 0, b"x").unwrap_err().code(), "is_a_directory");
        assert_eq!(tx.truncate(link, 0).unwrap_err().code(), "invalid_argument");
        assert_eq!(tx.read(dir, 0, &mut [0]).unwrap_err().code(), "is_a_directory");
        assert_eq!(tx.read_all(link).unwrap_err().code(), "invalid_argument");
        assert_eq!(tx.write(Ino(999), 0, b"x").unwrap_err().code(), "stale");
    });
    let _ = volume.fs.store().checkpoint(CheckpointKind::Incremental).unwrap();
}

#[test]
fn a_reader_beside_a_writer_that_reuses_blocks_hears_that_it_is_late_not_that_they_are_corrupt() {
    let volume = volume(16 << 20);
    let ino = volume.create("f");
    let len = 2 << 20;
    volume.change(|tx| tx.write(ino, 0, &pattern(len, 1)).unwrap());
    volume.free_blocks();
    let options = Options { mode: Mode::Beside, ..Options::default() };
    let beside = Fs::open(volume.device.clone(), options).unwrap();
    let view = beside.view(&Caller::root()).unwrap();
    assert!(view.read_all(ino).unwrap() == pattern(len, 1));
    for round in 2..20 {
        volume.change(|tx| tx.write(ino, 0, &pattern(len, round)).unwrap());
        volume.free_blocks();
        volume.fs.store().relieve().unwrap();
    }
    let error = view.read_all(ino).unwrap_err();
    assert!(matches!(error, Error::Store(vexfs_store::Error::FellBehind)), "{error}");
    beside.store().refresh().unwrap();
    assert!(beside.view(&Caller::root()).unwrap().read_all(ino).unwrap() == pattern(len, 19));
}

#[test]
fn what_fails_within_a_larger_change_is_undone_with_it() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    volume.change(|tx| tx.write(ino, 0, &pattern(1 << 20, 1)).unwrap());
    let before = volume.view().inode(ino).unwrap();
    volume.change(|tx| {
        tx.write(ino, 0, &pattern(4096, 2)).unwrap();
        let mut failing = |size: u64| {
            let result: crate::Result<()> = tx.whole(|tx| {
                tx.write(ino, size, &pattern(8192, 3))?;
                tx.write(ino, size + 8192, &pattern(8192, 3))?;
                Err(Error::FileTooLarge)
            });
            assert_eq!(result.unwrap_err().code(), "file_too_large");
        };
        failing(1 << 20);
        failing(4 << 20);
        tx.write(ino, 4096, &pattern(4096, 2)).unwrap();
        check_records(tx, ino);
    });
    let after = volume.view().inode(ino).unwrap();
    assert_eq!((after.size, after.blocks, after.version), (before.size, before.blocks, before.version + 2));
    let mut model = pattern(1 << 20, 1);
    model[..4096].copy_from_slice(&pattern(4096, 2));
    model[4096..8192].copy_from_slice(&pattern(4096, 2));
    check_bytes(&volume.view(), ino, &model);
}

#[test]
fn a_copy_that_meets_a_corrupt_block_changes_nothing() {
    let volume = volume(64 << 20);
    let (from, to) = (volume.create("from"), volume.create("to"));
    volume.change(|tx| tx.write(from, 0, &pattern(9 << 20, 1)).unwrap());
    volume.change(|tx| tx.write(to, 0, &pattern(10_000, 2)).unwrap());
    let bad = extents_of(&volume.view(), from).last().unwrap().run.start.0;
    volume.device.write_at(&[0; 64], bad * BLOCK).unwrap();
    volume.change(|tx| {
        assert_eq!(tx.copy_range(from, 0, to, 5, 9 << 20).unwrap_err().code(), "corrupt_data");
        assert_eq!(tx.copy_range(from, 0, to, 0, 4096).unwrap(), 4096);
    });
    let mut model = pattern(10_000, 2);
    model[..4096].copy_from_slice(&pattern(9 << 20, 1)[..4096]);
    check_bytes(&volume.view(), to, &model);
    check_records(&volume.view(), to);
}

/// Records that pass every checksum and make no sense: whatever is done with the file, nothing panics.
#[test]
fn forged_records_are_an_error_or_zeros_never_a_panic() {
    let written =
        |start: u64, blocks: usize| Extent::encode_written(BlockNo(start), Seq(1), &vec![7; blocks]);
    let unwritten = |start: u64, len: u32| Extent::encode_unwritten(BlockRun::new(start, len), Seq(1));
    let forgeries: [&[(u8, u64, Vec<u8>)]; 9] = [
        &[(kinds::EXTENT, 0, written(1000, 8)), (kinds::EXTENT, 4096, written(1004, 8))],
        &[(kinds::EXTENT, 0, written(u64::MAX, 256)), (kinds::EXTENT, CHUNK, written(255, 256))],
        &[(kinds::EXTENT, 0, written(u64::MAX - 3, 4)), (kinds::EXTENT, 16384, written(0, 4))],
        &[(kinds::EXTENT, 0, unwritten(u64::MAX, 256))],
        &[(kinds::EXTENT, 0, vec![1, 2, 3])],
        &[(kinds::EXTENT, 5, written(1000, 1))],
        &[(kinds::EXTENT, CHUNK - 4096, written(1000, 2))],
        &[(kinds::INLINE, CHUNK, vec![1; 60_000]), (kinds::INLINE, 0, vec![2; 5000])],
        &[(kinds::EXTENT, MAX - 4096, written(1000, 1)), (kinds::EXTENT, u64::MAX, written(1000, 1))],
    ];
    for (index, forged) in forgeries.iter().enumerate() {
        for (size, blocks) in [(CHUNK + 100, 3), (CHUNK + 100, u64::MAX), (100, 0), (MAX, 1)] {
            let volume = volume(32 << 20);
            let ino = volume.create("f");
            volume.change(|tx| {
                let inode = vexfs_format::Inode { size, blocks, ..tx.inode(ino).unwrap() };
                tx.put_inode(ino, &inode);
                for (kind, offset, value) in *forged {
                    tx.store.put(Key::new(ino.0, *kind, *offset), value.clone());
                }
            });
            let view = volume.view();
            let mut bytes = vec![0; 3 << 20];
            for offset in [0, 1, 4096, CHUNK - 1, MAX - 5] {
                let _ = view.read(ino, offset, &mut bytes);
                let _ = (view.seek_data(ino, offset), view.seek_hole(ino, offset));
            }
            let other = volume.create("g");
            // Never committed: what it would free belongs to others.
            let mut tx = volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
            for offset in [0, 100, 4096, CHUNK - 10, CHUNK + 100] {
                let _ = tx.write(ino, offset, &bytes[..9000]);
                let _ = tx.copy_range(ino, offset, other, 0, CHUNK);
                for what in [
                    Allocate::Grow,
                    Allocate::Punch,
                    Allocate::ZeroKeepSize,
                    Allocate::Insert,
                    Allocate::Collapse,
                ] {
                    let _ = tx.allocate(ino, what, offset / BLOCK * BLOCK, 2 * BLOCK);
                }
            }
            let _ = (
                tx.append(ino, b"x"),
                tx.truncate(ino, 5000),
                tx.truncate(ino, 0),
                tx.write_all(ino, &bytes),
            );
            tx.abort();
            assert!(volume.fs.store().is_writable(), "forgery {index} with size {size}");
        }
    }
}
