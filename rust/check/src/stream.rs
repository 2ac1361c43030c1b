//! All items of a state in order, past whatever cannot be read.

use vexfs_format::Key;
use vexfs_store::{Error as StoreError, Read, View};
use vexfs_tree::Error as TreeError;

use crate::finding::LOG_IMPOSSIBLE;
use crate::report::Location;
use crate::tree::damaged;
use crate::volume::Volume;

/// Items between two looks at whether the check goes on.
const BETWEEN: u64 = 256;

/// Calls `each` for every item from `from` to `to`. What cannot be read is passed over and noted as lost.
pub(crate) fn items(volume: &Volume, view: &View, from: Key, to: Key, mut each: impl FnMut(Key, &[u8])) {
    let mut left = vec![(from, to)];
    while let Some((from, to)) = left.pop().filter(|_| !volume.meter.is_cancelled()) {
        let Err((next, error)) = piece(volume, view, from, to, &mut each) else { continue };
        let (low, high) = lost(volume, &error);
        if let Some(high) = high.map(|high| high.max(next)).filter(|high| from < *high && *high <= to) {
            left.push((high, to));
        }
        // Whoever reads ahead gives up before what is lost: that much less is left, so this ends.
        if let Some(last) = low.and_then(Key::predecessor).filter(|last| next <= *last && *last < to) {
            left.push((next, last));
        }
    }
}

/// The items up to the first that cannot be read; then the first key that was not given, and why.
fn piece(
    volume: &Volume,
    view: &View,
    from: Key,
    to: Key,
    each: &mut impl FnMut(Key, &[u8]),
) -> Result<(), (Key, StoreError)> {
    let mut next = from;
    let mut count = 0_u64;
    for item in view.range(from, to) {
        let (key, value) = item.map_err(|error| (next, error))?;
        each(key, &value);
        let Some(behind) = key.successor() else { break };
        next = behind;
        count += 1;
        if count.is_multiple_of(BETWEEN) {
            volume.meter.add(BETWEEN);
            if volume.meter.is_cancelled() {
                return Ok(());
            }
        }
    }
    volume.meter.add(count % BETWEEN);
    Ok(())
}

/// The first key that an error makes unreadable, and the first behind those; `None` for what is not known.
fn lost(volume: &Volume, error: &StoreError) -> (Option<Key>, Option<Key>) {
    match error {
        StoreError::Tree(error) => {
            damaged(volume, error);
            match error {
                TreeError::Corrupt(corruption) => (Some(corruption.low), corruption.high),
                _ => (None, None),
            }
        }
        other => {
            volume.owners_unknown();
            volume.lost.add(Key::MIN, None);
            volume.ledger.add(&LOG_IMPOSSIBLE, Location::default(), other.to_string());
            (None, None)
        }
    }
}
