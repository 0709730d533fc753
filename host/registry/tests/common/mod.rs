//! A registry made of values, that can be made to misbehave; a store to pull into.
#![allow(dead_code, reason = "not every test file uses everything")]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use shallop_config::Dirs;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, media_type};
use shallop_registry::{Client, DockerConfig, Limits, Pulled, Result, Settings, Silent, pull};
use shallop_store::Store;
use shallop_test_support::http::{Request, Server, answer};

/// The name of the repository that is served.
pub const REPOSITORY: &str = "team/app";

/// What a registry has: documents by tag and digest, blobs by digest.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Media type and bytes, by what stands after `manifests/`.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub blobs: BTreeMap<String, Vec<u8>>,
}

/// An image of `layers` (media type, bytes as they are sent, tar), put into `content`.
pub fn image(content: &mut Content, platform: &Platform, layers: &[(&str, Vec<u8>, Vec<u8>)]) -> Descriptor {
    let mut config = ImageConfig::new(platform);
    config.rootfs.diff_ids = layers.iter().map(|(_, _, tar)| Digest::of(tar)).collect();
    let config = blob(content, media_type::OCI_CONFIG, config.to_json().unwrap());
    let layers = layers.iter().map(|(media_type, bytes, _)| blob(content, media_type, bytes.clone())).collect();
    let manifest = Manifest::new(config, layers).to_json().unwrap();
    Descriptor { platform: Some(platform.clone()), ..document(content, media_type::OCI_MANIFEST, manifest) }
}

pub fn blob(content: &mut Content, media_type: &str, bytes: Vec<u8>) -> Descriptor {
    let descriptor = Descriptor::new(media_type, Digest::of(&bytes), bytes.len() as u64);
    content.blobs.insert(descriptor.digest.to_string(), bytes);
    descriptor
}

/// A manifest or index, to be had by its digest.
pub fn document(content: &mut Content, media_type: &str, bytes: Vec<u8>) -> Descriptor {
    let descriptor = Descriptor::new(media_type, Digest::of(&bytes), bytes.len() as u64);
    content.manifests.insert(descriptor.digest.to_string(), (media_type.to_owned(), bytes));
    descriptor
}

/// Lets `tag` stand for a document.
pub fn tag(content: &mut Content, tag: &str, descriptor: &Descriptor) {
    let document = content.manifests[&descriptor.digest.to_string()].clone();
    content.manifests.insert(tag.to_owned(), document);
}

/// `latest`: an index with an image for linux/riscv64, of one gzip layer, and one for linux/amd64.
pub fn simple() -> Content {
    let mut content = Content::default();
    let tar = tar(&[("file", &noise(300_000))]);
    let ours = image(&mut content, &Platform::default(), &[(media_type::OCI_LAYER_GZIP, gzip(&tar), tar)]);
    let theirs = image(&mut content, &Platform::new("linux", "amd64"), &[]);
    let index = Index::new(vec![theirs, ours]).to_json().unwrap();
    let index = document(&mut content, media_type::OCI_INDEX, index);
    tag(&mut content, "latest", &index);
    content
}

/// The largest blob: the layer of [`simple`].
pub fn layer(content: &Content) -> (String, Vec<u8>) {
    let (digest, bytes) = content.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    (digest.clone(), bytes.clone())
}

/// Bytes that do not compress, always the same.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for (path, content) in files {
        let entry = Entry::new(path.as_bytes().to_vec(), 0o644, Kind::File { size: content.len() as u64 });
        writer.append(&entry, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap();
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Content {
    /// Answers as a good registry does, with ranges.
    pub fn serve(&self, request: &Request, stream: &mut TcpStream) -> io::Result<()> {
        let path = request.target.strip_prefix(&format!("/v2/{REPOSITORY}/")).unwrap_or_default();
        if let Some((media_type, bytes)) = path.strip_prefix("manifests/").and_then(|name| self.manifests.get(name)) {
            let digest = Digest::of(bytes).to_string();
            let headers = [("Content-Type", media_type.as_str()), ("Docker-Content-Digest", &digest)];
            return answer(stream, 200, &headers, bytes);
        }
        match (path.strip_prefix("blobs/").and_then(|digest| self.blobs.get(digest)), request.range()) {
            (Some(bytes), None) => answer(stream, 200, &[], bytes),
            (Some(bytes), Some(at)) if at < bytes.len() => {
                let range = format!("bytes {at}-{}/{}", bytes.len() - 1, bytes.len());
                answer(stream, 206, &[("Content-Range", &range)], &bytes[at..])
            }
            (Some(_), Some(_)) => answer(stream, 416, &[], b""),
            (None, _) if request.target == "/v2/" => answer(stream, 200, &[], b"{}"),
            (None, _) => refuse(stream, 404, "MANIFEST_UNKNOWN", "manifest unknown"),
        }
    }
}

/// A refusal in the specification's form.
pub fn refuse(stream: &mut TcpStream, status: u16, code: &str, message: &str) -> io::Result<()> {
    let text = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    answer(stream, status, &[("Content-Type", "application/json")], text.as_bytes())
}

/// A registry that serves `content`, but where `odd` answers (gives `true`).
pub fn registry(
    content: Content,
    odd: impl Fn(&Request, &mut TcpStream) -> io::Result<bool> + Send + Sync + 'static,
) -> Server {
    Server::start(move |request, stream| match odd(request, stream)? {
        true => Ok(()),
        false => content.serve(request, stream),
    })
}

/// Waits that do not try anybody's patience.
pub const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    stall: Duration::from_secs(20),
    slowest: 0,
    tries: 4,
    pause: Duration::from_millis(5),
    patience: Duration::from_secs(2),
};

/// A store and a client.
pub struct Puller {
    pub folder: tempfile::TempDir,
    pub settings: Settings,
}

impl Puller {
    pub fn new() -> Puller {
        let folder = tempfile::tempdir().unwrap();
        Puller { folder, settings: Settings::default().with_limits(LIMITS) }
    }

    pub fn dirs(&self) -> Dirs {
        Dirs::below(&self.folder.path().join("home"))
    }

    pub fn store(&self) -> Store {
        Store::open(&self.dirs()).unwrap()
    }

    /// Keeps credentials as `docker login` would.
    pub fn log_in(&self, server: &str, user: &str, password: &str) {
        let auth = base64(&format!("{user}:{password}"));
        let text = format!(r#"{{"auths":{{"{server}":{{"auth":"{auth}"}}}}}}"#);
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("config.json")
    }

    pub fn client(&self) -> Client {
        Client::new(self.settings.clone(), DockerConfig::read(&self.config()).unwrap())
    }

    pub fn pull(&self, server: &Server, suffix: &str) -> Result<Pulled> {
        let name = Reference::parse(&format!("{}/{REPOSITORY}{suffix}", server.authority())).unwrap();
        pull(&self.client(), &self.store(), &name, None, &Silent)
    }

    /// What must hold when a pull failed: no image, no name, nothing half done.
    #[track_caller]
    pub fn expect_nothing(&self) {
        assert!(self.store().images().unwrap().is_empty());
        self.expect_no_drafts();
    }

    #[track_caller]
    pub fn expect_no_drafts(&self) {
        assert_eq!(entries(&self.dirs().ingest()), 0, "something unfinished is left");
    }

    /// Where a blob is of which a part has come.
    pub fn partial(&self, digest: &str) -> std::path::PathBuf {
        self.dirs().partial().join(digest.trim_start_matches("sha256:"))
    }

    /// Bytes of it.
    pub fn partial_size(&self, digest: &str) -> Option<u64> {
        std::fs::metadata(self.partial(digest)).ok().map(|meta| meta.len())
    }
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

pub fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let number = chunk.iter().chain([0, 0].iter()).take(3).fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}
