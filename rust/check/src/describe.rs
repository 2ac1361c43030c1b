//! The tables of passes and findings as `docs/fsck.md` shows them.

use std::fmt::Write as _;

use crate::{Severity, kinds, passes};

/// Where the tables begin and end in the document.
const PASSES: [&str; 2] = ["<!-- passes -->\n", "<!-- end of passes -->"];
const FINDINGS: [&str; 2] = ["<!-- findings -->\n", "<!-- end of findings -->"];

/// The document with its tables as they are now; `None` if it has no place for them.
#[must_use]
pub fn fill_in(document: &str) -> Option<String> {
    let with_passes = replace(document, PASSES, &pass_table())?;
    replace(&with_passes, FINDINGS, &finding_tables())
}

fn replace(document: &str, [begin, end]: [&str; 2], table: &str) -> Option<String> {
    let (before, rest) = document.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

fn pass_table() -> String {
    let mut table =
        String::from("| | pass | what it checks | after | on a volume in use |\n|-:|---|---|---|---|\n");
    for pass in passes() {
        let online = if pass.online { "possible" } else { "no" };
        let needs = pass.needs.join(", ");
        let _ = writeln!(table, "| {} | {} | {} | {needs} | {online} |", pass.id, pass.name, pass.what);
    }
    table
}

fn finding_tables() -> String {
    let mut tables = String::new();
    for pass in passes() {
        let _ = writeln!(tables, "\n### {}. {}\n", pass.id, pass.name);
        tables.push_str("| number | name | what it means | what a repair does | |\n|-:|---|---|---|---|\n");
        for kind in kinds().iter().filter(|kind| kind.number / 100 == pass.id) {
            let severity = match kind.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
                Severity::Fatal => "fatal",
            };
            let asked = if kind.autofix { "" } else { ", on request only" };
            let (number, name) = (kind.number, kind.name);
            let _ = writeln!(
                tables,
                "| {number} | `{name}` | {} | {} | {severity}{asked} |",
                kind.meaning, kind.repair
            );
        }
    }
    tables.push('\n');
    tables
}
