//! The device as the passes see it: read-only, and patient. A block that the host cannot read is zeros and is
//! noted, so that one bad sector hides no more than itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vexfs_device::{Device, Error, Map, Result};
use vexfs_format::BLOCK_SIZE;

const BLOCK: u64 = BLOCK_SIZE as u64;
/// How many bad blocks are remembered.
const REMEMBERED: usize = 1000;

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Patient {
    device: Arc<dyn Device>,
    bad: Mutex<BTreeMap<u64, String>>,
}

impl Patient {
    pub fn new(device: Arc<dyn Device>) -> Self {
        Self { device, bad: Mutex::default() }
    }

    /// The blocks that could not be read, and why.
    pub fn bad_blocks(&self) -> BTreeMap<u64, String> {
        self.bad.lock().clone()
    }

    fn refuse(&self) -> Result<()> {
        Err(Error::ReadOnly { name: self.name() })
    }

    fn read_by_block(&self, buf: &mut [u8], offset: u64) {
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let len = rest.len().min((BLOCK - at % BLOCK) as usize);
            let (piece, behind) = rest.split_at_mut(len);
            if let Err(error) = self.device.read_at(piece, at) {
                piece.fill(0);
                let mut bad = self.bad.lock();
                if bad.len() < REMEMBERED {
                    bad.insert(at / BLOCK, error.to_string());
                }
            }
            at = at.saturating_add(len as u64);
            rest = behind;
        }
    }
}

impl Device for Patient {
    fn len(&self) -> u64 {
        self.device.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        match self.device.read_at(buf, offset) {
            Err(error @ Error::Truncated { .. }) => Err(error),
            Err(_) => {
                self.read_by_block(buf, offset);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn write_at(&self, _buf: &[u8], _offset: u64) -> Result<()> {
        self.refuse()
    }

    fn write_all_at(&self, _bufs: &[&[u8]], _offset: u64) -> Result<()> {
        self.refuse()
    }

    fn write_durable(&self, _buf: &[u8], _offset: u64) -> Result<()> {
        self.refuse()
    }

    fn flush(&self) -> Result<()> {
        self.refuse()
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn discard(&self, _offset: u64, _len: u64) -> Result<()> {
        self.refuse()
    }

    fn read_device(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.read_at(buf, offset)
    }

    fn map(&self, offset: u64, len: u64) -> Result<Map> {
        match self.device.map(offset, len) {
            Err(error @ Error::Truncated { .. }) => Err(error),
            Err(_) => Map::copy_of(self, offset, len),
            mapped => mapped,
        }
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        self.device.name()
    }
}
