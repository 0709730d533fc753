//! Authentication: basic, tokens from a token server, what is sent where, and credential helpers.

mod common;

use std::sync::Arc;

use common::{Puller, base64, layer, refuse, registry, simple};
use shallop_registry::{Client, DockerConfig, Kept, RegistryError, Settings};
use shallop_test_support::http::{Request, Server, answer};

/// A registry that wants what `header` says, and answers others with `challenge`.
fn guarded(header: &'static str, challenge: String) -> Server {
    registry(simple(), move |request, stream| match request.header("authorization") {
        Some(given) if given == header => Ok(false),
        _ => {
            let text = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            answer(stream, 401, &[("WWW-Authenticate", &challenge)], text).map(|()| true)
        }
    })
}

fn bearer(tokens: &Server) -> String {
    format!(
        r#"Bearer realm="http://{}/token",service="test registry",scope="repository:team/app:pull""#,
        tokens.authority()
    )
}

/// A token server; `login` is the `Authorization` that it wants, if any.
fn token_server(login: Option<String>) -> Server {
    Server::start(move |request, stream| match (&login, request.header("authorization")) {
        (Some(wanted), given) if given != Some(wanted) => {
            refuse(stream, 401, "UNAUTHORIZED", "incorrect username or password")
        }
        _ => answer(stream, 200, &[], br#"{"token":"t0ken","expires_in":60}"#),
    })
}

fn ann() -> String {
    format!("Basic {}", base64("ann:secret"))
}

#[test]
fn basic() {
    let server = guarded("Basic YW5uOnNlY3JldA==", "Basic realm=\"x\"".into());
    assert_eq!(ann(), "Basic YW5uOnNlY3JldA==");
    let puller = Puller::new();
    let error = puller.pull(&server, "").unwrap_err().to_string();
    assert!(error.contains("pull access denied for 127.0.0.1:") && error.contains("'shallop login'"), "{error}");
    puller.log_in(&server.authority(), "ann", "wrong");
    assert!(matches!(puller.pull(&server, "").unwrap_err(), RegistryError::Denied { .. }));
    puller.log_in(&server.authority(), "ann", "secret");
    let before = server.requests().len();
    puller.pull(&server, "").unwrap();
    let asked = server.requests();
    let refused = asked[before..].iter().filter(|r| r.target != "/v2/" && r.header("authorization").is_none());
    assert_eq!(refused.count(), 1, "once asked, they are given at once");
}

#[test]
fn a_token_for_anybody() {
    let tokens = token_server(None);
    let server = guarded("Bearer t0ken", bearer(&tokens));
    Puller::new().pull(&server, "").unwrap();
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, "/token?service=test%20registry&scope=repository%3Ateam%2Fapp%3Apull");
    assert!(asked[0].header("authorization").is_none());
}

#[test]
fn a_token_for_a_user() {
    let tokens = token_server(Some(ann()));
    let server = guarded("Bearer t0ken", bearer(&tokens));
    let puller = Puller::new();
    let error = puller.pull(&server, "").unwrap_err().to_string();
    assert!(error.contains("incorrect username or password"), "{error}");
    puller.log_in(&server.authority(), "ann", "secret");
    puller.pull(&server, "").unwrap();
    // The password goes to the token server alone.
    assert!(server.requests().iter().all(|request| request.header("authorization") != Some(&ann())));
}

#[test]
fn an_identity_token() {
    let tokens = Server::start(|request, stream| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let good = form.contains("grant_type=refresh_token") && form.contains("refresh_token=id%2Fentity");
        match (request.method.as_str(), good) {
            ("POST", true) => answer(stream, 200, &[], br#"{"access_token":"t0ken"}"#),
            _ => answer(stream, 401, &[], b""),
        }
    });
    let server = guarded("Bearer t0ken", bearer(&tokens));
    let puller = Puller::new();
    let text = format!(r#"{{"auths":{{"{}":{{"identitytoken":"id/entity"}}}}}}"#, server.authority());
    std::fs::write(puller.config(), text).unwrap();
    puller.pull(&server, "").unwrap();
}

#[test]
fn a_refusal_without_end() {
    let tokens = token_server(None);
    let server = guarded("Bearer never", bearer(&tokens));
    let puller = Puller::new();
    let error = puller.pull(&server, "").unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    let asked = server.requests().iter().filter(|request| request.target.contains("/manifests/")).count();
    assert_eq!((asked, tokens.requests().len()), (2, 1));
    puller.expect_nothing();
}

#[test]
fn strange_token_servers() {
    for body in [
        "",
        "{",
        "{}",
        r#"{"token":""}"#,
        r#"{"token":"a\r\nX: y"}"#,
        &format!(r#"{{"token":"{}"}}"#, "x".repeat(2 << 20)),
    ] {
        let body = Arc::new(body.to_owned());
        let tokens = Server::start(move |_, stream| answer(stream, 200, &[], body.as_bytes()));
        let server = guarded("Bearer t0ken", bearer(&tokens));
        let error = Puller::new().pull(&server, "").unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    }
    for challenge in ["Bearer", "Bearer realm=\"ftp://x/\"", "Bearer realm=\"/token\"", "Digest realm=\"x\"", ""] {
        let server = guarded("x", challenge.to_owned());
        Puller::new().pull(&server, "").unwrap_err();
    }
}

#[test]
fn credentials_stay_where_they_belong() {
    // Blobs are at another server, which even asks for credentials.
    let content = simple();
    let (_, bytes) = layer(&content);
    let storage = Server::start(move |request, stream| match request.target.as_str() {
        "/evil" => answer(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
        _ => answer(stream, 200, &[], &bytes),
    });
    for (path, well) in [("/blob", true), ("/evil", false)] {
        let target = format!("/blobs/{}", layer(&content).0);
        let location = format!("http://{}{path}", storage.authority());
        let server = registry(content.clone(), move |request: &Request, stream| {
            if request.header("authorization") != Some(&ann()) {
                return answer(stream, 401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b"").map(|()| true);
            }
            match request.target.ends_with(&target) {
                true => answer(stream, 307, &[("Location", &location)], b"").map(|()| true),
                false => Ok(false),
            }
        });
        let puller = Puller::new();
        puller.log_in(&server.authority(), "ann", "secret");
        assert_eq!(puller.pull(&server, "").is_ok(), well, "{path}");
    }
    assert!(!storage.requests().is_empty());
    assert!(storage.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn logging_in() {
    let server = guarded("Basic YW5uOnNlY3JldA==", "Basic realm=\"x\"".into());
    let puller = Puller::new();
    let mut config = DockerConfig::read(&puller.config()).unwrap();
    let settings = || Settings::default().with_limits(common::LIMITS);
    let name = server.authority();
    let error = Client::login(settings(), &mut config, &name, "ann", "wrong").unwrap_err().to_string();
    assert!(error.contains("login attempt to http://") && error.contains("401"), "{error}");
    assert!(!puller.config().exists(), "bad credentials are not kept");
    let kept = Client::login(settings(), &mut config, &name, "ann", "secret").unwrap();
    assert_eq!(kept, Kept::InFile(puller.config()));
    puller.pull(&server, "").unwrap();
}

#[test]
fn an_identity_token_is_kept_in_place_of_a_password() {
    let tokens = Server::start(|request, stream| {
        assert!(request.target.contains("offline_token=true"));
        answer(stream, 200, &[], br#"{"token":"t0ken","refresh_token":"for later"}"#)
    });
    let server = guarded("Bearer t0ken", bearer(&tokens));
    let puller = Puller::new();
    let mut config = DockerConfig::read(&puller.config()).unwrap();
    let settings = Settings::default().with_limits(common::LIMITS);
    Client::login(settings, &mut config, &server.authority(), "ann", "secret").unwrap();
    let text = std::fs::read_to_string(puller.config()).unwrap();
    assert!(text.contains("for later") && !text.contains(&base64("ann:secret")), "{text}");
}
