//! Registries that misbehave: each pull ends, in time, with an error that says what is wrong, or well; and loses nothing.

mod common;

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Content, LIMITS, Puller, layer, refuse, registry, simple, tag};
use shallop_oci::{Descriptor, Digest, Manifest, media_type};
use shallop_registry::{Limits, RegistryError, Settings};
use shallop_test_support::http::{Request, Server, answer, head};

fn is_layer(content: &Content) -> impl Fn(&Request) -> bool + Send + Sync + use<> {
    let target = format!("/blobs/{}", layer(content).0);
    move |request| request.target.ends_with(&target)
}

fn range_begins(requests: &[Request]) -> Vec<usize> {
    requests.iter().filter_map(Request::range).collect()
}

#[test]
fn wrong_bytes() {
    let content = simple();
    let (wanted, (digest, mut bytes)) = (is_layer(&content), layer(&content));
    bytes[1000] ^= 1;
    let server = registry(content, move |request, stream| match wanted(request) {
        true => answer(stream, 200, &[], &bytes).map(|()| true),
        false => Ok(false),
    });
    let puller = Puller::new();
    let error = puller.pull(&server, "").unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }) && error.to_string().contains(&digest), "{error}");
    assert_eq!(puller.partial_size(&digest), None);
    puller.expect_nothing();
}

#[test]
fn a_break_is_mended_by_a_range() {
    let content = simple();
    let (wanted, (_, bytes)) = (is_layer(&content), layer(&content));
    let server = registry(content, move |request, stream| {
        if !wanted(request) || request.range().is_some() {
            return Ok(false);
        }
        head(stream, 200, &[("Content-Length", &bytes.len().to_string())])?;
        stream.write_all(&bytes[..100_000]).map(|()| true)
    });
    let puller = Puller::new();
    puller.pull(&server, "").unwrap();
    assert_eq!(range_begins(&server.requests()), [100_000]);
    puller.expect_no_drafts();
}

#[test]
fn a_break_is_mended_without_ranges_too() {
    let content = simple();
    let (wanted, (_, bytes)) = (is_layer(&content), layer(&content));
    let times = AtomicUsize::new(0);
    let server = registry(content, move |request, stream| {
        if !wanted(request) {
            return Ok(false);
        }
        // The whole is sent again, whatever was asked for; twice it breaks.
        let end = [100_000, 200_000, bytes.len()][times.fetch_add(1, Ordering::Relaxed).min(2)];
        head(stream, 200, &[("Content-Length", &bytes.len().to_string())])?;
        stream.write_all(&bytes[..end]).map(|()| true)
    });
    let puller = Puller::new();
    puller.pull(&server, "").unwrap();
    assert_eq!(range_begins(&server.requests()), [100_000, 200_000]);
}

#[test]
fn breaks_without_end() {
    let content = simple();
    let (wanted, (_, bytes)) = (is_layer(&content), layer(&content));
    let server = registry(content, move |request, stream| {
        if !wanted(request) {
            return Ok(false);
        }
        // A byte for each connection would be a very long pull.
        let at = request.range().unwrap_or(0);
        let range = format!("bytes {at}-{}/{}", bytes.len() - 1, bytes.len());
        let status = if at == 0 { 200 } else { 206 };
        head(stream, status, &[("Content-Length", &(bytes.len() - at).to_string()), ("Content-Range", &range)])?;
        stream.write_all(&bytes[at..=at]).map(|()| true)
    });
    let puller = Puller::new();
    let error = puller.pull(&server, "").unwrap_err();
    assert!(matches!(error, RegistryError::Transport { .. }), "{error}");
    assert_eq!(range_begins(&server.requests()).len(), LIMITS.tries as usize - 1);
    puller.expect_nothing();
}

/// A registry that goes away when it has sent 100,000 bytes of the layer, until `back` is set; `odd` is asked from then on.
fn breaking_off(
    content: Content,
    back: &Arc<AtomicBool>,
    odd: impl Fn(&Request, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static,
) -> Server {
    let (wanted, (_, bytes), back) = (is_layer(&content), layer(&content), back.clone());
    registry(content, move |request, stream| {
        if !wanted(request) {
            return Ok(false);
        }
        if back.load(Ordering::Relaxed) {
            return odd(request, stream);
        }
        if request.range().is_none() {
            head(stream, 200, &[("Content-Length", &bytes.len().to_string())])?;
            stream.write_all(&bytes[..100_000])?;
        }
        Ok(true)
    })
}

/// Where each request for the layer began, after `before` requests.
fn layer_requests(server: &Server, digest: &str, before: usize) -> Vec<Option<usize>> {
    let requests = server.requests();
    let of_layer = requests[before..].iter().filter(|request| request.target.ends_with(digest));
    of_layer.map(Request::range).collect()
}

#[test]
fn a_later_pull_goes_on_where_one_broke_off() {
    let tar = common::tar(&[("file", &common::noise(300_000))]);
    for (media_type, bytes) in [(media_type::OCI_LAYER_GZIP, common::gzip(&tar)), (media_type::OCI_LAYER, tar.clone())]
    {
        let mut content = Content::default();
        let manifest = common::image(&mut content, &Default::default(), &[(media_type, bytes, tar.clone())]);
        tag(&mut content, "latest", &manifest);
        let ((digest, _), back) = (layer(&content), Arc::default());
        let server = breaking_off(content, &back, |_, _| Ok(false));
        let puller = Puller::new();
        let error = puller.pull(&server, "").unwrap_err();
        assert!(matches!(error, RegistryError::Transport { .. }), "{error}");
        assert_eq!(puller.partial_size(&digest), Some(100_000));
        puller.expect_nothing();
        back.store(true, Ordering::Relaxed);
        let before = server.requests().len();
        let pulled = puller.pull(&server, "").unwrap();
        assert_eq!(layer_requests(&server, &digest, before), [Some(100_000)]);
        assert_eq!(puller.partial_size(&digest), None);
        assert!(puller.store().layer_files(&pulled.image.layers[0]).is_ok() && puller.pull(&server, "").is_ok());
        puller.expect_no_drafts();
    }
}

#[test]
fn a_later_pull_starts_anew_where_it_cannot_go_on() {
    let (digest, bytes) = layer(&simple());
    type Odd = Box<dyn Fn(&Request, &mut TcpStream) -> io::Result<bool> + Send + Sync>;
    let whole = bytes.clone();
    let cases: [(Odd, &[Option<usize>]); 3] = [
        // It knows no ranges: its one answer is the whole.
        (Box::new(move |_, stream| answer(stream, 200, &[], &whole).map(|()| true)), &[Some(100_000)]),
        (
            Box::new(|request, stream| match request.range() {
                Some(_) => answer(stream, 416, &[], b"").map(|()| true),
                None => Ok(false),
            }),
            &[Some(100_000), None],
        ),
        (
            Box::new(move |request, stream| match request.range() {
                Some(_) => answer(stream, 206, &[("Content-Range", "bytes 200000-")], &bytes[200_000..]).map(|()| true),
                None => Ok(false),
            }),
            &[Some(100_000), None],
        ),
    ];
    for (odd, expected) in cases {
        let back = Arc::default();
        let server = breaking_off(simple(), &back, odd);
        let puller = Puller::new();
        puller.pull(&server, "").unwrap_err();
        back.store(true, Ordering::Relaxed);
        let before = server.requests().len();
        puller.pull(&server, "").unwrap();
        assert_eq!(layer_requests(&server, &digest, before), expected);
        assert_eq!(puller.partial_size(&digest), None);
    }
}

#[test]
fn a_refusal_takes_nothing_away() {
    let (digest, back) = (layer(&simple()).0, Arc::default());
    let refused = AtomicUsize::new(0);
    let server = breaking_off(simple(), &back, move |_, stream| {
        // Both for the rest and for the whole; then it has changed its mind.
        match refused.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => refuse(stream, 429, "TOOMANYREQUESTS", "slow down").map(|()| true),
            _ => Ok(false),
        }
    });
    let puller = Puller::new();
    puller.pull(&server, "").unwrap_err();
    back.store(true, Ordering::Relaxed);
    let error = puller.pull(&server, "").unwrap_err();
    assert!(matches!(error, RegistryError::TooManyRequests { .. }), "{error}");
    assert_eq!(puller.partial_size(&digest), Some(100_000));
    let before = server.requests().len();
    puller.pull(&server, "").unwrap();
    assert_eq!(layer_requests(&server, &digest, before), [Some(100_000)]);
}

#[test]
fn what_is_left_of_an_earlier_pull_is_not_trusted() {
    let content = simple();
    let (digest, bytes) = layer(&content);
    let server = registry(content, |_, _| Ok(false));
    let cases: [(&[u8], &[Option<usize>]); 4] = [
        // Wrong bytes: it is fetched once more, from the start.
        (&[7; 1000], &[Some(1000), None]),
        (&vec![7; bytes.len()], &[None]),
        (&vec![7; bytes.len() + 1], &[None]),
        // All of it, when the earlier pull was killed in the last moment.
        (&bytes, &[]),
    ];
    for (left, expected) in cases {
        let puller = Puller::new();
        std::fs::create_dir_all(puller.dirs().partial()).unwrap();
        std::fs::write(puller.partial(&digest), left).unwrap();
        let before = server.requests().len();
        puller.pull(&server, "").unwrap();
        assert_eq!(layer_requests(&server, &digest, before), expected);
        assert_eq!(puller.partial_size(&digest), None);
    }
}

#[test]
fn two_pulls_of_the_same_layer_at_once() {
    let content = simple();
    let (wanted, (digest, bytes)) = (is_layer(&content), layer(&content));
    let asked = Arc::new(AtomicUsize::new(0));
    // Neither gets the end before both have asked.
    let server = registry(content, {
        let asked = asked.clone();
        move |request, stream| {
            if !wanted(request) {
                return Ok(false);
            }
            asked.fetch_add(1, Ordering::Relaxed);
            head(stream, 200, &[("Content-Length", &bytes.len().to_string())])?;
            stream.write_all(&bytes[..100_000])?;
            while asked.load(Ordering::Relaxed) < 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
            stream.write_all(&bytes[100_000..]).map(|()| true)
        }
    });
    let puller = Puller::new();
    std::thread::scope(|scope| {
        let pulls = [0, 1].map(|_| scope.spawn(|| puller.pull(&server, "").unwrap()));
        pulls.into_iter().for_each(|pull| drop(pull.join().unwrap()));
    });
    assert_eq!((asked.load(Ordering::Relaxed), puller.partial_size(&digest)), (2, None));
    puller.expect_no_drafts();
}

#[test]
fn another_part_than_was_asked_for() {
    let content = simple();
    let (wanted, (_, bytes)) = (is_layer(&content), layer(&content));
    let server = registry(content, move |request, stream| {
        match (wanted(request), request.range()) {
            (false, _) => return Ok(false),
            (true, None) => {
                head(stream, 200, &[("Content-Length", &bytes.len().to_string())])?;
                stream.write_all(&bytes[..1000])?;
            }
            (true, Some(_)) => {
                let range = format!("bytes 5000-{}/{}", bytes.len() - 1, bytes.len());
                answer(stream, 206, &[("Content-Range", &range)], &bytes[5000..])?;
            }
        }
        Ok(true)
    });
    let puller = Puller::new();
    let error = puller.pull(&server, "").unwrap_err().to_string();
    assert!(error.contains("another part"), "{error}");
    puller.expect_nothing();
}

#[test]
fn more_than_was_stated() {
    for chunked in [true, false] {
        let content = simple();
        let (wanted, (_, bytes)) = (is_layer(&content), layer(&content));
        let server = registry(content, move |request, stream| {
            if !wanted(request) {
                return Ok(false);
            }
            if !chunked {
                return answer(stream, 200, &[], &[&bytes[..], b"more"].concat()).map(|()| true);
            }
            head(stream, 200, &[("Transfer-Encoding", "chunked")])?;
            let mut send = |part: &[u8]| {
                write!(stream, "{:x}\r\n", part.len())?;
                stream.write_all(part)?;
                stream.write_all(b"\r\n")
            };
            send(&bytes)?;
            // It would go on for ever; the client hangs up.
            (0..100_000).try_for_each(|_| send(&[0; 4096])).map(|()| true)
        });
        let puller = Puller::new();
        let error = puller.pull(&server, "").unwrap_err().to_string();
        assert!(error.contains("it goes on after") || error.contains("bytes are offered"), "{error}");
        puller.expect_nothing();
    }
}

#[test]
fn a_huge_manifest() {
    for stated in [true, false] {
        let server = registry(simple(), move |request, stream| {
            if !request.target.ends_with("/manifests/latest") {
                return Ok(false);
            }
            let length: &[(&str, &str)] = if stated { &[("Content-Length", "1000000000000")] } else { &[] };
            head(stream, 200, &[&[("Content-Type", media_type::OCI_MANIFEST)], length].concat())?;
            (0..100_000).try_for_each(|_| stream.write_all(&[b' '; 4096])).map(|()| true)
        });
        let puller = Puller::new();
        let error = puller.pull(&server, "").unwrap_err().to_string();
        assert!(error.contains("more than 4194304 bytes"), "{error}");
        puller.expect_nothing();
    }
}

#[test]
fn manifests_that_ask_for_too_much() {
    let config = Descriptor::new(media_type::OCI_CONFIG, Digest::of(b"{}"), 2);
    let layer = |size| Descriptor::new(media_type::OCI_LAYER, Digest::of(b"x"), size);
    let cases = [
        (Manifest::new(config.clone(), vec![layer(1); 1001]), "layers"),
        (Manifest::new(config.clone(), vec![layer(u64::MAX), layer(u64::MAX)]), "bytes"),
        (Manifest::new(config.clone(), vec![layer(1 << 50)]), "bytes"),
        (Manifest::new(Descriptor { size: 1 << 40, ..config.clone() }, vec![]), "bytes"),
        (Manifest::new(config.clone(), vec![Descriptor { media_type: "x".into(), ..layer(1) }]), "media type"),
    ];
    for (manifest, why) in cases {
        let mut content = Content::default();
        let manifest = common::document(&mut content, media_type::OCI_MANIFEST, manifest.to_json().unwrap());
        tag(&mut content, "latest", &manifest);
        let server = registry(content, |_, _| Ok(false));
        let puller = Puller::new();
        let error = puller.pull(&server, "").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(server.requests().iter().filter(|r| r.target.contains("/blobs/")).count(), 0, "nothing is fetched");
        puller.expect_nothing();
    }
}

#[test]
fn documents_that_are_not_what_their_digest_says() {
    for what in ["/manifests/sha256:", "/manifests/latest"] {
        let other = simple().manifests.values().next().unwrap().1.clone();
        let server = registry(simple(), move |request, stream| {
            if !request.target.contains(what) {
                return Ok(false);
            }
            let stated = Digest::of(b"something else").to_string();
            let headers = [("Content-Type", media_type::OCI_MANIFEST), ("Docker-Content-Digest", stated.as_str())];
            answer(stream, 200, &headers, &[&other[..], b" "].concat()).map(|()| true)
        });
        let puller = Puller::new();
        let error = puller.pull(&server, "").unwrap_err();
        assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
        puller.expect_nothing();
    }
}

#[test]
fn a_name_stays_when_its_next_image_is_broken() {
    let good = registry(simple(), |_, _| Ok(false));
    let puller = Puller::new();
    let before = puller.pull(&good, "").unwrap();
    let mut next = Content::default();
    let tar = common::tar(&[("new", b"new")]);
    let layers =
        [(media_type::OCI_LAYER_GZIP, common::gzip(&tar), tar.clone()), (media_type::OCI_LAYER, tar.clone(), tar)];
    let manifest = common::image(&mut next, &Default::default(), &layers);
    tag(&mut next, "latest", &manifest);
    let victim = Manifest::parse(&next.manifests["latest"].1).unwrap().layers[0].digest.to_string();
    next.blobs.insert(victim, b"rubbish".to_vec());
    let bad = registry(next, |_, _| Ok(false));
    // The same name, at another address: a mirror that went bad.
    let mut puller = puller;
    let text = format!(r#"{{"mirrors":{{"{}":["http://{}"]}}}}"#, good.authority(), bad.authority());
    puller.settings = Settings::from_json(text.as_bytes()).unwrap().with_limits(LIMITS);
    puller.pull(&good, "").unwrap_err();
    let name = format!("{}/team/app", good.authority());
    assert_eq!(puller.store().resolve(&name, None).unwrap().id, before.image.id);
    puller.expect_no_drafts();
}

#[test]
fn waiting_when_asked_to() {
    let busy = |status: u16, retry: Option<&'static str>, times: usize| {
        let asked = AtomicUsize::new(0);
        registry(simple(), move |request, stream| {
            if !request.target.contains("/manifests/latest") || asked.fetch_add(1, Ordering::Relaxed) >= times {
                return Ok(false);
            }
            let headers: Vec<(&str, &str)> = retry.map(|time| ("Retry-After", time)).into_iter().collect();
            let text = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
            answer(stream, status, &headers, text).map(|()| true)
        })
    };
    for (status, retry) in
        [(503, Some("0")), (503, None), (429, Some("0")), (500, None), (502, Some("Wed, 21 Oct 2026 07:28:00 GMT"))]
    {
        Puller::new().pull(&busy(status, retry, 2), "").unwrap();
    }
    for (status, retry, tries) in
        [(429, None, 1), (429, Some("86400"), 1), (503, Some("86400"), 1), (503, Some("0"), 4)]
    {
        let server = busy(status, retry, 100);
        let puller = Puller::new();
        let error = puller.pull(&server, "").unwrap_err().to_string();
        assert!(error.contains("slow down"), "{error}");
        assert!(error.contains("toomanyrequests: slow down") || status == 503, "{error}");
        let asked = server.requests().iter().filter(|r| r.target.contains("/manifests/")).count();
        assert_eq!(asked, tries, "{status} {retry:?}");
    }
}

/// A byte now and then, for a minute, or until the client hangs up.
fn drip(stream: &mut TcpStream) -> io::Result<()> {
    (0..2000).try_for_each(|_| {
        std::thread::sleep(Duration::from_millis(30));
        stream.write_all(b" ")
    })
}

#[test]
fn silence_and_dripping_end_in_time() {
    type Odd = fn(&mut TcpStream) -> io::Result<()>;
    let cases: [Odd; 3] = [
        |_| {
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        },
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
            drip(stream)
        },
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
            drip(stream)
        },
    ];
    for odd in cases {
        let server = registry(simple(), move |request, stream| match request.target.contains("/manifests/latest") {
            true => odd(stream).map(|()| true),
            false => Ok(false),
        });
        let mut puller = Puller::new();
        let limits = Limits { stall: Duration::from_millis(300), slowest: 1 << 20, tries: 2, ..LIMITS };
        puller.settings = Settings::default().with_limits(limits);
        let error = puller.pull(&server, "").unwrap_err().to_string();
        assert!(error.contains("silent or too slow"), "{error}");
        puller.expect_nothing();
    }
}

#[test]
fn redirects_without_end_and_to_nowhere() {
    for (location, why) in [
        ("/v2/team/app/manifests/latest", "redirects"),
        ("ftp://127.0.0.1/x", "only http"),
        ("http://user@127.0.0.1/x", "plain host"),
        ("http://127.0.0.1:1/x", "connection refused"),
    ] {
        let server = registry(simple(), move |request, stream| match request.target.contains("/manifests/latest") {
            true => answer(stream, 307, &[("Location", location)], b"").map(|()| true),
            false => Ok(false),
        });
        let puller = Puller::new();
        let error = puller.pull(&server, "").unwrap_err().to_string();
        assert!(error.contains(why), "{location}: {error}");
        assert!(server.requests().len() < 20);
    }
}

#[test]
fn messages_are_fit_for_a_terminal() {
    let server = registry(simple(), |request, stream| match request.target.contains("/manifests/") {
        true => refuse(stream, 403, "DENIED", "no\\u001b[31m way").map(|()| true),
        false => Ok(false),
    });
    let error = Puller::new().pull(&server, "").unwrap_err().to_string();
    assert!(
        error.contains("pull access denied") && error.contains("no[31m way") && !error.contains('\u{1b}'),
        "{error}"
    );
}
