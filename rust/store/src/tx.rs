//! A transaction: a view, a private write set over it, and what it reserved.
//!
//! Nothing of it can be seen or survives a crash before [`Tx::commit`]; dropping it undoes everything.

use std::sync::Arc;

use vexfs_format::redo::digest;
use vexfs_format::{BLOCK_SIZE, BlockRun, Ino, Key, Seq, kinds};
use vexfs_space::Request;

use crate::merge::{Direction, Layer, Merge as Merging};
use crate::read::{Items, Read};
use crate::readers::Slot;
use crate::reservation::Reservation;
use crate::staged::Staged;
use crate::store::Inner;
use crate::view::View;
use crate::writes::{Merge, Placed, Released, Savepoint, Write, WriteSet, merged};
use crate::{Error, Result, Value};

/// How a transaction is kept apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Reads one moment; conflicts with whoever changed a key that it writes.
    #[default]
    Snapshot,
    /// As if transactions ran one after the other: conflicts also with whoever changed a key or range it read.
    Serializable,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Visible on return, durable with the next group commit.
    Visible,
    /// On the device on return.
    Durable,
}

/// See the head of the file.
#[derive(Debug)]
pub struct Tx {
    pub(crate) view: View,
    pub(crate) writes: WriteSet,
    pub(crate) reads: parking_lot::Mutex<Vec<(Key, Key)>>,
    pub(crate) observed: Vec<Key>,
    pub(crate) isolation: Isolation,
    pub(crate) removal: bool,
    staged: Staged,
    pub(crate) done: bool,
    pub(crate) _writer: Slot,
}

impl Tx {
    pub(crate) fn begin(inner: &Arc<Inner>, isolation: Isolation) -> Result<Self> {
        inner.check_writable()?;
        let writer = inner.writers.claim();
        let view = View::take(inner);
        writer.set(view.seq());
        Ok(Self {
            view,
            writes: WriteSet::default(),
            reads: parking_lot::Mutex::default(),
            observed: Vec::new(),
            isolation,
            removal: false,
            staged: Staged::default(),
            done: false,
            _writer: writer,
        })
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.view.inner
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: Key, value: impl Into<Arc<[u8]>>) {
        debug_assert!(key.kind < kinds::FIRST_VOLATILE);
        self.writes.set(key, Write::Put(value.into()));
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: Key) {
        self.writes.set(key, Write::Delete);
    }

    /// Applies a commuting change to whatever value `key` has at commit. Not a conflict by itself, unless somebody else
    /// has made the value longer by more than changes may.
    pub fn merge(&mut self, key: Key, change: Arc<dyn Merge>) {
        self.writes.merge(key, change);
    }

    /// Writes a token: a key of a volatile kind that exists only to conflict with others who use it.
    pub fn touch(&mut self, token: Key) {
        debug_assert!(token.kind >= kinds::FIRST_VOLATILE);
        if !self.writes.keys.contains_key(&token) {
            self.writes.set(token, Write::Token);
        }
    }

    /// Conflicts with whoever changes `key`, although this transaction only reads it.
    pub fn observe(&mut self, key: Key) {
        self.observed.push(key);
    }

    /// Says that this transaction only gives space back, so that it may use the reserve of a full volume.
    pub fn set_removal(&mut self, removal: bool) {
        self.removal = removal;
    }

    /// Writes whole blocks to the front of `to` and makes them part of the transaction. `checksums` are the CRC32C of
    /// each block. What is left of the reservation stays with the caller. Blocks that follow each other reach the
    /// device together, at the latest when the transaction commits or [`Read::settle`] is called.
    ///
    /// # Errors
    /// The device; an impossible length is [`Error::Corrupt`].
    pub fn write_blocks(
        &mut self,
        to: &mut Reservation,
        bytes: &[u8],
        checksums: &[u32],
    ) -> Result<BlockRun> {
        if checksums.len() * BLOCK_SIZE != bytes.len() {
            return Err(Error::Corrupt { what: "blocks and checksums differ in number".into() });
        }
        let run = self.take(to, checksums.len())?;
        if let Err(error) = self.staged.add(run, bytes, |run, bytes| self.inner().write_data(run, bytes)) {
            self.inner().unreserve(run);
            return Err(error);
        }
        self.writes.place(Placed { run, digest: Some(digest(checksums.iter().copied())) });
        Ok(run)
    }

    /// Makes the first `blocks` of `from` part of the transaction without writing them: preallocated space whose
    /// bytes mean nothing, or blocks that the caller wrote itself with [`crate::Store::write_data`] (then with
    /// their checksums).
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the reservation is shorter.
    pub fn place(
        &mut self,
        from: &mut Reservation,
        blocks: u32,
        checksums: Option<&[u32]>,
    ) -> Result<BlockRun> {
        let run = self.take(from, blocks as usize)?;
        self.writes.place(Placed { run, digest: checksums.map(|sums| digest(sums.iter().copied())) });
        Ok(run)
    }

    fn take(&mut self, from: &mut Reservation, blocks: usize) -> Result<BlockRun> {
        u32::try_from(blocks)
            .ok()
            .and_then(|blocks| from.take(blocks))
            .ok_or_else(|| Error::Corrupt { what: "more blocks than were reserved".into() })
    }

    /// Reserves blocks; see [`crate::Store::reserve`].
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub fn reserve(&self, request: &Request) -> Result<Reservation> {
        self.inner().reserve(request)
    }

    /// Gives up a run that was born at `birth`. It is reused when nobody can reach it any more.
    pub fn free(&mut self, run: BlockRun, birth: Seq) {
        self.writes.free(run, birth);
    }

    /// Takes a free inode number, close to `near` if there is one (or far from it for a directory).
    ///
    /// # Errors
    /// [`Error::NoInodes`].
    pub fn alloc_inode(&mut self, near: Option<Ino>, directory: bool) -> Result<Ino> {
        let ino = self.inner().alloc_inode(near, directory)?;
        self.writes.take_inode(ino);
        Ok(ino)
    }

    /// Gives an inode number back.
    pub fn free_inode(&mut self, ino: Ino) {
        self.writes.free_inode(ino);
    }

    /// A place to roll back to.
    pub fn savepoint(&mut self) -> Savepoint {
        self.writes.savepoint()
    }

    /// Undoes everything since `savepoint`.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        let released = self.writes.rollback(savepoint);
        self.give_back(released);
    }

    /// Keeps everything since `savepoint`.
    pub fn release(&mut self, savepoint: Savepoint) {
        self.writes.release(savepoint);
    }

    /// Whether a commit would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Commits: validates, makes visible and, if asked, waits until it is on the device.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::TooOld`], [`Error::TooLarge`], [`Error::NoSpace`]: nothing has happened.
    /// [`Error::Failed`]: the log could not be written; the volume is read-only from now on, and the next open
    /// decides by what reached the device.
    pub fn commit(mut self, durability: Durability) -> Result<Seq> {
        let inner = Arc::clone(self.inner());
        let result = crate::commit::commit(&inner, &mut self, durability);
        if !matches!(result, Err(crate::commit::Refused::Undone(_))) {
            self.done = true;
        }
        result.map_err(crate::commit::Refused::into_error)
    }

    /// Undoes everything. Dropping the transaction does the same.
    pub fn abort(self) {
        drop(self);
    }

    fn give_back(&self, released: Released) {
        self.staged.forget(&released.runs);
        for run in released.runs {
            self.inner().unreserve(run);
        }
        for ino in released.inodes {
            self.inner().unreserve_inode(ino);
        }
    }

    fn note_read(&self, from: Key, to: Key) {
        if self.isolation == Isolation::Serializable {
            self.reads.lock().push((from, to));
        }
    }

    fn items(&self, from: Key, to: Key, direction: Direction) -> Items<'_> {
        self.note_read(from, to);
        let own = self.writes.range(from, to).map(|(key, write)| (key, write.clone()));
        let own = own.map(|(key, write)| self.known(key, &write).map(|value| (key, value)));
        let own: Layer<'_> = match direction {
            Direction::Ascending => Box::new(own),
            Direction::Descending => Box::new(own.rev()),
        };
        let mut layers = vec![own];
        layers.extend(self.view.layers(from, to, direction));
        match Merging::new(layers, direction) {
            Ok(merge) => Box::new(merge),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn known(&self, key: Key, write: &Write) -> Result<Option<Value>> {
        Ok(match write {
            Write::Put(bytes) => Some(Value::from(Arc::clone(bytes))),
            Write::Delete | Write::Token => None,
            Write::Merge(changes) => merged(changes, self.view.get(key)?.as_deref()).map(Value::from),
        })
    }
}

impl Read for Tx {
    fn get(&self, key: Key) -> Result<Option<Value>> {
        self.note_read(key, key);
        self.writes.seen(key, || self.view.get(key)).unwrap_or_else(|| self.view.get(key))
    }

    fn range(&self, from: Key, to: Key) -> Items<'_> {
        self.items(from, to, Direction::Ascending)
    }

    fn range_rev(&self, from: Key, to: Key) -> Items<'_> {
        self.items(from, to, Direction::Descending)
    }

    fn seq(&self) -> Seq {
        self.view.seq()
    }

    fn is_watched(&self) -> bool {
        self.isolation == Isolation::Serializable
    }

    fn may_change(&self) -> bool {
        true
    }

    fn settle(&self) -> Result<()> {
        self.staged.settle(|run, bytes| self.inner().write_data(run, bytes))
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let runs = self.writes.placed.iter().map(|placed| placed.run).collect();
        let inodes = std::mem::take(&mut self.writes.inodes_taken);
        self.give_back(Released { runs, inodes });
    }
}
