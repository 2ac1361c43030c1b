//! Making a new store.

use vexfs_device::Device;
use vexfs_format::{BLOCK_SIZE, CheckpointId, Counts, Descriptor, Geometry, Key, Label, Seq, Superblock};
use vexfs_journal::Position;
use vexfs_space::{Delta, Space};
use vexfs_tree::{Change, Root};

use crate::checkpoint::{Kind, Nodes, write_descriptor};
use crate::options::FormatOptions;
use crate::{Error, Result, clock, superblock};

/// The sequence of the state that a new volume begins with.
const BIRTH: Seq = Seq(1);

/// Formats `device`: everything on it is lost. The superblocks are written last, so a volume that was not
/// finished is none.
///
/// # Errors
/// A device that is too small or too large, and the device's own.
pub fn format(device: &std::sync::Arc<dyn Device>, options: &FormatOptions) -> Result<Superblock> {
    let geometry = Geometry::plan(device.len() / BLOCK_SIZE as u64, options.journal_bytes)?;
    let uuid = options.uuid.map_or_else(random, Ok)?;
    let hash_seed = options.hash_seed.map_or_else(random, Ok)?;
    let created_ns = options.created_ns.unwrap_or_else(clock::now_ns);
    let superblock = Superblock::new(&geometry, uuid, Label::new(&options.label)?, created_ns, hash_seed);

    wipe(&**device, &geometry)?;
    vexfs_journal::format(&**device, crate::recovery::region(&geometry))?;
    let empty = Space::format(&**device, &geometry, superblock.volume())?;
    device.flush()?;
    let space = Space::open(device.clone(), &geometry, superblock.volume(), empty.side, empty.crc)?;
    let first = first_checkpoint(device, &space, &superblock, options)?;
    device.flush()?;
    write_descriptor(&**device, &geometry, superblock.volume(), &first)?;
    device.flush()?;
    superblock::write(&**device, &geometry, &superblock)?;
    Ok(superblock)
}

/// Checkpoint 1: the tree with the first items.
fn first_checkpoint(
    device: &std::sync::Arc<dyn Device>,
    space: &Space,
    superblock: &Superblock,
    options: &FormatOptions,
) -> Result<Descriptor> {
    let id = CheckpointId(1);
    let cache = std::sync::Arc::new(vexfs_tree::NodeCache::new(1 << 20));
    let tree = vexfs_tree::Reader::new(device.clone(), cache, superblock.volume());
    let mut items: Vec<&(Key, Vec<u8>)> = options.items.iter().collect();
    items.sort_by_key(|(key, _)| *key);
    let mut batch = items.into_iter().map(|(key, value)| (*key, Change::Put(value.as_slice())));
    let mut nodes = Nodes::new(space);
    let applied = tree.apply(&Root::empty(), &mut batch, BIRTH, &mut nodes)?;
    let delta = Delta { set: nodes.into_taken(), ..Delta::default() };
    let table = space.write_checkpoint(id, &delta)?;
    let counts = applied.root.counts();
    Ok(Descriptor {
        id,
        kind: Kind::Incremental,
        time_ns: superblock.created_ns,
        seq: BIRTH,
        lsn: Position::START.lsn,
        epoch: Position::START.epoch,
        chain_crc: Position::START.crc,
        root: applied.root.ptr(),
        table_side: table.side,
        table_crc: table.crc,
        retention: None,
        counts: Counts {
            inodes: options.inodes,
            nodes: counts.nodes,
            leaves: counts.leaves,
            items: counts.items,
            out_of_line_blocks: counts.out_of_line_blocks,
            free_blocks: table.free_blocks,
            free_inodes: table.free_inodes,
        },
        unique_high: options.unique_high,
    })
}

/// Overwrites what an older volume may have left where this one looks: superblocks first, then both rings.
fn wipe(device: &dyn Device, geometry: &Geometry) -> Result<()> {
    let zeros = vec![0; BLOCK_SIZE * vexfs_format::geometry::RING_SLOTS as usize];
    for place in &geometry.superblocks {
        device.write_at(&[0; BLOCK_SIZE], place.byte_offset())?;
    }
    device.flush()?;
    for ring in geometry.ring {
        device.write_at(&zeros, ring.byte_offset())?;
    }
    Ok(device.flush()?)
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random { reason: error.to_string() })?;
    Ok(bytes)
}
