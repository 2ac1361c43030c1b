//! Paths: absolute, of any length, any bytes but zero.

mod known;
mod open;
mod resolve;
mod tree;
mod verbs;
mod walk;

pub(crate) use known::{Moves, Moving};
pub use open::{OpenFile, OpenOptions};
pub use resolve::{Follow, MAX_SYMLINKS};
pub use walk::{OwnedEntry, Walked};
