//! The two sides of the group table.
//!
//! Invariants: the live side is never written; a block of the other side is rewritten when it differs from what
//! the next table must say, or when it is not known what it holds (after opening, or after an attempt that came
//! to nothing). The live entries change only when a written side is declared durable.

use vexfs_device::Device;
use vexfs_format::group::{self, RawTableBlock};
use vexfs_format::{BLOCK_SIZE, CheckpointId, Geometry, GroupEntry};
use zerocopy::FromBytes;

use crate::error::{Error, Result};

/// What a descriptor says about the group table, and the totals beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableState {
    /// Which side holds: 0 = A, 1 = B.
    pub side: u8,
    /// CRC32C of the whole side.
    pub crc: u32,
    /// Free blocks in all groups.
    pub free_blocks: u64,
    /// Free inodes in all groups.
    pub free_inodes: u64,
}

/// The live side.
#[derive(Debug)]
pub(crate) struct Table {
    side: u8,
    entries: Vec<GroupEntry>,
    /// Which checkpoint wrote each of its blocks.
    written: Vec<CheckpointId>,
}

/// The other side: being written, or waiting to be.
#[derive(Debug)]
pub(crate) struct Other {
    /// Which checkpoint wrote each of its blocks, where the block says what the live side says.
    written: Vec<Option<CheckpointId>>,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    id: CheckpointId,
    /// The changed entries, by ascending group.
    changes: Vec<(u32, GroupEntry)>,
    written: Vec<CheckpointId>,
}

impl Table {
    /// Reads and verifies a side.
    pub fn read(device: &dyn Device, geometry: &Geometry, volume: u64, side: u8, crc: u32) -> Result<Self> {
        let corrupt = |index: u32, reason: String| {
            let block = group::block_of(geometry, side, index).0;
            Error::TableCorrupt { side, block, reason }
        };
        if side > 1 {
            return Err(corrupt(0, format!("there is no side {side}")));
        }
        let blocks = geometry.table[0].len;
        let (mut entries, mut written, mut found) = (Vec::new(), Vec::new(), 0);
        let mut bytes = [0; BLOCK_SIZE];
        for index in 0..blocks {
            device.read_at(&mut bytes, group::block_of(geometry, side, index).byte_offset())?;
            found = crc32c::crc32c_append(found, &bytes);
            let parsed = group::parse_block(geometry, volume, side, index, &bytes);
            entries.extend(parsed.map_err(|error| corrupt(index, error.to_string()))?);
            let raw = RawTableBlock::ref_from_bytes(&bytes);
            written.push(raw.map_or(CheckpointId(0), |raw| raw.checkpoint.into()));
        }
        if found != crc {
            return Err(corrupt(0, format!("the side's checksum is {found:#010x}, not {crc:#010x}")));
        }
        Ok(Self { side, entries, written })
    }

    /// The entries of a volume that no checkpoint has written to, as if they lay on `side`.
    pub fn at_birth(geometry: &Geometry, side: u8) -> Self {
        let entries = (0..geometry.group_count).map(|group| GroupEntry::at_birth(geometry, group)).collect();
        let written = vec![CheckpointId(0); geometry.table[0].len as usize];
        Self { side, entries, written }
    }

    pub fn entries(&self) -> &[GroupEntry] {
        &self.entries
    }

    pub fn entry(&self, group: u32) -> Option<GroupEntry> {
        self.entries.get(group as usize).copied()
    }
}

impl Other {
    /// A side of which nothing is known.
    pub fn unknown(geometry: &Geometry) -> Self {
        Self { written: vec![None; geometry.table[0].len as usize], pending: None }
    }

    /// Fails while a written side is neither durable nor abandoned: its blocks must not be touched.
    pub fn check_idle(&self) -> Result<()> {
        match &self.pending {
            Some(pending) => Err(Error::CheckpointPending { id: pending.id.0 }),
            None => Ok(()),
        }
    }

    /// Writes this side: the live entries with the changes, which ascend by group.
    pub fn write(
        &mut self,
        device: &dyn Device,
        (geometry, volume): (&Geometry, u64),
        live: &Table,
        id: CheckpointId,
        changes: Vec<(u32, GroupEntry)>,
    ) -> Result<TableState> {
        self.check_idle()?;
        let side = 1 - live.side;
        let mut state = TableState { side, crc: 0, free_blocks: 0, free_inodes: 0 };
        let mut written = Vec::with_capacity(self.written.len());
        let mut batch = Batch { device, start: 0, bytes: Vec::new() };
        let mut rest = changes.as_slice();
        for (index, known) in (0_u32..).zip(&mut self.written) {
            let groups = group::groups_of(geometry, index);
            let (changed, later) = rest.split_at(rest.partition_point(|(group, _)| *group < groups.end));
            rest = later;
            let range = groups.start as usize..groups.end as usize;
            let mut entries = live.entries.get(range).unwrap_or_default().to_vec();
            for (group, entry) in changed {
                if let Some(place) = entries.get_mut((group - groups.start) as usize) {
                    *place = *entry;
                }
            }
            let writer = known.filter(|_| changed.is_empty());
            let block = group::encode_block(geometry, volume, side, index, writer.unwrap_or(id), &entries);
            if writer.is_none() {
                *known = None;
                batch.add(group::block_of(geometry, side, index).byte_offset(), &block)?;
            }
            state.crc = crc32c::crc32c_append(state.crc, &block);
            state.free_blocks += entries.iter().map(|entry| u64::from(entry.free_blocks)).sum::<u64>();
            state.free_inodes += entries.iter().map(|entry| u64::from(entry.free_inodes)).sum::<u64>();
            written.push(writer.unwrap_or(id));
        }
        batch.send()?;
        self.pending = Some(Pending { id, changes, written });
        Ok(state)
    }

    /// The written side is live from now on, and the one that was live is the other.
    pub fn durable(&mut self, live: &mut Table) {
        let Some(pending) = self.pending.take() else { return };
        let last = core::mem::replace(&mut live.written, pending.written);
        self.written = last.into_iter().map(Some).collect();
        for (group, entry) in pending.changes {
            if let Some(place) = live.entries.get_mut(group as usize) {
                *place = entry;
            }
            if let Some(stale) =
                self.written.get_mut((group / vexfs_format::geometry::TABLE_ENTRIES) as usize)
            {
                *stale = None;
            }
        }
        live.side = 1 - live.side;
    }

    /// The written side will never be named by a descriptor.
    pub fn abandon(&mut self) {
        self.pending = None;
    }
}

/// Neighbouring blocks, written together.
struct Batch<'a> {
    device: &'a dyn Device,
    start: u64,
    bytes: Vec<u8>,
}

impl Batch<'_> {
    const MOST: usize = 1 << 20;

    fn add(&mut self, offset: u64, block: &[u8]) -> Result<()> {
        if offset != self.start + self.bytes.len() as u64 || self.bytes.len() >= Self::MOST {
            self.send()?;
            self.start = offset;
        }
        self.bytes.extend_from_slice(block);
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            self.device.write_at(&self.bytes, self.start)?;
            self.bytes.clear();
        }
        Ok(())
    }
}
