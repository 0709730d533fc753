//! Word expansion: `$NAME`, `${NAME:-word}` and their kin, quotes and escapes, as BuildKit's shell lexer does it.

use crate::pattern;

/// Where variables are looked up.
pub trait Environment {
    fn get(&self, name: &str) -> Option<String>;
}

impl Environment for [(String, String)] {
    fn get(&self, name: &str) -> Option<String> {
        self.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Nested `${a:-${b:-…}}` at most.
const MAX_DEPTH: usize = 64;
/// Characters of a result at most.
const MAX_LENGTH: usize = 1 << 20;

/// Expands to one string.
///
/// # Errors
/// A sentence: an unclosed quote or brace, a `${NAME:?message}` that is not set, a modifier that does not exist.
pub fn word<E: Environment + ?Sized>(text: &str, escape: char, environment: &E) -> Result<String, String> {
    Ok(expand(text, escape, environment)?.0)
}

/// Expands to words: white space outside quotes separates, also what comes out of variables.
pub fn words<E: Environment + ?Sized>(text: &str, escape: char, environment: &E) -> Result<Vec<String>, String> {
    Ok(expand(text, escape, environment)?.1.finish())
}

/// Expands a here-document: quotes are characters like others, and the escape character is always a backslash.
///
/// # Errors
/// As [`word`].
pub fn document<E: Environment + ?Sized>(text: &str, environment: &E) -> Result<String, String> {
    let chars = text.chars().collect();
    let mut lexer = Lexer { chars, at: 0, escape: '\\', environment, depth: 0, quotes: false };
    Ok(lexer.until(None)?.0)
}

/// The names of variables that a text mentions.
pub fn mentioned(text: &str, escape: char) -> Vec<String> {
    let names = std::cell::RefCell::new(Vec::new());
    let record = |name: &str| {
        names.borrow_mut().push(name.to_owned());
        // Set and not empty, so that both branches of a modifier are looked into at least once.
        None
    };
    let _ = expand(text, escape, &record);
    names.into_inner()
}

fn expand<E: Environment + ?Sized>(text: &str, escape: char, environment: &E) -> Result<(String, Words), String> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, escape, environment, depth: 0, quotes: true };
    lexer.until(None)
}

/// Words while they are collected.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
    /// The word has begun, even if it is empty (`""`).
    open: bool,
}

impl Words {
    fn literal(&mut self, c: char) {
        self.word.push(c);
        self.open = true;
    }

    fn literals(&mut self, text: &str) {
        self.word.push_str(text);
        self.open = true;
    }

    fn space(&mut self) {
        if self.open {
            self.done.push(std::mem::take(&mut self.word));
            self.open = false;
        }
    }

    /// A variable's value outside quotes: its white space separates words.
    fn splitting(&mut self, text: &str) {
        text.chars().for_each(|c| if c.is_whitespace() { self.space() } else { self.literal(c) });
    }

    fn finish(mut self) -> Vec<String> {
        self.space();
        self.done
    }
}

struct Lexer<'a, E: ?Sized> {
    chars: Vec<char>,
    at: usize,
    escape: char,
    environment: &'a E,
    depth: usize,
    /// Quotes hold text together.
    quotes: bool,
}

impl<E: Environment + ?Sized> Lexer<'_, E> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Up to an unquoted `stop` (taken away) or, with none, to the end.
    fn until(&mut self, stop: Option<char>) -> Result<(String, Words), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} nested expansions"));
        }
        let mut out = String::new();
        let mut words = Words::default();
        loop {
            if out.len() > MAX_LENGTH {
                return Err("the expanded text is too long".into());
            }
            match self.next() {
                None if stop.is_some() => return Err("unexpected end of statement while looking for matching }".into()),
                None => break,
                c if c == stop => break,
                Some('\'') if self.quotes => self.single_quoted(&mut out, &mut words)?,
                Some('"') if self.quotes => self.double_quoted(&mut out, &mut words)?,
                Some('$') => {
                    let value = self.dollar()?;
                    words.splitting(&value);
                    out.push_str(&value);
                }
                Some(c) if c == self.escape => {
                    // At the end of the text it stands for nothing.
                    if let Some(c) = self.next() {
                        words.literal(c);
                        out.push(c);
                    }
                }
                Some(c) => {
                    if c.is_whitespace() {
                        words.space()
                    } else {
                        words.literal(c)
                    }
                    out.push(c);
                }
            }
        }
        self.depth -= 1;
        Ok((out, words))
    }

    fn single_quoted(&mut self, out: &mut String, words: &mut Words) -> Result<(), String> {
        words.open = true;
        loop {
            match self.next() {
                None => return Err("unexpected end of statement while looking for matching single-quote".into()),
                Some('\'') => return Ok(()),
                Some(c) => {
                    words.literal(c);
                    out.push(c);
                }
            }
        }
    }

    fn double_quoted(&mut self, out: &mut String, words: &mut Words) -> Result<(), String> {
        words.open = true;
        loop {
            match self.next() {
                None => return Err("unexpected end of statement while looking for matching double-quote".into()),
                Some('"') => return Ok(()),
                Some('$') => {
                    let value = self.dollar()?;
                    words.literals(&value);
                    out.push_str(&value);
                }
                Some(c) => {
                    let c = if c == self.escape { self.escaped_in_quotes() } else { Some(c) };
                    out.extend(c);
                    c.into_iter().for_each(|c| words.literal(c));
                }
            }
        }
    }

    /// Inside double quotes an escape character is one only before a quote, `$` or itself.
    fn escaped_in_quotes(&mut self) -> Option<char> {
        match self.peek() {
            Some(c) if c == '"' || c == '$' || c == self.escape => self.next(),
            Some(_) => Some(self.escape),
            None => None,
        }
    }

    /// What follows a `$`.
    fn dollar(&mut self) -> Result<String, String> {
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".into() } else { self.environment.get(&name).unwrap_or_default() });
        }
        self.at += 1;
        match self.peek() {
            None => return Err("syntax error: missing '}'".into()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".into()),
            _ => {}
        }
        let name = self.name();
        match self.next() {
            Some('}') => Ok(self.environment.get(&name).unwrap_or_default()),
            Some(':') => {
                let modifier = self.next().ok_or("syntax error: missing ':' in substitution")?;
                self.modified(&name, modifier, true)
            }
            Some(c @ ('+' | '-' | '?' | '#' | '%')) => self.modified(&name, c, false),
            Some('/') => self.replaced(&name),
            Some(c) => Err(format!("unsupported modifier ({c}) in substitution")),
            None => Err("syntax error: missing '}'".into()),
        }
    }

    /// A variable's name, or one special parameter; empty when there is none.
    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    self.at += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.at += 1;
                }
            }
        }
        self.chars[start..self.at].iter().collect()
    }

    /// `${name-word}` and, with `colon`, `${name:-word}`: an empty value then counts as not set.
    fn modified(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, String> {
        let greedy = matches!(modifier, '#' | '%') && self.peek() == Some(modifier);
        if greedy {
            self.at += 1;
        }
        if !matches!(modifier, '+' | '-' | '?' | '#' | '%') || (colon && matches!(modifier, '#' | '%')) {
            return Err(format!("unsupported modifier ({modifier}) in substitution"));
        }
        let word = self.until(Some('}'))?.0;
        let value = self.environment.get(name);
        let set = value.as_ref().is_some_and(|v| !colon || !v.is_empty());
        match modifier {
            '+' => Ok(if set { word } else { String::new() }),
            '-' => Ok(if set { value.unwrap_or_default() } else { word }),
            '?' if set => Ok(value.unwrap_or_default()),
            '?' => Err(match word.is_empty() {
                true => format!("{name}: not allowed to be {}", if colon { "unset or empty" } else { "unset" }),
                false => format!("{name}: {word}"),
            }),
            '#' => Ok(pattern::without_prefix(&value.unwrap_or_default(), &word, greedy)),
            _ => Ok(pattern::without_suffix(&value.unwrap_or_default(), &word, greedy)),
        }
    }

    /// `${name/pattern/replacement}` and `${name//pattern/replacement}`.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        if all {
            self.at += 1;
        }
        let what = self.until(Some('/'))?.0;
        let with = self.until(Some('}'))?.0;
        Ok(pattern::replace(&self.environment.get(name).unwrap_or_default(), &what, &with, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Vec<(String, String)> {
        [("PWD", "/home"), ("A", "a b"), ("EMPTY", "")].map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec()
    }

    fn one(text: &str) -> Result<String, String> {
        word(text, '\\', env().as_slice())
    }

    #[test]
    fn documents_keep_quotes() {
        let environment = |name: &str| (name == "A").then(|| "v".to_owned());
        let text = "\"$A\" '$A' ${B:-\"d\"} \\$A \\\\ \\\" it's\n";
        assert_eq!(document(text, &environment).unwrap(), "\"v\" 'v' \"d\" $A \\ \" it's\n");
    }

    #[test]
    fn quotes_and_escapes() {
        for (text, expected) in [
            ("he'll'o", "hello"),
            (r"he\'llo", "he'llo"),
            (r#""abc\tdef""#, r"abc\tdef"),
            (r#""abc\\tdef""#, r"abc\tdef"),
            (r"hello\", "hello"),
            (r"hello\\", r"hello\"),
            ("$.", "$."),
            ("he$1x", "hex"),
            (r"he\$PWD", "he$PWD"),
            ("'$PWD'", "$PWD"),
            (r#""$PWD""#, "/home"),
        ] {
            assert_eq!(one(text).as_deref(), Ok(expected), "{text}");
        }
        assert!(one("'x").is_err() && one("\"x").is_err() && one("${PWD").is_err());
    }

    #[test]
    fn modifiers() {
        for (text, expected) in [
            ("${NO:-d}", "d"),
            ("${NO-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${EMPTY:-d}", "d"),
            ("${PWD:+x}", "x"),
            ("${EMPTY:+x}", ""),
            ("${EMPTY+x}", "x"),
            ("${NO:-${PWD}/x}", "/home/x"),
            ("${PWD#*/}", "home"),
            ("${PWD%o*}", "/h"),
            ("${PWD/o/0}", "/h0me"),
            ("${A//[ab]/x}", "x x"),
        ] {
            assert_eq!(one(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(one("${NO:?must be set}"), Err("NO: must be set".into()));
    }

    #[test]
    fn words_split_where_no_quote_is() {
        assert_eq!(words("x$A \"$A\" ''", '\\', env().as_slice()).unwrap(), ["xa", "b", "a b", ""]);
    }
}
