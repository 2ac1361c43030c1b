//! Transactions over keys and values: a multi-version memtable above an immutable tree, one log, checkpoints,
//! recovery. The store knows keys and values, not files.
//!
//! The life of a write: [`Tx`] collects it privately (`writes`), `commit` gives it its place, log record and
//! memtable version in one critical section, `checkpoint` merges the memtable into the tree, and `deferred` gives
//! back the blocks that nobody needs any more. `recovery` goes the other way, from the log to a [`View`].

mod admission;
mod background;
mod beside;
mod carried;
mod checkpoint;
pub mod clock;
mod commit;
mod deferred;
mod entries;
mod error;
mod format;
mod latency;
mod memtable;
mod merge;
mod moment;
mod open;
mod options;
mod pinned;
mod pool;
mod progress;
mod read;
mod readers;
mod recovery;
mod reservation;
mod retention;
mod run;
mod staged;
mod state;
mod stats;
mod store;
pub mod superblock;
mod sync;
mod tx;
mod value;
mod versions;
mod view;
mod writes;

pub use checkpoint::Kind as CheckpointKind;
pub use error::{Error, Result};
pub use latency::Latency;
pub use options::{FormatOptions, Mode, Options};
pub use progress::{RecoveryProgress, RecoveryWatch};
pub use read::{Items, Read};
pub use recovery::RecoveryReport;
pub use reservation::Reservation;
pub use stats::StoreStats;
pub use store::{SpaceStatus, Store};
pub use tx::{Durability, Isolation, Tx};
pub use value::Value;
pub use vexfs_device::Device;
pub use vexfs_space::{Class, Request, Strategy};
pub use view::View;
pub use writes::{Merge, Savepoint};
