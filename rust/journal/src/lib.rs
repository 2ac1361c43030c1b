//! The write-ahead log of a VexFS volume: frames, group commit, and the reader that recovery is made of.
//!
//! A commit reserves log space ([`Log::reserve`]), queues its record in the store's critical section
//! ([`Log::enqueue`]) and waits for it outside ([`Log::wait`]): whoever finds the log idle writes all that is
//! queued as one frame, with one flush. After a crash [`scan`] maps the log, hops over the frames' headers,
//! verifies and decodes them in parallel, and tells where the log ends and whether that is a crash or damage.

mod ending;
mod error;
mod group;
mod log;
mod options;
mod position;
mod queue;
mod region;
mod room;
mod scan;
mod stats;
mod sync;
mod view;
mod writer;

pub use ending::Ending;
pub use error::{Cause, Error, Reason, Result};
pub use log::{Cut, Data, Log, Reservation, Ticket};
pub use options::{Options, Start};
pub use position::{MIN_LOG, Position, Region};
pub use region::{beyond, format, rewrite};
pub use room::Class;
pub use scan::{Record, Scan, ScanFrom, ScanOptions, scan, scan_in_parts};
pub use stats::{Counters, Stats};
pub use vexfs_format::frame::Frame;
pub use view::LogMap;
