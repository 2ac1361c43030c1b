//! A field that holds what it never may is refused by name, however good the checksum is.

use vexfs_format::chain::ChainEntry;
use vexfs_format::orphan::Work;
use vexfs_format::*;

use crate::samples::{self, VOLUME};

/// The field because of which this was refused.
fn field<T>(result: Result<T>) -> &'static str {
    match result.map(drop) {
        Err(Error::BadValue { field, .. }) => field,
        other => panic!("not refused for a field: {other:?}"),
    }
}

/// The bytes with some of them replaced.
fn with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn sealed_with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = with(bytes, at, new);
    stamp::seal(&mut bytes);
    bytes
}

#[test]
fn of_superblocks_and_descriptors() {
    let bytes = samples::superblock().encode(0, BlockNo(0));
    let superblock = |at, new: &[u8]| field(Superblock::parse(&sealed_with(&bytes, at, new), BlockNo(0)));
    assert_eq!(superblock(188, &[0, 32]), "block size");
    assert_eq!(superblock(192, &[1]), "group size");

    let bytes = samples::descriptor().encode(VOLUME, BlockNo(9));
    let descriptor =
        |at, new: &[u8]| field(Descriptor::parse(&sealed_with(&bytes, at, new), VOLUME, BlockNo(9)));
    assert_eq!(descriptor(6, &[4]), "kind");
    assert_eq!(descriptor(76, &[2]), "table side");
}

#[test]
fn of_entries_of_chains() {
    let retained = with(zerocopy::IntoBytes::as_bytes(&samples::retained().to_raw()), 104, &[3]);
    let raw = zerocopy::FromBytes::read_from_bytes(&retained).unwrap();
    assert_eq!(field(Retained::from_raw(&raw)), "flags");

    let backwards = Bucket { birth_from: Seq(6), ..samples::bucket() };
    assert_eq!(field(Bucket::from_raw(&backwards.to_raw())), "least birth");

    let empty = DeadRun { run: BlockRun::new(1, 0), birth: Seq(1) };
    assert_eq!(field(DeadRun::from_raw(&empty.to_raw())), "length of a run");
}

#[test]
fn of_inodes_and_orphans() {
    let inode = Inode::parse(&with(&[0; 96], 0, &[0, 0x80])).unwrap().encode();
    let refused = |at, new: &[u8]| field(Inode::parse(&with(&inode, at, new)));
    for file_type in [0x00, 0x30, 0x50, 0x70, 0x90, 0xb0, 0xd0, 0xf0] {
        assert_eq!(refused(1, &[file_type]), "mode");
    }
    assert_eq!(refused(2, &[1]), "mode");
    assert_eq!(refused(16, &(MAX_FILE_BYTES + 1).to_le_bytes()), "size");
    assert_eq!(field(Inode::parse(&inode[1..])), "length");

    let orphan = Orphan { generation: 1, work: Work::Truncate { size: 2 } }.encode();
    assert_eq!(field(Orphan::parse(&with(&orphan, 0, &[2]))), "work");
    assert_eq!(field(Orphan::parse(&orphan[1..])), "length");
}

#[test]
fn of_directory_items() {
    let one = Dirents::EMPTY.insert(b"a", Ino(20), FileType::Regular).unwrap();
    let two = Dirents::parse(&one).unwrap().insert(b"b", Ino(21), FileType::Regular).unwrap();
    let refused = |at, new: &[u8]| field(Dirents::parse(&with(&two, at, new)));
    let second = one.len();
    assert_eq!(refused(second, &[0]), "inode number");
    assert_eq!(refused(second + 8, &[3]), "file type");
    assert_eq!(refused(second + 9, &[0]), "slot");
    assert_eq!(refused(second + 10, &[0]), "name");
    assert_eq!(refused(second + 10, &[2]), "length");
    assert_eq!(refused(second + 11, b"a"), "name");
    assert_eq!(refused(second + 11, b"/"), "name");
    assert_eq!(refused(second + 11, b"."), "name");
    assert_eq!(field(Dirents::parse(&two[..second + 5])), "length");
    assert_eq!(field(Dirents::parse(&[])), "length");
}

#[test]
fn of_attribute_items() {
    let one = Xattrs::EMPTY.insert(b"a", b"value").unwrap();
    let two = Xattrs::parse(&one).unwrap().insert(b"b", b"").unwrap();
    let refused = |at, new: &[u8]| field(Xattrs::parse(&with(&two, at, new)));
    let second = one.len();
    assert_eq!(refused(second, &[0]), "name");
    assert_eq!(refused(second + 1, &[1]), "length");
    assert_eq!(refused(second + 3, b"a"), "name");
    assert_eq!(refused(second + 3, &[0]), "name");
    assert_eq!(field(Xattrs::parse(&[])), "length");
}

#[test]
fn of_extents() {
    let value = Extent::encode_written(BlockNo(900), Seq(1), &[7; 10]);
    let refused = |at, new: &[u8]| field(Extent::parse(0, &with(&value, at, new)));
    assert_eq!(refused(16, &[0]), "count of blocks");
    assert_eq!(refused(16, &[1, 1]), "count of blocks");
    assert_eq!(refused(16, &[9]), "length");
    assert_eq!(refused(18, &[1]), "length");
    assert_eq!(refused(18, &[2]), "flags");
    assert_eq!(field(Extent::parse(247 * 4096, &value)), "count of blocks");
    assert_eq!(field(Extent::parse(4095, &value)), "position");
    assert_eq!(field(Extent::parse(MAX_FILE_BYTES, &value)), "position");
    assert_eq!(field(Extent::parse(0, &value[..value.len() - 1])), "length");
    assert!(Extent::parse(246 * 4096, &value).is_ok());
}
