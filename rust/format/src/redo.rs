//! The redo record: what one transaction leaves in the log.
//!
//! Absolute outcomes only: the value that a key has afterwards, or that it has none; runs of blocks and inode
//! numbers taken and given back. Replaying a record twice is the same as once. A [`RecordView`] can only be made
//! of bytes whose every length was followed to the end and came out exactly.
//!
//! A run of blocks that holds data is either *set*, its bytes having been written to their place, or *carried*: then
//! the record has them too, and whoever replays it puts them there.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::error::{Error, Result};
use crate::record;
use crate::types::{BLOCK_SIZE, BlockRun, Ino, Key, RawKey, Seq};

const WHAT: &str = "redo record";

/// The key has the value that follows.
pub const OP_PUT: u8 = 1;
/// The key has no value.
pub const OP_DELETE: u8 = 2;

/// The run's checksum is valid: its blocks hold data that recovery can verify.
pub const SET_SUMMED: u32 = 1;

record! {
    /// The head of a redo record. Operations follow, then sets, frees, inode sets, inode frees, carried sets, and
    /// the blocks of the carried sets.
    pub struct RecordHeader: 40 {
        /// Bytes in the record, this header included.
        0 length: U32,
        /// Operations on keys.
        4 ops: U32,
        /// Place of the transaction in the order of all commits.
        8 seq: U64,
        /// Runs of blocks taken whose bytes are not in the record.
        16 sets: U32,
        /// Runs of blocks given back.
        20 frees: U32,
        /// Inode numbers taken.
        24 inode_sets: U32,
        /// Inode numbers given back.
        28 inode_frees: U32,
        /// Zero.
        32 flags: U32,
        /// Runs of blocks taken whose bytes are in the record.
        36 carried: U32,
    }
}

record! {
    /// The head of one operation. A put's value follows.
    pub struct OpHeader: 22 {
        /// The key.
        0 key: RawKey,
        /// 1 put, 2 delete.
        17 op: u8,
        /// Bytes of value; 0 for a delete.
        18 length: U32,
    }
}

record! {
    /// A run of blocks that the transaction took.
    pub struct RawSet: 20 {
        /// The first block.
        0 start: U64,
        /// How many.
        8 len: U32,
        /// CRC32C over the little-endian array of the CRC32Cs of the run's blocks.
        12 crc: U32,
        /// Bit 0: `crc` is valid, as always if the run is carried.
        16 flags: U32,
    }
}

record! {
    /// A run of blocks that the transaction gave back.
    pub struct RawFree: 20 {
        /// The first block.
        0 start: U64,
        /// How many.
        8 len: U32,
        /// Sequence number of the transaction that took the run.
        12 birth: U64,
    }
}

/// Bytes of a record beside those of its values.
#[must_use]
pub const fn record_bytes(ops: u64, value_bytes: u64, sets: u64, frees: u64, inodes: u64) -> u64 {
    (size_of::<RecordHeader>() as u64)
        .saturating_add(ops.saturating_mul(size_of::<OpHeader>() as u64))
        .saturating_add(value_bytes)
        .saturating_add(sets.saturating_mul(size_of::<RawSet>() as u64))
        .saturating_add(frees.saturating_mul(size_of::<RawFree>() as u64))
        .saturating_add(inodes.saturating_mul(size_of::<U64>() as u64))
}

/// A run of blocks taken by a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetRun {
    /// The blocks.
    pub run: BlockRun,
    /// CRC32C over the little-endian array of the blocks' CRC32Cs, if they hold data to verify.
    pub crc: Option<u32>,
}

impl From<SetRun> for RawSet {
    fn from(set: SetRun) -> Self {
        Self {
            start: set.run.start.to_le(),
            len: U32::new(set.run.len),
            crc: U32::new(set.crc.unwrap_or(0)),
            flags: U32::new(if set.crc.is_some() { SET_SUMMED } else { 0 }),
        }
    }
}

impl From<&RawSet> for SetRun {
    fn from(raw: &RawSet) -> Self {
        Self {
            run: BlockRun::new(raw.start.get(), raw.len.get()),
            crc: (raw.flags.get() & SET_SUMMED != 0).then_some(raw.crc.get()),
        }
    }
}

/// A run of blocks taken by a transaction whose record has their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The blocks.
    pub run: BlockRun,
    /// CRC32C over the little-endian array of the blocks' CRC32Cs.
    pub crc: u32,
    /// What they hold.
    pub bytes: &'a [u8],
    /// Where `bytes` begin in the record's bytes.
    pub offset: usize,
}

impl Carried<'_> {
    /// Whether its bytes are those that the checksum was made of.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        digest_of(self.bytes) == self.crc
    }
}

/// The checksum of a run, from those of its blocks.
pub fn digest(checksums: impl IntoIterator<Item = u32>) -> u32 {
    checksums.into_iter().fold(0, |digest, checksum| crc32c::crc32c_append(digest, &checksum.to_le_bytes()))
}

/// The checksum of a run, from the bytes of its blocks.
#[must_use]
pub fn digest_of(blocks: &[u8]) -> u32 {
    digest(blocks.chunks(BLOCK_SIZE).map(crc32c::crc32c))
}

/// A run of blocks given back by a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeRun {
    /// The blocks.
    pub run: BlockRun,
    /// Sequence number of the transaction that took them.
    pub birth: Seq,
}

/// What a transaction does to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    /// The key.
    pub key: Key,
    /// Its value; `None` if it has none any more.
    pub value: Option<&'a [u8]>,
    /// Where the operation begins in the record's bytes: [`Op::read`] there gives it again.
    pub offset: usize,
}

impl<'a> Op<'a> {
    /// Reads the operation that begins at `offset` of `bytes`.
    pub fn read(bytes: &'a [u8], offset: usize) -> Result<Self> {
        let rest = bytes.get(offset..).unwrap_or_default();
        let (head, rest) = OpHeader::ref_from_prefix(rest).map_err(|_| truncated(bytes))?;
        let length = head.length.get();
        let value = match head.op {
            OP_PUT => Some(rest.get(..length as usize).ok_or_else(|| truncated(bytes))?),
            OP_DELETE if length == 0 => None,
            OP_DELETE => return Err(bad("length of a deletion", length)),
            op => return Err(bad("operation", op.into())),
        };
        Ok(Self { key: head.key.into(), value, offset })
    }

    /// Bytes that the operation takes in the record.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        size_of::<OpHeader>().saturating_add(self.value.map_or(0, <[u8]>::len))
    }
}

/// Makes a record. Operations come first, in any order the caller likes; the rest may be added at any time.
#[derive(Clone, Debug)]
pub struct RecordBuilder {
    bytes: Vec<u8>,
    ops: u32,
    sets: Vec<RawSet>,
    frees: Vec<RawFree>,
    inode_sets: Vec<U64>,
    inode_frees: Vec<U64>,
    carried: Vec<RawSet>,
    carried_bytes: Vec<u8>,
}

impl Default for RecordBuilder {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl RecordBuilder {
    /// An empty record with room for `bytes` bytes of operations.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes.saturating_add(size_of::<RecordHeader>()));
        buffer.resize(size_of::<RecordHeader>(), 0);
        Self {
            bytes: buffer,
            ops: 0,
            sets: Vec::new(),
            frees: Vec::new(),
            inode_sets: Vec::new(),
            inode_frees: Vec::new(),
            carried: Vec::new(),
            carried_bytes: Vec::new(),
        }
    }

    /// Bytes that [`finish`](Self::finish) will give.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
            + size_of_val(self.sets.as_slice())
            + size_of_val(self.frees.as_slice())
            + size_of_val(self.inode_sets.as_slice())
            + size_of_val(self.inode_frees.as_slice())
            + size_of_val(self.carried.as_slice())
            + self.carried_bytes.len()
    }

    /// Gives the key a value.
    pub fn put(&mut self, key: Key, value: &[u8]) {
        self.op(key, OP_PUT, value);
    }

    /// Takes the key's value away.
    pub fn delete(&mut self, key: Key) {
        self.op(key, OP_DELETE, &[]);
    }

    fn op(&mut self, key: Key, op: u8, value: &[u8]) {
        let length = U32::new(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(OpHeader { key: key.into(), op, length }.as_bytes());
        self.bytes.extend_from_slice(value);
        self.ops = self.ops.saturating_add(1);
    }

    /// Takes a run of blocks.
    pub fn set(&mut self, set: SetRun) {
        self.sets.push(set.into());
    }

    /// Takes a run of blocks and carries their bytes, which are as long as the run.
    pub fn carry(&mut self, run: BlockRun, crc: u32, bytes: &[u8]) {
        debug_assert_eq!(run.bytes(), bytes.len() as u64);
        self.carried.push(SetRun { run, crc: Some(crc) }.into());
        self.carried_bytes.extend_from_slice(bytes);
    }

    /// Gives a run of blocks back.
    pub fn free(&mut self, free: FreeRun) {
        let FreeRun { run, birth } = free;
        self.frees.push(RawFree { start: run.start.to_le(), len: U32::new(run.len), birth: birth.to_le() });
    }

    /// Takes an inode number.
    pub fn set_inode(&mut self, ino: Ino) {
        self.inode_sets.push(ino.to_le());
    }

    /// Gives an inode number back.
    pub fn free_inode(&mut self, ino: Ino) {
        self.inode_frees.push(ino.to_le());
    }

    /// The finished record, still without its place in the order: see [`set_seq`].
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let count = |len: usize| U32::new(u32::try_from(len).unwrap_or(u32::MAX));
        let header = RecordHeader {
            length: count(self.encoded_len()),
            ops: U32::new(self.ops),
            seq: U64::ZERO,
            sets: count(self.sets.len()),
            frees: count(self.frees.len()),
            inode_sets: count(self.inode_sets.len()),
            inode_frees: count(self.inode_frees.len()),
            flags: U32::ZERO,
            carried: count(self.carried.len()),
        };
        if let Some(head) = self.bytes.get_mut(..size_of::<RecordHeader>()) {
            head.copy_from_slice(header.as_bytes());
        }
        self.bytes.extend_from_slice(self.sets.as_bytes());
        self.bytes.extend_from_slice(self.frees.as_bytes());
        self.bytes.extend_from_slice(self.inode_sets.as_bytes());
        self.bytes.extend_from_slice(self.inode_frees.as_bytes());
        self.bytes.extend_from_slice(self.carried.as_bytes());
        self.bytes.extend_from_slice(&self.carried_bytes);
        self.bytes
    }
}

/// Writes the place in the order of commits into a finished record: it is known only when the commit happens.
pub fn set_seq(record: &mut [u8], seq: Seq) {
    if let Ok((header, _)) = RecordHeader::mut_from_prefix(record) {
        header.seq = seq.to_le();
    }
}

/// A record whose structure was checked.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    header: &'a RecordHeader,
    bytes: &'a [u8],
    sets: &'a [RawSet],
    frees: &'a [RawFree],
    inode_sets: &'a [U64],
    inode_frees: &'a [U64],
    carried: &'a [RawSet],
}

impl<'a> RecordView<'a> {
    /// Reads the record that `bytes` begin with, and checks every length in it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (header, _) = RecordHeader::ref_from_prefix(bytes).map_err(|_| truncated(bytes))?;
        let bytes = bytes.get(..header.length.get() as usize).ok_or_else(|| truncated(bytes))?;
        if header.flags.get() != 0 {
            return Err(bad("flags", header.flags.get()));
        }
        let mut at = size_of::<RecordHeader>();
        for _ in 0..header.ops.get() {
            let op = Op::read(bytes, at)?;
            at = at.saturating_add(op.encoded_len());
        }
        let rest = bytes.get(at..).ok_or_else(|| truncated(bytes))?;
        let (sets, rest) = array(rest, header.sets)?;
        let (frees, rest) = array(rest, header.frees)?;
        let (inode_sets, rest) = array(rest, header.inode_sets)?;
        let (inode_frees, rest) = array(rest, header.inode_frees)?;
        let (carried, rest) = array::<RawSet>(rest, header.carried)?;
        if let Some(set) = carried.iter().find(|set| set.flags.get() != SET_SUMMED) {
            return Err(bad("flags of a carried run", set.flags.get()));
        }
        let blocks: u64 = carried.iter().map(|set| u64::from(set.len.get())).fold(0, u64::saturating_add);
        match blocks.saturating_mul(BLOCK_SIZE as u64) == rest.len() as u64 {
            true => Ok(Self { header, bytes, sets, frees, inode_sets, inode_frees, carried }),
            false => Err(bad("length", header.length.get())),
        }
    }

    /// Bytes in the record.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// The transaction's place in the order of all commits.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.header.seq.into()
    }

    /// How many operations there are.
    #[must_use]
    pub fn op_count(&self) -> u32 {
        self.header.ops.get()
    }

    /// The operations, in the order in which they were added.
    pub fn ops(&self) -> impl Iterator<Item = Op<'a>> + 'a {
        let bytes = self.bytes;
        let mut at = size_of::<RecordHeader>();
        (0..self.header.ops.get()).map_while(move |_| {
            let op = Op::read(bytes, at).ok()?;
            at = at.saturating_add(op.encoded_len());
            Some(op)
        })
    }

    /// All runs of blocks taken.
    pub fn taken(&self) -> impl Iterator<Item = BlockRun> + 'a {
        self.sets.iter().chain(self.carried).map(|raw| SetRun::from(raw).run)
    }

    /// The runs of blocks taken whose bytes are not in the record.
    pub fn sets(&self) -> impl ExactSizeIterator<Item = SetRun> + 'a {
        self.sets.iter().map(SetRun::from)
    }

    /// The runs of blocks taken whose bytes are in the record.
    pub fn carried(&self) -> impl Iterator<Item = Carried<'a>> + 'a {
        let bytes = self.bytes;
        let blocks: usize = self.carried.iter().map(|set| set.len.get() as usize).sum();
        let mut at = bytes.len().saturating_sub(blocks.saturating_mul(BLOCK_SIZE));
        self.carried.iter().map_while(move |raw| {
            let (run, offset) = (SetRun::from(raw).run, at);
            at = at.saturating_add((run.len as usize).saturating_mul(BLOCK_SIZE));
            Some(Carried { run, crc: raw.crc.get(), bytes: bytes.get(offset..at)?, offset })
        })
    }

    /// The runs of blocks given back.
    pub fn frees(&self) -> impl ExactSizeIterator<Item = FreeRun> + 'a {
        self.frees.iter().map(|raw| FreeRun {
            run: BlockRun::new(raw.start.get(), raw.len.get()),
            birth: raw.birth.into(),
        })
    }

    /// The inode numbers taken.
    pub fn inode_sets(&self) -> impl ExactSizeIterator<Item = Ino> + 'a {
        self.inode_sets.iter().map(|&raw| raw.into())
    }

    /// The inode numbers given back.
    pub fn inode_frees(&self) -> impl ExactSizeIterator<Item = Ino> + 'a {
        self.inode_frees.iter().map(|&raw| raw.into())
    }
}

fn array<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8], count: U32) -> Result<(&[T], &[u8])> {
    <[T]>::ref_from_prefix_with_elems(bytes, count.get() as usize).map_err(|_| truncated(bytes))
}

fn truncated(bytes: &[u8]) -> Error {
    Error::Truncated { what: WHAT, need: bytes.len().saturating_add(1), have: bytes.len() }
}

const fn bad(field: &'static str, value: u32) -> Error {
    Error::BadValue { what: WHAT, field, value: value as u64 }
}
