//! Where the passes put what they find, from any thread.
//!
//! Invariants: what is kept does not depend on who was faster: of each kind those that come first by place. The
//! same thing found on two ways is kept once. However much is wrong, memory is bounded.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::finding::Kind;
use crate::report::{Count, Finding, Location};

/// How many of each kind are listed.
const LISTED: usize = 1000;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    kinds: Mutex<BTreeMap<u16, Page>>,
}

#[derive(Debug, Default)]
struct Page {
    findings: BTreeSet<Finding>,
    /// Those that are no longer listed.
    dropped: u64,
}

impl Ledger {
    /// Something is wrong.
    pub fn add(&self, kind: &'static Kind, location: Location, message: impl Into<String>) {
        let mut kinds = self.kinds.lock();
        let page = kinds.entry(kind.number).or_default();
        page.findings.insert(Finding::new(kind, location, message.into()));
        if page.findings.len() > LISTED {
            page.findings.pop_last();
            page.dropped += 1;
        }
    }

    /// Takes out all that was found, in order, and how often.
    pub fn take(&self) -> (Vec<Finding>, Vec<Count>) {
        let mut all = Vec::new();
        let mut counts = Vec::new();
        for (number, page) in std::mem::take(&mut *self.kinds.lock()) {
            let Some(name) = page.findings.first().map(|finding| finding.name) else { continue };
            counts.push(Count { number, name, count: page.findings.len() as u64 + page.dropped });
            all.extend(page.findings);
        }
        (all, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{BLOCK_LEAKED, LINKS_WRONG};

    #[test]
    fn the_same_is_kept_once_and_of_very_many_the_first_by_place() {
        let ledger = Ledger::default();
        for block in (0..3000).rev() {
            ledger.add(&BLOCK_LEAKED, Location::block(block), "leaked");
        }
        ledger.add(&LINKS_WRONG, Location::inode(7), "links");
        ledger.add(&LINKS_WRONG, Location::inode(7), "links");
        let (findings, counts) = ledger.take();
        assert_eq!(findings.len(), LISTED + 1);
        assert_eq!(findings.last().and_then(|finding| finding.location.block), None);
        assert_eq!(findings[LISTED - 1].location.block, Some(LISTED as u64 - 1));
        let counts: Vec<_> = counts.iter().map(|count| (count.number, count.count)).collect();
        assert_eq!(counts, [(706, 3000), (903, 1)]);
    }
}
