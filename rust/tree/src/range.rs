//! Scanning a range of keys, from either end. Leaves are loaded when they are reached; the nodes on the way to
//! the current ones are kept.

use std::borrow::Cow;
use std::sync::Arc;

use vexfs_format::Key;

use crate::error::Result;
use crate::load;
use crate::node::{Child, Node, Span};
use crate::reader::Reader;
use crate::root::Root;
use crate::value::Value;

/// Items in a range of keys: an iterator from the lower end, or with `next_back` and `rev` from the upper one.
/// It ends after an error.
#[derive(Debug)]
pub struct Range {
    reader: Reader,
    root: Root,
    /// The keys still to come: `from..=to`, none when done.
    from: Key,
    to: Key,
    done: bool,
    front: Option<Cursor>,
    back: Option<Cursor>,
}

/// A place between two items of the tree.
#[derive(Debug)]
struct Cursor {
    /// The interior nodes above the leaf: each with the child that the way goes through.
    path: Vec<(Arc<Node>, usize, Span)>,
    leaf: Arc<Node>,
    /// How many items of the leaf lie before the place.
    index: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl Range {
    pub(crate) fn new(reader: Reader, root: Root, from: Key, to: Key) -> Self {
        let done = from > to || root.ptr().is_none();
        Self { reader, root, from, to, done, front: None, back: None }
    }

    fn step(&mut self, direction: Direction) -> Result<Option<(Key, Value)>> {
        let cursor = match direction {
            Direction::Forward => &mut self.front,
            Direction::Backward => &mut self.back,
        };
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => match Cursor::find(&self.reader, &self.root, direction, (self.from, self.to))? {
                Some(found) => cursor.insert(found),
                None => return Ok(None),
            },
        };
        let index = loop {
            match cursor.pass(direction) {
                Some(index) => break index,
                None if cursor.next_leaf(&self.reader, direction)? => {}
                None => return Ok(None),
            }
        };
        let Some(slot) = cursor.leaf.item(index) else { return Ok(None) };
        let key = Key::from(slot.key);
        if key < self.from || key > self.to {
            return Ok(None);
        }
        match direction {
            Direction::Forward => key.successor().map_or_else(|| self.done = true, |next| self.from = next),
            Direction::Backward => predecessor(key).map_or_else(|| self.done = true, |next| self.to = next),
        }
        load::item(&*self.reader.device, Cow::Borrowed(&cursor.leaf), index)
    }

    fn advance(&mut self, direction: Direction) -> Option<Result<(Key, Value)>> {
        if self.done || self.from > self.to {
            return None;
        }
        let item = self.step(direction).transpose();
        self.done |= !matches!(item, Some(Ok(_)));
        item
    }
}

impl Iterator for Range {
    type Item = Result<(Key, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(Direction::Forward)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.advance(Direction::Backward)
    }
}

impl std::iter::FusedIterator for Range {}

impl Cursor {
    /// The place before `from`, or behind `to`; `None` if there is no item on that side of it.
    fn find(
        reader: &Reader,
        root: &Root,
        direction: Direction,
        (from, to): (Key, Key),
    ) -> Result<Option<Self>> {
        let Some(ptr) = root.ptr() else { return Ok(None) };
        let key = if direction == Direction::Forward { from } else { to };
        let mut path = Vec::new();
        let (mut node, mut span) = (Arc::clone(reader.top(root, ptr)?), Span::default());
        while !node.is_leaf() {
            let index = match (node.child_index(key), direction) {
                (Some(index), _) => index,
                (None, Direction::Forward) => 0,
                (None, Direction::Backward) => return Ok(None),
            };
            let Some(child) = node.child(index, &span) else { return Ok(None) };
            let below = reader.child(&node, index, &child)?;
            path.push((node, index, span));
            (node, span) = (below, child.span);
        }
        let index = match (node.search(key), direction) {
            ((index, true), Direction::Backward) => index + 1,
            ((index, _), _) => index,
        };
        Ok(Some(Self { path, leaf: node, index }))
    }

    /// Goes over the next item of the leaf, and gives its number.
    fn pass(&mut self, direction: Direction) -> Option<usize> {
        match direction {
            Direction::Forward if self.index < self.leaf.count() => {
                self.index += 1;
                Some(self.index - 1)
            }
            Direction::Backward if self.index > 0 => {
                self.index -= 1;
                Some(self.index)
            }
            _ => None,
        }
    }

    /// Goes to the next leaf; false if there is none.
    fn next_leaf(&mut self, reader: &Reader, direction: Direction) -> Result<bool> {
        while let Some((node, index, span)) = self.path.pop() {
            let next = match direction {
                Direction::Forward => index.checked_add(1),
                Direction::Backward => index.checked_sub(1),
            };
            let Some((next, child)) = next.and_then(|next| Some((next, node.child(next, &span)?))) else {
                continue;
            };
            return self.descend(reader, direction, (node, next, span), child).map(|()| true);
        }
        Ok(false)
    }

    /// Goes down to the outermost leaf of a child.
    fn descend(
        &mut self,
        reader: &Reader,
        direction: Direction,
        mut from: (Arc<Node>, usize, Span),
        mut child: Child,
    ) -> Result<()> {
        loop {
            let node = reader.child(&from.0, from.1, &child)?;
            self.path.push(from);
            let end = match direction {
                Direction::Forward => 0,
                Direction::Backward => node.count().saturating_sub(1),
            };
            if !node.is_leaf()
                && let Some(below) = node.child(end, &child.span)
            {
                from = (node, end, child.span);
                child = below;
                continue;
            }
            self.index = if direction == Direction::Forward { 0 } else { node.count() };
            self.leaf = node;
            return Ok(());
        }
    }
}

/// The next smaller key; `None` before [`Key::MIN`].
fn predecessor(key: Key) -> Option<Key> {
    if let Some(offset) = key.offset.checked_sub(1) {
        return Some(Key { offset, ..key });
    }
    if let Some(kind) = key.kind.checked_sub(1) {
        return Some(Key { kind, offset: u64::MAX, ..key });
    }
    let object = key.object.checked_sub(1)?;
    Some(Key { object, kind: u8::MAX, offset: u64::MAX })
}
