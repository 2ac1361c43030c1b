//! Several transactions and threads on one file.

use std::thread;

use vexfs_format::Ino;

use super::super::{Allocate, BLOCK, CHUNK_BLOCKS};
use super::{CHUNK, Volume, check_bytes, check_records, pattern, volume};
use crate::{Caller, Durability, FsTx, Isolation};

type Change<'a> = &'a dyn Fn(&mut FsTx, Ino);

/// Does both changes in transactions that began before either was committed; says whether the second conflicts.
fn conflict(volume: &Volume, ino: Ino, first: Change<'_>, second: Change<'_>) -> bool {
    let begin = || volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    let (mut a, mut b) = (begin(), begin());
    first(&mut a, ino);
    second(&mut b, ino);
    a.commit(Durability::Visible).unwrap();
    let result = b.commit(Durability::Visible);
    check_records(&volume.view(), ino);
    match result {
        Ok(_) => false,
        Err(error) => {
            assert!(error.is_conflict(), "{error}");
            true
        }
    }
}

#[test]
fn writers_of_different_chunks_do_not_conflict_whatever_the_order() {
    let volume = volume(64 << 20);
    let ino = volume.create("f");
    let mut model = pattern(4 * CHUNK as usize, 1);
    volume.change(|tx| tx.write(ino, 0, &model).unwrap());
    let begin = || volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    let mut all: Vec<FsTx> = (0..4).map(|_| begin()).collect();
    for (chunk, tx) in all.iter_mut().enumerate() {
        for spot in [0, 70_000, 500_001] {
            let (at, data) = (chunk * CHUNK as usize + spot, pattern(30_000, chunk as u8 + 7));
            tx.write(ino, at as u64, &data).unwrap();
            model[at..at + data.len()].copy_from_slice(&data);
        }
    }
    let before = volume.view().inode(ino).unwrap();
    for tx in [2, 0, 1, 0].map(|index| all.remove(index)) {
        tx.commit(Durability::Visible).unwrap();
    }
    check_bytes(&volume.view(), ino, &model);
    check_records(&volume.view(), ino);
    assert_eq!(volume.view().inode(ino).unwrap().version, before.version + 12);
}

#[test]
fn transactions_that_would_spoil_each_other_conflict() {
    let at = |offset: u64, len: usize| {
        move |tx: &mut FsTx, ino: Ino| tx.write(ino, offset, &pattern(len, 3)).unwrap()
    };
    let truncate = |size: u64| move |tx: &mut FsTx, ino: Ino| tx.truncate(ino, size).unwrap();
    let allocate = |what: Allocate, offset: u64, len: u64| {
        move |tx: &mut FsTx, ino: Ino| tx.allocate(ino, what, offset, len).unwrap()
    };
    let append = |len: usize| {
        move |tx: &mut FsTx, ino: Ino| {
            tx.append(ino, &pattern(len, 5)).unwrap();
        }
    };
    let replace = |tx: &mut FsTx, ino: Ino| tx.write_all(ino, b"new").unwrap();
    // Each pair, on a file of 3 MiB and 100 bytes with a hole in the second MiB, in both orders.
    let pairs: [(&str, Change<'_>, Change<'_>); 14] = [
        ("the same block", &at(0, 4096), &at(0, 4096)),
        ("a hole of one chunk", &at(CHUNK, 40960), &at(CHUNK + 8192, 4096)),
        ("write and truncate", &at(CHUNK + 4096, 4096), &truncate(5000)),
        ("write and lengthen", &at(0, 4096), &truncate(5 * CHUNK)),
        ("write into a hole and collapse", &at(CHUNK + 4096, 4096), &allocate(Allocate::Collapse, 0, CHUNK)),
        ("write into a hole and insert", &at(CHUNK + 4096, 4096), &allocate(Allocate::Insert, 0, CHUNK)),
        ("write and preallocate", &at(CHUNK + 4096, 4096), &allocate(Allocate::KeepSize, 0, 2 * CHUNK)),
        ("write and punch", &at(CHUNK + 4096, 4096), &allocate(Allocate::Punch, 0, 2 * CHUNK)),
        ("two appends", &append(10), &append(10)),
        ("append and a write far behind", &append(10), &at(6 * CHUNK, 4096)),
        ("tail and a write far behind", &at(3 * CHUNK + 50, 20), &at(6 * CHUNK, 4096)),
        ("write and replace", &at(0, 4096), &replace),
        ("two truncations", &truncate(1), &truncate(2)),
        ("lengthen and tail", &truncate(7 * CHUNK), &append(1)),
    ];
    for (what, one, other) in pairs {
        for (first, second) in [(one, other), (other, one)] {
            let volume = volume(64 << 20);
            let ino = volume.create("f");
            volume.change(|tx| {
                tx.write(ino, 0, &pattern(3 * CHUNK as usize + 100, 1)).unwrap();
                tx.allocate(ino, Allocate::Punch, CHUNK, CHUNK).unwrap();
            });
            assert!(conflict(&volume, ino, first, second), "{what}");
        }
    }
}

#[test]
fn a_write_and_the_removal_of_its_file_conflict() {
    let volume = volume(32 << 20);
    let ino = volume.create("f");
    let write = |tx: &mut FsTx, ino: Ino| tx.write(ino, 8 * CHUNK, &pattern(8192, 1)).unwrap();
    let mut late = volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
    write(&mut late, ino);
    volume.change(|tx| tx.unlink(Ino(1), b"f").unwrap());
    assert!(late.commit(Durability::Visible).unwrap_err().is_conflict());
}

#[test]
fn threads_that_write_parts_of_one_file_lose_nothing() {
    let volume = volume(128 << 20);
    let ino = volume.create("f");
    let hold = volume.fs.hold(ino, None).unwrap();
    let blocks = 6 * CHUNK_BLOCKS;
    let byte = |block: u64| (block % 251) as u8 + 1;
    thread::scope(|scope| {
        for thread in 0..4 {
            let volume = &volume;
            scope.spawn(move || {
                // Interleaved, so that neighbours in a chunk belong to different threads.
                for block in (0..blocks).filter(|block| block % 4 == thread) {
                    let data = [byte(block); 4096];
                    let place = (block * 7 % blocks) * BLOCK;
                    volume.fs.auto(&Caller::root(), |tx| tx.write(ino, place, &data)).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..50 {
                let view = volume.view();
                let bytes = view.read_all(ino).unwrap();
                assert!(bytes.chunks(4096).all(|block| block.iter().all(|&b| b == block[0])), "a torn block");
            }
        });
    });
    drop(hold);
    let mut model = vec![0; (blocks * BLOCK) as usize];
    for block in 0..blocks {
        let at = (block * 7 % blocks * BLOCK) as usize;
        model[at..at + 4096].fill(byte(block));
    }
    check_bytes(&volume.view(), ino, &model);
    check_records(&volume.view(), ino);
}
