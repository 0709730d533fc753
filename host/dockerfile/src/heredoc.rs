//! Here-documents of RUN, COPY and ADD (Dockerfile reference, "Here-Documents").

use crate::error::{Error, Result, Span};
use crate::words;

/// One here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    pub name: String,
    /// The file descriptor before `<<`; 0 when there is none.
    pub descriptor: u32,
    /// With its final newline; leading tabs taken away for `<<-`.
    pub content: String,
    /// False when the name was quoted.
    pub expand: bool,
    /// Written with `<<-`.
    pub chomp: bool,
}

/// Finds the here-documents that `text` announces and reads them from the lines at `at`.
pub fn take(text: &str, physical: &[&str], at: &mut usize, escape: char, span: Span) -> Result<Vec<Heredoc>> {
    let keyword = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let word = if keyword == "ONBUILD" {
        text.split_whitespace().nth(1).unwrap_or_default().to_ascii_uppercase()
    } else {
        keyword
    };
    if !matches!(word.as_str(), "RUN" | "COPY" | "ADD") || !text.contains("<<") {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for word in words::split_raw(text, escape) {
        let Some(mut heredoc) = announced(&word, escape) else { continue };
        heredoc.content = body(&heredoc, physical, at)
            .ok_or_else(|| Error::new(span, format!("unterminated heredoc: no line says {}", heredoc.name)))?;
        found.push(heredoc);
    }
    Ok(found)
}

/// Reads a word like `3<<-"EOF"`.
pub fn announced(word: &str, escape: char) -> Option<Heredoc> {
    let (digits, rest) = word.split_once("<<")?;
    if !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let (chomp, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    if name.is_empty() || name.contains('<') {
        return None;
    }
    let plain = words::unquote(name, escape)?;
    if plain.is_empty() {
        return None;
    }
    Some(Heredoc {
        expand: plain == name,
        name: plain,
        descriptor: if digits.is_empty() { 0 } else { digits.parse().ok()? },
        content: String::new(),
        chomp,
    })
}

fn body(heredoc: &Heredoc, physical: &[&str], at: &mut usize) -> Option<String> {
    let mut content = String::new();
    loop {
        let line = *physical.get(*at)?;
        *at += 1;
        let line = if heredoc.chomp { line.trim_start_matches('\t') } else { line };
        if line == heredoc.name {
            return Some(content);
        }
        content.push_str(line);
        content.push('\n');
    }
}
