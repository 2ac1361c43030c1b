//! Writes the tables of `docs/fsck.md` anew, after a pass or a finding was changed.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fsck.md");
    let document = std::fs::read_to_string(&path)?;
    std::fs::write(&path, vexfs_check::describe::fill_in(&document).ok_or("the document lost its marks")?)?;
    Ok(())
}
