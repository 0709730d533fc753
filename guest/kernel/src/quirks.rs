//! What differs from Linux, call by call, as a page for people: written from `table`.

use std::fmt::Write as _;

use crate::table::{ROWS, Row, Support};

const INTRODUCTION: &str = "\
# System calls

What `guest/kernel/src/table.rs` says of each call that Linux programs may make. A call that is not named here fails with
ENOSYS; `shallop run --strace` names it. This page is written from the table: after a change run
`SHALLOP_TEST_BLESS=1 cargo test -p shallop-kernel --lib quirks`.
";

/// The page, in Markdown; `docs/syscalls.md` is this text.
pub fn page() -> String {
    let mut out = String::from(INTRODUCTION);
    section(&mut out, "As on Linux", Support::Full);
    section(&mut out, "With limits", Support::Partial);
    section(&mut out, "Refused", Support::Refused);
    out
}

fn section(out: &mut String, title: &str, support: Support) {
    let rows = || ROWS.iter().filter(|row| row.support == support);
    let _ = write!(out, "\n## {title}\n\n");
    if rows().all(|row| row.note.is_empty()) {
        let names: Vec<String> = rows().map(|row| format!("`{}`", row.name)).collect();
        let _ = writeln!(out, "{}.", names.join(", "));
    } else {
        rows().for_each(|row| line(out, row));
    }
}

fn line(out: &mut String, row: &Row) {
    let _ = writeln!(out, "- `{}`: {}", row.name, row.note);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_call_is_on_the_page_once() {
        let page = super::page();
        for row in crate::table::ROWS {
            assert_eq!(page.matches(&format!("`{}`", row.name)).count(), 1, "{}", row.name);
        }
    }

    #[test]
    fn the_page_in_docs_is_this_page() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/syscalls.md");
        if std::env::var_os("SHALLOP_TEST_BLESS").is_some() {
            std::fs::write(&path, super::page()).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == super::page(), "docs/syscalls.md is old; run this test with SHALLOP_TEST_BLESS=1");
    }
}
