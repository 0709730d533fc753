//! Answering a registry's challenge: basic credentials, or a token from the server that it names (distribution's
//! "Token Authentication Specification" and its OAuth 2 form for identity tokens).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::challenge::Challenge;
use crate::client::{Failure, failure_of};
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::{RegistryError, Result};
use crate::http::{Answer, Http, Outgoing};
use crate::url::{Url, encode};

/// Bytes of a token server's answer.
const TOKEN_MAX: u64 = 1 << 20;
const CLIENT_ID: &str = "shallop";

/// What a token is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// `repository:library/python:pull`; `None` only proves who asks.
    pub(crate) scope: Option<&'a str>,
    /// Also ask for an identity token that can be kept in place of the password.
    pub(crate) offline: bool,
}

/// What to put into `Authorization`.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) header: String,
    pub(crate) identity: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

/// Answers the challenges of a 401; `None` when nothing that is known answers them.
///
/// # Errors
/// When the token server cannot be asked or refuses.
pub(crate) fn answer(
    http: &Http,
    endpoint: &Endpoint,
    refused: &Answer,
    credentials: Option<&Credentials>,
    ask: Ask<'_>,
) -> Result<Option<Granted>> {
    if let Some(Credentials::Bearer(token)) = credentials {
        return Ok(Some(Granted { header: format!("Bearer {token}"), identity: None }));
    }
    let headers = refused.headers.get_all(ureq::http::header::WWW_AUTHENTICATE);
    let challenges: Vec<_> =
        headers.iter().filter_map(|value| value.to_str().ok()).flat_map(Challenge::parse).collect();
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
        return token(http, endpoint, &refused.url, bearer, credentials, ask).map(Some);
    }
    let wants_basic = challenges.iter().any(|challenge| challenge.scheme == "basic");
    match credentials {
        Some(Credentials::Basic { user, password }) if wants_basic => {
            Ok(Some(Granted { header: basic(user, password), identity: None }))
        }
        _ => Ok(None),
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn token(
    http: &Http,
    endpoint: &Endpoint,
    registry: &Url,
    bearer: &Challenge,
    credentials: Option<&Credentials>,
    ask: Ask<'_>,
) -> Result<Granted> {
    let realm = bearer.get("realm").ok_or_else(|| {
        RegistryError::protocol(registry.shown(), "it asks for a token and does not say from where (no realm)")
    })?;
    let realm = Url::parse(realm)?;
    if !realm.is_https() && !endpoint.insecure {
        let why = format!("it sends us to {} for a token, without protection", realm.shown());
        return Err(RegistryError::protocol(registry.shown(), why));
    }
    let scope = ask.scope.map(|ours| bearer.get("scope").filter(|theirs| !theirs.is_empty()).unwrap_or(ours));
    let service = bearer.get("service");
    let insecure = http.settings.is_insecure(realm.authority());
    let secret;
    let request = match credentials {
        Some(Credentials::Identity(identity)) => {
            Outgoing { form: Some(refresh_form(identity, service, scope)), insecure, ..Outgoing::get(realm) }
        }
        Some(Credentials::Basic { user, password }) => {
            secret = basic(user, password);
            let mut url = query(realm, service, scope).with_query("account", user);
            if ask.offline {
                url = url.with_query("client_id", CLIENT_ID).with_query("offline_token", "true");
            }
            Outgoing { authorization: Some(&secret), insecure, ..Outgoing::get(url) }
        }
        _ => Outgoing { insecure, ..Outgoing::get(query(realm, service, scope)) },
    };
    let answer = http.send(&request)?;
    let url = answer.url.shown();
    if answer.status != 200 {
        return Err(refused(failure_of(answer)));
    }
    let answer: TokenAnswer = serde_json::from_slice(&answer.document(TOKEN_MAX)?)
        .map_err(|e| RegistryError::protocol(&url, format!("the token is not understood: {e}")))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
    let token = token.filter(|token| !token.is_empty() && token.bytes().all(|c| c.is_ascii_graphic()));
    let token = token.ok_or_else(|| RegistryError::protocol(&url, "the answer holds no token"))?;
    Ok(Granted { header: format!("Bearer {token}"), identity: answer.refresh_token.filter(|t| !t.is_empty()) })
}

fn refused(failure: Failure) -> RegistryError {
    match failure.status {
        400 | 401 | 403 => RegistryError::Unauthorized { message: format!("unauthorized: {}", failure.message) },
        429 => RegistryError::TooManyRequests { message: failure.message },
        _ => failure.into_error(),
    }
}

fn query(mut url: Url, service: Option<&str>, scope: Option<&str>) -> Url {
    for (name, value) in [("service", service), ("scope", scope)] {
        if let Some(value) = value {
            url = url.with_query(name, value);
        }
    }
    url
}

fn refresh_form(identity: &str, service: Option<&str>, scope: Option<&str>) -> String {
    let mut form = format!("grant_type=refresh_token&client_id={CLIENT_ID}&refresh_token={}", encode(identity));
    for (name, value) in [("service", service), ("scope", scope)] {
        if let Some(value) = value {
            form.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    form
}
