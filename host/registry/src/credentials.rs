//! [`DockerConfig`]: the user's `config.json` (in `DOCKER_CONFIG`, else `~/.docker`) with what it says of credentials, and
//! the credential helpers that it names (`docker-credential-<name>`, protocol of docker/docker-credential-helpers).

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shallop_config::dirs;

use crate::endpoint::host_of_key;
use crate::error::{RegistryError, Result};
use crate::settings::read_limited;

/// Bytes of a helper's answer.
const ANSWER_MAX: u64 = 64 << 10;
/// What a helper gives as the name when the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What a helper says when it has nothing.
const NOT_FOUND: &str = "credentials not found";

/// How a user proves who they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Basic {
        user: String,
        password: String,
    },
    /// A token that the token server takes in place of a password.
    Identity(String),
    /// A token that the registry itself takes.
    Bearer(String),
}

impl std::fmt::Debug for Credentials {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::Basic { .. } => "Basic",
            Credentials::Identity(_) => "Identity",
            Credentials::Bearer(_) => "Bearer",
        })
    }
}

/// Where credentials were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In the file itself, where everybody with the user's rights can read them.
    InFile(PathBuf),
    InHelper(String),
}

/// `config.json`. What is not understood in it is kept.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    /// `None` where there is no home.
    path: Option<PathBuf>,
    document: Map<String, Value>,
}

impl DockerConfig {
    /// The user's.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn load() -> Result<DockerConfig> {
        dirs::docker_config().map_or_else(|| Ok(DockerConfig::default()), |path| DockerConfig::read(&path))
    }

    /// The file at a path; empty when there is none.
    ///
    /// # Errors
    /// As [`DockerConfig::load`].
    pub fn read(path: &Path) -> Result<DockerConfig> {
        let fail = |why: String| RegistryError::File { path: path.to_owned(), why };
        let text = read_limited(path)?.unwrap_or_default();
        let document = match text.iter().all(u8::is_ascii_whitespace) {
            true => Map::new(),
            false => serde_json::from_slice(&text).map_err(|e| fail(e.to_string()))?,
        };
        Ok(DockerConfig { path: Some(path.to_owned()), document })
    }

    /// The credentials for a server, under the name that [`crate::server_address`] gives.
    ///
    /// # Errors
    /// When a helper fails, or an entry cannot be understood.
    pub fn find(&self, server: &str) -> Result<Option<Credentials>> {
        match self.helper(server) {
            Some(helper) => from_helper(&helper, server),
            None => self.entry(server),
        }
    }

    /// The program that keeps the credentials of a server.
    fn helper(&self, server: &str) -> Option<String> {
        let text = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        let helpers = self.document.get("credHelpers");
        let own = helpers.and_then(|helpers| helpers.get(server).or_else(|| helpers.get(host_of_key(server))));
        own.and_then(text).or_else(|| self.document.get("credsStore").and_then(text))
    }

    fn entry(&self, server: &str) -> Result<Option<Credentials>> {
        let Some(auths) = self.document.get("auths").and_then(Value::as_object) else { return Ok(None) };
        // Older programs wrote the address with its scheme and path.
        let same_host =
            || auths.iter().find(|(key, _)| host_of_key(key) == host_of_key(server)).map(|(_, entry)| entry);
        let Some(entry) = auths.get(server).or_else(same_host) else { return Ok(None) };
        let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(token) = field("identitytoken") {
            return Ok(Some(Credentials::Identity(token.to_owned())));
        }
        if let Some(token) = field("registrytoken") {
            return Ok(Some(Credentials::Bearer(token.to_owned())));
        }
        if let (Some(user), Some(password)) = (field("username"), field("password")) {
            return Ok(Some(Credentials::Basic { user: user.to_owned(), password: password.to_owned() }));
        }
        let Some(auth) = field("auth") else { return Ok(None) };
        let decoded = BASE64_STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            // A NUL at the end comes from old versions of Docker.
            Some((user, password)) => Ok(Some(Credentials::Basic {
                user: user.to_owned(),
                password: password.trim_end_matches('\0').to_owned(),
            })),
            None => Err(self.fail(format!("the entry \"auth\" of {server} is not valid"))),
        }
    }

    /// Whether something is kept for a server.
    pub fn has(&self, server: &str) -> bool {
        self.document.get("auths").and_then(|auths| auths.get(server)).is_some()
            || matches!(self.find(server), Ok(Some(_)))
    }

    /// Keeps credentials: in the helper that the user configured, else in the file.
    ///
    /// # Errors
    /// When the file cannot be written, or the helper fails.
    pub fn keep(&mut self, server: &str, credentials: &Credentials) -> Result<Kept> {
        let Some(path) = self.path.clone() else {
            return Err(RegistryError::Name("no home folder to keep credentials in: set HOME or DOCKER_CONFIG".into()));
        };
        let (user, secret) = match credentials {
            Credentials::Basic { user, password } => (user.as_str(), password.as_str()),
            Credentials::Identity(token) | Credentials::Bearer(token) => (TOKEN_USER, token.as_str()),
        };
        if let Some(helper) = self.helper(server) {
            let message = json!({ "ServerURL": server, "Username": user, "Secret": secret }).to_string();
            ask_helper(&helper, "store", &message)?;
            // As Docker does: the entry shows that there is something, the secret is elsewhere.
            self.set(server, json!({}));
            self.write(&path)?;
            return Ok(Kept::InHelper(helper));
        }
        let entry = match credentials {
            Credentials::Basic { .. } => json!({ "auth": BASE64_STANDARD.encode(format!("{user}:{secret}")) }),
            Credentials::Identity(token) => {
                json!({ "auth": BASE64_STANDARD.encode(format!("{user}:")), "identitytoken": token })
            }
            Credentials::Bearer(token) => json!({ "registrytoken": token }),
        };
        self.set(server, entry);
        self.write(&path)?;
        Ok(Kept::InFile(path))
    }

    /// Forgets what is kept for a server.
    ///
    /// # Errors
    /// As [`DockerConfig::keep`].
    pub fn forget(&mut self, server: &str) -> Result<()> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        if let Some(helper) = self.helper(server) {
            ask_helper(&helper, "erase", server)?;
        }
        if let Some(auths) = self.document.get_mut("auths").and_then(Value::as_object_mut) {
            auths.retain(|key, _| key != server && host_of_key(key) != host_of_key(server));
        }
        self.write(&path)
    }

    fn set(&mut self, server: &str, entry: Value) {
        let auths = self.document.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(server.to_owned(), entry);
        }
    }

    /// Writes the file beside its place, for its owner's eyes only, and renames it; a link is followed.
    fn write(&self, path: &Path) -> Result<()> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(Path::new("."));
        let fail = |e: std::io::Error| RegistryError::File { path: path.clone(), why: e.to_string() };
        create_private(folder).map_err(fail)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut out = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.document, &mut out).map_err(|e| self.fail(e.to_string()))?;
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
        file.persist(&path).map_err(|e| fail(e.error))?;
        Ok(())
    }

    fn fail(&self, why: String) -> RegistryError {
        RegistryError::File { path: self.path.clone().unwrap_or_default(), why }
    }
}

/// Creates a folder that only its owner may enter.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn from_helper(helper: &str, server: &str) -> Result<Option<Credentials>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Found {
        username: String,
        secret: String,
    }
    let answer = match ask_helper(helper, "get", server) {
        Err(RegistryError::Helper { why, .. }) if why.contains(NOT_FOUND) => return Ok(None),
        answer => answer?,
    };
    let found: Found = serde_json::from_slice(&answer).map_err(|e| RegistryError::Helper {
        program: program(helper),
        why: format!("its answer is not understood: {e}"),
    })?;
    Ok(match found {
        Found { secret, .. } if secret.is_empty() => None,
        Found { username, secret } if username == TOKEN_USER => Some(Credentials::Identity(secret)),
        Found { username, secret } => Some(Credentials::Basic { user: username, password: secret }),
    })
}

fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

/// Runs a helper with a message on its stdin; what it prints.
fn ask_helper(helper: &str, verb: &str, message: &str) -> Result<Vec<u8>> {
    let program = program(helper);
    let fail = |why: String| RegistryError::Helper { program: program.clone(), why };
    if helper.contains(['/', '\\']) {
        return Err(fail("a credential helper is named without its folder".to_owned()));
    }
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| fail(format!("it cannot be started: {e}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says why by its end.
        let _ = stdin.write_all(message.as_bytes());
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // One byte more than may be: a helper that says more is not waited for.
        let _ = stdout.take(ANSWER_MAX + 1).read_to_end(&mut answer);
    }
    let status = child.wait().map_err(|e| fail(e.to_string()))?;
    if answer.len() as u64 > ANSWER_MAX {
        return Err(fail(format!("its answer has more than {ANSWER_MAX} bytes")));
    }
    if status.success() {
        return Ok(answer);
    }
    let said = String::from_utf8_lossy(&answer);
    Err(fail(format!(
        "{verb} failed: {}",
        said.trim().chars().filter(|c| !c.is_control()).take(200).collect::<String>()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DockerConfig {
        DockerConfig { path: None, document: serde_json::from_str(text).unwrap() }
    }

    fn basic(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Basic { user: user.into(), password: password.into() })
    }

    #[test]
    fn entries_of_the_file() {
        let auth = BASE64_STANDARD.encode("ann:pass:word");
        let text = format!(
            r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}},"https://old.example/v1/":{{"auth":"{auth}"}},
              "tok":{{"auth":"x","identitytoken":"t"}},"bad":{{"auth":"!"}},"empty":{{}}}}}}"#
        );
        let config = config(&text);
        assert_eq!(config.find("https://index.docker.io/v1/").unwrap(), basic("ann", "pass:word"));
        assert_eq!(config.find("old.example").unwrap(), basic("ann", "pass:word"));
        assert_eq!(config.find("tok").unwrap(), Some(Credentials::Identity("t".into())));
        assert!(config.find("bad").is_err());
        assert_eq!((config.find("empty").unwrap(), config.find("other").unwrap()), (None, None));
    }

    #[test]
    fn written_and_read_again() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.json");
        let mut config = DockerConfig::read(&path).unwrap();
        config.document.insert("other".into(), json!([1]));
        let ann = basic("ann", "secret").unwrap();
        assert_eq!(config.keep("localhost:5000", &ann).unwrap(), Kept::InFile(path.clone()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut again = DockerConfig::read(&path).unwrap();
        assert_eq!(again.find("localhost:5000").unwrap(), Some(ann));
        assert!(again.has("localhost:5000") && !format!("{:?}", again.find("localhost:5000")).contains("secret"));
        again.forget("localhost:5000").unwrap();
        let last = DockerConfig::read(&path).unwrap();
        assert!(!last.has("localhost:5000"));
        assert_eq!(last.document["other"], json!([1]));
    }

    #[test]
    fn helpers_are_named_without_folder() {
        let config = config(r#"{"credHelpers":{"a.example":"../../bin/x"},"credsStore":"none-such-helper"}"#);
        assert!(config.find("a.example").unwrap_err().to_string().contains("without its folder"));
        assert!(config.find("b.example").unwrap_err().to_string().contains("docker-credential-none-such-helper"));
    }
}
