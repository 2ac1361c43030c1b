//! A script of file operations that all succeed, drawn by looking at the model, and how each is done to a volume.

use std::sync::Arc;

use vexfs_fs::data::Allocate;
use vexfs_fs::{Follow, FsTx, RenameFlags, SetAttr};

use crate::model::{Kind, Model, Path, split};
use crate::random::Random;

/// Files stay below this, so that reading everything takes no time.
const LONGEST: u64 = 1200 << 10;
const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub enum Op {
    Create(Path),
    Mkdir(Path),
    Symlink(Path, Vec<u8>),
    Link(Path, Path),
    Unlink(Path),
    Rmdir(Path),
    Rmtree(Path),
    Rename(Path, Path, RenameFlags),
    Write(Path, u64, Bytes),
    Append(Path, Bytes),
    WriteAll(Path, Bytes),
    /// Every other block of the file, so many of them: more extents than one step of a removal takes.
    Comb(Path, u64, Bytes),
    Truncate(Path, u64),
    /// Shorter, and at once longer: what the truncation has no time to remove must not come to light again.
    CutAndGrow(Path, u64, u64),
    Allocate(Path, Allocate, u64, u64),
    Copy(Path, u64, Path, u64, u64),
    SetAttribute(Path, Vec<u8>, Bytes),
    RemoveAttribute(Path, Vec<u8>),
    Chmod(Path, u32),
}

/// Bytes that are nowhere else, by what makes them.
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    seed: u64,
    len: u64,
}

impl Bytes {
    fn get(self) -> Vec<u8> {
        let mut random = Random(self.seed);
        let words = (0..self.len.div_ceil(8)).flat_map(|_| random.word().to_le_bytes());
        words.take(self.len as usize).collect()
    }
}

impl Op {
    /// Draws an operation that the model allows.
    pub fn draw(model: &Model, random: &mut Random) -> Self {
        loop {
            let grown = model.paths().iter().map(|(_, id)| size(model.kind(*id))).sum::<u64>() > 4 * MIB;
            let op = match random.below(30) {
                0..=1 => Some(Self::Create(new_path(model, random))),
                2 => Some(Self::Mkdir(new_path(model, random))),
                3 => Some(Self::Symlink(
                    new_path(model, random),
                    b"/x/../".repeat(1 + random.below(30) as usize),
                )),
                4 => file(model, random).map(|path| Self::Link(path, new_path(model, random))),
                5 => file(model, random).map(Self::Unlink),
                6 => empty_dir(model, random).map(Self::Rmdir),
                7 => dir(model, random).map(Self::Rmtree).filter(|_| random.below(3) == 0),
                8..=9 => rename(model, random),
                10 => exchange(model, random),
                11..=23 if grown => file(model, random).map(|path| Self::Truncate(path, random.below(9000))),
                11..=23 => file(model, random).and_then(|path| content(model, path, random)),
                24 => copy(model, random),
                25..=27 => attribute(model, random),
                _ => Some(Self::Chmod(any(model, random), 0o600 | random.below(0o100) as u32)),
            };
            if let Some(op) = op {
                return op;
            }
        }
    }

    /// The name of the operation.
    pub fn verb(&self) -> String {
        let text = format!("{self:?}");
        match self {
            Self::Allocate(_, what, ..) => format!("{what:?}"),
            Self::Rename(_, _, flags) => format!("{flags:?}"),
            _ => text.split('(').next().unwrap().to_owned(),
        }
    }

    pub fn run(&self, tx: &mut FsTx) -> vexfs_fs::Result<()> {
        let ino = |tx: &FsTx, path: &[u8]| tx.resolve(path, Follow::Never);
        match self {
            Self::Create(path) => tx.create_path(path, 0o644).map(drop),
            Self::Mkdir(path) => tx.mkdir_path(path, 0o755).map(drop),
            Self::Symlink(path, target) => tx.symlink_path(target, path).map(drop),
            Self::Link(path, new) => tx.link_path(path, new, Follow::Never).map(drop),
            Self::Unlink(path) => tx.unlink_path(path),
            Self::Rmdir(path) => tx.rmdir_path(path),
            Self::Rmtree(path) => tx.rmtree(path),
            Self::Rename(from, to, flags) => tx.rename_path(from, to, *flags),
            Self::Write(path, offset, bytes) => tx.write(ino(tx, path)?, *offset, &bytes.get()),
            Self::Append(path, bytes) => tx.append(ino(tx, path)?, &bytes.get()).map(drop),
            Self::WriteAll(path, bytes) => tx.write_all(ino(tx, path)?, &bytes.get()),
            Self::Comb(path, teeth, bytes) => {
                let ino = ino(tx, path)?;
                (0..*teeth).try_for_each(|tooth| tx.write(ino, tooth * 2 * BLOCK, &bytes.get()))
            }
            Self::Truncate(path, size) => tx.truncate(ino(tx, path)?, *size),
            Self::CutAndGrow(path, cut, size) => {
                let ino = ino(tx, path)?;
                tx.truncate(ino, *cut)?;
                tx.truncate(ino, *size)
            }
            Self::Allocate(path, what, offset, len) => tx.allocate(ino(tx, path)?, *what, *offset, *len),
            Self::Copy(from, offset, to, at, len) => {
                let copied = tx.copy_range(ino(tx, from)?, *offset, ino(tx, to)?, *at, *len)?;
                assert_eq!(copied, *len);
                Ok(())
            }
            Self::SetAttribute(path, name, bytes) => {
                tx.setxattr_path(path, name, &bytes.get(), Default::default(), Follow::Never)
            }
            Self::RemoveAttribute(path, name) => tx.removexattr_path(path, name, Follow::Never),
            Self::Chmod(path, mode) => {
                let set = SetAttr { mode: Some(*mode), ..SetAttr::default() };
                tx.setattr_path(path, &set, Follow::Never).map(drop)
            }
        }
    }

    pub fn apply(&self, model: &mut Model) {
        match self {
            Self::Create(path) => model.make(path, Kind::File(Arc::default()), 0o644),
            Self::Mkdir(path) => model.make(path, Kind::Dir(Default::default()), 0o755),
            Self::Symlink(path, target) => model.make(path, Kind::Link(target.clone()), 0o777),
            Self::Link(path, new) => model.insert(new, model.find(path)),
            Self::Unlink(path) | Self::Rmdir(path) | Self::Rmtree(path) => drop(model.remove(path)),
            Self::Rename(from, to, RenameFlags::Exchange) => {
                let (one, other) = (model.find(from), model.find(to));
                model.insert(from, other);
                model.insert(to, one);
            }
            // Two names of one inode stay as they are.
            Self::Rename(from, to, _) if exists(model, to) && model.find(from) == model.find(to) => {}
            Self::Rename(from, to, _) => {
                let id = model.remove(from);
                model.insert(to, id);
            }
            Self::Write(path, offset, bytes) => put(model.bytes(path), *offset, &bytes.get()),
            Self::Append(path, bytes) => model.bytes(path).extend(bytes.get()),
            Self::WriteAll(path, bytes) => *model.bytes(path) = bytes.get(),
            Self::Comb(path, teeth, bytes) => {
                let file = model.bytes(path);
                (0..*teeth).for_each(|tooth| put(file, tooth * 2 * BLOCK, &bytes.get()));
            }
            Self::Truncate(path, size) => model.bytes(path).resize(*size as usize, 0),
            Self::CutAndGrow(path, cut, size) => {
                model.bytes(path).truncate(*cut as usize);
                model.bytes(path).resize(*size as usize, 0);
            }
            Self::Allocate(path, what, offset, len) => allocate(model.bytes(path), *what, *offset, *len),
            Self::Copy(from, offset, to, at, len) => {
                let bytes = model.bytes(from)[*offset as usize..][..*len as usize].to_vec();
                put(model.bytes(to), *at, &bytes);
            }
            Self::SetAttribute(path, name, bytes) => {
                let id = model.find(path);
                model.node(id).xattrs.insert(name.clone(), bytes.get());
            }
            Self::RemoveAttribute(path, name) => {
                let id = model.find(path);
                model.node(id).xattrs.remove(name);
            }
            Self::Chmod(path, mode) => {
                let id = model.find(path);
                model.node(id).mode = *mode;
            }
        }
        model.collect();
    }
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let offset = offset as usize;
    if !bytes.is_empty() {
        file.resize(file.len().max(offset + bytes.len()), 0);
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

fn allocate(file: &mut Vec<u8>, what: Allocate, offset: u64, len: u64) {
    let (start, end) = (offset as usize, (offset + len) as usize);
    if matches!(what, Allocate::Grow | Allocate::Zero) {
        file.resize(file.len().max(end), 0);
    }
    let within = start.min(file.len())..end.min(file.len());
    match what {
        Allocate::Grow | Allocate::KeepSize => {}
        Allocate::Punch | Allocate::Zero | Allocate::ZeroKeepSize => file[within].fill(0),
        Allocate::Collapse => drop(file.drain(within)),
        Allocate::Insert => drop(file.splice(start..start, std::iter::repeat_n(0, len as usize))),
    }
}

fn size(kind: &Kind) -> u64 {
    if let Kind::File(bytes) = kind { bytes.len() as u64 } else { 0 }
}

fn exists(model: &Model, path: &[u8]) -> bool {
    model.paths().iter().any(|(other, _)| other == path)
}

/// One of the paths whose kind will do.
fn pick(model: &Model, random: &mut Random, suits: impl Fn(&[u8], &Kind) -> bool) -> Option<Path> {
    let paths = model.paths().into_iter().filter(|(path, id)| suits(path, model.kind(*id)));
    random.one_of(paths.map(|(path, _)| path).collect())
}

fn file(model: &Model, random: &mut Random) -> Option<Path> {
    pick(model, random, |_, kind| matches!(kind, Kind::File(_)))
}

fn dir(model: &Model, random: &mut Random) -> Option<Path> {
    pick(model, random, |path, kind| !path.is_empty() && matches!(kind, Kind::Dir(_)))
}

fn empty_dir(model: &Model, random: &mut Random) -> Option<Path> {
    pick(model, random, |path, kind| {
        !path.is_empty() && matches!(kind, Kind::Dir(entries) if entries.is_empty())
    })
}

/// Anything that has permissions of its own, but for the root.
fn any(model: &Model, random: &mut Random) -> Path {
    let found = pick(model, random, |path, kind| !path.is_empty() && !matches!(kind, Kind::Link(_)));
    found.unwrap_or_else(|| b"/".to_vec())
}

fn new_path(model: &Model, random: &mut Random) -> Path {
    loop {
        let shallow = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count() < 3;
        let dir = pick(model, random, |path, kind| shallow(path) && matches!(kind, Kind::Dir(_))).unwrap();
        let length = if random.below(8) == 0 { 250 } else { 1 };
        let name = vec![b'a' + random.below(12) as u8; length];
        let path = [&dir, &b"/"[..], &name].concat();
        if !exists(model, &path) {
            return path;
        }
    }
}

fn is_under(path: &[u8], ancestor: &[u8]) -> bool {
    path == ancestor || path.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with(b"/"))
}

fn rename(model: &Model, random: &mut Random) -> Option<Op> {
    let from = pick(model, random, |path, _| !path.is_empty())?;
    let is_dir = |path: &[u8]| matches!(model.kind(model.find(path)), Kind::Dir(_));
    if random.below(2) == 0 {
        let to = new_path(model, random);
        let flags = if random.below(2) == 0 { RenameFlags::NoReplace } else { RenameFlags::Replace };
        return (!is_under(split(&to).0, &from)).then_some(Op::Rename(from, to, flags));
    }
    let to =
        if is_dir(&from) { empty_dir(model, random)? } else { pick(model, random, |path, _| !is_dir(path))? };
    (!is_under(&to, &from)).then_some(Op::Rename(from, to, RenameFlags::Replace))
}

fn exchange(model: &Model, random: &mut Random) -> Option<Op> {
    let from = pick(model, random, |path, _| !path.is_empty())?;
    let to = pick(model, random, |path, _| !is_under(path, &from) && !is_under(&from, path))?;
    Some(Op::Rename(from, to, RenameFlags::Exchange))
}

/// A length around the places where something changes: in the inode's item, one block, a carried run, a large one.
fn length(random: &mut Random) -> u64 {
    match random.below(8) {
        0..=2 => 1 + random.below(2100),
        3 => BLOCK - 2 + random.below(5),
        4..=5 => 1 + random.below(40_000),
        6 => BLOCK * (1 + random.below(4)),
        _ => 60_000 + random.below(200_000),
    }
}

/// Some change of what the file at the path holds.
fn content(model: &Model, path: Path, random: &mut Random) -> Option<Op> {
    let size = size(model.kind(model.find(&path)));
    let bytes = Bytes { seed: random.word(), len: length(random) };
    let place = match random.below(6) {
        0 => MIB - 5000,
        1 => size,
        2 => size / BLOCK * BLOCK,
        _ => random.below(size + 9000),
    };
    let blocks = |random: &mut Random| BLOCK * (1 + random.below(5));
    let op = match random.below(20) {
        12..=14 if size > MIB => Op::CutAndGrow(path, random.below(100_000), size - random.below(5000)),
        0..=4 => Op::Write(path, place, bytes),
        5..=8 => Op::Append(path, bytes),
        9..=11 => Op::WriteAll(path, bytes),
        12 => Op::Comb(path, 135, Bytes { len: 1 + bytes.len % BLOCK, ..bytes }),
        13..=14 => Op::Truncate(path, random.below(size.max(1) * 3 / 2)),
        15 => Op::Allocate(path, Allocate::Punch, place, bytes.len),
        16 if random.below(2) == 0 => Op::Allocate(path, Allocate::Zero, place, bytes.len),
        16 => Op::Allocate(path, Allocate::ZeroKeepSize, place, bytes.len),
        17 if random.below(2) == 0 => Op::Allocate(path, Allocate::Grow, place, bytes.len),
        17 => Op::Allocate(path, Allocate::KeepSize, place, bytes.len),
        18 => Op::Allocate(path, Allocate::Collapse, place / BLOCK * BLOCK, blocks(random)),
        _ => Op::Allocate(path, Allocate::Insert, place / BLOCK * BLOCK, blocks(random)),
    };
    match &op {
        Op::Allocate(_, Allocate::Collapse, offset, len) if offset + len >= size => None,
        Op::Allocate(_, Allocate::Insert, offset, len) if *offset >= size || size + len > LONGEST => None,
        Op::Append(_, bytes) if size + bytes.len > LONGEST => None,
        Op::Write(_, offset, Bytes { len, .. }) | Op::Allocate(_, _, offset, len)
            if offset + len > LONGEST =>
        {
            None
        }
        _ => Some(op),
    }
}

fn copy(model: &Model, random: &mut Random) -> Option<Op> {
    let (from, to) = (file(model, random)?, file(model, random)?);
    let size = size(model.kind(model.find(&from)));
    let offset = random.below(size.max(1));
    let len = length(random).min(size - offset);
    // Within one file the ranges must not overlap: what is copied goes behind them.
    let at = if model.find(&from) == model.find(&to) { offset + len } else { random.below(50_000) };
    (len > 0 && at + len <= LONGEST).then_some(Op::Copy(from, offset, to, at, len))
}

fn attribute(model: &Model, random: &mut Random) -> Option<Op> {
    let path = any(model, random);
    let name = [&b"user."[..], &[b'p' + random.below(4) as u8]].concat();
    let id = model.find(&path);
    let there = model.clone().node(id).xattrs.contains_key(&name);
    match there && random.below(2) == 0 {
        true => Some(Op::RemoveAttribute(path, name)),
        false => {
            let len = if random.below(3) == 0 { 2000 + random.below(9000) } else { random.below(300) };
            Some(Op::SetAttribute(path, name, Bytes { seed: random.word(), len }))
        }
    }
}
