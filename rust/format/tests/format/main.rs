//! What the format promises: every record reads back as it was written, everything else is refused with its own
//! reason, no bytes whatever make it panic, and the areas of a volume never overlap.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod byte_maps;
mod fields;
mod geometry;
mod hostile;
mod log_and_tree;
mod names;
mod refusals;
mod round_trip;
mod samples;
