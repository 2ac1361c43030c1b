//! What all changes of a file's data have in common: the inode as the transaction sees it, where blocks come from,
//! and how the change gets into the inode record.

use std::ops::Range;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use vexfs_format::inode::MAX_FILE_BYTES;
use vexfs_format::{BlockNo, Ino, Inode, Key, kinds};
use vexfs_store::{Read, Reservation, Store};

use super::blocks::Source;
use super::edit::{self, Piece, Which};
use super::extents::{self, Held};
use super::verbs::check_regular;
use super::window::{Ahead, Window};
use super::{BLOCK, CHUNK_BLOCKS, FileState, Written, blocks, tail};
use crate::perm::clear_set_id;
use crate::{Error, FsTx, Result, clock, keys};

/// A change of one file within a transaction. It counts once [`Editor::share`] or [`Editor::own`] has ended it.
pub(crate) struct Editor<'a> {
    pub tx: &'a mut FsTx,
    /// As the transaction saw it when the change began.
    pub inode: Inode,
    pub ino: Ino,
    store: Store,
    /// What an open file has in reserve.
    state: Option<Arc<FileState>>,
    window: Window,
    gained: u64,
    lost: u64,
}

/// The token of a chunk of the file.
fn chunk_token(ino: Ino, chunk: u64) -> Key {
    Key::new(ino.0, kinds::CHUNK_TOKEN, chunk)
}

/// The token of the file's shape. The removal of the file changes it too, so it is that of its life.
fn shape_token(ino: Ino) -> Key {
    keys::live(ino)
}

/// Says that the transaction changes the file's shape.
pub(crate) fn touch_shape(tx: &mut FsTx, ino: Ino) {
    tx.store.touch(shape_token(ino));
}

impl<'a> Editor<'a> {
    /// Begins a change of a regular file.
    pub fn new(tx: &'a mut FsTx, ino: Ino) -> Result<Self> {
        let inode = tx.inode(ino)?;
        check_regular(ino, &inode)?;
        let store = tx.fs.store().clone();
        let state = tx.fs.handles().data(ino);
        Ok(Self { tx, inode, ino, store, state, window: Window::default(), gained: 0, lost: 0 })
    }

    /// The file's length before the change.
    pub fn size(&self) -> u64 {
        self.inode.size
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Reads what the transaction sees.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        super::read::read(&self.store, &self.tx.store, self.ino, self.inode.size, offset, into)
    }

    /// The file's tail, and the block that it stands for.
    pub fn tail(&self) -> Result<Option<(u64, vexfs_store::Value)>> {
        let Some(block) = tail::block(self.inode.size) else { return Ok(None) };
        Ok(tail::get(&self.tx.store, self.ino, block)?.map(|value| (block, value)))
    }

    /// Puts what `source` has into these blocks of the file.
    pub fn place(&mut self, range: Range<u64>, source: &Source<'_>) -> Result<()> {
        self.by_chunks(range, source, Self::replace)
    }

    /// As [`Editor::place`] for a file that has no extents, so that there is nothing to look for.
    pub fn place_anew(&mut self, range: Range<u64>, source: &Source<'_>) -> Result<()> {
        self.by_chunks(range, source, |editor, _, pieces| {
            editor.gained += pieces.iter().map(|piece| u64::from(piece.run.len)).sum::<u64>();
            edit::put(&mut editor.tx.store, editor.ino, &pieces);
            Ok(())
        })
    }

    /// Writes what `source` has, and hands the pieces of each chunk to `put`.
    fn by_chunks(
        &mut self,
        range: Range<u64>,
        source: &Source<'_>,
        put: impl Fn(&mut Self, Range<u64>, SmallVec<[Piece; 2]>) -> Result<()>,
    ) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min((at / CHUNK_BLOCKS + 1) * CHUNK_BLOCKS);
            let mut pieces: SmallVec<[Piece; 2]> = SmallVec::new();
            let mut next = at;
            while next < end {
                let mut reserved = self.reserve(next, end - next, range.end - next)?;
                let run = reserved.run();
                let sums = self.fill(&mut reserved, source, (next - range.start) * BLOCK)?;
                pieces.push(Piece { at: next, run, birth: self.tx.store.seq(), sums: Some(sums) });
                next += u64::from(run.len);
            }
            put(self, at..end, pieces)?;
            at = end;
        }
        Ok(())
    }

    /// Fills all of `to` with what lies in `source` from `skip` on; returns the checksum of each block.
    fn fill(&mut self, to: &mut Reservation, source: &Source<'_>, skip: u64) -> Result<Vec<u32>> {
        let run = to.run();
        if run.len as usize > blocks::BATCH {
            let sums = blocks::write(&self.store, run, source, skip)?;
            self.tx.store.place(to, run.len, Some(&sums))?;
            return Ok(sums);
        }
        blocks::with_filled(source, skip, run.len as usize, |bytes, sums| {
            self.tx.store.write_blocks(to, bytes, &sums)?;
            Ok(sums)
        })
    }

    /// Puts preallocated blocks where the file has none in this range, which lies within one chunk; `coming` is how
    /// many the change takes from here on.
    pub fn preallocate(&mut self, hole: Range<u64>, coming: u64) -> Result<()> {
        let mut next = hole.start;
        while next < hole.end {
            let mut reserved = self.reserve(next, hole.end - next, coming)?;
            let run = reserved.run();
            self.tx.store.place(&mut reserved, run.len, None)?;
            let piece = Piece { at: next, run, birth: self.tx.store.seq(), sums: None };
            self.replace(next..next + u64::from(run.len), smallvec![piece])?;
            next += u64::from(run.len);
        }
        Ok(())
    }

    fn replace(&mut self, range: Range<u64>, pieces: SmallVec<[Piece; 2]>) -> Result<()> {
        self.gained += pieces.iter().map(|piece| u64::from(piece.run.len)).sum::<u64>();
        self.take_in(range, pieces)
    }

    /// Puts `pieces`, whose blocks the file has already, in the place of what is there.
    pub fn take_in(&mut self, range: Range<u64>, pieces: SmallVec<[Piece; 2]>) -> Result<()> {
        self.lost += edit::replace(&mut self.tx.store, self.ino, &range, pieces)?;
        Ok(())
    }

    /// Up to `blocks` blocks in one run, for block `at` of the file; `coming` is how many the change takes altogether.
    fn reserve(&self, at: u64, blocks: u64, coming: u64) -> Result<Reservation> {
        let (window, ahead) = match &self.state {
            Some(state) => (&state.window, Ahead::Growing),
            None => (&self.window, Ahead::Exactly),
        };
        window.take(&self.store, u32::try_from(blocks).unwrap_or(u32::MAX), coming, ahead, || {
            let Some(before) = at.checked_sub(1) else { return Ok(None) };
            let held = extents::at_or_before(&self.tx.store, self.ino, before)?;
            Ok(held.map(|held| BlockNo(held.run.end())))
        })
    }

    /// Takes all that lies in these blocks out of the file, with or without what is only preallocated.
    pub fn remove(&mut self, range: Range<u64>, which: Which) -> Result<()> {
        let mut budget = usize::MAX;
        self.remove_some(&range, which, &mut budget)
    }

    /// As [`Editor::remove`], but only up to `budget` extents.
    pub fn remove_some(&mut self, range: &Range<u64>, which: Which, budget: &mut usize) -> Result<()> {
        self.lost += edit::remove(&mut self.tx.store, self.ino, range, which, budget)?;
        Ok(())
    }

    /// Takes these extents, which are all that lies there, out of the range, and keeps their blocks.
    pub fn forget(&mut self, range: &Range<u64>, extents: &[Held]) {
        edit::forget(&mut self.tx.store, self.ino, range, extents);
    }

    /// Gives up the blocks of an extent that has no place in the file any more.
    pub fn give_up(&mut self, held: &Held) {
        self.lost += u64::from(held.run.len);
        self.tx.store.free(held.run, held.birth);
    }

    /// Keeps these bytes as the tail; there is no extent for its block.
    pub fn put_tail(&mut self, block: u64, bytes: &[u8]) {
        self.tx.store.put(keys::inline(self.ino, block * BLOCK), bytes);
    }

    pub fn delete_tail(&mut self, block: u64) {
        self.tx.store.delete(keys::inline(self.ino, block * BLOCK));
    }

    /// Makes the tail an ordinary block.
    pub fn settle_tail(&mut self) -> Result<bool> {
        let Some((block, value)) = self.tail()? else { return Ok(false) };
        self.delete_tail(block);
        self.place(block..block + 1, &Source::new(&value))?;
        Ok(true)
    }

    /// Prepares for the file to end behind these blocks, at or behind its present end: what an unfinished truncation
    /// left there must not come to light.
    pub fn extend(&mut self, blocks: u64) -> Result<()> {
        self.remove(self.inode.size.div_ceil(BLOCK)..blocks, Which::Written)
    }

    /// Checks that a file may have this many bytes.
    pub fn check_size(end: Option<u64>) -> Result<u64> {
        end.filter(|end| *end <= MAX_FILE_BYTES).ok_or(Error::FileTooLarge)
    }

    /// Counts blocks that become part of the file by other ways than [`Editor::place`].
    pub fn gain(&mut self, blocks: u64) {
        self.gained += blocks;
    }

    /// Ends a change that wrote these blocks, and conflicts only with others that wrote the same chunks.
    pub fn share(self, range: Range<u64>, end: u64) {
        for chunk in range.start / CHUNK_BLOCKS..range.end.div_ceil(CHUNK_BLOCKS) {
            self.tx.store.touch(chunk_token(self.ino, chunk));
        }
        self.tx.store.observe(shape_token(self.ino));
        let now = clock::now();
        let blocks = self.gained as i64 - self.lost as i64;
        let joined =
            self.tx.pending.written.get(&self.ino).is_some_and(|change| change.join(end, blocks, now));
        if !joined {
            let change = Written::new(end, blocks, now);
            let shared: Arc<dyn vexfs_store::Merge> = change.clone();
            self.tx.store.merge(keys::inode(self.ino), shared);
            self.tx.pending.written.insert(self.ino, change);
        }
    }

    /// Whether the file's set-id bits must go because this caller changes its data.
    pub fn ends_set_id(&self) -> bool {
        let mut after = self.inode;
        clear_set_id(&self.tx.caller, &mut after);
        after.permissions != self.inode.permissions
    }

    /// Ends a change that conflicts with every other change of the file, and leaves it `size` bytes long.
    pub fn own(mut self, size: u64) {
        let now = clock::now();
        touch_shape(self.tx, self.ino);
        let blocks = self.inode.blocks.saturating_add(self.gained).saturating_sub(self.lost);
        let version = self.inode.version.wrapping_add(1);
        self.inode = Inode { size, blocks, version, mtime_ns: now, ctime_ns: now, ..self.inode };
        clear_set_id(&self.tx.caller, &mut self.inode);
        let inode = self.inode;
        self.tx.put_inode(self.ino, &inode);
    }
}
