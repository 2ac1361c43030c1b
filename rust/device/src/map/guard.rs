//! Island of unsafe code: file mappings that survive SIGBUS.
//!
//! A fixed table, read by the signal handler without a lock, holds the address range of every live mapping. A
//! fault inside one of them replaces the unreadable page with a private page of zeros and counts it there; any
//! other SIGBUS goes to whoever handled it before, or kills the process as it would have.
//!
//! Invariants: a row is filled before its mapping is handed out and emptied before it is unmapped, so a row's
//! range never belongs to anybody else; the handler calls nothing but `mmap` and atomics, and keeps errno.
//!
//! What remains: a handler that the program installs after the first mapping and that does not pass faults on
//! hides this one; then an unreadable page kills the process as it does any program.

#![allow(unsafe_code, reason = "mmap, and a handler for the signal that a mapping can raise")]

use std::fs::File;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

use memmap2::{Advice, Mmap, MmapOptions};

const ROWS: usize = 1024;
const TAKEN: usize = 1;

/// `start` is 0 when the row is free, [`TAKEN`] while it is being filled.
struct Row {
    start: AtomicUsize,
    end: AtomicUsize,
    faults: AtomicU32,
}

static TABLE: [Row; ROWS] =
    [const { Row { start: AtomicUsize::new(0), end: AtomicUsize::new(0), faults: AtomicU32::new(0) } }; ROWS];

/// The size of a page; set before the handler is installed.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// Who handled SIGBUS before; `None` if this process could not install the handler.
static PREVIOUS: OnceLock<Option<libc::sigaction>> = OnceLock::new();

/// A file mapping that is registered with the handler.
pub(crate) struct Guarded {
    pages: Mmap,
    row: &'static Row,
}

impl Guarded {
    /// Maps a range; `None` if the host cannot map it or the guard cannot watch over it.
    pub(crate) fn map(file: &File, offset: u64, len: usize) -> Option<Self> {
        if len == 0 || !installed() {
            return None;
        }
        // SAFETY: the mapping is read-only and shared. Its bytes change only if the file is written while it
        // lives, which the owner of the range rules out (see `Map`); a page that cannot be read is guarded here.
        let pages = unsafe { MmapOptions::new().offset(offset).len(len).map(file) }.ok()?;
        let page = page_size();
        let start = pages.as_ptr().addr();
        let end = start.checked_add(len)?.checked_next_multiple_of(page)?;
        let row = claim(start / page * page, end)?;
        Some(Self { pages, row })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.pages
    }

    /// Copies the bytes from `offset` on, which somebody may be writing at this moment; whether the mapping has them.
    pub(crate) fn copy_to(&self, into: &mut [u8], offset: usize) -> bool {
        if offset.checked_add(into.len()).is_none_or(|end| end > self.pages.len()) {
            return false;
        }
        // SAFETY: the range was just found to lie within the mapping, which `into`, being exclusive, cannot overlap.
        // No reference to the mapped bytes is made, so whatever is written there meanwhile is copied or not.
        unsafe {
            std::ptr::copy_nonoverlapping(self.pages.as_ptr().add(offset), into.as_mut_ptr(), into.len())
        };
        true
    }

    /// Says that pages are wanted one at a time, wherever they lie. A hint.
    pub(crate) fn expect_random(&self) {
        let _ = self.pages.advise(Advice::Random);
    }

    /// Asks the host to begin reading a range. A hint.
    pub(super) fn prefetch(&self, offset: usize, len: usize) {
        // What goes wrong here is found out when the pages are read.
        let _ = self.pages.advise_range(Advice::WillNeed, offset, len);
    }

    /// Whether no page had to be replaced.
    pub(crate) fn is_whole(&self) -> bool {
        // What was read of the pages was read before this.
        fence(Ordering::Acquire);
        self.row.faults.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.row.start.store(0, Ordering::Release);
    }
}

fn claim(start: usize, end: usize) -> Option<&'static Row> {
    let row = TABLE
        .iter()
        .find(|row| row.start.compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok())?;
    row.faults.store(0, Ordering::Relaxed);
    row.end.store(end, Ordering::Relaxed);
    row.start.store(start, Ordering::Release);
    Some(row)
}

fn page_size() -> usize {
    PAGE.load(Ordering::Relaxed)
}

/// Installs the handler at the first call; whether it is in place.
fn installed() -> bool {
    PREVIOUS.get_or_init(install).is_some()
}

fn install() -> Option<libc::sigaction> {
    // SAFETY: sysconf reads a constant of the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    PAGE.store(page.is_power_of_two().then_some(page)?, Ordering::Relaxed);
    let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed sigaction is a valid one; every field that matters is set below.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = on_sigbus as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: both pointers are to live sigactions, and `on_sigbus` has the signature that SA_SIGINFO asks for.
    let answer = unsafe { libc::sigaction(libc::SIGBUS, &action, previous.as_mut_ptr()) };
    // SAFETY: it was zeroed, and filled by the call if that succeeded.
    (answer == 0).then(|| unsafe { previous.assume_init() })
}

/// Handles SIGBUS. Calls only what is safe in a signal handler.
extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid siginfo to a handler installed with SA_SIGINFO; a positive code says that
    // the kernel itself raised the signal for a fault, so that si_addr is set.
    let fault = unsafe { info.as_ref().filter(|i| i.si_code > 0).map(|i| i.si_addr().addr()) };
    if !fault.is_some_and(patch) {
        pass_on(signal, info, context);
    }
}

/// Replaces the page at `address` with zeros if it belongs to a guarded mapping.
fn patch(address: usize) -> bool {
    let inside = |row: &&Row| {
        let start = row.start.load(Ordering::Acquire);
        let end = row.end.load(Ordering::Relaxed);
        // Between the two the row may have become another mapping's.
        fence(Ordering::Acquire);
        start > TAKEN && (start..end).contains(&address) && row.start.load(Ordering::Relaxed) == start
    };
    let Some(row) = TABLE.iter().find(inside) else { return false };
    let page = page_size();
    let start = std::ptr::without_provenance_mut(address & !(page - 1));
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    row.faults.fetch_add(1, Ordering::Release);
    // SAFETY: the page lies within a mapping that this module owns and that cannot be unmapped now, since the
    // faulting thread borrows it; readable bytes replace bytes that could not be read. errno is this thread's.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let answer = libc::mmap(start, page, libc::PROT_READ, flags, -1, 0);
        *errno = before;
        answer != libc::MAP_FAILED
    }
}

/// Hands a fault that is not ours to the handler that was there before.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Full = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    type Short = extern "C" fn(libc::c_int);
    let previous = PREVIOUS.get().copied().flatten();
    let handler = previous.map_or(libc::SIG_DFL, |p| p.sa_sigaction);
    // SAFETY: as in `on_sigbus`.
    let sent = unsafe { info.as_ref().is_none_or(|i| i.si_code <= 0) };
    if handler == libc::SIG_IGN && sent {
        // Ignored, as before.
    } else if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // SAFETY: resets the signal to its default; the fault happens again on return and ends the process as it
        // would have without this handler. A signal sent by a process is sent again, for the same end.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            if sent {
                libc::raise(signal);
            }
        }
    } else if previous.is_some_and(|p| p.sa_flags & libc::SA_SIGINFO != 0) {
        // SAFETY: the handler was installed with SA_SIGINFO, so it has this signature.
        let handler = unsafe { std::mem::transmute::<usize, Full>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: the handler was installed without SA_SIGINFO, so it has this signature.
        let handler = unsafe { std::mem::transmute::<usize, Short>(handler) };
        handler(signal);
    }
}
