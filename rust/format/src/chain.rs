//! Chains of blocks: lists that a checkpoint writes beside the tree, because writing the tree must not change
//! what is being written. A chain is immutable and is written from its last block to its first. Every block is
//! named, with its checksum, by the pointer before it; the pointer also counts the blocks from there on, so that
//! following a chain always ends.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::Result;
use crate::pointer::{ChainPtr, RawChainPtr};
use crate::record;
use crate::stamp::{self, Stamp, Structure};
use crate::types::{BLOCK_SIZE, Block, BlockNo};

record! {
    /// The head of every block of a chain; entries follow, back to back, zero behind the last.
    pub struct RawChainHead: 64 {
        /// The stamp; its magic says what the entries are.
        0 stamp: Stamp,
        /// The next block of the chain.
        32 next: RawChainPtr,
        /// How many entries are in this block.
        48 count: U32,
        /// Zero.
        52 reserved: [u8; 12],
    }
}

/// A whole block of a chain.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawChainBlock {
    head: RawChainHead,
    body: [u8; BLOCK_SIZE - size_of::<RawChainHead>()],
}

/// An entry of a chain.
pub trait ChainEntry: Sized {
    /// Its image on disk.
    type Raw: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned;
    /// What marks the chain's blocks.
    const STRUCTURE: Structure;

    /// How many entries a block has room for.
    const PER_BLOCK: usize = (BLOCK_SIZE - size_of::<RawChainHead>()) / size_of::<Self::Raw>();

    /// The entry's image.
    fn to_raw(&self) -> Self::Raw;
    /// Reads the image.
    fn from_raw(raw: &Self::Raw) -> Result<Self>;
}

/// One block of a chain, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link<E> {
    /// The block's entries.
    pub entries: Vec<E>,
    /// The block after it.
    pub next: Option<ChainPtr>,
}

impl<E: ChainEntry> Link<E> {
    /// Reads the block that `ptr` points to.
    pub fn parse(bytes: &[u8], volume: u64, ptr: ChainPtr) -> Result<Self> {
        let RawChainBlock { head, body } = stamp::view(&E::STRUCTURE, bytes)?;
        E::STRUCTURE.check_named(bytes, volume, ptr.block.0, ptr.crc)?;
        let count = head.count.get();
        let size = (count as usize).saturating_mul(size_of::<E::Raw>());
        let raws = body.get(..size).and_then(|body| <[E::Raw]>::ref_from_bytes(body).ok());
        let raws = raws.ok_or(E::STRUCTURE.bad("count of entries", count.into()))?;
        let next = head.next.get();
        if ptr.blocks.checked_sub(1) != Some(next.map_or(0, |next| next.blocks)) {
            return Err(E::STRUCTURE.bad("count of blocks", ptr.blocks.into()));
        }
        Ok(Self { entries: raws.iter().map(E::from_raw).collect::<Result<_>>()?, next })
    }
}

/// How many blocks a chain of so many entries takes.
#[must_use]
pub const fn blocks_for<E: ChainEntry>(entries: usize) -> usize {
    entries.div_ceil(E::PER_BLOCK)
}

/// A finished chain: its blocks with their places, last block first, and the pointer to its first block.
pub type Built = (Vec<(BlockNo, Block)>, Option<ChainPtr>);

/// The chain of these entries in these places ([`blocks_for`] says how many; the rest is left alone), in front of
/// the chain `tail`.
#[must_use]
pub fn build<E: ChainEntry>(volume: u64, places: &[BlockNo], entries: &[E], tail: Option<ChainPtr>) -> Built {
    let links: Vec<_> = entries.chunks(E::PER_BLOCK).zip(places).collect();
    let mut blocks = Vec::with_capacity(links.len());
    let mut next = tail;
    for (entries, &place) in links.into_iter().rev() {
        let (block, ptr) = encode(volume, place, entries, next);
        blocks.push((place, block));
        next = Some(ptr);
    }
    (blocks, next)
}

fn encode<E: ChainEntry>(
    volume: u64,
    place: BlockNo,
    entries: &[E],
    next: Option<ChainPtr>,
) -> (Block, ChainPtr) {
    let head = RawChainHead {
        stamp: E::STRUCTURE.stamp(0, volume, place.0),
        next: next.into(),
        count: U32::new(entries.len() as u32),
        reserved: [0; 12],
    };
    let mut block = [0; BLOCK_SIZE];
    let (start, body) = block.split_at_mut(size_of::<RawChainHead>());
    start.copy_from_slice(head.as_bytes());
    let rooms = body.chunks_exact_mut(size_of::<E::Raw>());
    rooms.zip(entries).for_each(|(room, entry)| room.copy_from_slice(entry.to_raw().as_bytes()));
    let crc = stamp::seal(&mut block);
    let blocks = next.map_or(0, |next| next.blocks).saturating_add(1);
    (block, ChainPtr { block: place, crc, blocks })
}
