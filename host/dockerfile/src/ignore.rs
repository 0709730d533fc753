//! `.dockerignore`: patterns, `**` and exceptions with `!` (Dockerfile reference, ".dockerignore file").

use crate::pattern;

/// A file's patterns, in order.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    tokens: Vec<Token>,
    exception: bool,
}

#[derive(Debug, Clone)]
enum Token {
    Literal(char),
    /// `?`: one character but `/`.
    One,
    /// `*`: characters but `/`.
    Star,
    /// `**` at the end: anything.
    Anything,
    /// `**` or `**/` before something: any number of folders.
    Folders,
    /// What stands between `[` and `]`, the `]` included.
    Class(Vec<char>),
}

impl Ignore {
    /// Reads the file's text. Empty lines and comments are left out.
    ///
    /// # Errors
    /// A sentence: an exception without a pattern.
    pub fn parse(text: &str) -> Result<Ignore, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            if line.trim() == "!" {
                return Err(format!("line {}: illegal exclusion pattern: \"!\"", i + 1));
            }
            rules.extend(rule(line));
        }
        Ok(Ignore { rules })
    }

    /// Whether `path` (relative, `/` between names) is kept out of the context: the last rule that matches it, or a
    /// folder above it, decides.
    pub fn is_ignored(&self, path: &str) -> bool {
        let chars: Vec<char> = path.trim_end_matches('/').chars().collect();
        // The path itself, then the folders above it.
        let ends: Vec<usize> = (1..=chars.len()).rev().filter(|i| chars.get(*i).is_none_or(|c| *c == '/')).collect();
        let matching =
            self.rules.iter().rev().find(|r| path == "/" || ends.iter().any(|e| matches(&r.tokens, &chars[..*e])));
        matching.is_some_and(|rule| !rule.exception)
    }

    /// Whether an ignored folder must be looked into all the same, because an exception may match inside.
    pub fn has_exceptions_below(&self, folder: &str) -> bool {
        let folder: Vec<char> = folder.chars().chain(['/']).collect();
        self.rules.iter().filter(|rule| rule.exception).any(|rule| {
            let literals = rule.tokens.iter().map_while(|token| match token {
                Token::Literal(c) => Some(*c),
                _ => None,
            });
            // What the pattern begins with and the folder agree as far as both go.
            literals.zip(&folder).all(|(wanted, found)| wanted == *found)
        })
    }
}

fn rule(line: &str) -> Option<Rule> {
    let line = line.trim();
    let (exception, pattern) = match line.strip_prefix('!') {
        Some(pattern) => (true, pattern.trim()),
        None => (false, line),
    };
    let mut names: Vec<&str> = Vec::new();
    for name in pattern.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    let tokens = tokens(&names.join("/").chars().collect::<Vec<_>>());
    (!tokens.is_empty()).then_some(Rule { tokens, exception })
}

fn tokens(pattern: &[char]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        let rest = &pattern[at + 1..];
        let (token, len) = match pattern[at] {
            '*' if rest.first() == Some(&'*') => {
                let len = 2 + usize::from(rest.get(1) == Some(&'/'));
                (if at + len >= pattern.len() { Token::Anything } else { Token::Folders }, len)
            }
            '*' => (Token::Star, 1),
            '?' => (Token::One, 1),
            '\\' if !rest.is_empty() => (Token::Literal(rest[0]), 2),
            '[' => match pattern::class(rest, '\0') {
                Some((_, len)) => (Token::Class(rest[..len].to_vec()), len + 1),
                None => (Token::Literal('['), 1),
            },
            literal => (Token::Literal(literal), 1),
        };
        tokens.push(token);
        at += len;
    }
    tokens
}

/// Follows every position of `text` that the tokens so far can have reached.
fn matches(tokens: &[Token], text: &[char]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in tokens {
        reached = step(token, text, &reached);
    }
    reached[text.len()]
}

fn step(token: &Token, text: &[char], from: &[bool]) -> Vec<bool> {
    let mut to = vec![false; from.len()];
    // Some position before this one was reached.
    let mut before = false;
    for at in 0..from.len() {
        let previous = at.checked_sub(1).map(|i| text[i]);
        let came = at > 0 && from[at - 1];
        to[at] = match (token, previous) {
            (Token::Star, Some(c)) => from[at] || (c != '/' && to[at - 1]),
            (Token::Folders, Some(c)) => from[at] || (c == '/' && before),
            (Token::Anything, _) => from[at] || before,
            (Token::Star | Token::Folders, None) => from[at],
            (Token::One, Some(c)) => came && c != '/',
            (Token::Literal(literal), Some(c)) => came && *literal == c,
            (Token::Class(class), Some(c)) => {
                came && c != '/' && pattern::class(class, c).is_some_and(|(takes, _)| takes)
            }
            (_, None) => false,
        };
        before |= from[at];
    }
    to
}

#[cfg(test)]
mod tests {
    use super::Ignore;

    #[test]
    fn the_last_rule_decides() {
        let ignore = Ignore::parse("# c\n*.md\n!README.md\nnode_modules\n**/*.tmp\n/build/\n").unwrap();
        for path in ["a.md", "node_modules/x/y", "x/y/z.tmp", "z.tmp", "build/out"] {
            assert!(ignore.is_ignored(path), "{path}");
        }
        for path in ["README.md", "x/a.md", "src/node_modules", "builds"] {
            assert!(!ignore.is_ignored(path), "{path}");
        }
    }

    #[test]
    fn exceptions_say_which_folders_matter() {
        let ignore = Ignore::parse("*\n!src/**/*.c\n! keep\n").unwrap();
        assert!(ignore.has_exceptions_below("src") && ignore.has_exceptions_below("src/deep/er"));
        assert!(!ignore.has_exceptions_below(".git") && !ignore.has_exceptions_below("s"));
        assert!(Ignore::parse("a\n!\n").is_err());
    }
}
