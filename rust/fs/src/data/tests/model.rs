//! A file against a vector of bytes, by random operations at the offsets that matter; and what a file's records
//! must look like after each.

use std::ops::Range;

use proptest::prelude::*;
use vexfs_format::Ino;
use vexfs_store::CheckpointKind;

use super::super::{Allocate, BLOCK};
use super::{CHUNK, check_bytes, check_records, pattern, volume};
use crate::{Caller, Durability, FsTx, Isolation};

const LIMIT: u64 = 3 * CHUNK + 5000;

#[derive(Clone, Debug)]
enum Op {
    Write(usize, u64, usize, u8),
    Append(usize, usize, u8),
    WriteAll(usize, usize, u8),
    WriteBoth(usize, usize, u8),
    Truncate(usize, u64),
    Allocate(usize, Allocate, u64, u64),
    Copy(usize, u64, usize, u64, u64),
    Scatter(usize, u64, u8),
    Read(usize, u64, usize),
    Checkpoint,
    Reopen,
    Kill,
}

/// Offsets in and around blocks, tails and chunks.
fn offset() -> impl Strategy<Value = u64> {
    let border = prop::sample::select(vec![0, 1, 2, 3, 100, 255, 256, 257, 511, 512, 700]);
    let around = prop_oneof![Just(0), Just(1), Just(2047), Just(2048), Just(2049), Just(4095), 0..4096_u64];
    (border, around).prop_map(|(block, rest)| (block * BLOCK + rest).min(LIMIT - 1))
}

fn len() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 1..300_u64,
        3 => prop::sample::select(vec![1, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 65536, CHUNK - 1, CHUNK, CHUNK + 1]),
        2 => 1..40_000_u64,
        1 => 1..2 * CHUNK,
    ]
}

fn op() -> impl Strategy<Value = Op> {
    use Allocate::{Collapse, Grow, Insert, KeepSize, Punch, Zero, ZeroKeepSize};
    let what = prop::sample::select(vec![Grow, KeepSize, Punch, Punch, Zero, ZeroKeepSize]);
    let shift = prop::sample::select(vec![Collapse, Insert]);
    let file = 0..2_usize;
    prop_oneof![
        6 => (file.clone(), offset(), len(), 1..=255_u8).prop_map(|(f, o, l, s)| Op::Write(f, o, l as usize, s)),
        2 => (file.clone(), len(), 1..=255_u8).prop_map(|(f, l, s)| Op::Append(f, l as usize, s)),
        1 => (file.clone(), len(), 1..=255_u8).prop_map(|(f, l, s)| Op::WriteAll(f, l as usize, s)),
        1 => (len(), len(), 1..=255_u8).prop_map(|(a, b, s)| Op::WriteBoth(a as usize, b as usize, s)),
        3 => (file.clone(), offset()).prop_map(|(f, o)| Op::Truncate(f, o)),
        3 => (file.clone(), what, offset(), len()).prop_map(|(f, w, o, l)| Op::Allocate(f, w, o, l)),
        2 => (file.clone(), shift, 0..700_u64, 1..300_u64)
            .prop_map(|(f, w, o, l)| Op::Allocate(f, w, o * BLOCK, l * BLOCK)),
        2 => (file.clone(), offset(), file.clone(), offset(), len()).prop_map(|(f, o, t, p, l)| Op::Copy(f, o, t, p, l)),
        1 => (file.clone(), 1..7_u64, 1..=255_u8).prop_map(|(f, s, v)| Op::Scatter(f, s, v)),
        2 => (file, offset(), len()).prop_map(|(f, o, l)| Op::Read(f, o, l as usize)),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Reopen),
        1 => Just(Op::Kill),
    ]
}

fn put(model: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let end = offset as usize + data.len();
    if !data.is_empty() && model.len() < end {
        model.resize(end, 0);
    }
    model[offset as usize..end].copy_from_slice(data);
}

fn zero(model: &mut [u8], bytes: Range<u64>) {
    let len = model.len();
    model[(bytes.start as usize).min(len)..(bytes.end as usize).min(len)].fill(0);
}

/// What a change does to the bytes; false if it must be refused.
fn allocate_model(model: &mut Vec<u8>, what: Allocate, offset: u64, len: u64) -> bool {
    let (size, end) = (model.len() as u64, offset + len);
    match what {
        Allocate::Grow => model.resize(size.max(end) as usize, 0),
        Allocate::KeepSize => {}
        Allocate::Punch | Allocate::ZeroKeepSize => zero(model, offset..end),
        Allocate::Zero => {
            zero(model, offset..end);
            model.resize(size.max(end) as usize, 0);
        }
        Allocate::Collapse if end < size => drop(model.drain(offset as usize..end as usize)),
        Allocate::Insert if offset < size => {
            model.splice(offset as usize..offset as usize, std::iter::repeat_n(0, len as usize));
        }
        Allocate::Collapse | Allocate::Insert => return false,
    }
    true
}

/// Does a change in a transaction; returns what the bytes are afterwards.
fn apply(tx: &mut FsTx, files: [Ino; 2], models: &[Vec<u8>; 2], op: &Op) -> [Vec<u8>; 2] {
    let mut models = models.clone();
    match *op {
        Op::Write(file, offset, len, seed) => {
            let data = pattern(len, seed);
            tx.write(files[file], offset, &data).unwrap();
            put(&mut models[file], offset, &data);
        }
        Op::Append(file, len, seed) => {
            let data = pattern(len, seed);
            assert_eq!(tx.append(files[file], &data).unwrap(), models[file].len() as u64);
            models[file].extend_from_slice(&data);
        }
        Op::WriteAll(file, len, seed) => {
            models[file] = pattern(len, seed);
            tx.write_all(files[file], &models[file]).unwrap();
        }
        Op::WriteBoth(a, b, seed) => {
            models = [pattern(a, seed), pattern(b, !seed)];
            let wrong = pattern(5000, seed);
            tx.write_files(&[(files[1], &wrong), (files[0], &models[0]), (files[1], &models[1])]).unwrap();
        }
        Op::Truncate(file, size) => {
            tx.truncate(files[file], size).unwrap();
            models[file].resize(size as usize, 0);
        }
        Op::Allocate(file, what, offset, len) => {
            let allowed = allocate_model(&mut models[file], what, offset, len);
            assert_eq!(tx.allocate(files[file], what, offset, len).is_ok(), allowed);
        }
        Op::Copy(from, offset, to, to_offset, len) => {
            let size = models[from].len() as u64;
            let copied = len.min(size.saturating_sub(offset));
            let overlap = from == to && offset < to_offset + copied && to_offset < offset + copied;
            let result = tx.copy_range(files[from], offset, files[to], to_offset, len);
            if overlap {
                assert_eq!(result.unwrap_err().code(), "invalid_argument");
            } else {
                assert_eq!(result.unwrap(), copied);
                let data = models[from]
                    .get(offset as usize..(offset + copied) as usize)
                    .unwrap_or_default()
                    .to_vec();
                if copied > 0 {
                    put(&mut models[to], to_offset, &data);
                }
            }
        }
        Op::Scatter(file, step, seed) => {
            // From the back, so that nothing is joined: a file of many extents.
            let mut at = models[file].len() as u64 / BLOCK;
            while at > step {
                at -= step;
                let data = pattern(BLOCK as usize, seed);
                tx.write(files[file], at * BLOCK, &data).unwrap();
                put(&mut models[file], at * BLOCK, &data);
            }
        }
        Op::Read(file, offset, len) => {
            let mut bytes = vec![7; len];
            let read = tx.read(files[file], offset, &mut bytes).unwrap();
            let start = (offset as usize).min(models[file].len());
            assert!(bytes[..read] == models[file][start..(start + len).min(models[file].len())]);
        }
        Op::Checkpoint | Op::Reopen | Op::Kill => {}
    }
    models
}

/// How a step ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Abort,
    RollBack,
}

fn step() -> impl Strategy<Value = (Vec<Op>, End)> {
    let end = prop_oneof![6 => Just(End::Commit), 1 => Just(End::Abort), 1 => Just(End::RollBack)];
    (prop::collection::vec(op(), 1..4), end)
}

fn run(steps: &[(Vec<Op>, End)]) {
    let mut volume = volume(96 << 20);
    let empty = volume.free_blocks();
    let files = [volume.create("a"), volume.create("b")];
    let mut models = [Vec::new(), Vec::new()];
    for (ops, end) in steps {
        let mut tx = volume.fs.begin(&Caller::root(), Isolation::Snapshot).unwrap();
        let savepoint = matches!(end, End::RollBack).then(|| tx.savepoint());
        let mut after = models.clone();
        for op in ops {
            after = apply(&mut tx, files, &after, op);
            let sizes: Vec<_> = after.iter().map(Vec::len).collect();
            assert!(sizes.iter().all(|size| *size as u64 <= 8 * LIMIT));
            files.iter().for_each(|file| check_records(&tx, *file));
        }
        files.iter().zip(&after).for_each(|(file, model)| check_bytes(&tx, *file, model));
        if let Some(savepoint) = savepoint {
            tx.rollback_to(savepoint);
            files.iter().zip(&models).for_each(|(file, model)| check_bytes(&tx, *file, model));
        }
        match end {
            End::Abort => drop(tx),
            End::RollBack => drop(tx.commit(Durability::Visible).unwrap()),
            End::Commit => match tx.commit(Durability::Visible) {
                Ok(_) => models = after,
                Err(error) => assert_eq!(error.code(), "too_large"),
            },
        }
        for op in ops {
            match op {
                Op::Checkpoint => drop(volume.fs.store().checkpoint(CheckpointKind::Incremental).unwrap()),
                Op::Reopen => volume.reopen(),
                Op::Kill => volume.kill(),
                _ => {}
            }
        }
        let view = volume.view();
        for (file, model) in files.iter().zip(&models) {
            check_records(&view, *file);
            check_bytes(&view, *file, model);
        }
    }
    volume.change(|tx| tx.unlink(Ino(1), b"a").unwrap());
    volume.change(|tx| tx.unlink(Ino(1), b"b").unwrap());
    assert_eq!(volume.free_blocks(), empty, "blocks that nothing refers to");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_a_vector_of_bytes(steps in prop::collection::vec(step(), 1..24)) {
        run(&steps);
    }
}
