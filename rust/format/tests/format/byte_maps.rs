use std::path::Path;

use vexfs_format::byte_maps::{STRUCTURES, fill_in, records};

#[test]
fn the_document_shows_the_records_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    let document = std::fs::read_to_string(path).unwrap();
    assert!(
        fill_in(&document).unwrap() == document,
        "a record changed: run `cargo run -p vexfs-format --example byte_maps` and review docs/format.md"
    );
}

#[test]
fn every_record_is_described_without_gaps() {
    for record in records() {
        let mut at = 0;
        for field in record.fields {
            assert_eq!(field.offset, at, "{}.{}", record.name, field.name);
            assert!(!field.doc.contains('|'), "{}.{} would break its table", record.name, field.name);
            at += field.size;
        }
        assert_eq!(at, record.size, "{}", record.name);
    }
}

/// What nobody listed would be missing from the document.
#[test]
fn every_record_and_structure_in_the_sources_is_listed() {
    let listed = records();
    let sources = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    for source in sources.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("record.rs")) {
        let text = std::fs::read_to_string(&source).unwrap();
        for part in text.split("record! {").skip(1) {
            let (name, _) = part.split_once("pub struct ").unwrap().1.split_once(':').unwrap();
            assert!(listed.iter().any(|record| record.name == name), "{name} of {}", source.display());
        }
        for part in text.split("Structure = Structure::new(\"").skip(1) {
            let (name, _) = part.split_once('"').unwrap();
            assert!(
                STRUCTURES.iter().any(|structure| structure.name == name),
                "{name} of {}",
                source.display()
            );
        }
    }
}

#[test]
fn no_two_structures_can_be_taken_for_each_other() {
    for (index, one) in STRUCTURES.iter().enumerate() {
        assert!(STRUCTURES[..index].iter().all(|other| other.magic != one.magic), "{}", one.name);
    }
}
