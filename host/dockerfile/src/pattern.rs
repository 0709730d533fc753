//! Shell patterns (`*`, `?`, `[…]`) as `${name#pattern}` and its kin use them (POSIX 2.13, without directories).

/// Whether the whole text matches.
pub fn matches(pattern: &[char], text: &[char]) -> bool {
    // Where to go on when what followed the last `*` did not match.
    let mut star: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        match one(pattern, p, text[t]) {
            Some(next) => (p, t) = (next, t + 1),
            None if pattern.get(p) == Some(&'*') => {
                star = Some((p, t));
                p += 1;
            }
            None => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on when its element at `p` (not a `*`) takes `c`.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match *pattern.get(p)? {
        '*' => None,
        '?' => Some(p + 1),
        '[' => match class(&pattern[p + 1..], c) {
            Some((true, len)) => Some(p + 1 + len),
            Some((false, _)) => None,
            None => (c == '[').then_some(p + 1),
        },
        '\\' if p + 1 < pattern.len() => (pattern[p + 1] == c).then_some(p + 2),
        literal => (literal == c).then_some(p + 1),
    }
}

/// A bracket expression after its `[`: whether it takes `c`, and its length with the `]`.
pub(crate) fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let mut at = usize::from(negated);
    let start = at;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > start {
            return Some((found != negated, at + 1));
        }
        if pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2).is_some_and(|c| *c != ']') {
            found |= (low..=pattern[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= low == c;
            at += 1;
        }
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// The text without the shortest (or longest) prefix that matches.
pub fn without_prefix(text: &str, pattern: &str, longest: bool) -> String {
    let (text, pattern) = (chars(text), chars(pattern));
    let mut lengths: Vec<usize> = (0..=text.len()).collect();
    if longest {
        lengths.reverse();
    }
    let cut = lengths.into_iter().find(|len| matches(&pattern, &text[..*len])).unwrap_or(0);
    text[cut..].iter().collect()
}

/// The text without the shortest (or longest) suffix that matches.
pub fn without_suffix(text: &str, pattern: &str, longest: bool) -> String {
    let (text, pattern) = (chars(text), chars(pattern));
    let mut starts: Vec<usize> = (0..=text.len()).rev().collect();
    if longest {
        starts.reverse();
    }
    let cut = starts.into_iter().find(|start| matches(&pattern, &text[*start..])).unwrap_or(text.len());
    text[..cut].iter().collect()
}

/// Replaces the first (or every) longest match.
pub fn replace(text: &str, pattern: &str, with: &str, all: bool) -> String {
    let (text, pattern) = (chars(text), chars(pattern));
    let mut out = String::new();
    let mut at = 0;
    while at < text.len() {
        match (at + 1..=text.len()).rev().find(|end| matches(&pattern, &text[at..*end])) {
            Some(end) => {
                out.push_str(with);
                at = end;
                if !all {
                    break;
                }
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out.extend(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*.c", "a.c", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b", "abc", false),
            ("[!a-c]?", "dx", true),
            ("[]]", "]", true),
            ("[", "[", true),
        ] {
            assert_eq!(matches(&chars(pattern), &chars(text)), expected, "{pattern} {text}");
        }
        assert_eq!(without_suffix("a.tar.gz", ".*", true), "a");
        assert_eq!(without_suffix("a.tar.gz", ".*", false), "a.tar");
        assert_eq!(without_prefix("a/b/c", "*/", true), "c");
    }
}
