//! Who has the blocks that two have. Only looked for when there are such blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vexfs_format::{BlockRun, Extent, Key, NodePtr, OutOfLine, kinds};
use vexfs_store::Store;
use vexfs_tree::{Error as TreeError, Reader, Root, TreeCounts, Visitor, WalkOptions};

use crate::finding::CLAIMED_TWICE;
use crate::report::Location;
use crate::stream;
use crate::volume::Volume;

/// Somebody who has blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    File { ino: u64, offset: u64 },
    Value { object: u64, kind: u8 },
    Node { level: u8 },
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { ino, offset } => write!(f, "inode {ino} at byte {offset}"),
            Self::Value { object, kind } => write!(f, "a value of object {object}, kind {kind:#04x}"),
            Self::Node { level } => write!(f, "a node of the tree at level {level}"),
        }
    }
}

struct Owners<'a> {
    wanted: &'a BTreeSet<u64>,
    found: BTreeMap<u64, BTreeSet<Owner>>,
}

impl Owners<'_> {
    fn note(&mut self, run: BlockRun, owner: Owner) {
        let (from, to) = (run.start.0, run.end());
        if from < to {
            for block in self.wanted.range(from..to) {
                self.found.entry(*block).or_default().insert(owner);
            }
        }
    }

    fn extent(&mut self, key: Key, value: &[u8]) {
        if key.kind == kinds::EXTENT
            && let Ok(extent) = Extent::parse(key.offset, value)
        {
            self.note(extent.run, Owner::File { ino: key.object, offset: key.offset });
        }
    }
}

impl Visitor for Owners<'_> {
    fn enter(&mut self, ptr: &NodePtr) -> bool {
        self.note(ptr.run(), Owner::Node { level: ptr.level });
        true
    }

    fn out_of_line(&mut self, key: Key, ptr: &OutOfLine) {
        self.note(ptr.run(), Owner::Value { object: key.object, kind: key.kind });
    }

    fn item(&mut self, key: Key, value: &[u8]) {
        self.extent(key, value);
    }

    fn bad(&mut self, _error: TreeError) {}
}

/// Says of every such block who has it. `store` is given if its files are not those of the tree.
pub(crate) fn run(
    volume: &Volume,
    reader: &Reader,
    root: Option<NodePtr>,
    store: Option<&Store>,
    doubles: &BTreeSet<u64>,
) {
    if doubles.is_empty() {
        return;
    }
    let mut owners = Owners { wanted: doubles, found: BTreeMap::new() };
    let root = Root::new(root, TreeCounts::default());
    reader.walk(&root, WalkOptions { values: false }, &mut owners);
    if let Some(store) = store {
        stream::items(volume, &store.view(), Key::MIN, Key::MAX, |key, value| owners.extent(key, value));
    }
    let mut run: Option<(u64, u64)> = None;
    for block in doubles {
        run = match run {
            Some((first, count))
                if first + count == *block && owners.found.get(block) == owners.found.get(&first) =>
            {
                Some((first, count + 1))
            }
            before => {
                report(volume, &owners, before);
                Some((*block, 1))
            }
        };
    }
    report(volume, &owners, run);
}

fn report(volume: &Volume, owners: &Owners<'_>, run: Option<(u64, u64)>) {
    let Some((first, count)) = run else { return };
    let known = owners.found.get(&first);
    let mut names: Vec<String> = known.into_iter().flatten().map(Owner::to_string).collect();
    if names.len() < 2 {
        names.push("a list or a past state".into());
    }
    let inode = known.into_iter().flatten().find_map(|owner| match owner {
        Owner::File { ino, .. } => Some(*ino),
        _ => None,
    });
    let message = format!("{count} blocks from {first} on belong to {}", names.join(" and to "));
    volume.ledger.add(&CLAIMED_TWICE, Location { inode, ..Location::blocks(first, count) }, message);
}
