//! [`Http`]: one request, with its redirects and retries. Credentials go to the origin that was asked and nowhere else.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Request, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, BodyReader, Error, Proxy, Timeout};

use crate::error::{RegistryError, Result};
use crate::proxy::Proxies;
use crate::settings::{Limits, Settings, read_limited};
use crate::url::Url;

/// Redirects of one request.
const HOPS: u32 = 10;
/// Bytes of an answer's head.
const HEAD_MAX: usize = 64 << 10;
const USER_AGENT: &str = concat!("shallop/", env!("CARGO_PKG_VERSION"));

/// Makes requests and keeps connections.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) settings: Settings,
    proxies: Proxies,
    /// The machine's certificate authorities.
    roots: OnceLock<Vec<Certificate<'static>>>,
    /// By server, and whether its certificate is checked.
    agents: Mutex<HashMap<(bool, String), Agent>>,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing<'a> {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Sent to the origin of `url` only.
    pub(crate) authorization: Option<&'a str>,
    /// The body of a POST; without one it is a GET.
    pub(crate) form: Option<String>,
    /// The certificate of `url` is not checked.
    pub(crate) insecure: bool,
}

impl Outgoing<'_> {
    pub(crate) fn get(url: Url) -> Outgoing<'static> {
        Outgoing { url, headers: Vec::new(), authorization: None, form: None, insecure: false }
    }

    fn method(&self) -> &'static str {
        if self.form.is_some() { "POST" } else { "GET" }
    }
}

/// An answer, its body not read yet.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) length: Option<u64>,
    pub(crate) body: Body,
    /// Where it came from, after redirects.
    pub(crate) url: Url,
    pub(crate) method: &'static str,
}

/// A body that may not drip: each read has its time limit, and all of them together a pace.
pub(crate) struct Body {
    reader: BodyReader<'static>,
    limits: Limits,
    waited: Duration,
    received: u64,
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let n = self.reader.read(buf)?;
        self.waited += begun.elapsed();
        self.received += n as u64;
        let wanted = u128::from(self.limits.slowest) * self.waited.as_millis() / 1000;
        if n > 0 && self.waited > self.limits.stall && u128::from(self.received) < wanted {
            return Err(Error::Timeout(Timeout::RecvBody).into_io());
        }
        Ok(n)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All of a small body.
    ///
    /// # Errors
    /// When it has more than `max` bytes, or breaks off.
    pub(crate) fn document(self, max: u64) -> Result<Vec<u8>> {
        let large = || RegistryError::protocol(self.url.shown(), format!("the answer has more than {max} bytes"));
        if self.length.is_some_and(|length| length > max) {
            return Err(large());
        }
        let mut bytes = Vec::new();
        let (method, url) = (self.method, &self.url);
        self.body.take(max + 1).read_to_end(&mut bytes).map_err(|e| broken(method, url, e))?;
        if bytes.len() as u64 > max { Err(large()) } else { Ok(bytes) }
    }
}

impl Http {
    pub(crate) fn new(settings: Settings) -> Http {
        Http { settings, proxies: Proxies::from_env(), roots: OnceLock::new(), agents: Mutex::default() }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// The answer, whatever its status, after retries where a moment later may be better.
    ///
    /// # Errors
    /// [`RegistryError::Transport`], [`RegistryError::Protocol`].
    pub(crate) fn send(&self, request: &Outgoing<'_>) -> Result<Answer> {
        let mut tried = 1;
        loop {
            let answer = self.follow(request);
            let wait = match &answer {
                Ok(answer) => self.wait_asked_for(answer, tried),
                Err(error) if error.is_transient() => Some(self.pause(tried)),
                Err(_) => None,
            };
            match wait.filter(|_| tried < self.limits().tries) {
                Some(wait) => std::thread::sleep(wait),
                None => return answer,
            }
            tried += 1;
        }
    }

    /// Before the try after `tried`.
    pub(crate) fn pause(&self, tried: u32) -> Duration {
        self.limits().pause.saturating_mul(1 << tried.saturating_sub(1).min(10)).min(self.limits().patience)
    }

    /// How long to wait before the same request is made again; `None` when the answer stands.
    fn wait_asked_for(&self, answer: &Answer, tried: u32) -> Option<Duration> {
        let asked = answer.header(header::RETRY_AFTER).and_then(|value| value.trim().parse().ok());
        let asked = asked.map(Duration::from_secs);
        match answer.status {
            // Without a time it means a quota, which a moment does not refill.
            429 => asked.filter(|asked| *asked <= self.limits().patience),
            500 | 502 | 503 | 504 => match asked {
                Some(asked) => Some(asked).filter(|asked| *asked <= self.limits().patience),
                None => Some(self.pause(tried)),
            },
            _ => None,
        }
    }

    /// One try, with its redirects.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(crate) fn follow(&self, request: &Outgoing<'_>) -> Result<Answer> {
        let mut url = request.url.clone();
        // Once a redirect left the origin, nothing brings the credentials back.
        let mut secret = request.authorization;
        for _ in 0..=HOPS {
            let insecure = if url.same_origin(&request.url) { request.insecure } else { self.is_insecure(&url) };
            let answer = self.once(request, &url, secret, insecure)?;
            let redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308) && request.form.is_none();
            let Some(location) = answer.header(header::LOCATION).filter(|_| redirect) else { return Ok(answer) };
            let next = url.join(location)?;
            if url.is_https() && !next.is_https() {
                let why = format!("it redirects from https to {}, without protection", next.shown());
                return Err(RegistryError::protocol(url.shown(), why));
            }
            secret = secret.filter(|_| url.same_origin(&next));
            url = next;
        }
        Err(RegistryError::protocol(request.url.shown(), format!("more than {HOPS} redirects")))
    }

    fn is_insecure(&self, url: &Url) -> bool {
        self.settings.is_insecure(url.authority())
    }

    fn once(&self, request: &Outgoing<'_>, url: &Url, secret: Option<&str>, insecure: bool) -> Result<Answer> {
        let agent = self.agent(url, insecure)?;
        let mut built = Request::builder().method(request.method()).uri(url.to_string());
        for (name, value) in &request.headers {
            built = built.header(*name, value);
        }
        if let Some(secret) = secret {
            built = built.header(header::AUTHORIZATION, secret);
        }
        let method = request.method();
        let bad = |e: ureq::http::Error| RegistryError::protocol(url.shown(), e);
        let answered = match &request.form {
            Some(form) => {
                let built = built.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                agent.run(built.body(form.clone()).map_err(bad)?)
            }
            None => agent.run(built.body(()).map_err(bad)?),
        };
        let (parts, body) = answered.map_err(|e| failed(method, url, e))?.into_parts();
        let (status, url) = (parts.status.as_u16(), url.clone());
        let length = body.content_length();
        let (limits, waited) = (self.limits(), Duration::ZERO);
        let body = Body { reader: body.into_reader(), limits, waited, received: 0 };
        Ok(Answer { status, headers: parts.headers, length, body, url, method })
    }

    fn agent(&self, url: &Url, insecure: bool) -> Result<Agent> {
        let key = (insecure, url.authority().to_owned());
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.new_agent(url, insecure)?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, url: &Url, insecure: bool) -> Result<Agent> {
        let proxy = match self.proxies.for_url(url) {
            // The address may hold a password: it is not told.
            Some(text) => Some(Proxy::new(text).map_err(|_| {
                RegistryError::protocol(url.shown(), "the proxy that the environment names is no valid address")
            })?),
            None => None,
        };
        if proxy.as_ref().is_some_and(|proxy| proxy.protocol().to_string().starts_with("SOCKS")) {
            return Err(RegistryError::protocol(
                url.shown(),
                "the proxy is a SOCKS proxy; only HTTP proxies are supported",
            ));
        }
        let mut tls = TlsConfig::builder().disable_verification(insecure);
        if url.is_https() && !insecure {
            tls = tls.root_certs(self.roots(url.authority())?);
        }
        let limits = self.limits();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls.build())
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_recv_response(Some(limits.stall))
            .timeout_per_read(Some(limits.stall))
            .timeout_per_write(Some(limits.stall))
            .max_response_header_size(HEAD_MAX)
            // What is digested must come as it is stored.
            .accept_encoding("identity")
            .user_agent(USER_AGENT)
            .build();
        Ok(config.new_agent())
    }

    /// The machine's authorities and those kept for this server; where the machine has none, Mozilla's, built in.
    fn roots(&self, authority: &str) -> Result<RootCerts> {
        let native = || rustls_native_certs::load_native_certs().certs;
        let known = || native().iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let mut roots = self.roots.get_or_init(known).clone();
        let mut private = Vec::new();
        for path in self.settings.certificates(authority)? {
            let pem = read_limited(&path)?.unwrap_or_default();
            let fail = |why: &str| RegistryError::File { path: path.clone(), why: why.to_owned() };
            for item in parse_pem(&pem) {
                match item.map_err(|_| fail("it is no PEM file"))? {
                    PemItem::Certificate(certificate) => private.push(certificate),
                    _ => return Err(fail("it holds something else than certificates")),
                }
            }
        }
        if roots.is_empty() && private.is_empty() {
            return Ok(RootCerts::WebPki);
        }
        roots.append(&mut private);
        Ok(RootCerts::Specific(Arc::new(roots)))
    }
}

/// A body that broke off.
pub(crate) fn broken(method: &'static str, url: &Url, error: io::Error) -> RegistryError {
    failed(method, url, Error::from(error))
}

/// ureq's error in our words.
fn failed(method: &'static str, url: &Url, error: Error) -> RegistryError {
    let transient = match &error {
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => false,
        Error::Timeout(_) => true,
        Error::Io(e) => matches!(
            e.kind(),
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
                | ErrorKind::TimedOut
        ),
        _ => false,
    };
    let why = match &error {
        Error::Timeout(Timeout::Connect) => "no connection within the time limit".to_owned(),
        Error::Timeout(Timeout::Resolve) => format!("{} could not be looked up within the time limit", url.host()),
        Error::Timeout(_) => "the server is silent or too slow".to_owned(),
        Error::Io(e) if e.kind() == ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        Error::Io(e) if e.to_string().contains("lookup") => format!("no such host: {}", url.host()),
        Error::HostNotFound => format!("no such host: {}", url.host()),
        // The TLS library's error, of which only the text comes through.
        Error::Io(e) if e.to_string().contains("UnknownIssuer") => format!(
            "the server's certificate is of an authority that is not known here; have its certificate in \
             certs.d/{}/ca.crt beside registries.json, or name it by SSL_CERT_FILE",
            url.authority()
        ),
        Error::Io(e) => e.to_string(),
        other => other.to_string(),
    };
    RegistryError::Transport { method, url: url.shown(), why, transient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_authority_is_told_where_to_put() {
        let url = Url::parse("https://registry.example:5443/v2/").unwrap();
        let error = io::Error::other("invalid peer certificate: UnknownIssuer");
        let text = failed("GET", &url, Error::from(error)).to_string();
        assert!(text.contains("certs.d/registry.example:5443/ca.crt"), "{text}");
    }
}
