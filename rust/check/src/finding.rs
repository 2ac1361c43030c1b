//! What can be wrong with a volume, as a table. A number and a name never change their meaning and are never used
//! again; the hundreds are the pass that finds it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A second copy or a count is wrong: nothing that anybody reads.
    Warning,
    /// Something that was stored is damaged or lost, or will be.
    Error,
    /// Nothing behind it could be checked.
    Fatal,
}

/// One thing that can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Kind {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Whether a repair loses nothing, so that it may be done unasked.
    pub autofix: bool,
    /// What it means.
    pub meaning: &'static str,
    /// What a repair does.
    pub repair: &'static str,
}

macro_rules! kinds {
    ($($number:literal $constant:ident $name:literal $severity:ident $autofix:ident, $meaning:literal, $repair:literal;)+) => {
        $(pub(crate) static $constant: Kind = kinds!(@ $number $name $severity $autofix $meaning $repair);)+

        static KINDS: &[Kind] = &[$(kinds!(@ $number $name $severity $autofix $meaning $repair)),+];
    };
    (@ $number:literal $name:literal $severity:ident auto $meaning:literal $repair:literal) => {
        Kind { number: $number, name: $name, severity: Severity::$severity, autofix: true, meaning: $meaning, repair: $repair }
    };
    (@ $number:literal $name:literal $severity:ident asked $meaning:literal $repair:literal) => {
        Kind { number: $number, name: $name, severity: Severity::$severity, autofix: false, meaning: $meaning, repair: $repair }
    };
}

kinds! {
    101 SUPERBLOCK_DAMAGED "superblock_damaged" Warning auto,
        "A copy of the superblock is not whole; another one is.",
        "The copy is written again from a good one.";
    102 SUPERBLOCK_STALE "superblock_stale" Warning auto,
        "A copy of the superblock is older than another.",
        "The copy is written again from the newest.";
    103 SUPERBLOCK_DIFFERS "superblock_differs" Error asked,
        "A copy of the superblock is whole and no older, but says something else.",
        "All copies are written again from the one that the volume was opened by.";

    201 DESCRIPTOR_DAMAGED "descriptor_damaged" Warning auto,
        "One of the two copies of a checkpoint's descriptor is not whole, or nobody wrote what is there.",
        "The copy is written again from the other one, or cleared.";
    202 DESCRIPTOR_STALE "descriptor_stale" Warning auto,
        "One of the two copies of a checkpoint's descriptor is that of an older checkpoint.",
        "The copy is written again from the other one.";
    203 DESCRIPTOR_LOST "descriptor_lost" Error asked,
        "Neither copy of a checkpoint's descriptor can be read.",
        "If it is an old one, its place in the ring is cleared.";
    204 DESCRIPTORS_DIFFER "descriptors_differ" Error asked,
        "Both copies of a checkpoint's descriptor are whole, but they say different things.",
        "The one whose tree and table can be read is written over the other.";
    205 DESCRIPTOR_IMPOSSIBLE "descriptor_impossible" Error asked,
        "A descriptor is whole, but what it says cannot be.",
        "The volume goes back to the newest checkpoint whose descriptor can be believed.";
    206 CHECKPOINT_LOST "checkpoint_lost" Error asked,
        "The log names a checkpoint newer than the newest that can be read.",
        "The volume goes back to the newest checkpoint that can be read.";
    207 NO_CHECKPOINT "no_checkpoint" Fatal asked,
        "No checkpoint's descriptor can be read, so nothing else can be found.",
        "The newest root is searched for in the whole volume.";
    208 COUNTS_WRONG "counts_wrong" Warning auto,
        "The newest descriptor counts something otherwise than it is.",
        "The next checkpoint writes what was counted.";

    301 LOG_DAMAGED "log_damaged" Error asked,
        "The log cannot be read where it had been durable: committed transactions are lost.",
        "The volume goes on from what can be read; the lost transactions are listed as far as they are known.";
    302 LOG_IMPOSSIBLE "log_impossible" Error asked,
        "A record of the log is whole, but what it says cannot be.",
        "The log is cut in front of the record.";

    401 RETENTION_DAMAGED "retention_damaged" Error asked,
        "A block of the table of retained checkpoints is damaged.",
        "The older checkpoints are dropped, and the bitmaps made anew.";
    402 DEAD_LIST_DAMAGED "dead_list_damaged" Error asked,
        "A block of the list of what died with a retained checkpoint is damaged.",
        "The list is made anew from the trees.";
    403 RETENTION_IMPOSSIBLE "retention_impossible" Error asked,
        "The table of retained checkpoints is whole, but what it says of one cannot be.",
        "That checkpoint is dropped.";
    404 DEAD_LIST_WRONG "dead_list_wrong" Warning auto,
        "A list of dead blocks is whole, but its counts, births or places cannot be right.",
        "The list is made anew from the trees.";
    405 DEAD_BLOCK_IN_USE "dead_block_in_use" Error asked,
        "A block that is listed as dead is in use by a newer state: dropping the checkpoint would free it.",
        "The list is made anew from the trees.";
    406 DEAD_BLOCK_UNLISTED "dead_block_unlisted" Warning auto,
        "A block that only a retained checkpoint needs is on no list: it would never be free again.",
        "The list is made anew from the trees.";

    501 NODE_DAMAGED "node_damaged" Error asked,
        "A node of the tree does not hold what was written: its checksum is not the one in the pointer to it.",
        "What other nodes hold is kept, and files that lose something are listed.";
    502 NODE_MISPLACED "node_misplaced" Error asked,
        "Where a node of the tree should be lies something else: another node, an older one, or another structure.",
        "What other nodes hold is kept, and files that lose something are listed.";
    503 NODE_IMPOSSIBLE "node_impossible" Error asked,
        "A node of the tree is as it was written, but what it says cannot be: order, bounds, level, or keys.",
        "The items that can be read are put into new nodes.";
    504 VALUE_DAMAGED "value_damaged" Error asked,
        "A value that the tree keeps out of line does not hold what was written.",
        "The item is removed, and what it belonged to is listed.";
    505 POINTER_OUTSIDE "pointer_outside" Error asked,
        "A pointer of the tree leads out of the area for data.",
        "What other nodes hold is kept, and files that lose something are listed.";
    506 CLAIMED_TWICE "claimed_twice" Error asked,
        "Two owners have the same block.",
        "The one whose checksum agrees keeps it; the other loses it and is listed.";
    507 UNREADABLE "unreadable" Error asked,
        "The device gives an error for a block.",
        "The block is written again if its contents are known from elsewhere; else what it belonged to is listed.";

    601 RETAINED_DAMAGED "retained_damaged" Error asked,
        "A part of the tree of a retained checkpoint is damaged, which the newest state does not use.",
        "That checkpoint is dropped.";

    701 TABLE_DAMAGED "table_damaged" Error asked,
        "A block of the group table is damaged, so that nobody knows which bitmaps hold.",
        "The bitmaps and the table are made anew from the trees.";
    702 TABLE_WRONG "table_wrong" Warning auto,
        "The group table counts a group's free space otherwise than its bitmaps do.",
        "The entry is made anew from the bitmaps.";
    703 BITMAP_DAMAGED "bitmap_damaged" Error asked,
        "The slot of a bitmap does not hold what the group table says.",
        "The bitmap is made anew from the trees.";
    704 BITMAP_MISCOUNTED "bitmap_miscounted" Warning auto,
        "A bitmap's own count of set bits is wrong.",
        "The bitmap is written again.";
    705 STATIC_FREE "static_free" Error auto,
        "A bitmap marks as free what never is: metadata's own blocks, reserved inodes, what lies behind the end.",
        "The bits are set.";
    706 BLOCK_LEAKED "block_leaked" Warning auto,
        "Blocks are marked as used, but nobody has them.",
        "The bits are cleared.";
    707 BLOCK_UNPROTECTED "block_unprotected" Error auto,
        "Blocks that somebody has are marked as free: they would be overwritten.",
        "The bits are set.";
    708 INODE_LEAKED "inode_leaked" Warning auto,
        "Inode numbers are marked as used, but there are no such inodes.",
        "The bits are cleared.";
    709 INODE_UNPROTECTED "inode_unprotected" Error auto,
        "Inode numbers in use are marked as free: they would be given away again.",
        "The bits are set.";

    801 KIND_UNKNOWN "kind_unknown" Error asked,
        "An item is of a kind that this version does not know.",
        "The item is removed.";
    802 OBJECT_UNKNOWN "object_unknown" Error asked,
        "An item belongs to a reserved object that this version does not know, or to an inode number that cannot be.",
        "The item is removed.";
    803 ITEM_MISPLACED "item_misplaced" Error asked,
        "An item lies where one of its kind cannot lie.",
        "The item is removed.";
    804 ITEM_UNFIT "item_unfit" Error asked,
        "An inode has an item that one of its type cannot have.",
        "The item is removed, and its blocks are freed.";
    805 ITEMS_WITHOUT_INODE "items_without_inode" Error asked,
        "There are items of an inode that has no record.",
        "A record is made from what the items say, with a name in /lost+found.";
    806 INODE_DAMAGED "inode_damaged" Error asked,
        "An inode's record passed its checksum, but is none.",
        "A record is made from what the inode's items say.";
    807 INODE_IMPOSSIBLE "inode_impossible" Error asked,
        "A field of an inode's record holds what it cannot.",
        "The field is set to what the inode's items say, or to nothing.";
    808 GENERATION_TWICE "generation_twice" Error auto,
        "Two inodes have the same generation.",
        "One of them gets a new one; handles to it become stale.";
    809 GENERATION_UNKNOWN "generation_unknown" Error auto,
        "An inode's generation is above every number handed out so far: another inode could get it.",
        "The supply of numbers goes on above it.";
    810 ROOT_MISSING "root_missing" Error asked,
        "There is no root directory, or it is none.",
        "An empty root directory is made; what was found is moved to /lost+found.";

    821 DIRENT_DAMAGED "dirent_damaged" Error asked,
        "An item with directory entries passed its checksum, but is none.",
        "The item is removed; inodes that lose their only name are moved to /lost+found.";
    822 DIRENT_HASH_WRONG "dirent_hash_wrong" Error auto,
        "An entry does not lie where its name's hash says, so it cannot be found.",
        "The entry is moved to where it belongs.";
    823 SUBDIRS_WRONG "subdirs_wrong" Warning auto,
        "A directory counts the directories in it wrongly.",
        "The count is set.";
    824 ENTRIES_IN_REMOVED "entries_in_removed" Error asked,
        "A directory that was removed has entries.",
        "The directory gets a name in /lost+found.";

    831 EXTENT_DAMAGED "extent_damaged" Error asked,
        "An extent passed its checksum, but is none.",
        "The extent is removed: its place becomes a hole, and the file is listed.";
    832 EXTENT_CROSSES_CHUNK "extent_crosses_chunk" Error auto,
        "An extent crosses a boundary of 1 MiB of its file.",
        "The extent is split there.";
    833 EXTENTS_OVERLAP "extents_overlap" Error asked,
        "Two extents hold the same place of a file.",
        "The one that began later is cut, and the file is listed.";
    834 EXTENT_OUTSIDE "extent_outside" Error asked,
        "An extent's blocks lie outside the area for data.",
        "The extent is removed: its place becomes a hole, and the file is listed.";
    835 EXTENT_BIRTH_WRONG "extent_birth_wrong" Warning auto,
        "An extent was born later than anything that was committed.",
        "Its birth is set to that of the newest transaction.";
    836 DATA_BEHIND_END "data_behind_end" Warning auto,
        "A file has data behind its end, and nothing says that it is to be removed.",
        "The data is removed.";
    837 BLOCKS_WRONG "blocks_wrong" Warning auto,
        "An inode counts its blocks wrongly.",
        "The count is set.";
    838 TAIL_WRONG "tail_wrong" Error asked,
        "Bytes of a file are kept in the tree where they cannot be: not in its last block, too many, or besides a block.",
        "The bytes are moved to where they belong if nothing else is there, else removed, and the file is listed.";
    839 SYMLINK_WRONG "symlink_wrong" Error asked,
        "A symbolic link has no target, or one that none can have.",
        "The link is removed.";

    841 XATTR_DAMAGED "xattr_damaged" Error asked,
        "An item with attributes passed its checksum, but is none.",
        "The item is removed.";
    842 XATTR_HASH_WRONG "xattr_hash_wrong" Error auto,
        "An attribute does not lie where its name's hash says, so it cannot be found.",
        "The attribute is moved to where it belongs.";
    843 XATTR_NAME_WRONG "xattr_name_wrong" Warning asked,
        "An attribute has a name that no attribute of this inode can have.",
        "The attribute is removed.";
    844 ACL_DAMAGED "acl_damaged" Error asked,
        "An access control list is none.",
        "The list is removed, and the mode counts alone.";
    845 ACL_FLAG_WRONG "acl_flag_wrong" Error auto,
        "An inode's record says that there is an access control list and there is none, or the other way round.",
        "The flag is set to what there is.";
    846 ACL_MODE_WRONG "acl_mode_wrong" Error auto,
        "An access control list and the mode of its inode do not say the same.",
        "The list is set to what the mode says.";

    851 ORPHAN_DAMAGED "orphan_damaged" Error asked,
        "The item that says what is left to do for an inode passed its checksum, but is none.",
        "The item is removed; an inode without links gets a new one.";
    852 ORPHAN_WITHOUT_INODE "orphan_without_inode" Warning auto,
        "Something is left to do for an inode that is not there.",
        "The item is removed.";
    853 ORPHAN_OF_ANOTHER "orphan_of_another" Error asked,
        "Something is left to do for an earlier inode of the same number.",
        "The item is removed; an inode without links gets a new one.";
    854 ORPHAN_HAS_LINKS "orphan_has_links" Error auto,
        "An inode is to be removed although it has links.",
        "The item is removed.";
    855 ORPHAN_MISSING "orphan_missing" Warning auto,
        "An inode without links is not on the list of those to remove.",
        "It gets on the list, and is removed at the next open.";

    901 ENTRY_DANGLING "entry_dangling" Error asked,
        "A directory entry leads to an inode that is not there.",
        "The entry is removed.";
    902 ENTRY_TYPE_WRONG "entry_type_wrong" Warning auto,
        "A directory entry says another type than its inode.",
        "The entry's type is set.";
    903 LINKS_WRONG "links_wrong" Error auto,
        "An inode has another number of names than it counts.",
        "The count is set.";
    904 INODE_UNREACHABLE "inode_unreachable" Error asked,
        "An inode has links, but no entry leads to it.",
        "It gets a name in /lost+found.";
    905 DIRECTORY_NAMES "directory_names" Error asked,
        "More than one entry leads to a directory, or one leads to the root.",
        "The entry in the directory that its record names stays; the others are removed.";
    906 PARENT_WRONG "parent_wrong" Error auto,
        "A directory's record names another parent than the directory with its entry.",
        "The record is set.";
    907 DIRECTORY_LOOP "directory_loop" Error asked,
        "Directories are each other's parents: nothing of them is reached from the root.",
        "One of them gets a name in /lost+found.";

    1001 REPLAY_TAKES_USED "replay_takes_used" Error asked,
        "The log takes blocks or inode numbers that are in use.",
        "The log is cut in front of the record.";
    1002 REPLAY_FREES_FREE "replay_frees_free" Error asked,
        "The log gives back blocks or inode numbers that are free, or that nobody may give back.",
        "The log is cut in front of the record.";
    1003 REPLAY_LEAKS "replay_leaks" Warning auto,
        "With the log replayed, blocks or inode numbers are taken that nobody has.",
        "They are marked as free at the next checkpoint.";
    1004 REPLAY_UNPROTECTED "replay_unprotected" Error auto,
        "With the log replayed, somebody has blocks or inode numbers that are not taken.",
        "They are marked as used at the next checkpoint.";

    1101 DATA_DAMAGED "data_damaged" Error asked,
        "A block of a file does not hold what was written.",
        "The block becomes a hole, and the file is listed.";
    1102 DATA_NOT_ZERO "data_not_zero" Warning asked,
        "The last block of a file holds bytes behind its end that are not zero: they would come to light if it grew.",
        "The bytes are set to zero.";
}

/// All kinds, by number.
#[must_use]
pub fn kinds() -> &'static [Kind] {
    KINDS
}

/// The kind of this number.
#[must_use]
pub fn kind(number: u16) -> Option<&'static Kind> {
    KINDS.binary_search_by_key(&number, |kind| kind.number).ok().and_then(|index| KINDS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_ascend_have_names_of_their_own_and_belong_to_a_pass() {
        assert!(KINDS.is_sorted_by(|a, b| a.number < b.number));
        let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
        for kind in KINDS {
            assert!(crate::passes().iter().any(|pass| pass.id == kind.number / 100), "{}", kind.name);
            assert!(kind.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", kind.name);
            assert!(kind.meaning.ends_with('.') && kind.repair.ends_with('.'), "{}", kind.name);
        }
        assert_eq!(kind(506).map(|kind| kind.name), Some("claimed_twice"));
        assert_eq!(kind(100), None);
    }
}
