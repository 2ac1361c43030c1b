//! A value as a reader gets it: bytes that stay valid for as long as the value lives, wherever they lie.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use vexfs_format::Lsn;

use crate::run::Run;

/// The bytes behind a key. Cheap to clone; keeps what holds the bytes (memtable entry, tree node, mapped log)
/// alive.
#[derive(Clone)]
pub struct Value(Held);

#[derive(Clone)]
enum Held {
    Memory(Arc<[u8]>),
    Tree(vexfs_tree::Value),
    Log { run: Arc<Run>, start: Lsn, len: usize },
}

impl Value {
    pub(crate) fn in_log(run: Arc<Run>, start: Lsn, len: usize) -> Self {
        Self(Held::Log { run, start, len })
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Memory(bytes) => bytes,
            Held::Tree(value) => value,
            Held::Log { run, start, len } => run.bytes(*start, *len),
        }
    }
}

impl From<Arc<[u8]>> for Value {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Held::Memory(bytes))
    }
}

impl From<vexfs_tree::Value> for Value {
    fn from(value: vexfs_tree::Value) -> Self {
        Self(Held::Tree(value))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.len()).finish()
    }
}
