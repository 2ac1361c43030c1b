//! Directories on the way of a path, as this thread has found them before.
//!
//! Invariant: what is known is what a look-up would find. A name that was found to lead to a directory at some sequence
//! does so at a later one if no directory lost its name since, and [`Moves`] tells when one last did. (At an earlier
//! one it may have led anywhere.)
//! A commit that takes a directory's name is announced before it can be seen, and what is known counts for nothing
//! until it is done.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use vexfs_format::{Ino, Seq};

use crate::Fs;

/// How many directories a thread knows.
const PLACES: usize = 64;
/// Longer names are always looked up.
const NAME: usize = 32;

/// When directories of one open volume lost their names.
#[derive(Debug)]
pub(crate) struct Moves {
    /// Which volume it is: a number that no other open volume of this process has or had.
    volume: u64,
    /// Commits on their way that take the name of a directory.
    underway: AtomicU64,
    /// The sequence at which the last such commit was surely visible.
    last: AtomicU64,
}

impl Default for Moves {
    fn default() -> Self {
        static VOLUMES: AtomicU64 = AtomicU64::new(1);
        let volume = VOLUMES.fetch_add(1, Ordering::Relaxed);
        Self { volume, underway: AtomicU64::new(0), last: AtomicU64::new(0) }
    }
}

impl Moves {
    /// Whether every directory that had a name at `seq` has it still. To be asked by whoever has a view already.
    fn none_since(&self, seq: Seq) -> bool {
        self.underway.load(Ordering::SeqCst) == 0 && self.last.load(Ordering::SeqCst) <= seq.0
    }

    /// The directory that `name` in `dir` was last found to lead to, for a reader at `seq`.
    pub(super) fn known(&self, dir: Ino, name: &[u8], seq: Seq) -> Option<Ino> {
        KNOWN.with_borrow(|known| {
            let entry = known.get(place(dir, name))?;
            let is_it = entry.volume == self.volume && entry.dir == dir && entry.name() == name;
            (is_it && entry.seq <= seq && self.none_since(entry.seq)).then_some(entry.ino)
        })
    }

    /// Notes that `name` in `dir` was found at `seq` to lead to the directory `ino`.
    pub(super) fn note(&self, dir: Ino, name: &[u8], seq: Seq, ino: Ino) {
        let mut entry = Known { volume: self.volume, dir, ino, seq, name: [0; NAME], len: name.len() };
        let Some(into) = entry.name.get_mut(..name.len()) else { return };
        into.copy_from_slice(name);
        KNOWN.with_borrow_mut(|known| {
            known.resize(PLACES, Known::NOTHING);
            if let Some(old) = known.get_mut(place(dir, name)) {
                *old = entry;
            }
        });
    }
}

/// A commit on its way that takes the name of a directory.
pub(crate) struct Moving<'a>(&'a Fs);

impl<'a> Moving<'a> {
    pub(crate) fn begin(fs: &'a Fs) -> Self {
        fs.moves().underway.fetch_add(1, Ordering::SeqCst);
        Self(fs)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        // Whatever became of the commit: what is visible now is not older than it.
        self.0.moves().last.fetch_max(self.0.store().visible().0, Ordering::SeqCst);
        self.0.moves().underway.fetch_sub(1, Ordering::SeqCst);
    }
}

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// A name that led to a directory.
#[derive(Clone, Copy)]
struct Known {
    volume: u64,
    dir: Ino,
    ino: Ino,
    seq: Seq,
    name: [u8; NAME],
    len: usize,
}

impl Known {
    const NOTHING: Self = Self { volume: 0, dir: Ino(0), ino: Ino(0), seq: Seq(0), name: [0; NAME], len: 0 };

    fn name(&self) -> &[u8] {
        self.name.get(..self.len).unwrap_or_default()
    }
}

/// Where a name is noted; names that meet there take turns.
fn place(dir: Ino, name: &[u8]) -> usize {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.iter().fold(dir.0.wrapping_mul(0x9e37_79b9_7f4a_7c15), step);
    (hash >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vexfs_device::{Device, MemoryDevice};
    use vexfs_store::{FormatOptions, Options};

    use super::*;
    use crate::{Caller, RootOptions};

    #[test]
    fn nothing_counts_as_known_while_a_directory_loses_its_name_and_nothing_older_afterwards() {
        let device: Arc<dyn Device> = Arc::new(MemoryDevice::new(16 << 20));
        Fs::mkfs(Arc::clone(&device), FormatOptions::default(), RootOptions::default()).unwrap();
        let fs = Fs::open(device, Options { background: false, ..Options::default() }).unwrap();
        let (dir, ino, before) = (Ino(1), Ino(9), fs.store().visible());
        fs.moves().note(dir, b"name", before, ino);
        assert_eq!(fs.moves().known(dir, b"name", before), Some(ino));
        assert_eq!(fs.moves().known(dir, b"name", Seq(before.0 - 1)), None, "an older reader");
        assert_eq!(fs.moves().known(dir, b"other", before), None);
        let moving = Moving::begin(&fs);
        assert_eq!(fs.moves().known(dir, b"name", before), None);
        fs.auto(&Caller::root(), |tx| tx.mkdir_path(b"/d", 0o755)).unwrap();
        drop(moving);
        assert_eq!(fs.moves().known(dir, b"name", fs.store().visible()), None);
        fs.moves().note(dir, b"name", fs.store().visible(), ino);
        assert_eq!(fs.moves().known(dir, b"name", fs.store().visible()), Some(ino));
    }
}
