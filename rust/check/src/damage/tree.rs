//! Editing the tree in place: a node is changed where it lies, and every pointer above it up to the descriptor is
//! made right again, so that the damage is seen by what it says and not by a checksum.

use std::sync::Arc;

use vexfs_format::node::{self, NodeBytes, NodeView, NodeWriter, OUT_OF_LINE};
use vexfs_format::{Inode, Key, NODE_SIZE, NodePtr, OutOfLine, kinds};
use vexfs_tree::{NodeCache, Reader, Root, TreeCounts, Visitor, WalkOptions};

use super::volume::Volume;
use super::{Error, Result};

/// A change of a leaf's bytes.
type Edit<'a> = Box<dyn FnOnce(&mut NodeBytes) -> Result<()> + 'a>;

/// An item, as its leaf holds it.
#[derive(Clone, Debug)]
pub struct Item {
    pub key: Key,
    pub flags: u8,
    /// The value, or the pointer to its blocks.
    pub bytes: Vec<u8>,
}

/// What a walk finds.
#[derive(Default)]
pub struct Contents {
    pub items: Vec<(Key, Vec<u8>)>,
    pub out_of_line: Vec<(Key, OutOfLine)>,
    pub nodes: Vec<NodePtr>,
}

impl Visitor for Contents {
    fn node(&mut self, ptr: &NodePtr, _count: usize) {
        self.nodes.push(*ptr);
    }

    fn out_of_line(&mut self, key: Key, ptr: &OutOfLine) {
        self.out_of_line.push((key, *ptr));
    }

    fn item(&mut self, key: Key, value: &[u8]) {
        self.items.push((key, value.to_vec()));
    }

    fn bad(&mut self, _error: vexfs_tree::Error) {}
}

impl Volume {
    /// All that a tree holds.
    pub fn contents(&self, root: Option<NodePtr>) -> Contents {
        let reader = Reader::new(Arc::clone(&self.device), Arc::new(NodeCache::new(1 << 20)), self.bits());
        let mut contents = Contents::default();
        reader.walk(&Root::new(root, TreeCounts::default()), WalkOptions::default(), &mut contents);
        contents
    }

    /// The items of the newest tree.
    pub fn items(&self) -> Vec<(Key, Vec<u8>)> {
        self.contents(self.newest.root).items
    }

    /// The first item that `wanted` takes.
    pub fn find(&self, what: &'static str, wanted: impl Fn(&Key, &[u8]) -> bool) -> Result<(Key, Vec<u8>)> {
        self.items().into_iter().find(|(key, value)| wanted(key, value)).ok_or(Error::Lacks(what))
    }

    /// The first inode that `wanted` takes.
    pub fn find_inode(
        &self,
        what: &'static str,
        wanted: impl Fn(u64, &Inode) -> bool,
    ) -> Result<(u64, Inode)> {
        let inodes = self.items().into_iter().filter(|(key, _)| key.kind == kinds::INODE);
        let mut inodes = inodes.filter_map(|(key, value)| Some((key.object, Inode::parse(&value).ok()?)));
        inodes.find(|(ino, inode)| wanted(*ino, inode)).ok_or(Error::Lacks(what))
    }

    pub fn read_node(&self, ptr: &NodePtr) -> Result<Box<NodeBytes>> {
        let mut bytes = vec![0; NODE_SIZE];
        self.device.read_at(&mut bytes, ptr.block.byte_offset()).map_err(Error::refused)?;
        bytes.into_boxed_slice().try_into().map_err(|_| Error::Lacks("a node"))
    }

    /// Changes the bytes of the leaf in which `key` lies or would lie.
    pub fn edit_leaf(&mut self, key: Key, change: impl FnOnce(&mut NodeBytes) -> Result<()>) -> Result<()> {
        let root = self.newest.root.ok_or(Error::Lacks("a tree"))?;
        let (_, root) = self.edit_below(&root, key, Box::new(change))?;
        self.edit_newest(|newest| newest.root = Some(root))
    }

    fn edit_below<'a>(&self, ptr: &NodePtr, key: Key, change: Edit<'a>) -> Result<(Key, NodePtr)> {
        let mut bytes = self.read_node(ptr)?;
        let view = NodeView::trust(&bytes);
        if ptr.level == 0 {
            change(&mut bytes)?;
        } else {
            let mut children: Vec<(Key, NodePtr)> =
                view.children().iter().map(|slot| (slot.key.into(), slot.ptr(ptr.level - 1))).collect();
            let index = children.partition_point(|(low, _)| *low <= key).saturating_sub(1);
            let (_, child) = *children.get(index).ok_or(Error::Lacks("a child"))?;
            let below = self.edit_below(&child, key, change)?;
            if let Some(slot) = children.get_mut(index) {
                *slot = below;
            }
            *bytes = [0; NODE_SIZE];
            let mut writer = NodeWriter::new(&mut bytes, ptr.level);
            for (key, child) in children {
                if !writer.child(key, Some(child)) {
                    return Err(Error::Lacks("room in a node"));
                }
            }
            writer.finish(ptr.birth);
        }
        let placed = node::place(&mut bytes, self.bits(), ptr.block);
        self.write(ptr.block, &bytes[..])?;
        let view = NodeView::trust(&bytes);
        let first = match ptr.level {
            0 => view.items().first().map(|slot| slot.key.into()),
            _ => view.children().first().map(|slot| slot.key.into()),
        };
        Ok((first.unwrap_or_default(), placed))
    }

    /// Changes the items of the leaf in which `key` lies or would lie, with all counts as they then must be.
    pub fn edit_items(&mut self, key: Key, change: impl FnOnce(&mut Vec<Item>) -> Result<()>) -> Result<()> {
        let (mut before, mut after) = ((0, 0), (0, 0));
        self.edit_leaf(key, |bytes| {
            let view = NodeView::trust(bytes);
            let birth = birth_of(bytes);
            let mut items: Vec<Item> = view
                .items()
                .iter()
                .map(|slot| Item {
                    key: slot.key.into(),
                    flags: slot.flags,
                    bytes: view.value(slot).to_vec(),
                })
                .collect();
            before = counted(&items);
            change(&mut items)?;
            items.sort_by_key(|item| item.key);
            after = counted(&items);
            *bytes = [0; NODE_SIZE];
            let mut writer = NodeWriter::new(bytes, 0);
            for item in &items {
                if !writer.item(item.key, item.flags, &item.bytes) {
                    return Err(Error::Lacks("room in a leaf"));
                }
            }
            writer.finish(birth);
            Ok(())
        })?;
        self.edit_newest(|newest| {
            newest.counts.items = newest.counts.items + after.0 - before.0;
            newest.counts.inodes = newest.counts.inodes + after.1 - before.1;
        })
    }

    /// Gives a key a value, in its leaf.
    pub fn put(&mut self, key: Key, value: &[u8]) -> Result<()> {
        self.edit_items(key, |items| {
            items.retain(|item| item.key != key);
            items.push(Item { key, flags: 0, bytes: value.to_vec() });
            Ok(())
        })
    }

    pub fn delete(&mut self, key: Key) -> Result<()> {
        self.edit_items(key, |items| {
            let before = items.len();
            items.retain(|item| item.key != key);
            if items.len() < before { Ok(()) } else { Err(Error::Lacks("the item")) }
        })
    }

    pub fn get(&self, key: Key) -> Result<Vec<u8>> {
        self.find("the item", |found, _| *found == key).map(|(_, value)| value)
    }

    pub fn inode(&self, ino: u64) -> Result<Inode> {
        Inode::parse(&self.get(Key::new(ino, kinds::INODE, 0))?).map_err(Error::refused)
    }

    /// Changes an inode's record.
    pub fn edit_inode(&mut self, ino: u64, change: impl FnOnce(&mut Inode)) -> Result<()> {
        let mut inode = self.inode(ino)?;
        change(&mut inode);
        self.put(Key::new(ino, kinds::INODE, 0), &inode.encode())
    }

    /// Changes the pointer to a value that lies out of line.
    pub fn edit_pointer(&mut self, key: Key, change: impl FnOnce(&mut OutOfLine)) -> Result<()> {
        let (_, mut ptr) = self
            .contents(self.newest.root)
            .out_of_line
            .into_iter()
            .find(|(found, _)| *found == key)
            .ok_or(Error::Lacks("a value out of line"))?;
        change(&mut ptr);
        let raw = vexfs_format::pointer::RawOutOfLine::from(ptr);
        self.edit_items(key, |items| {
            for item in items.iter_mut().filter(|item| item.key == key && item.flags == OUT_OF_LINE) {
                item.bytes = zerocopy::IntoBytes::as_bytes(&raw).to_vec();
            }
            Ok(())
        })
    }
}

fn birth_of(bytes: &NodeBytes) -> vexfs_format::Seq {
    use zerocopy::FromBytes;
    node::NodeHeader::ref_from_prefix(bytes)
        .map_or_else(|_| Default::default(), |(header, _)| header.birth.into())
}

/// Items, and inodes among them.
fn counted(items: &[Item]) -> (u64, u64) {
    let inode = |item: &&Item| {
        item.key.kind == kinds::INODE
            && item.key.offset == 0
            && (item.key.object == 1 || (16..1 << 40).contains(&item.key.object))
    };
    (items.len() as u64, items.iter().filter(inode).count() as u64)
}
