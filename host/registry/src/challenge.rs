//! [`Challenge`]: what a `WWW-Authenticate` header asks for (RFC 9110, section 11.6.1).

/// One way to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub(crate) scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

/// Challenges of one answer that are looked at.
const MAX: usize = 16;

impl Challenge {
    /// Those of one header, which may hold several.
    pub(crate) fn parse(header: &str) -> Vec<Challenge> {
        let mut found: Vec<Challenge> = Vec::new();
        let mut rest = header;
        while found.len() <= MAX {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = token(rest);
            if word.is_empty() {
                break;
            }
            let after = after.trim_start();
            match (after.strip_prefix('='), found.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let (value, after) = value_of(value.trim_start());
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                    rest = after;
                }
                // A parameter of nothing.
                (Some(_), None) => break,
                (None, _) => {
                    found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                    rest = after;
                }
            }
        }
        found
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A value, quoted or not, and what follows.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hubs() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let found = Challenge::parse(header);
        assert_eq!((found.len(), found[0].scheme.as_str()), (1, "bearer"));
        assert_eq!(found[0].get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(found[0].get("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(found[0].get("nothing"), None);
    }

    #[test]
    fn several_and_strange_ones() {
        let found = Challenge::parse(r#"Negotiate, Basic realm="a \"b\"" , BEARER Realm = x"#);
        let schemes: Vec<&str> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!((found[1].get("realm"), found[2].get("realm")), (Some("a \"b\""), Some("x")));
        for odd in ["", ",,,", "=", "a=b", "Bearer realm=\"", "\u{e9}", "Bearer ==,=", "x \"", &"a ".repeat(1000)] {
            assert!(Challenge::parse(odd).len() <= MAX + 1, "{odd}");
        }
    }
}
