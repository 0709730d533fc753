//! What differs from Linux, call by call, as a page for people: written from `table`.

use std::fmt::Write as _;

use crate::table::{ROWS, Row, Support};

/// The page, in Markdown.
pub fn page() -> String {
    let mut out = String::from("# System calls\n\nCalls that are not named here fail with ENOSYS.\n");
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
}
