//! What a transaction remembers beside its writes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use vexfs_format::Ino;

use crate::touch::Touch;

/// See the head of the file. All of it may name more than what is true after a rollback, never less.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Inodes that lost their last name here, or never had one: looked at again at commit.
    pub nameless: Vec<Ino>,
    /// Directories whose record was put by this transaction: a touch is applied to it at once.
    pub put_dirs: HashSet<Ino>,
    /// Touches that later ones of the same inode can join, because no savepoint was taken in between.
    pub touches: HashMap<Ino, Arc<Touch>>,
    /// Whether anything but a removal was done, so that the reserve of a full volume stays closed to it.
    pub grows: bool,
}
