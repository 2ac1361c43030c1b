//! Damage to the tree's nodes and to what its items say.

use vexfs_format::extent::CHUNK_BYTES;
use vexfs_format::name::hash;
use vexfs_format::node::{LeafSlot, NodeHeader};
use vexfs_format::orphan::Work;
use vexfs_format::{
    BlockNo, Dirents, Extent, FileType, Ino, Inode, Key, NODE_SIZE, NodePtr, Orphan, Xattrs, kinds, objects,
};
use vexfs_fs::acl;

use super::outer::first_extent;
use super::volume::Volume;
use super::{Error, Result};

// Nodes.

/// A leaf in the middle of the tree.
fn leaf(volume: &Volume) -> Result<NodePtr> {
    let leaves: Vec<NodePtr> =
        volume.contents(volume.newest.root).nodes.into_iter().filter(|ptr| ptr.level == 0).collect();
    leaves
        .get(leaves.len() / 2)
        .copied()
        .filter(|_| leaves.len() > 2)
        .ok_or(Error::Lacks("a tree of several leaves"))
}

fn first_key(volume: &Volume, ptr: &NodePtr) -> Result<Key> {
    let bytes = volume.read_node(ptr)?;
    let view = vexfs_format::node::NodeView::trust(&bytes);
    view.items().first().map(|slot| slot.key.into()).ok_or(Error::Lacks("a leaf"))
}

pub fn leaf_damaged(volume: &mut Volume) -> Result<()> {
    let ptr = leaf(volume)?;
    volume.flip(BlockNo(ptr.block.0 + 2))
}

pub fn root_damaged(volume: &mut Volume) -> Result<()> {
    let root = volume.newest.root.ok_or(Error::Lacks("a tree"))?;
    volume.flip(root.block)
}

pub fn node_misplaced(volume: &mut Volume) -> Result<()> {
    let (to, root) = (leaf(volume)?, volume.newest.root.ok_or(Error::Lacks("a tree"))?);
    let bytes = volume.read_node(&root)?;
    volume.write(to.block, &bytes[..])
}

pub fn node_zeroed(volume: &mut Volume) -> Result<()> {
    let ptr = leaf(volume)?;
    volume.write(ptr.block, &[0; NODE_SIZE])
}

pub fn keys_out_of_order(volume: &mut Volume) -> Result<()> {
    let key = first_key(volume, &leaf(volume)?)?;
    volume.edit_leaf(key, |bytes| {
        let (start, size) = (size_of::<NodeHeader>() + size_of::<LeafSlot>(), size_of::<LeafSlot>());
        let (first, second) = bytes[start..start + 2 * size].split_at_mut(size);
        // Only the keys, so that the values stay in their order.
        first[..17].swap_with_slice(&mut second[..17]);
        Ok(())
    })
}

pub fn keys_out_of_bounds(volume: &mut Volume) -> Result<()> {
    let ptr = leaf(volume)?;
    let key = first_key(volume, &ptr)?;
    volume.edit_leaf(key, |bytes| {
        let view = vexfs_format::node::NodeView::trust(bytes);
        let at = size_of::<NodeHeader>() + (view.count() - 1) * size_of::<LeafSlot>();
        // The object of the last key.
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        Ok(())
    })
}

pub fn value_damaged(volume: &mut Volume) -> Result<()> {
    let contents = volume.contents(volume.newest.root);
    let (_, ptr) = contents.out_of_line.first().ok_or(Error::Lacks("a value out of line"))?;
    volume.flip(ptr.block)
}

pub fn value_outside(volume: &mut Volume) -> Result<()> {
    let contents = volume.contents(volume.newest.root);
    let (key, _) = *contents.out_of_line.first().ok_or(Error::Lacks("a value out of line"))?;
    let journal = volume.geometry.journal.start;
    volume.edit_pointer(key, |ptr| ptr.block = journal)
}

pub fn extents_share_a_block(volume: &mut Volume) -> Result<()> {
    let extents: Vec<(Key, Vec<u8>)> =
        volume.items().into_iter().filter(|(key, _)| key.kind == kinds::EXTENT).collect();
    for (index, (key, value)) in extents.iter().enumerate() {
        let other =
            extents.iter().skip(index + 1).find(|(_, other)| other.len() == value.len() && value.len() > 20);
        if let Some((_, other)) = other {
            return volume.put(*key, other);
        }
    }
    Err(Error::Lacks("two extents of the same length"))
}

pub fn extent_over_a_node(volume: &mut Volume) -> Result<()> {
    let root = volume.newest.root.ok_or(Error::Lacks("a tree"))?.block;
    edit_extent(volume, |_, extent| extent.run.start = root, true)
}

// Keys.

fn file(volume: &Volume) -> Result<u64> {
    let found =
        volume.find_inode("a file", |_, inode| inode.file_type == FileType::Regular && inode.nlink == 1)?;
    Ok(found.0)
}

fn directory(volume: &Volume) -> Result<u64> {
    let found =
        volume.find_inode("a directory", |ino, inode| ino > 1 && inode.file_type == FileType::Directory)?;
    Ok(found.0)
}

pub fn kind_reserved(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    volume.put(Key::new(ino, kinds::VECTOR, 0), b"?")
}

pub fn kind_of_a_token(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    volume.put(Key::new(ino, kinds::DIR_LIVE, 0), b"?")
}

pub fn object_unknown(volume: &mut Volume) -> Result<()> {
    volume.put(Key::new(objects::SPACES, kinds::INODE, 0), b"?")
}

pub fn inode_number_too_high(volume: &mut Volume) -> Result<()> {
    let inode = volume.inode(file(volume)?)?;
    volume.put(Key::new(u64::MAX / 2, kinds::INODE, 0), &inode.encode())
}

pub fn second_record(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    let inode = volume.inode(ino)?;
    volume.put(Key::new(ino, kinds::INODE, 8), &inode.encode())
}

pub fn bytes_of_a_directory(volume: &mut Volume) -> Result<()> {
    let ino = directory(volume)?;
    volume.put(Key::new(ino, kinds::INLINE, 0), b"?")
}

pub fn entries_of_a_file(volume: &mut Volume) -> Result<()> {
    let (ino, seed) = (file(volume)?, volume.superblock.hash_seed);
    let other = volume.find_inode("a linked file", |_, inode| inode.nlink == 2)?.0;
    let name = b"odd";
    let item = Dirents::EMPTY.insert(name, Ino(other), FileType::Regular).map_err(Error::refused)?;
    volume.edit_inode(other, |inode| inode.nlink += 1)?;
    volume.put(Key::new(ino, kinds::DIRENT, hash(&seed, name)), &item)
}

// Inodes.

pub fn record_deleted(volume: &mut Volume) -> Result<()> {
    let (ino, _) =
        volume.find_inode("a file with blocks", |_, inode| inode.blocks > 0 && inode.nlink == 1)?;
    volume.delete(Key::new(ino, kinds::INODE, 0))
}

pub fn record_cut(volume: &mut Volume) -> Result<()> {
    let key = Key::new(file(volume)?, kinds::INODE, 0);
    let value = volume.get(key)?;
    volume.put(key, &value[..95])
}

pub fn file_with_directories(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    volume.edit_inode(ino, |inode| inode.subdirs = 3)
}

pub fn directory_with_links(volume: &mut Volume) -> Result<()> {
    let ino = directory(volume)?;
    volume.edit_inode(ino, |inode| inode.nlink = 2)
}

pub fn generation_twice(volume: &mut Volume) -> Result<()> {
    let (ino, other) = (file(volume)?, volume.inode(directory(volume)?)?);
    volume.edit_inode(ino, |inode| inode.generation = other.generation)
}

pub fn generation_unknown(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    volume.edit_inode(ino, |inode| inode.generation = u64::MAX)
}

pub fn root_missing(volume: &mut Volume) -> Result<()> {
    volume.delete(Key::new(objects::ROOT, kinds::INODE, 0))
}

pub fn root_is_a_file(volume: &mut Volume) -> Result<()> {
    volume.edit_inode(objects::ROOT, |inode| {
        (inode.file_type, inode.subdirs, inode.parent_or_rdev) = (FileType::Fifo, 0, 0)
    })
}

// Directories.

/// An item with the entry of a file, and that file.
fn entry(volume: &Volume, wanted: impl Fn(u64, &Inode) -> bool) -> Result<(Key, Vec<u8>, u64)> {
    let (ino, _) = volume.find_inode("a file with a name", wanted)?;
    let leads = |value: &[u8]| {
        Dirents::parse(value).is_ok_and(|entries| entries.iter().any(|entry| entry.ino.0 == ino))
    };
    let (key, value) = volume.find("an entry", |key, value| key.kind == kinds::DIRENT && leads(value))?;
    Ok((key, value, ino))
}

fn plain_file(_: u64, inode: &Inode) -> bool {
    inode.file_type == FileType::Regular && inode.nlink == 1
}

fn name_in(item: &[u8]) -> Result<Vec<u8>> {
    let entries = Dirents::parse(item).map_err(Error::refused)?;
    entries.iter().next().map(|entry| entry.name.to_vec()).ok_or(Error::Lacks("an entry"))
}

/// Replaces what an item's first entry leads to.
fn redirect(volume: &mut Volume, key: Key, item: &[u8], ino: u64, file_type: FileType) -> Result<()> {
    let item = Dirents::EMPTY.insert(&name_in(item)?, Ino(ino), file_type).map_err(Error::refused)?;
    volume.put(key, &item)
}

/// Adds an entry to a directory.
fn add_entry(volume: &mut Volume, dir: u64, name: &[u8], ino: u64, file_type: FileType) -> Result<()> {
    let key = Key::new(dir, kinds::DIRENT, hash(&volume.superblock.hash_seed, name));
    let item = Dirents::EMPTY.insert(name, Ino(ino), file_type).map_err(Error::refused)?;
    volume.put(key, &item)
}

pub fn entries_cut(volume: &mut Volume) -> Result<()> {
    let (key, value, _) = entry(volume, plain_file)?;
    volume.put(key, &value[..value.len() - 1])
}

pub fn entry_at_another_hash(volume: &mut Volume) -> Result<()> {
    let (key, value, _) = entry(volume, plain_file)?;
    volume.delete(key)?;
    volume.put(Key { offset: key.offset ^ 0x100, ..key }, &value)
}

pub fn subdirs_wrong(volume: &mut Volume) -> Result<()> {
    let ino = directory(volume)?;
    volume.edit_inode(ino, |inode| inode.subdirs += 1)
}

pub fn removed_directory_with_entries(volume: &mut Volume) -> Result<()> {
    let full =
        |ino: u64, inode: &Inode| ino > 1 && inode.file_type == FileType::Directory && inode.subdirs == 0;
    let (ino, inode) = volume.find_inode("a directory without directories", full)?;
    let (key, _, _) = entry(volume, |found, _| found == ino)?;
    volume.delete(key)?;
    volume.edit_inode(inode.parent_or_rdev, |parent| parent.subdirs -= 1)?;
    volume.edit_inode(ino, |inode| inode.nlink = 0)?;
    put_orphan(volume, ino, inode.generation)
}

pub fn entry_dangling(volume: &mut Volume) -> Result<()> {
    add_entry(volume, objects::ROOT, b"dangling", 20_000, FileType::Regular)
}

pub fn entry_to_an_impossible_number(volume: &mut Volume) -> Result<()> {
    add_entry(volume, objects::ROOT, b"impossible", 1 << 50, FileType::Regular)
}

pub fn entry_of_another_type(volume: &mut Volume) -> Result<()> {
    let (key, value, ino) = entry(volume, plain_file)?;
    redirect(volume, key, &value, ino, FileType::Socket)
}

pub fn links_wrong(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    volume.edit_inode(ino, |inode| inode.nlink = 5)
}

pub fn entry_removed(volume: &mut Volume) -> Result<()> {
    let (key, _, _) = entry(volume, plain_file)?;
    volume.delete(key)
}

pub fn directory_with_two_names(volume: &mut Volume) -> Result<()> {
    let ino = directory(volume)?;
    volume.edit_inode(objects::ROOT, |inode| inode.subdirs += 1)?;
    add_entry(volume, objects::ROOT, b"again", ino, FileType::Directory)
}

pub fn entry_to_the_root(volume: &mut Volume) -> Result<()> {
    let dir = directory(volume)?;
    volume.edit_inode(dir, |inode| inode.subdirs += 1)?;
    add_entry(volume, dir, b"root", objects::ROOT, FileType::Directory)
}

/// Two directories, the second in the first, neither of them the root.
fn nested(volume: &Volume) -> Result<(u64, u64)> {
    let inner = |ino: u64, inode: &Inode| {
        ino > 1 && inode.file_type == FileType::Directory && inode.parent_or_rdev > 1
    };
    let (ino, inode) = volume.find_inode("a directory in a directory", inner)?;
    Ok((inode.parent_or_rdev, ino))
}

pub fn parent_wrong(volume: &mut Volume) -> Result<()> {
    let (_, inner) = nested(volume)?;
    volume.edit_inode(inner, |inode| inode.parent_or_rdev = objects::ROOT)
}

pub fn directory_loop(volume: &mut Volume) -> Result<()> {
    let (outer, inner) = nested(volume)?;
    let above = volume.inode(outer)?.parent_or_rdev;
    let (key, value, _) = entry(volume, |ino, _| ino == outer)?;
    let name = name_in(&value)?;
    volume.delete(key)?;
    volume.edit_inode(above, |inode| inode.subdirs -= 1)?;
    volume.edit_inode(inner, |inode| inode.subdirs += 1)?;
    volume.edit_inode(outer, |inode| inode.parent_or_rdev = inner)?;
    add_entry(volume, inner, &name, outer, FileType::Directory)
}

// Data.

/// Changes the first extent of at least two blocks that `of` takes.
fn edit_extent(
    volume: &mut Volume,
    change: impl FnOnce(&mut Key, &mut Extent<'_>),
    keep_key: bool,
) -> Result<()> {
    let ((ino, offset), _) = first_extent(volume, 2)?;
    let mut key = Key::new(ino, kinds::EXTENT, offset);
    let value = volume.get(key)?;
    let mut extent = Extent::parse(offset, &value).map_err(Error::refused)?;
    let before = key;
    change(&mut key, &mut extent);
    let value = extent.encode();
    if !keep_key {
        volume.delete(before)?;
    }
    volume.put(key, &value)
}

pub fn extent_with_unknown_flags(volume: &mut Volume) -> Result<()> {
    let ((ino, offset), _) = first_extent(volume, 2)?;
    let key = Key::new(ino, kinds::EXTENT, offset);
    let mut value = volume.get(key)?;
    value[18] |= 4;
    volume.put(key, &value)
}

pub fn extent_crosses_a_chunk(volume: &mut Volume) -> Result<()> {
    edit_extent(volume, |key, _| key.offset += CHUNK_BYTES - 4096, false)
}

pub fn extents_overlap(volume: &mut Volume) -> Result<()> {
    let items = volume.items();
    let mut last: Option<(Key, u32)> = None;
    for (key, value) in items.iter().filter(|(key, _)| key.kind == kinds::EXTENT) {
        let extent = Extent::parse(key.offset, value).map_err(Error::refused)?;
        if let Some((before, len)) = last
            && before.object == key.object
            && len > 1
            && extent.run.len <= 2
        {
            volume.delete(*key)?;
            return volume.put(Key { offset: before.offset + u64::from(len - 1) * 4096, ..*key }, value);
        }
        last = Some((*key, extent.run.len));
    }
    Err(Error::Lacks("a file with two extents"))
}

pub fn extent_outside(volume: &mut Volume) -> Result<()> {
    let journal = volume.geometry.journal.start;
    edit_extent(volume, |_, extent| extent.run.start = journal, true)
}

pub fn extent_born_too_late(volume: &mut Volume) -> Result<()> {
    edit_extent(volume, |_, extent| extent.birth.0 += 1 << 40, true)
}

pub fn size_too_small(volume: &mut Volume) -> Result<()> {
    let (ino, _) = volume.find_inode("a file of whole blocks", |_, inode| {
        inode.nlink == 1 && inode.blocks > 2 && inode.size == inode.blocks * 4096
    })?;
    volume.edit_inode(ino, |inode| inode.size = 4096)
}

pub fn blocks_wrong(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    volume.edit_inode(ino, |inode| inode.blocks += 1)
}

/// A file whose last bytes are in the tree.
fn with_tail(volume: &Volume) -> Result<(Key, Vec<u8>)> {
    volume.find("a small file", |key, value| {
        key.kind == kinds::INLINE && value.len() > 100 && value.len() < 2000
    })
}

pub fn tail_elsewhere(volume: &mut Volume) -> Result<()> {
    let (key, value) = with_tail(volume)?;
    volume.delete(key)?;
    volume.put(Key { offset: key.offset + 8192, ..key }, &value)
}

pub fn tail_too_long(volume: &mut Volume) -> Result<()> {
    let (key, _) = with_tail(volume)?;
    volume.edit_inode(key.object, |inode| inode.size -= 50)
}

pub fn target_cut(volume: &mut Volume) -> Result<()> {
    let (ino, _) = volume.find_inode("a symbolic link", |_, inode| inode.file_type == FileType::Symlink)?;
    volume.edit_inode(ino, |inode| inode.size += 1)
}

pub fn target_missing(volume: &mut Volume) -> Result<()> {
    let short = |_: u64, inode: &Inode| inode.file_type == FileType::Symlink && inode.size < 1000;
    let (ino, _) = volume.find_inode("a short symbolic link", short)?;
    volume.delete(Key::new(ino, kinds::INLINE, 0))
}

pub fn bytes_behind_the_end(volume: &mut Volume) -> Result<()> {
    let (ino, inode) = volume.find_inode("a file with a last block in part", |_, inode| {
        inode.nlink == 1 && inode.size % 4096 > 2048 && inode.blocks == inode.size.div_ceil(4096)
    })?;
    let last = inode.size / 4096 * 4096;
    let covers = |key: &Key, value: &[u8]| {
        let run = Extent::parse(key.offset, value).map(|extent| extent.run);
        key.object == ino
            && key.kind == kinds::EXTENT
            && run.is_ok_and(|run| (key.offset..key.offset + run.bytes()).contains(&last))
    };
    let (key, value) = volume.find("its last block", covers)?;
    let extent = Extent::parse(key.offset, &value).map_err(Error::refused)?;
    let index = ((last - key.offset) / 4096) as usize;
    let block = BlockNo(extent.run.start.0 + index as u64);
    let mut bytes = volume.read(block)?;
    bytes[4095] = 1;
    volume.write(block, &bytes)?;
    let mut sums: Vec<u32> = extent.crcs.unwrap_or_default().iter().map(|sum| sum.get()).collect();
    sums[index] = crc32c::crc32c(&bytes);
    volume.put(key, &Extent::encode_written(extent.run.start, extent.birth, &sums))
}

// Attributes.

fn attribute(volume: &Volume, name: &'static [u8]) -> Result<(Key, Vec<u8>)> {
    let has = |value: &[u8]| Xattrs::parse(value).is_ok_and(|xattrs| xattrs.find(name).is_some());
    volume
        .find("such an attribute", |key, value| key.kind == kinds::XATTR && has(value) && value.len() < 1000)
}

fn small_attribute(volume: &Volume) -> Result<(Key, Vec<u8>)> {
    let user = |value: &[u8]| {
        Xattrs::parse(value).is_ok_and(|xattrs| xattrs.iter().any(|xattr| xattr.name.starts_with(b"user.")))
    };
    volume.find("an attribute", |key, value| key.kind == kinds::XATTR && user(value) && value.len() < 1000)
}

pub fn attributes_cut(volume: &mut Volume) -> Result<()> {
    let (key, value) = small_attribute(volume)?;
    volume.put(key, &value[..value.len() - 1])
}

pub fn attribute_at_another_hash(volume: &mut Volume) -> Result<()> {
    let (key, value) = small_attribute(volume)?;
    volume.delete(key)?;
    volume.put(Key { offset: key.offset ^ 0x100, ..key }, &value)
}

pub fn attribute_of_no_namespace(volume: &mut Volume) -> Result<()> {
    let (ino, name) = (file(volume)?, b"nowhere.at.all");
    let item = Xattrs::EMPTY.insert(name, b"x").map_err(Error::refused)?;
    volume.put(Key::new(ino, kinds::XATTR, hash(&volume.superblock.hash_seed, name)), &item)
}

pub fn list_is_none(volume: &mut Volume) -> Result<()> {
    let (key, _) = attribute(volume, acl::ACCESS)?;
    let item = Xattrs::EMPTY.insert(acl::ACCESS, b"no list").map_err(Error::refused)?;
    volume.put(key, &item)
}

pub fn list_not_flagged(volume: &mut Volume) -> Result<()> {
    let (key, _) = attribute(volume, acl::ACCESS)?;
    volume.edit_inode(key.object, |inode| inode.flags = 0)
}

pub fn mode_not_of_the_list(volume: &mut Volume) -> Result<()> {
    let (key, _) = attribute(volume, acl::ACCESS)?;
    volume.edit_inode(key.object, |inode| inode.permissions ^= 0o111)
}

// Orphans.

fn orphan_key(ino: u64) -> Key {
    Key::new(objects::ORPHANS, kinds::ORPHAN, ino)
}

fn put_orphan(volume: &mut Volume, ino: u64, generation: u64) -> Result<()> {
    let orphan = Orphan { generation, work: Work::Remove };
    volume.put(orphan_key(ino), &orphan.encode())
}

fn nameless(volume: &Volume) -> Result<(u64, Inode)> {
    volume.find_inode("an inode without links", |ino, inode| ino > 1 && inode.nlink == 0)
}

pub fn orphan_cut(volume: &mut Volume) -> Result<()> {
    let (ino, _) = nameless(volume)?;
    volume.put(orphan_key(ino), &[9; 24])
}

pub fn orphan_without_inode(volume: &mut Volume) -> Result<()> {
    put_orphan(volume, 20_000, 7)
}

pub fn orphan_of_another(volume: &mut Volume) -> Result<()> {
    let (ino, inode) = nameless(volume)?;
    put_orphan(volume, ino, inode.generation - 1)
}

pub fn orphan_with_links(volume: &mut Volume) -> Result<()> {
    let ino = file(volume)?;
    let generation = volume.inode(ino)?.generation;
    put_orphan(volume, ino, generation)
}

pub fn orphan_missing(volume: &mut Volume) -> Result<()> {
    let (ino, _) = nameless(volume)?;
    volume.delete(orphan_key(ino))
}
