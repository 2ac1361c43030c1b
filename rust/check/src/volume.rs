//! What all passes share: the volume's frame, and where their results go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vexfs_device::Device;
use vexfs_format::{BLOCK_SIZE, Block, BlockNo, Geometry, Superblock};

use crate::Options;
use crate::ledger::Ledger;
use crate::lost::Lost;
use crate::meter::Meter;
use crate::patient::Patient;

/// See the head of the file.
pub(crate) struct Volume {
    pub device: Arc<Patient>,
    pub superblock: Superblock,
    pub geometry: Geometry,
    pub options: Options,
    pub ledger: Ledger,
    pub meter: Meter,
    /// What cannot be known of the newest tree.
    pub lost: Lost,
    /// Whether some owners of blocks are not known, so that nothing can be called leaked.
    unknown_owners: AtomicBool,
}

impl Volume {
    pub fn new(
        device: Arc<Patient>,
        superblock: Superblock,
        geometry: Geometry,
        options: &Options,
        ledger: Ledger,
    ) -> Self {
        Self {
            device,
            superblock,
            geometry,
            options: options.clone(),
            ledger,
            meter: Meter::new(options.progress.clone()),
            lost: Lost::default(),
            unknown_owners: AtomicBool::new(false),
        }
    }

    /// The first bytes of the UUID, as stamps have them.
    pub fn bits(&self) -> u64 {
        self.superblock.volume()
    }

    /// The device, as other crates take it.
    pub fn shared_device(&self) -> Arc<dyn Device> {
        Arc::clone(&self.device) as Arc<dyn Device>
    }

    /// Reads a block of the volume, all of which the device has.
    pub fn read(&self, block: BlockNo) -> Block {
        let mut bytes = [0; BLOCK_SIZE];
        // What cannot be read is noted by the device, and is zeros.
        let _ = self.device.read_at(&mut bytes, block.byte_offset());
        bytes
    }

    /// Some owners of blocks are not known.
    pub fn owners_unknown(&self) {
        self.unknown_owners.store(true, Ordering::Relaxed);
    }

    /// Whether the owners of all blocks are known.
    pub fn knows_owners(&self) -> bool {
        !self.unknown_owners.load(Ordering::Relaxed)
    }

    /// The first number that no inode can have.
    pub fn inode_limit(&self) -> u64 {
        u64::from(self.geometry.group_count) * u64::from(vexfs_format::GROUP_BLOCKS)
    }

    /// Whether an inode can have this number.
    pub fn is_inode(&self, number: u64) -> bool {
        number == vexfs_format::objects::ROOT
            || (vexfs_format::objects::FIRST_INODE..self.inode_limit()).contains(&number)
    }
}
