//! What a check found, as the command line prints it and as JSON.

use serde::Serialize;

use crate::finding::{Kind, Severity};

/// Where something is. What is not known, or makes no sense, is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Location {
    /// The first block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// How many blocks, or inode numbers if no block is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The inode, or the first of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// The byte in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The checkpoint, if it is not the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// The position in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsn: Option<u64>,
    /// A path of the inode; bytes that are no text are escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Location {
    /// A block.
    #[must_use]
    pub fn block(block: u64) -> Self {
        Self { block: Some(block), ..Self::default() }
    }

    /// A run of blocks.
    #[must_use]
    pub fn blocks(block: u64, count: u64) -> Self {
        Self { block: Some(block), count: Some(count), ..Self::default() }
    }

    /// An inode.
    #[must_use]
    pub fn inode(inode: u64) -> Self {
        Self { inode: Some(inode), ..Self::default() }
    }

    /// A run of inode numbers.
    #[must_use]
    pub fn inodes(inode: u64, count: u64) -> Self {
        Self { inode: Some(inode), count: Some(count), ..Self::default() }
    }

    /// A byte of a file.
    #[must_use]
    pub fn at(inode: u64, offset: u64) -> Self {
        Self { inode: Some(inode), offset: Some(offset), ..Self::default() }
    }

    /// A position in the log.
    #[must_use]
    pub fn lsn(lsn: u64) -> Self {
        Self { lsn: Some(lsn), ..Self::default() }
    }

    /// The same, in a checkpoint that is not the newest.
    #[must_use]
    pub fn of_checkpoint(self, checkpoint: u64) -> Self {
        Self { checkpoint: Some(checkpoint), ..self }
    }

    /// The same, with the block.
    #[must_use]
    pub fn in_block(self, block: u64) -> Self {
        Self { block: Some(block), ..self }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The number of its kind.
    pub number: u16,
    /// The name of its kind.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Whether a repair loses nothing.
    pub autofix: bool,
    /// Where it is.
    #[serde(flatten)]
    pub location: Location,
    /// What is wrong, for people.
    pub message: String,
    /// What a repair does.
    pub repair: &'static str,
}

impl Finding {
    pub(crate) fn new(kind: &'static Kind, location: Location, message: String) -> Self {
        let Kind { number, name, severity, autofix, repair, .. } = *kind;
        Self { number, name, severity, autofix, location, message, repair }
    }
}

/// How often something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The number of its kind.
    pub number: u16,
    /// The name of its kind.
    pub name: &'static str,
    /// How often; more than are listed if there are very many.
    pub count: u64,
}

/// How a pass went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PassState {
    /// It checked all that it checks.
    Done,
    /// Something could not be known, because a part of the volume could not be read.
    Partial,
    /// It did not run.
    Skipped,
}

/// What became of a pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PassReport {
    /// The pass.
    pub id: u16,
    /// Its name.
    pub name: &'static str,
    /// How it went.
    pub state: PassState,
    /// Why it did not check everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What the log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalReport {
    /// Frames behind the newest checkpoint.
    pub frames: u64,
    /// Transactions in them: what opening the volume will recover.
    pub transactions: u64,
    /// How it ends: clean, cut or damage.
    pub ending: &'static str,
    /// Why it ends there, if it does not end clean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How much there is on the volume, with its log replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Blocks in the volume.
    pub blocks: u64,
    /// Blocks in use at the newest checkpoint, those of past states and of the layout included.
    pub blocks_used: u64,
    /// Inodes, the root among them.
    pub inodes: u64,
    /// Inodes that are no directories.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Directory entries.
    pub entries: u64,
    /// Extended attributes.
    pub xattrs: u64,
    /// Extents.
    pub extents: u64,
    /// Blocks of files.
    pub data_blocks: u64,
    /// Those that were read and compared with their checksums.
    pub verified_blocks: u64,
    /// Nodes of the newest tree.
    pub nodes: u64,
    /// Items in it.
    pub items: u64,
    /// Inodes that are to be removed or cut.
    pub orphans: u64,
    /// Retained checkpoints besides the newest.
    pub retained: u64,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The image or device.
    pub image: String,
    /// The volume's UUID.
    pub uuid: String,
    /// The volume's label.
    pub label: String,
    /// Whether nothing is wrong.
    pub clean: bool,
    /// What fsck(8) exits with: 0 if nothing is wrong, 4 if something is.
    pub exit_code: u8,
    /// The checkpoint that was checked.
    pub checkpoint: u64,
    /// What is wrong, by number and place.
    pub findings: Vec<Finding>,
    /// How often each kind was found.
    pub counts: Vec<Count>,
    /// How each pass went.
    pub passes: Vec<PassReport>,
    /// What the log holds.
    pub journal: JournalReport,
    /// How much there is.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Report {
    /// The exit code of fsck(8): 0 if nothing is wrong, 4 if something is.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if self.clean { 0 } else { 4 }
    }

    /// The numbers of what was found, ascending, each once.
    #[must_use]
    pub fn numbers(&self) -> Vec<u16> {
        self.counts.iter().map(|count| count.number).collect()
    }
}
