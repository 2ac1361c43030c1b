//! Writes the tables of `docs/format.md` anew, after a record was changed.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    let document = std::fs::read_to_string(&path)?;
    std::fs::write(&path, vexfs_format::byte_maps::fill_in(&document)?)?;
    Ok(())
}
