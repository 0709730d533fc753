//! "Did you mean": the nearest of the names there are.

/// The name with the smallest edit distance, when that is small for the word's length.
pub fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let (distance, name) = names.iter().map(|name| (distance(name, word), *name)).min()?;
    let limit = if word.chars().count() < 3 { 1 } else { 2 };
    (distance <= limit && distance < name.len()).then_some(name)
}

/// Edit distance (Levenshtein) over the first 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(b[j] != c));
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_only() {
        assert_eq!(nearest("bulid", &["build", "test"]), Some("build"));
        assert_eq!(nearest("mont", &["mount", "network"]), Some("mount"));
        assert_eq!(nearest("foo", &["from", "chown"]), Some("from"));
        assert_eq!(nearest("tmp", &["bind", "tmpfs"]), Some("tmpfs"));
        assert_eq!(nearest("something", &["build"]), None);
        assert_eq!(nearest("a", &["b"]), None);
        assert_eq!(nearest("", &[]), None);
    }
}
