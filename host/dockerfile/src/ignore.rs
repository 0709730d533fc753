//! `.dockerignore`: patterns, `**` and exceptions with `!` (Dockerfile reference, ".dockerignore file").

/// A file's patterns, in order.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    segments: Vec<Vec<char>>,
    exception: bool,
}

impl Ignore {
    /// Reads the file's text. Lines that are no pattern are left out.
    pub fn parse(text: &str) -> Ignore {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rules = text.lines().filter(|line| !line.starts_with('#')).filter_map(rule).collect();
        Ignore { rules }
    }

    /// Whether `path` (relative, `/` between names) is kept out of the context: the last rule that matches it, or a
    /// folder above it, decides.
    pub fn is_ignored(&self, path: &str) -> bool {
        let names: Vec<Vec<char>> = path.split('/').filter(|n| !n.is_empty()).map(|n| n.chars().collect()).collect();
        let matching = self.rules.iter().rev().find(|rule| {
            (1..=names.len()).rev().any(|len| matches(&rule.segments, &names[..len]))
        });
        matching.is_some_and(|rule| !rule.exception)
    }

    /// Whether an ignored folder must be looked into all the same, because an exception may match inside.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }
}

fn rule(line: &str) -> Option<Rule> {
    let line = line.trim();
    let (exception, pattern) = match line.strip_prefix('!') {
        Some(pattern) => (true, pattern.trim()),
        None => (false, line),
    };
    let mut segments: Vec<Vec<char>> = Vec::new();
    for name in pattern.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name.chars().collect()),
        }
    }
    (!segments.is_empty()).then_some(Rule { segments, exception })
}

fn matches(pattern: &[Vec<char>], path: &[Vec<char>]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if first == &['*', '*'] => {
            // At the end `**` wants at least nothing; before a name, any number of folders.
            (rest.is_empty() && !path.is_empty()) || (0..=path.len()).any(|skip| matches(rest, &path[skip..]))
        }
        Some((first, rest)) => {
            path.split_first().is_some_and(|(name, below)| crate::pattern::matches(first, name) && matches(rest, below))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ignore;

    #[test]
    fn the_last_rule_decides() {
        let ignore = Ignore::parse("# c\n*.md\n!README.md\nnode_modules\n**/*.tmp\n/build/\n");
        for path in ["a.md", "node_modules/x/y", "x/y/z.tmp", "z.tmp", "build/out"] {
            assert!(ignore.is_ignored(path), "{path}");
        }
        for path in ["README.md", "x/a.md", "src/node_modules", "builds"] {
            assert!(!ignore.is_ignored(path), "{path}");
        }
    }
}
