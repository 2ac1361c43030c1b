//! The allocator through its public interface.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod ageing;
mod checkpoints;
mod common;
mod damage;
mod model;
mod threads;
mod volume;
