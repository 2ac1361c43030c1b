//! The checker of a VexFS volume: it reads everything, says what is wrong, and changes nothing.
//!
//! [`check`] runs the [`passes`] over an unmounted volume in the state that it has once its log is replayed, which
//! happens in memory. What can be wrong is a table too: [`kinds`], each with a number that never changes. A
//! [`Report`] says what was found, where, and how it is repaired.
//!
//! The passes go from the outside in: superblocks, checkpoint descriptors, log, lists of retained checkpoints, the
//! tree, older trees, bitmaps against all of that, and then what the items say about each other. A pass that
//! cannot know something, because a part of the volume could not be read, says so and does not guess.
//!
//! Memory: up to six bits for each block and two for each inode number, in groups that have any in use; 9 bytes
//! for each inode number of a page of 256 in which there is one, 8 bytes for each inode and 32 for each directory
//! besides; 24 bytes for each tree node; and what the store needs for the log. A million inodes take about 30 MB.

mod bitmaps;
mod check;
#[cfg(feature = "damage")]
pub mod damage;
mod data;
pub mod describe;
mod error;
mod figures;
mod files;
mod finding;
mod journal;
mod ledger;
mod lost;
mod marks;
mod meter;
mod names;
mod options;
mod owners;
mod pass;
mod paths;
mod patient;
mod replayed;
mod report;
mod retained;
mod retention;
mod ring;
mod show;
mod stream;
mod superblocks;
mod tree;
mod volume;

pub use check::check;
pub use error::{Error, Result};
pub use finding::{Kind, Severity, kind, kinds};
pub use options::{Options, Progress, Watcher};
pub use pass::{Pass, passes};
pub use report::{Count, Finding, JournalReport, Location, PassReport, PassState, Report, Totals};
pub use show::{What, show};
