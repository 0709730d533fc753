//! [`Client`]: requests to the servers of a registry, authenticated as each asks; and what a refusal means.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use shallop_config::Dirs;
use shallop_oci::Reference;

use crate::auth::{self, Ask};
use crate::credentials::{Credentials, DockerConfig};
use crate::endpoint::Endpoint;
use crate::error::{RegistryError, Result};
use crate::http::{Answer, Http, Outgoing};
use crate::settings::Settings;
use crate::url::Url;

/// Bytes of a refusal that are read, and of its message that are shown.
const REFUSAL_MAX: u64 = 64 << 10;
const MESSAGE_MAX: usize = 500;

/// Speaks with registries; remembers tokens and keeps connections for as long as it lives.
#[derive(Debug)]
pub struct Client {
    pub(crate) http: Http,
    docker: DockerConfig,
    /// `Authorization` by server and scope.
    granted: Mutex<HashMap<(String, Option<String>), String>>,
    /// Whether a server that may be insecure speaks https.
    schemes: Mutex<HashMap<String, bool>>,
}

/// One repository on one server.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) endpoint: Endpoint,
    /// `library/python`.
    pub(crate) path: String,
    /// `repository:library/python:pull`.
    pub(crate) scope: String,
}

impl Place {
    pub(crate) fn new(endpoint: Endpoint, reference: &Reference) -> Place {
        let path = reference.path().to_owned();
        Place { endpoint, scope: format!("repository:{path}:pull"), path }
    }
}

impl Client {
    pub fn new(settings: Settings, docker: DockerConfig) -> Client {
        Client { http: Http::new(settings), docker, granted: Mutex::default(), schemes: Mutex::default() }
    }

    /// With what the user configured.
    ///
    /// # Errors
    /// When a configuration file cannot be understood.
    pub fn from_env(dirs: &Dirs) -> Result<Client> {
        Ok(Client::new(Settings::load(dirs)?, DockerConfig::load()?))
    }

    /// The servers that may have an image, its registry itself last.
    pub(crate) fn places(&self, reference: &Reference) -> Result<Vec<Place>> {
        let endpoints = Endpoint::all(reference, &self.http.settings)?;
        Ok(endpoints.into_iter().map(|endpoint| Place::new(endpoint, reference)).collect())
    }

    /// Asks one repository for `manifests/latest`, `blobs/sha256:…`.
    ///
    /// # Errors
    /// When there is no answer; a refusal is an answer.
    pub(crate) fn get(&self, place: &Place, what: &str, headers: Vec<(&'static str, String)>) -> Result<Answer> {
        let url = self.url(&place.endpoint, &format!("/v2/{}/{what}", place.path))?;
        let key = (place.endpoint.authority.clone(), Some(place.scope.clone()));
        let known = self.granted.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let insecure = place.endpoint.insecure;
        let request = Outgoing { headers, insecure, authorization: known.as_deref(), ..Outgoing::get(url) };
        let refused = self.http.send(&request)?;
        // Somebody else's challenge, after a redirect, is not answered with our credentials.
        if refused.status != 401 || !refused.url.same_origin(&request.url) {
            return Ok(refused);
        }
        let credentials = self.docker.find(&place.endpoint.key)?;
        let ask = Ask { scope: Some(&place.scope), offline: false };
        let answered = auth::answer(&self.http, &place.endpoint, &refused, credentials.as_ref(), ask)?;
        let Some(granted) = answered else { return Ok(refused) };
        let answer = self.http.send(&Outgoing { authorization: Some(&granted.header), ..request.clone() })?;
        if answer.status != 401 {
            self.granted.lock().unwrap_or_else(PoisonError::into_inner).insert(key, granted.header);
        }
        Ok(answer)
    }

    /// Proves to a server who we are; gives an identity token when it offers one.
    ///
    /// # Errors
    /// When it does not take the credentials.
    pub(crate) fn authenticate(&self, server: &str, credentials: &Credentials) -> Result<Option<String>> {
        let endpoint = Endpoint::of_registry(server, &self.http.settings);
        let request = Outgoing { insecure: endpoint.insecure, ..Outgoing::get(self.url(&endpoint, "/v2/")?) };
        let first = self.http.send(&request)?;
        let refused = |message: String| RegistryError::Unauthorized {
            message: format!("login attempt to {} failed with {message}", request.url.shown()),
        };
        match first.status {
            200 => return Ok(None),
            401 => {}
            _ => return Err(failure_of(first).into_error()),
        }
        let ask = Ask { scope: None, offline: true };
        let granted = auth::answer(&self.http, &endpoint, &first, Some(credentials), ask)?;
        let granted = granted.ok_or_else(|| refused("a way to authenticate that is not supported".to_owned()))?;
        let second = self.http.send(&Outgoing { authorization: Some(&granted.header), ..request.clone() })?;
        match second.status {
            200 => Ok(granted.identity),
            status => Err(refused(format!("status {status}: {}", failure_of(second).message))),
        }
    }

    fn url(&self, endpoint: &Endpoint, path: &str) -> Result<Url> {
        let https = match endpoint.https {
            Some(https) => https,
            None => self.speaks_https(endpoint)?,
        };
        Url::new(https, &endpoint.authority, path)
    }

    /// As Docker does with an insecure registry: https without a check of the certificate, else plain http.
    fn speaks_https(&self, endpoint: &Endpoint) -> Result<bool> {
        let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(https) = schemes.get(&endpoint.authority) {
            return Ok(*https);
        }
        let probe = Outgoing { insecure: true, ..Outgoing::get(Url::new(true, &endpoint.authority, "/v2/")?) };
        let https = self.http.follow(&probe).is_ok();
        schemes.insert(endpoint.authority.clone(), https);
        Ok(https)
    }
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Failure {
    method: &'static str,
    url: String,
    pub(crate) status: u16,
    /// The specification's code, as `MANIFEST_UNKNOWN`; empty when there is none.
    pub(crate) code: String,
    /// For people: `manifest unknown: manifest unknown`.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn into_error(self) -> RegistryError {
        match self.status {
            429 => RegistryError::TooManyRequests { message: self.message },
            _ => {
                RegistryError::Status { method: self.method, url: self.url, status: self.status, message: self.message }
            }
        }
    }

    /// What it means for the image with this name.
    pub(crate) fn about(self, reference: &Reference) -> RegistryError {
        match (self.status, self.code.as_str()) {
            (401 | 403, _) => RegistryError::Denied { repository: reference.familiar_name(), message: self.message },
            (404, "NAME_UNKNOWN") => {
                RegistryError::Name(format!("repository {} not found: {}", reference.familiar_name(), self.message))
            }
            (404, _) => RegistryError::ManifestUnknown { name: reference.familiar(), message: self.message },
            _ => self.into_error(),
        }
    }
}

/// Reads what a registry says of its refusal (`errors` of the distribution specification; `details` of Docker Hub).
pub(crate) fn failure_of(answer: Answer) -> Failure {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        errors: Vec<Reason>,
        details: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Reason {
        code: String,
        message: String,
    }
    let (method, url, status) = (answer.method, answer.url.shown(), answer.status);
    let wants_basic = answer
        .header(ureq::http::header::WWW_AUTHENTICATE)
        .is_some_and(|header| header.to_ascii_lowercase().starts_with("basic"));
    let retry = answer.header(ureq::http::header::RETRY_AFTER).map(str::to_owned);
    // A refusal that cannot be read is told by its number.
    let refusal: Refusal =
        answer.document(REFUSAL_MAX).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let (code, mut message) = match refusal.errors.into_iter().next() {
        Some(Reason { code, message }) if code == "TOOMANYREQUESTS" => (code, message),
        Some(Reason { code, message }) => {
            let words = code.to_ascii_lowercase().replace('_', " ");
            (code, format!("{words}: {message}"))
        }
        None if !refusal.details.is_empty() => (String::new(), refusal.details),
        None if status == 401 && wants_basic => (String::new(), "no basic auth credentials".to_owned()),
        None => (String::new(), reason_phrase(status).to_owned()),
    };
    if let Some(retry) = retry {
        message.push_str(&format!(" (it asks to wait: Retry-After: {retry})"));
    }
    Failure { method, url, status, code, message: plain(&message) }
}

fn reason_phrase(status: u16) -> &'static str {
    ureq::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("refused")
}

/// A message of somebody else's, fit for a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect()
}
