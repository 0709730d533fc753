//! Splitting text into words, quotes respected, and the JSON form of arguments.

/// Splits at white space outside quotes; quotes and escapes stay in the words.
pub fn split_raw(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ => {}
        }
        word.push(c);
        if c == escape && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A word without its quotes and escapes; `None` when a quote is not closed.
pub fn unquote(word: &str, escape: char) -> Option<String> {
    let mut out = String::new();
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if c == q => quote = None,
            Some('\'') => out.push(c),
            _ if c == escape => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    quote.is_none().then_some(out)
}

/// A JSON array of strings; `None` when the text is none.
pub fn json(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if !text.starts_with('[') {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_arrays() {
        assert_eq!(json(r#" [ "a" , "b\n\u0041\ud83d\ude00" ] "#).unwrap(), ["a", "b\nA😀"]);
        assert_eq!(json("[]").unwrap(), Vec::<String>::new());
        for bad in [r#"["a""#, r#"["a",]"#, r#"['a']"#, r#"["a"] x"#, r#"[1]"#] {
            assert_eq!(json(bad), None, "{bad}");
        }
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(split_raw(r#"a "b c"  d\ e 'f " g'"#, '\\'), ["a", r#""b c""#, r"d\ e", r#"'f " g'"#]);
        assert_eq!(unquote(r#""b c"'d'\e"#, '\\').unwrap(), "b cde");
        assert_eq!(unquote("'x", '\\'), None);
    }
}
