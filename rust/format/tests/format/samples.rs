//! One sealed structure of each kind, and a way to read it back.

use vexfs_format::chain::{self, ChainEntry, Link};
use vexfs_format::types::Block;
use vexfs_format::*;

pub const VOLUME: u64 = 0x1122_3344_5566_7788;
pub const PLACE: BlockNo = BlockNo(4711);

type Parse = Box<dyn Fn(&[u8]) -> Result<()>>;

/// A whole structure, and its parser, which expects it as it is: this volume's, in its place.
pub struct Sample {
    pub name: &'static str,
    pub bytes: Block,
    pub parse: Parse,
    /// Whether a pointer elsewhere names it by its checksum.
    pub named: bool,
}

pub fn all() -> Vec<Sample> {
    vec![
        superblock_sample(),
        Sample {
            name: "descriptor",
            bytes: descriptor().encode(VOLUME, PLACE),
            parse: Box::new(|bytes| Descriptor::parse(bytes, VOLUME, PLACE).map(drop)),
            named: false,
        },
        table_sample(),
        bitmap_sample(),
        chain_sample("retention table", &[retained()]),
        chain_sample("dead list", &[bucket()]),
        chain_sample("dead list bucket", &[dead_run()]),
    ]
}

pub fn superblock() -> Superblock {
    let geometry = Geometry::plan(100_000, None).unwrap();
    let mut uuid = [9; 16];
    uuid[..8].copy_from_slice(&VOLUME.to_le_bytes());
    Superblock::new(&geometry, uuid, Label::new("work").unwrap(), 1_234, [7; 16])
}

pub fn descriptor() -> Descriptor {
    Descriptor {
        id: CheckpointId(77),
        kind: CheckpointKind::Emergency,
        time_ns: -5,
        seq: Seq(1000),
        lsn: Lsn(4096),
        epoch: u64::MAX,
        chain_crc: 1,
        root: Some(NodePtr { block: BlockNo(8000), birth: Seq(999), crc: 2, level: 3 }),
        table_side: 1,
        table_crc: 3,
        retention: None,
        counts: Counts { inodes: 4, items: 5, ..Counts::default() },
        unique_high: 6,
    }
}

pub fn retained() -> Retained {
    Retained {
        id: CheckpointId(3),
        seq: Seq(30),
        lsn: Lsn(8192),
        time_ns: 1,
        root: None,
        dead: Some(ChainPtr { block: BlockNo(9), crc: 8, blocks: 7 }),
        nodes: 1,
        leaves: 1,
        items: 1,
        inodes: 1,
        snapshot: true,
    }
}

pub fn bucket() -> Bucket {
    Bucket { birth_from: Seq(1), birth_to: Seq(5), blocks: 6, runs: None }
}

pub fn dead_run() -> DeadRun {
    DeadRun { run: BlockRun::new(5000, 12), birth: Seq(4) }
}

fn superblock_sample() -> Sample {
    Sample {
        name: "superblock",
        bytes: superblock().encode(1, PLACE),
        parse: Box::new(|bytes| Superblock::parse(bytes, PLACE).map(drop)),
        named: false,
    }
}

fn table_sample() -> Sample {
    let geometry = Geometry::plan(100_000, None).unwrap();
    let entries: Vec<_> = (0..4).map(|group| GroupEntry::at_birth(&geometry, group)).collect();
    Sample {
        name: "group table",
        bytes: group::encode_block(&geometry, VOLUME, 1, 0, CheckpointId(8), &entries),
        parse: Box::new(move |bytes| group::parse_block(&geometry, VOLUME, 1, 0, bytes).map(drop)),
        named: false,
    }
}

fn bitmap_sample() -> Sample {
    let geometry = Geometry::plan(100_000, None).unwrap();
    let bitmap = Bitmap::at_birth(&geometry, BitmapKind::Block, 0);
    let (bytes, crc) = bitmap.encode(VOLUME, PLACE);
    Sample {
        name: "bitmap",
        bytes,
        parse: Box::new(move |bytes| {
            Bitmap::parse(bytes, VOLUME, PLACE, BitmapKind::Block, 0, crc).map(drop)
        }),
        named: true,
    }
}

fn chain_sample<E: ChainEntry>(name: &'static str, entries: &[E]) -> Sample {
    let (blocks, ptr) = chain::build(VOLUME, &[PLACE], entries, None);
    let ptr = ptr.unwrap();
    Sample {
        name,
        bytes: blocks[0].1,
        parse: Box::new(move |bytes| Link::<E>::parse(bytes, VOLUME, ptr).map(drop)),
        named: true,
    }
}
