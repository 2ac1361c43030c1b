//! All items of a state in order, past whatever cannot be read.

use vexfs_format::Key;
use vexfs_store::{Error as StoreError, Read, View};

use crate::finding::LOG_IMPOSSIBLE;
use crate::report::Location;
use crate::tree::damaged;
use crate::volume::Volume;

/// Items between two looks at whether the check goes on.
const BETWEEN: u64 = 256;

/// Calls `each` for every item from `from` to `to`. What cannot be read is passed over and noted as lost.
pub(crate) fn items(volume: &Volume, view: &View, from: Key, to: Key, mut each: impl FnMut(Key, &[u8])) {
    let mut next = Some(from);
    while let Some(from) = next.filter(|from| *from <= to) {
        let mut last = from;
        let mut count = 0_u64;
        next = None;
        for item in view.range(from, to) {
            match item {
                Ok((key, value)) => {
                    each(key, &value);
                    last = key;
                }
                Err(error) => {
                    let least = last.successor();
                    next = behind(volume, &error).and_then(|behind| least.map(|least| least.max(behind)));
                    break;
                }
            }
            count += 1;
            if count == BETWEEN {
                volume.meter.add(count);
                count = 0;
                if volume.meter.is_cancelled() {
                    return;
                }
            }
        }
        volume.meter.add(count);
    }
}

/// The first key behind what an error makes unreadable; `None` if nothing is.
fn behind(volume: &Volume, error: &StoreError) -> Option<Key> {
    match error {
        StoreError::Tree(error) => damaged(volume, error),
        other => {
            volume.owners_unknown();
            volume.lost.add(Key::MIN, None);
            volume.ledger.add(&LOG_IMPOSSIBLE, Location::default(), other.to_string());
            None
        }
    }
}
