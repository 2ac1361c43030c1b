//! Data of a transaction on its way to the device: small writes that follow each other there go as one.
//!
//! Invariants: only blocks that the transaction holds are staged: it forgets them before it gives them back. All of it
//! is on the device before the transaction commits, or reads any of its own data; what could not be written stays, so
//! that there is no commit without it.

use parking_lot::Mutex;
use vexfs_format::{BlockNo, BlockRun};

use crate::Result;

/// Bytes that are written at once. Larger writes save little, and some hosts take much longer for them.
const MOST: usize = 256 << 10;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Staged(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    run: BlockRun,
    bytes: Vec<u8>,
}

impl Staged {
    /// Takes blocks; `write` is what brings them to the device, now or later.
    pub(crate) fn add(
        &self,
        run: BlockRun,
        bytes: &[u8],
        write: impl Fn(BlockRun, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut pending = self.0.lock();
        let follows = pending.run.end() == run.start.0 && pending.bytes.len() + bytes.len() <= MOST;
        if !follows {
            pending.settle(&write)?;
            pending.run.start = run.start;
        }
        if bytes.len() >= MOST {
            return write(run, bytes);
        }
        pending.bytes.extend_from_slice(bytes);
        pending.run.len += run.len;
        Ok(())
    }

    /// Brings all that was taken to the device.
    pub(crate) fn settle(&self, write: impl Fn(BlockRun, &[u8]) -> Result<()>) -> Result<()> {
        self.0.lock().settle(&write)
    }

    /// Forgets runs that were taken last, because they are to be given back.
    pub(crate) fn forget(&self, runs: &[BlockRun]) {
        let mut pending = self.0.lock();
        for run in runs {
            pending.end_before(run.start);
        }
    }
}

impl Pending {
    fn settle(&mut self, write: &impl Fn(BlockRun, &[u8]) -> Result<()>) -> Result<()> {
        if !self.bytes.is_empty() {
            write(self.run, &self.bytes)?;
        }
        self.end_before(self.run.start);
        Ok(())
    }

    /// Forgets the blocks from this one on, if it is among them.
    fn end_before(&mut self, block: BlockNo) {
        if (self.run.start.0..self.run.end()).contains(&block.0) {
            self.run.len = (block.0 - self.run.start.0) as u32;
            self.bytes.truncate(self.run.bytes() as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, len: u32) -> BlockRun {
        BlockRun { start: BlockNo(start), len }
    }

    #[test]
    fn what_follows_goes_as_one_and_nothing_is_written_twice_or_left_out() {
        let written = Mutex::new(Vec::new());
        let write = |run: BlockRun, bytes: &[u8]| {
            assert_eq!(run.bytes(), bytes.len() as u64);
            written.lock().push((run.start.0, run.len, bytes.first().copied()));
            Ok(())
        };
        let staged = Staged::default();
        let block = |byte| vec![byte; 4096];
        staged.add(run(10, 1), &block(1), write).unwrap();
        staged.add(run(11, 1), &block(2), write).unwrap();
        assert!(written.lock().is_empty());
        staged.add(run(20, 1), &block(3), write).unwrap();
        assert_eq!(*written.lock(), [(10, 2, Some(1))]);
        staged.add(run(21, 64), &vec![4; MOST], write).unwrap();
        assert_eq!(written.lock()[1..], [(20, 1, Some(3)), (21, 64, Some(4))]);
        staged.add(run(85, 1), &block(5), write).unwrap();
        staged.settle(write).unwrap();
        staged.settle(write).unwrap();
        assert_eq!(written.lock()[3..], [(85, 1, Some(5))]);
    }

    #[test]
    fn what_is_given_back_is_not_written_and_what_could_not_be_written_is_not_forgotten() {
        let staged = Staged::default();
        let refuse = |_: BlockRun, _: &[u8]| Err(crate::Error::Closed);
        staged.add(run(30, 2), &[1; 8192], refuse).unwrap();
        staged.add(run(32, 1), &[2; 4096], refuse).unwrap();
        staged.add(run(33, 1), &[3; 4096], refuse).unwrap();
        staged.forget(&[run(32, 1), run(33, 1), run(40, 1)]);
        assert!(staged.settle(refuse).is_err());
        assert!(staged.add(run(50, 1), &[4; 4096], refuse).is_err());
        let expect = |run: BlockRun, bytes: &[u8]| {
            assert_eq!((run.start.0, run.len, bytes), (30, 2, &[1; 8192][..]));
            Ok(())
        };
        staged.settle(expect).unwrap();
        staged.settle(refuse).unwrap();
    }

    #[test]
    fn no_write_is_larger_than_the_most() {
        let staged = Staged::default();
        let write = |run: BlockRun, _: &[u8]| {
            assert!(run.bytes() <= MOST as u64);
            Ok(())
        };
        (0..1000).for_each(|at| staged.add(run(at, 1), &[0; 4096], write).unwrap());
        staged.settle(write).unwrap();
    }
}
