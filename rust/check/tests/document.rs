//! The document says what the checker does.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

#[test]
fn the_document_shows_the_passes_and_findings_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fsck.md");
    let document = std::fs::read_to_string(path).unwrap();
    assert!(
        vexfs_check::describe::fill_in(&document).unwrap() == document,
        "a pass or finding changed: run `cargo run -p vexfs-check --example tables` and review docs/fsck.md"
    );
}
