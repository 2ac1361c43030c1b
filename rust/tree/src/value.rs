//! A value that was read: a part of a node that is kept in memory for it, or bytes of its own.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::node::Node;

/// A value of the tree. Cheap to clone; while it lives, so does the memory of the node that it lies in.
#[derive(Clone)]
pub struct Value(Repr);

#[derive(Clone)]
enum Repr {
    InNode { node: Arc<Node>, start: u16, len: u16 },
    Own(Arc<[u8]>),
}

impl Value {
    pub(crate) fn in_node(node: Arc<Node>, start: u16, len: u16) -> Self {
        Self(Repr::InNode { node, start, len })
    }

    pub(crate) fn own(bytes: Arc<[u8]>) -> Self {
        Self(Repr::Own(bytes))
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::InNode { node, start, len } => node.bytes_at(*start, *len),
            Repr::Own(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&&**self).finish()
    }
}
