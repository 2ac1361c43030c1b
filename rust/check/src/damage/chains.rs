//! Editing what lies beside the tree: the table of retained checkpoints, lists of dead blocks, and the log.

use vexfs_format::chain::{self, ChainEntry, Link};
use vexfs_format::frame::{FLAG_MARK, FRAME_HEADER, Frame};
use vexfs_format::{BlockNo, Bucket, ChainPtr, DeadRun, Retained};
use vexfs_journal::{Position, Region, ScanFrom, ScanOptions};

use super::volume::Volume;
use super::{Error, Result};

impl Volume {
    /// The entries of a chain, and its blocks.
    pub fn chain<E: ChainEntry>(&self, mut ptr: Option<ChainPtr>) -> Result<(Vec<E>, Vec<BlockNo>)> {
        let (mut entries, mut blocks) = (Vec::new(), Vec::new());
        while let Some(at) = ptr {
            let link = Link::<E>::parse(&self.read(at.block)?, self.bits(), at).map_err(Error::refused)?;
            entries.extend(link.entries);
            blocks.push(at.block);
            ptr = link.next;
        }
        Ok((entries, blocks))
    }

    /// Writes a chain with other entries to where it was.
    fn rewrite<E: ChainEntry>(&self, places: &[BlockNo], entries: &[E]) -> Result<Option<ChainPtr>> {
        if chain::blocks_for::<E>(entries.len()) != places.len() {
            return Err(Error::Lacks("room in a list"));
        }
        let (blocks, ptr) = chain::build(self.bits(), places, entries, None);
        for (place, block) in blocks {
            self.write(place, &block)?;
        }
        Ok(ptr)
    }

    /// Changes the table of retained checkpoints.
    pub fn edit_retained(&mut self, change: impl FnOnce(&mut Vec<Retained>) -> Result<()>) -> Result<()> {
        let (mut entries, places) = self.chain::<Retained>(self.newest.retention)?;
        change(&mut entries)?;
        let ptr = self.rewrite(&places, &entries)?;
        self.edit_newest(|newest| newest.retention = ptr)
    }

    /// The newest retained checkpoint whose list of dead blocks is not empty.
    pub fn retained(&self) -> Result<(Retained, Vec<Bucket>)> {
        let (entries, _) = self.chain::<Retained>(self.newest.retention)?;
        let entry = entries
            .into_iter()
            .rev()
            .find(|entry| entry.dead.is_some())
            .ok_or(Error::Lacks("a list of dead blocks"))?;
        let (buckets, _) = self.chain::<Bucket>(entry.dead)?;
        Ok((entry, buckets))
    }

    /// Changes the list of dead blocks of [`Volume::retained`]: a bucket and its runs.
    pub fn edit_dead(
        &mut self,
        bucket: usize,
        change: impl FnOnce(&mut Bucket, &mut Vec<DeadRun>) -> Result<()>,
    ) -> Result<()> {
        let (entry, _) = self.retained()?;
        let (mut buckets, places) = self.chain::<Bucket>(entry.dead)?;
        let changed = buckets.get_mut(bucket).ok_or(Error::Lacks("so many buckets"))?;
        let (mut runs, run_places) = self.chain::<DeadRun>(changed.runs)?;
        change(changed, &mut runs)?;
        changed.runs = self.rewrite(&run_places, &runs)?;
        let dead = self.rewrite(&places, &buckets)?;
        self.edit_retained(|entries| {
            entries.iter_mut().filter(|found| found.id == entry.id).for_each(|found| found.dead = dead);
            Ok(())
        })
    }

    /// The frames of the log behind the newest checkpoint.
    pub fn frames(&self) -> Result<Vec<Frame>> {
        let position =
            Position { lsn: self.newest.lsn, crc: self.newest.chain_crc, epoch: self.newest.epoch };
        let from = ScanFrom { volume: self.bits(), position, checkpoint: self.newest.id };
        let scan =
            vexfs_journal::scan(&*self.device, self.log(), from, &ScanOptions::default(), |_: &mut (), _| ());
        Ok(scan.map_err(Error::refused)?.frames.into_iter().filter(|frame| !frame.is(FLAG_MARK)).collect())
    }

    /// Where the log lies.
    pub fn log(&self) -> Region {
        let area = self.geometry.journal;
        Region::new(area.start.byte_offset(), area.bytes())
    }

    /// Changes the records of the log's last frame.
    pub fn edit_last_frame(&self, change: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
        let frame = *self.frames()?.last().ok_or(Error::Lacks("a transaction in the log"))?;
        let at = self.log().device_offset(frame.lsn);
        let mut bytes = vec![0; frame.length as usize];
        self.device.read_at(&mut bytes, at).map_err(Error::refused)?;
        let records = bytes.get_mut(FRAME_HEADER..FRAME_HEADER + frame.payload as usize);
        change(records.ok_or(Error::Lacks("records"))?)?;
        frame.seal(&mut bytes);
        self.device.write_at(&bytes, at).map_err(Error::refused)
    }
}
