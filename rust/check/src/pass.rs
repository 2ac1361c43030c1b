//! The passes, as a table. Numbers and names never change their meaning; a new pass gets a new number.

use serde::Serialize;

/// One pass of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pass {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: &'static str,
    /// The passes whose results it uses.
    pub needs: &'static [&'static str],
    /// Whether it could run while the volume is in use.
    pub online: bool,
    /// What it checks.
    pub what: &'static str,
}

macro_rules! passes {
    ($($(#[doc = $what:literal])+ $id:literal $constant:ident $name:literal, needs $needs:expr, online $online:literal;)+) => {
        $(pub(crate) static $constant: Pass =
            Pass { id: $id, name: $name, needs: &$needs, online: $online, what: concat!($($what),+).trim_ascii() };)+

        static PASSES: &[Pass] = &[$(Pass {
            id: $id, name: $name, needs: &$needs, online: $online, what: concat!($($what),+).trim_ascii(),
        }),+];
    };
}

passes! {
    /// Every copy of the superblock is whole, and all say the same.
    1 SUPERBLOCKS "superblocks", needs [], online true;
    /// Both copies of every checkpoint descriptor are whole, agree, and follow each other.
    2 CHECKPOINTS "checkpoints", needs ["superblocks"], online true;
    /// The log ends as a log ends after a close or a crash, and its records are possible.
    3 JOURNAL "journal", needs ["checkpoints"], online false;
    /// The table of retained checkpoints and their lists of dead blocks are whole and in order.
    4 RETENTION "retention", needs ["checkpoints"], online true;
    /// Every node and every value kept out of line is what its pointer says, in order, and counted.
    5 TREE "tree", needs ["checkpoints", "retention"], online true;
    /// The same for the tree of every retained checkpoint; what only they need is on a list of dead blocks.
    6 RETAINED "retained", needs ["tree"], online true;
    /// Group table and bitmaps are whole and counted; a block or inode number is in use if and only if it has an owner.
    7 BITMAPS "bitmaps", needs ["tree", "retained"], online false;
    /// Every item can be what it says, and an inode's items agree: entries, attributes, extents, sizes, orphans.
    8 FILES "files", needs ["tree", "journal"], online true;
    /// Every entry leads to an inode, every inode is reached by as many entries as it has links, and no directory is above itself.
    9 NAMES "names", needs ["files"], online false;
    /// What the log takes and gives back agrees with the files as they are after it.
    10 REPLAY "replay", needs ["journal", "bitmaps", "files"], online false;
    /// Every block of every file holds what was written (only if asked for).
    11 DATA "data", needs ["files"], online true;
}

/// All passes, in the order in which they run.
#[must_use]
pub fn passes() -> &'static [Pass] {
    PASSES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_numbered_in_order_and_need_only_earlier_ones() {
        for (index, pass) in passes().iter().enumerate() {
            assert_eq!(usize::from(pass.id), index + 1);
            let earlier: Vec<&str> = passes()[..index].iter().map(|pass| pass.name).collect();
            assert!(pass.needs.iter().all(|needed| earlier.contains(needed)), "{}", pass.name);
        }
    }
}
