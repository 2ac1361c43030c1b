//! Tests of the tree as its users see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cache;
mod common;
mod faults;
mod growth;
mod hostile;
mod model;
mod shape;
mod values;
