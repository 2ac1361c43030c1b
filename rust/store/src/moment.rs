//! How a reader comes to a state and a sequence that belong together, while both go on.
//!
//! Whoever publishes a state does so before the sequence from which on it is to be read. The reader has its place in
//! the registry before it looks at anything, so that nothing it may come to is used again meanwhile.

use std::sync::Arc;

use vexfs_format::Seq;

use crate::readers::{Readers, Slot};

/// Takes a state, the sequence to read it at, and the place that holds both.
pub(crate) fn take<S>(
    readers: &Readers,
    state: impl Fn() -> Arc<S>,
    visible: impl Fn() -> Seq,
) -> (Arc<S>, Seq, Slot) {
    let slot = readers.claim();
    let mut found = state();
    loop {
        let seq = visible();
        // The sequence belongs to the state only if no other was published in between: the tree of a later state may
        // hold newer transactions, the memtables of an earlier one may lack some.
        let now = state();
        if Arc::ptr_eq(&now, &found) {
            slot.set(seq);
            return (found, seq, slot);
        }
        found = now;
    }
}

#[cfg(all(test, loom))]
mod tests;
