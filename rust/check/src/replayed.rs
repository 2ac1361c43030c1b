//! Pass 10: what the log takes and gives back, against the newest checkpoint before it and the files after it.

use vexfs_format::bitmap::BITMAP_WORDS;
use vexfs_format::{Bits, BlockNo, BlockRun, Lsn};

use crate::files::Claimed;
use crate::finding::{Kind, REPLAY_FREES_FREE, REPLAY_LEAKS, REPLAY_TAKES_USED, REPLAY_UNPROTECTED};
use crate::journal::Change;
use crate::marks::{Marks, missing, union};
use crate::report::Location;
use crate::tree::Claims;
use crate::volume::Volume;

/// What the log takes and gives back so far.
struct Taken {
    taken: Marks,
    given: Marks,
}

/// Compares all changes up to `end`, where the part of the log that counts ends.
pub(crate) fn run(volume: &Volume, changes: &[(Lsn, Change)], end: Lsn, claims: &Claims, after: &Claimed) {
    let both = || Taken {
        taken: Marks::new(volume.geometry.group_count),
        given: Marks::new(volume.geometry.group_count),
    };
    let (blocks, inodes) = (both(), both());
    let in_use = |block| claims.data.has(block) || claims.meta.has(block) || claims.kept.has(block);
    for (at, change) in changes.iter().filter(|(at, _)| *at < end) {
        match *change {
            Change::Take(run) => blocks.take(volume, *at, run, in_use, "block"),
            Change::Give(run) => blocks.give(volume, *at, run, |block| claims.data.has(block), "block"),
            Change::TakeInode(ino) => {
                inodes.take(volume, *at, one(ino), |ino| claims.inodes.has(ino), "inode")
            }
            Change::GiveInode(ino) => {
                inodes.give(volume, *at, one(ino), |ino| claims.inodes.has(ino), "inode")
            }
        }
    }
    compare(volume, &claims.data, &blocks, &after.blocks, Location::blocks, "blocks");
    compare(volume, &claims.inodes, &inodes, &after.inodes, Location::inodes, "inode numbers");
}

const fn one(number: u64) -> BlockRun {
    BlockRun { start: BlockNo(number), len: 1 }
}

impl Taken {
    fn take(&self, volume: &Volume, at: Lsn, run: BlockRun, in_use: impl Fn(u64) -> bool, what: &str) {
        let mut used = (run.start.0..run.end()).find(|number| in_use(*number));
        self.taken.set(run, |number| used = used.or(Some(number)));
        if let Some(number) = used {
            report(volume, &REPLAY_TAKES_USED, at, format!("takes {what} {number}, which is in use"));
        }
    }

    fn give(&self, volume: &Volume, at: Lsn, run: BlockRun, in_use: impl Fn(u64) -> bool, what: &str) {
        let mut free = (run.start.0..run.end()).find(|number| !in_use(*number) && !self.taken.has(*number));
        self.given.set(run, |number| free = free.or(Some(number)));
        if let Some(number) = free {
            report(volume, &REPLAY_FREES_FREE, at, format!("gives back {what} {number}, which no file has"));
        }
    }
}

fn report(volume: &Volume, kind: &'static Kind, at: Lsn, what: String) {
    volume.ledger.add(kind, Location::lsn(at.0), format!("the log's record at {at} {what}"));
}

/// What was in use before, and what was taken since, without what was given back, is what is in use after.
fn compare(
    volume: &Volume,
    before: &Marks,
    log: &Taken,
    after: &Marks,
    place: fn(u64, u64) -> Location,
    what: &str,
) {
    let none: Bits = [0; BITMAP_WORDS];
    for group in 0..volume.geometry.group_count {
        let all = [before.group(group), log.taken.group(group), log.given.group(group), after.group(group)];
        if all.iter().all(Option::is_none) {
            continue;
        }
        let [before, taken, given, after] = all.map(|bits| bits.unwrap_or(none));
        let mut expected = union([&before, &taken]);
        expected.iter_mut().zip(&given).for_each(|(bits, given)| *bits &= !given);
        for (first, count) in missing(group, &expected, &after) {
            let message = format!("{count} {what} from {first} on are taken by the log, and nobody has them");
            volume.ledger.add(&REPLAY_LEAKS, place(first, count), message);
        }
        for (first, count) in missing(group, &after, &expected) {
            let message =
                format!("{count} {what} from {first} on are in use after the log, and nothing took them");
            volume.ledger.add(&REPLAY_UNPROTECTED, place(first, count), message);
        }
    }
}
