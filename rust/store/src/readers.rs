//! Who is reading at which sequence. Blocks that a reader may still reach are not reused.
//!
//! A slot is claimed before the sequence is chosen and counts as "reads everything" until it is set, so a
//! scan that finds no slot below *s* proves that no reader below *s* exists or can still appear.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vexfs_format::Seq;

use crate::sync::{AtomicU64, Mutex};

const FREE: u64 = u64::MAX;
const CHOOSING: u64 = 0;
/// One under loom, so that two readers need a second page.
const SLOTS_PER_PAGE: usize = if cfg!(loom) { 1 } else { 128 };

type Page = [AtomicU64; SLOTS_PER_PAGE];

/// The registry of readers.
#[derive(Debug)]
pub(crate) struct Readers {
    first: Arc<Page>,
    more: Mutex<Vec<Arc<Page>>>,
}

/// A reader's place in the registry; dropping it ends the reading.
#[derive(Debug)]
pub(crate) struct Slot {
    page: Arc<Page>,
    index: usize,
}

fn page() -> Arc<Page> {
    Arc::new(std::array::from_fn(|_| AtomicU64::new(FREE)))
}

impl Default for Readers {
    fn default() -> Self {
        Self { first: page(), more: Mutex::new(Vec::new()) }
    }
}

impl Readers {
    /// Claims a slot. It holds back every reuse until [`Slot::set`] names the sequence.
    pub(crate) fn claim(&self) -> Slot {
        if let Some(slot) = claim_in(&self.first) {
            return slot;
        }
        let mut more = self.more.lock();
        if let Some(slot) = more.iter().find_map(claim_in) {
            return slot;
        }
        let page = page();
        more.push(Arc::clone(&page));
        drop(more);
        // A fresh page is known to no one else yet, except to a thread that took a slot of it just now.
        claim_in(&page).unwrap_or_else(|| self.claim())
    }

    /// The oldest sequence that anybody reads at; `None` if nobody reads.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        let oldest_in = |page: &Arc<Page>| page.iter().map(|slot| slot.load(Ordering::SeqCst)).min();
        let more = self.more.lock();
        let oldest = more.iter().chain([&self.first]).filter_map(oldest_in).min();
        oldest.filter(|&seq| seq != FREE).map(Seq)
    }
}

fn claim_in(page: &Arc<Page>) -> Option<Slot> {
    let start = hint();
    (0..SLOTS_PER_PAGE).map(|step| (start + step) % SLOTS_PER_PAGE).find_map(|index| {
        page.get(index)?
            .compare_exchange(FREE, CHOOSING, Ordering::SeqCst, Ordering::Relaxed)
            .ok()
            .map(|_| Slot { page: Arc::clone(page), index })
    })
}

/// Where this thread starts to look, so that threads do not meet on one cache line.
fn hint() -> usize {
    thread_local!(static HINT: usize = {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        NEXT.fetch_add(8, Ordering::Relaxed) % SLOTS_PER_PAGE
    });
    HINT.with(|hint| *hint)
}

impl Slot {
    /// Names the sequence that is read at.
    pub(crate) fn set(&self, seq: Seq) {
        self.store(seq.0);
    }

    fn store(&self, raw: u64) {
        if let Some(slot) = self.page.get(self.index) {
            slot.store(raw, Ordering::SeqCst);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.store(FREE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_reader_counts_and_a_choosing_one_holds_everything() {
        let readers = Readers::default();
        assert_eq!(readers.oldest(), None);
        let a = readers.claim();
        assert_eq!(readers.oldest(), Some(Seq(0)));
        a.set(Seq(7));
        let b = readers.claim();
        b.set(Seq(5));
        assert_eq!(readers.oldest(), Some(Seq(5)));
        drop(b);
        assert_eq!(readers.oldest(), Some(Seq(7)));
        drop(a);
        assert_eq!(readers.oldest(), None);
    }

    #[test]
    fn more_readers_than_a_page_holds_are_all_counted() {
        let readers = Readers::default();
        let slots: Vec<_> = (0..1000)
            .map(|i| {
                let slot = readers.claim();
                slot.set(Seq(1000 - i));
                slot
            })
            .collect();
        assert_eq!(readers.oldest(), Some(Seq(1)));
        drop(slots);
        assert_eq!(readers.oldest(), None);
    }
}
