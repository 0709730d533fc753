//! Proxies of Docker's configuration file (`config.json`, "proxies"), as its command line passes them on: to `run` as
//! environment, to `build` as arguments.

use std::io::ErrorKind;

use anyhow::{Context, Result};
use serde_json::Value;
use shallop_config::dirs;

/// Keys of the file, and the variables that they set in upper and lower case.
const KEYS: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

/// `(NAME, value)` of each proxy that the file sets; none where there is no file, or none that this user may read.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn configured() -> Result<Vec<(String, String)>> {
    let Some(path) = dirs::docker_config() else { return Ok(Vec::new()) };
    match std::fs::read(&path) {
        Ok(text) => parse(&text).with_context(|| format!("reading {}", path.display())),
        // HOME may be another user's, as under sudo: to Docker's command line that is no error either.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn parse(text: &[u8]) -> Result<Vec<(String, String)>> {
    let config: Value = serde_json::from_slice(text)?;
    let proxies = &config["proxies"]["default"];
    let set = KEYS.iter().filter_map(|(key, name)| Some((*name, proxies[*key].as_str()?)));
    let both =
        |(name, value): (&str, &str)| [name.to_owned(), name.to_lowercase()].map(|name| (name, value.to_owned()));
    Ok(set.filter(|(_, value)| !value.is_empty()).flat_map(both).collect())
}

/// Those of them that `given` does not name, as `NAME=value`.
pub fn missing<'a>(configured: &'a [(String, String)], given: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let is_given = |name: &str| given.iter().any(|entry| entry.split('=').next() == Some(name));
    configured.iter().filter(move |(name, _)| !is_given(name)).map(|(name, value)| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cases_are_set_unless_given() {
        let text =
            br#"{"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "a,b", "ftpProxy": ""}}, "auths": {}}"#;
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 4);
        let given = ["http_proxy=".to_owned()];
        let left: Vec<_> = missing(&found, &given).collect();
        assert_eq!(left, ["HTTP_PROXY=http://p:1", "NO_PROXY=a,b", "no_proxy=a,b"]);
        assert!(parse(b"{}").unwrap().is_empty());
        assert!(parse(b"not JSON").is_err());
    }
}
