//! Pass 4: the table of retained checkpoints and their lists of dead blocks: chains of blocks beside the tree.

use vexfs_format::chain::{ChainEntry, Link};
use vexfs_format::{BlockRun, Bucket, ChainPtr, DeadRun, Descriptor, Retained, Seq};

use crate::finding::{DEAD_LIST_DAMAGED, DEAD_LIST_WRONG, Kind, RETENTION_DAMAGED, RETENTION_IMPOSSIBLE};
use crate::report::Location;
use crate::ring::Ring;
use crate::tree::Claims;
use crate::volume::Volume;

/// A retained checkpoint.
#[derive(Debug)]
pub(crate) struct Kept {
    pub entry: Retained,
    pub buckets: Vec<Bucket>,
    /// Whether its whole list of dead blocks can be read.
    pub whole: bool,
}

/// The retained checkpoints, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    pub kept: Vec<Kept>,
    /// Whether the table and all lists can be read.
    pub whole: bool,
}

/// Reads the table and all lists, and claims their blocks.
pub(crate) fn run(volume: &Volume, ring: &Ring, newest: &Descriptor, claims: &Claims) -> Retention {
    let mut entries: Vec<Retained> = Vec::new();
    let mut whole =
        follow(volume, claims, newest.retention, (&RETENTION_DAMAGED, None), |entry| entries.push(entry));
    check_order(volume, ring, newest, &entries);
    let mut kept = Vec::new();
    for entry in entries {
        volume.meter.add(1);
        let owner = Some(entry.id.0);
        let mut buckets: Vec<Bucket> = Vec::new();
        let mut list =
            follow(volume, claims, entry.dead, (&DEAD_LIST_DAMAGED, owner), |bucket| buckets.push(bucket));
        for bucket in &buckets {
            let mut total = Total::default();
            list &= follow(volume, claims, bucket.runs, (&DEAD_LIST_DAMAGED, owner), |dead| {
                total.add(volume, bucket, &dead)
            });
            total.judge(volume, &entry, bucket, list);
        }
        whole &= list;
        kept.push(Kept { entry, buckets, whole: list });
    }
    Retention { kept, whole }
}

impl Kept {
    /// Calls `each` for every run of the list that lies in the area for data.
    pub fn dead_runs(&self, volume: &Volume, mut each: impl FnMut(BlockRun)) {
        for bucket in &self.buckets {
            let mut next = bucket.runs;
            while let Some(ptr) = next {
                let Ok(Link { entries, next: behind }) = link::<DeadRun>(volume, ptr) else { break };
                entries
                    .iter()
                    .map(|dead| dead.run)
                    .filter(|run| volume.geometry.holds(*run))
                    .for_each(&mut each);
                next = behind;
            }
        }
    }
}

/// What a bucket's runs come to.
#[derive(Default)]
struct Total {
    blocks: u64,
    stray: Option<String>,
}

impl Total {
    fn add(&mut self, volume: &Volume, bucket: &Bucket, dead: &DeadRun) {
        self.blocks = self.blocks.saturating_add(dead.run.len.into());
        if !volume.geometry.holds(dead.run) {
            self.stray = Some(format!("{} blocks from {} on are not all data", dead.run.len, dead.run.start));
        } else if !(bucket.birth_from..=bucket.birth_to).contains(&dead.birth) {
            self.stray =
                Some(format!("block {} was born at {}, not within the bucket", dead.run.start, dead.birth));
        }
    }

    fn judge(self, volume: &Volume, entry: &Retained, bucket: &Bucket, whole: bool) {
        let wrong = |what: String| {
            let message = format!("the list of what died with checkpoint {}: {what}", entry.id);
            let here = Location { block: bucket.runs.map(|runs| runs.block.0), ..Location::default() };
            volume.ledger.add(&DEAD_LIST_WRONG, here.of_checkpoint(entry.id.0), message);
        };
        if let Some(stray) = self.stray {
            wrong(stray);
        }
        if bucket.birth_to > entry.seq {
            wrong(format!(
                "a bucket goes up to birth {}, the checkpoint only to {}",
                bucket.birth_to, entry.seq
            ));
        }
        if whole && self.blocks != bucket.blocks {
            wrong(format!("a bucket says that it has {} blocks, it has {}", bucket.blocks, self.blocks));
        }
    }
}

fn link<E: ChainEntry>(volume: &Volume, ptr: ChainPtr) -> vexfs_format::Result<Link<E>> {
    Link::<E>::parse(&volume.read(ptr.block), volume.bits(), ptr)
}

/// Follows a chain, claims its blocks, and says whether all of it could be read.
fn follow<E: ChainEntry>(
    volume: &Volume,
    claims: &Claims,
    first: Option<ChainPtr>,
    (kind, owner): (&'static Kind, Option<u64>),
    mut each: impl FnMut(E),
) -> bool {
    let mut next = first;
    // Ends: the pointer counts the blocks from there on, and every link checks that it has one fewer.
    while let Some(ptr) = next {
        let run = BlockRun { start: ptr.block, len: 1 };
        let read = match volume.geometry.holds(run) {
            true => link::<E>(volume, ptr).map_err(|error| error.to_string()),
            false => {
                Err(format!("{}: block {} lies outside the area for data", E::STRUCTURE.name, ptr.block))
            }
        };
        match read {
            Ok(Link { entries, next: behind }) => {
                claims.claim_meta(run);
                entries.into_iter().for_each(&mut each);
                next = behind;
            }
            Err(message) => {
                let here = Location { checkpoint: owner, ..Location::block(ptr.block.0) };
                volume.ledger.add(kind, here, message);
                volume.owners_unknown();
                return false;
            }
        }
    }
    true
}

/// Retained checkpoints ascend, are older than the newest, and are what the ring says as long as it says it.
fn check_order(volume: &Volume, ring: &Ring, newest: &Descriptor, entries: &[Retained]) {
    let mut before: Option<&Retained> = None;
    for entry in entries {
        let wrong = |what: &str| {
            let message =
                format!("the table of retained checkpoints says of checkpoint {} that {what}", entry.id);
            volume.ledger.add(&RETENTION_IMPOSSIBLE, Location::default().of_checkpoint(entry.id.0), message);
        };
        let last = before.map_or((0, Seq(0)), |before| (before.id.0, before.seq));
        if entry.id.0 <= last.0 || entry.seq <= last.1 {
            wrong("it is older than the one in front of it");
        }
        if entry.id >= newest.id || entry.seq >= newest.seq {
            wrong("it is newer than the newest");
        }
        if let Some(own) = ring.get(entry.id)
            && (own.seq, own.root, own.lsn) != (entry.seq, entry.root, entry.lsn)
        {
            wrong("it is another than its descriptor says");
        }
        before = Some(entry);
    }
}
