//! The tree of a volume: every key and its value, in one immutable B+tree of 16 KiB nodes.
//!
//! A [`Root`] is a whole state. [`Reader`] looks up, scans and walks it, and [`Reader::apply`] makes a new root
//! from an old one and a sorted batch of changes by writing new nodes beside the old ones (copy on write): the
//! old root stays readable for as long as its blocks are not used again. Nothing is ever written in place, and
//! nothing counts before the caller has made the new root durable.
//!
//! Bytes from the device are checked once, when a node is loaded: checksum, place, birth, level, order, and that
//! its keys lie where its parent says. Behind that a node is looked at without further checks, and without
//! panics whatever it holds.

mod alloc;
mod apply;
mod cache;
mod error;
mod growth;
mod load;
mod node;
mod range;
mod reader;
mod root;
mod value;
mod walk;

pub use alloc::{AllocError, NodeAlloc};
pub use apply::{Applied, Change};
pub use cache::{CacheStats, NodeCache};
pub use error::{Corruption, Error, Result};
pub use growth::{growth_bound, growth_bound_in_turn, weight};
pub use range::Range;
pub use reader::Reader;
pub use root::{Root, TreeCounts};
pub use value::Value;
pub use vexfs_format::node::{MAX_INLINE, MAX_VALUE};
pub use walk::{Subtree, Visitor, WalkOptions};
