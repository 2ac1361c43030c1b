//! What a transaction remembers beside its writes.

use std::collections::HashMap;
use std::sync::Arc;

use vexfs_format::Ino;

use crate::data::Written;
use crate::touch::Touch;

/// See the head of the file. All of it may name more than what is true after a rollback, never less.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Inodes that lost their last name here, or never had one: looked at again at commit.
    pub nameless: Vec<Ino>,
    /// Inodes without a name that got one.
    pub named: Vec<Ino>,
    /// Inodes whose orphan item says what is left to do once this is committed.
    pub unfinished: Vec<Ino>,
    /// Touches that later ones of the same inode can join, because no savepoint was taken in between.
    pub touches: HashMap<Ino, Arc<Touch>>,
    /// Writes of files that later ones can join in the same way.
    pub written: HashMap<Ino, Arc<Written>>,
    /// Changes that are under way, one within the other, each of which will be done as a whole or not at all.
    pub depth: usize,
    /// What was done to names of directories.
    pub directories: Directories,
    /// Whether anything but a removal was done, so that the reserve of a full volume stays closed to it.
    pub grows: bool,
}

/// What a transaction did to names of directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Directories {
    /// Nothing.
    #[default]
    Kept,
    /// It gave some a name.
    Named,
    /// It took some a name.
    Moved,
}

impl Pending {
    /// From here on nothing joins what was done before: a savepoint begins or ends.
    pub fn part(&mut self) {
        self.touches.clear();
        self.written.clear();
    }

    /// The inode's record is put as a whole: nothing joins what was merged into it before.
    pub fn record_put(&mut self, ino: Ino) {
        self.touches.remove(&ino);
        self.written.remove(&ino);
    }
}
