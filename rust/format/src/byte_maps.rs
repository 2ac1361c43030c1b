//! The tables of `docs/format.md`, printed from the declarations of the records. The document has a place for
//! each, `<!-- table: Name -->` to `<!-- end -->`; [`fill_in`] writes the tables there, and a test compares.

use core::fmt::Write;

use crate::chain::{ChainEntry, RawChainHead};
use crate::dead_list::{Bucket, DeadRun, RawBucket, RawDeadRun};
use crate::record::{Field, Record};
use crate::retention::RawRetained;
use crate::stamp::{Stamp, Structure};
use crate::types::{RawKey, kinds, objects};
use crate::{
    bitmap, checkpoint, dirent, extent, frame, group, inode, node, orphan, pointer, redo, superblock, xattr,
};

/// A record of the format, as data.
#[derive(Clone, Copy, Debug)]
pub struct RecordMap {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its fields in order, without gaps.
    pub fields: &'static [Field],
}

impl RecordMap {
    const fn of<R: Record>() -> Self {
        Self { name: R::NAME, doc: R::DOC, size: R::SIZE, fields: R::FIELDS }
    }
}

/// Every record of the format: whoever declares one adds it here.
#[must_use]
pub fn records() -> Vec<RecordMap> {
    vec![
        RecordMap::of::<Stamp>(),
        RecordMap::of::<superblock::RawSuperblock>(),
        RecordMap::of::<checkpoint::RawDescriptor>(),
        RecordMap::of::<group::RawTableBlock>(),
        RecordMap::of::<group::RawGroupEntry>(),
        RecordMap::of::<bitmap::RawBitmap>(),
        RecordMap::of::<frame::FrameHeader>(),
        RecordMap::of::<redo::RecordHeader>(),
        RecordMap::of::<redo::OpHeader>(),
        RecordMap::of::<redo::RawSet>(),
        RecordMap::of::<redo::RawFree>(),
        RecordMap::of::<RawKey>(),
        RecordMap::of::<node::NodeHeader>(),
        RecordMap::of::<node::LeafSlot>(),
        RecordMap::of::<node::ChildSlot>(),
        RecordMap::of::<pointer::RawNodePtr>(),
        RecordMap::of::<pointer::RawOutOfLine>(),
        RecordMap::of::<pointer::RawChainPtr>(),
        RecordMap::of::<RawChainHead>(),
        RecordMap::of::<RawRetained>(),
        RecordMap::of::<RawBucket>(),
        RecordMap::of::<RawDeadRun>(),
        RecordMap::of::<inode::RawInode>(),
        RecordMap::of::<dirent::RawDirent>(),
        RecordMap::of::<xattr::RawXattr>(),
        RecordMap::of::<extent::RawExtent>(),
        RecordMap::of::<orphan::RawOrphan>(),
    ]
}

/// Every structure that begins with a stamp.
pub const STRUCTURES: &[Structure] = &[
    superblock::SUPERBLOCK,
    checkpoint::DESCRIPTOR,
    group::GROUP_TABLE,
    bitmap::BITMAP,
    frame::FRAME,
    node::TREE_NODE,
    crate::Retained::STRUCTURE,
    Bucket::STRUCTURE,
    DeadRun::STRUCTURE,
];

/// The document with every table in its place; an error names what has no place, or a place without a table.
pub fn fill_in(document: &str) -> Result<String, String> {
    let mut tables: Vec<_> = records().iter().map(|record| (record.name, record_table(record))).collect();
    tables.push(("structures", structures_table()));
    tables.push(("kinds", numbers_table("kind", kinds::ALL)));
    tables.push(("objects", numbers_table("object", objects::ALL)));

    let mut filled = String::new();
    let mut rest = document;
    while let Some((before, behind)) = rest.split_once("<!-- table: ") {
        let (name, behind) = behind.split_once(" -->").ok_or("a table's place is not closed by -->")?;
        let (_, behind) = behind.split_once("<!-- end -->").ok_or(format!("no <!-- end --> for {name}"))?;
        let at = tables.iter().position(|(known, _)| *known == name);
        let (_, table) = tables.remove(at.ok_or(format!("there is no table {name}, or it has two places"))?);
        filled += &format!("{before}<!-- table: {name} -->\n\n{table}\n<!-- end -->");
        rest = behind;
    }
    match tables.first() {
        Some((name, _)) => Err(format!("{name} has no place in the document")),
        None => Ok(filled + rest),
    }
}

fn record_table(record: &RecordMap) -> String {
    let size = record.size;
    let mut table = format!("**{}** ({size} bytes). {}\n\n", record.name, record.doc.trim());
    table += "| offset | size | field | type | meaning |\n|---:|---:|---|---|---|\n";
    for Field { name, offset, size, ty, doc } in record.fields {
        let _ = writeln!(table, "| {offset} | {size} | {name} | {} | {} |", readable(ty), doc.trim());
    }
    table
}

fn structures_table() -> String {
    let mut table = "| structure | magic | version |\n|---|---|---:|\n".to_owned();
    for Structure { name, magic, version } in STRUCTURES {
        let letters = magic.to_le_bytes().escape_ascii().to_string();
        let _ = writeln!(table, "| {name} | `{letters}` | {version} |");
    }
    table
}

fn numbers_table<T: Copy + Into<u64>>(title: &str, numbers: &[(T, &str, &str)]) -> String {
    let mut table = format!("| {title} | name | meaning |\n|---:|---|---|\n");
    for (number, name, doc) in numbers {
        let number: u64 = (*number).into();
        let _ = writeln!(table, "| {number:#04x} | {name} | {} |", doc.trim());
    }
    table
}

/// A Rust type as people read it: `U32` is a `u32` that is stored little-endian.
fn readable(ty: &str) -> String {
    let mut ty = ty.to_owned();
    for (stored, plain) in [("U16", "u16"), ("U32", "u32"), ("U64", "u64"), ("I64", "i64")] {
        ty = ty.replace(stored, plain);
    }
    format!("`{ty}`")
}
