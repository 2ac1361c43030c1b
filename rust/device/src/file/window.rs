//! The whole file mapped, for small reads of what the host has in memory: to copy from it spares a system call.
//!
//! Invariants: what a window hands out is what a read of the file would have. From the first page on that the host
//! could not read it hands out nothing, and the read that follows tells why. Only hosts are trusted whose mappings are
//! known to show what was written ([`is_coherent`]).
//!
//! What was not read or written lately is left to an ordinary read, since the host reads ahead for that and not for a
//! mapping. What has become cold meanwhile shows by the time that a copy of it takes.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::{Access, open};
use crate::map::guard::Guarded;

/// Longer reads are left to the host, whose cost for each byte is lower and who then need not map the pages.
const SMALL: usize = 8 << 10;
/// A larger file is not mapped: the tables of its pages would take too much memory.
const LARGEST: u64 = 64 << 30;
/// A copy that takes longer had to wait for the disk.
const SLOW: Duration = Duration::from_micros(20);
/// What is noted as warm or cold.
const BLOCK: u64 = 4096;

/// See the head of the file.
pub(super) struct Window(OnceLock<Option<Open>>);

struct Open {
    pages: Guarded,
    warm: Warm,
}

impl Window {
    /// A window of a file that is opened like this; made at the first small read.
    pub(super) fn new(access: Access) -> Self {
        let window = Self(OnceLock::new());
        // Beside a writer on another machine nothing tells that a page has changed.
        if access == Access::Beside {
            let _ = window.0.set(None);
        }
        window
    }

    /// Fills `buf` from `offset` of the file of `len` bytes; whether it did, else the file is to be read.
    pub(super) fn read(&self, file: &File, len: u64, buf: &mut [u8], offset: u64) -> bool {
        if buf.len() > SMALL {
            return false;
        }
        let Some(open) = self.0.get_or_init(|| Open::new(file, len)) else { return false };
        open.warm.all(offset, buf.len())
            && open.copy(buf, offset)
            && (buf.last().is_some_and(|last| *last != 0) || reaches(file, offset, buf.len()))
    }

    /// Notes that the host has just had these bytes in its memory.
    pub(super) fn note(&self, offset: u64, len: usize) {
        if let Some(Some(open)) = self.0.get() {
            open.warm.note(offset, len);
        }
    }
}

impl Open {
    fn new(file: &File, len: u64) -> Option<Self> {
        // Where address space is counted, it is for others to use.
        if len > LARGEST || getrlimit(Resource::As).current.is_some() || !is_coherent(file) {
            return None;
        }
        let pages = Guarded::map(file, 0, usize::try_from(len).ok()?)?;
        pages.expect_random();
        Some(Self { pages, warm: Warm::new(len)? })
    }

    fn copy(&self, buf: &mut [u8], offset: u64) -> bool {
        let begun = Instant::now();
        let copied = usize::try_from(offset).is_ok_and(|offset| self.pages.copy_to(buf, offset));
        if begun.elapsed() > SLOW {
            self.warm.forget(offset);
        }
        copied && self.pages.is_whole()
    }
}

/// Which blocks are likely to be in the host's memory: a bit for each.
struct Warm(Box<[AtomicU64]>);

impl Warm {
    fn new(len: u64) -> Option<Self> {
        let words = usize::try_from(len.div_ceil(BLOCK * u64::from(u64::BITS))).ok()?;
        Some(Self(std::iter::repeat_with(AtomicU64::default).take(words).collect()))
    }

    /// The words that the blocks of these bytes are in, and which bits of each.
    fn words(&self, offset: u64, len: usize) -> impl Iterator<Item = (&AtomicU64, u64)> {
        const BITS: u64 = u64::BITS as u64;
        let (first, end) = (offset / BLOCK, offset.saturating_add(len as u64).div_ceil(BLOCK));
        let words = first / BITS..end.div_ceil(BITS);
        words.filter_map(move |word| {
            let (from, to) = (first.max(word * BITS) % BITS, end.min((word + 1) * BITS) - word * BITS);
            let bits = (u64::MAX << from) & (u64::MAX >> (BITS - to));
            Some((self.0.get(usize::try_from(word).ok()?)?, bits))
        })
    }

    fn all(&self, offset: u64, len: usize) -> bool {
        self.words(offset, len).all(|(word, bits)| word.load(Ordering::Relaxed) & bits == bits)
    }

    fn note(&self, offset: u64, len: usize) {
        for (word, bits) in self.words(offset, len) {
            if word.load(Ordering::Relaxed) & bits != bits {
                word.fetch_or(bits, Ordering::Relaxed);
            }
        }
    }

    /// Takes a block and its neighbours for cold: what the host lets go, it lets go in long pieces.
    fn forget(&self, offset: u64) {
        self.words(offset, 1).for_each(|(word, _)| word.store(0, Ordering::Relaxed));
    }
}

/// Whether the file still has the range. A page that it has only a part of is zeros from its end on.
fn reaches(file: &File, offset: u64, len: usize) -> bool {
    open::len_of(file).is_ok_and(|now| offset.saturating_add(len as u64) <= now)
}

/// Whether a mapping is known to show at once what is written to the file: on a disk's file system and in memory, not
/// over a network.
fn is_coherent(file: &File) -> bool {
    // From linux/magic.h: ext2 to ext4, xfs, btrfs, f2fs, bcachefs, tmpfs, overlayfs; devtmpfs is a tmpfs.
    const KNOWN: [u64; 7] =
        [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0xca45_1a4e, 0x0102_1994, 0x794c_7630];
    rustix::fs::fstatfs(file.as_fd()).is_ok_and(|host| KNOWN.contains(&(host.f_type as u64)))
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.0.get().map(|open| open.as_ref().is_some_and(|open| open.pages.is_whole()));
        f.debug_tuple("Window").field(&whole).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_warm_once_noted_until_one_of_their_word_is_forgotten() {
        let warm = Warm::new(300 * BLOCK).unwrap();
        assert!(!warm.all(0, 1));
        warm.note(10 * BLOCK + 5, 1);
        assert!(warm.all(10 * BLOCK, 4096) && !warm.all(10 * BLOCK, 4097) && !warm.all(10 * BLOCK - 1, 2));
        warm.note(60 * BLOCK, 80 * BLOCK as usize);
        for block in 0..300 {
            assert_eq!(warm.all(block * BLOCK, 4096), block == 10 || (60..140).contains(&block), "{block}");
        }
        warm.forget(100 * BLOCK);
        for block in 0..300 {
            let kept = block == 10 || (60..64).contains(&block) || (128..140).contains(&block);
            assert_eq!(warm.all(block * BLOCK, 4096), kept, "{block}");
        }
        warm.note(299 * BLOCK, 4096);
        assert!(warm.all(299 * BLOCK, 4096) && warm.all(400 * BLOCK, 0));
    }

    #[test]
    fn a_window_shows_what_is_written_and_nothing_beside_a_writer() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        let (mine, theirs) = (Window::new(Access::Write), Window::new(Access::Beside));
        let mut block = [1; 4096];
        for window in [&mine, &theirs] {
            assert!(!window.read(&file, 1 << 20, &mut block, 8192), "nobody has read it yet");
            window.note(8192, 4096);
        }
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 4096], 8192).unwrap();
        assert!(!theirs.read(&file, 1 << 20, &mut block, 8192));
        if is_coherent(&file) && getrlimit(Resource::As).current.is_none() {
            assert!(mine.read(&file, 1 << 20, &mut block, 8192));
            assert_eq!(block, [7; 4096]);
        }
    }
}
