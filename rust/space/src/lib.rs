//! Which blocks and inode numbers of a VexFS volume are in use: allocation groups in memory, and their
//! checksummed bitmaps on the device.
//!
//! [`Space`] allocates ([`Request`], [`Strategy`], [`Class`]) and releases in memory; a checkpoint hands it a
//! [`Delta`] and gets the [`TableState`] that its descriptor names. The order to read in: `bits`, `search` (one
//! group's bits), `long` and `group` (what is known of them), `units` and `lane` (what threads share and what they do not),
//! `space`, `alloc`, `release`, `inodes`, then `slot`, `table` and `checkpoint` (the device); last
//! what recovery, fsck and discard need: `usage`, `stats`, `trim`.

mod alloc;
mod bits;
mod checkpoint;
mod error;
mod group;
mod inodes;
mod lane;
mod long;
mod release;
mod request;
mod search;
mod slot;
mod space;
mod stats;
mod table;
mod trim;
mod units;
mod usage;

pub use bits::{BITS, Bitset, UNIT, Words};
pub use checkpoint::Delta;
pub use error::{Error, Result};
pub use request::{Class, Request, Strategy};
pub use space::Space;
pub use stats::{ClassStats, GroupStats, Scatter, Stats};
pub use table::TableState;
pub use usage::{Difference, Usage, Wrong};
