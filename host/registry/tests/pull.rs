//! Pulling from a registry that behaves.

mod common;

use common::{Content, LIMITS, Puller, document, gzip, image, layer, registry, simple, tag, tar};
use shallop_oci::{Digest, Platform, Reference, media_type};
use shallop_registry::{Settings, Silent, pull};

#[test]
fn an_image_is_kept_as_it_came() {
    let content = simple();
    let index = Digest::of(&content.manifests["latest"].1);
    let (blob, _) = layer(&content);
    let server = registry(content, |_, _| Ok(false));
    let puller = Puller::new();
    let pulled = puller.pull(&server, "").unwrap();
    assert!(pulled.newer);
    assert_eq!((pulled.digest, &pulled.image.platform), (index, &Platform::default()));
    let store = puller.store();
    assert!(store.has_blob(&blob.parse().unwrap()), "the compressed blob is kept");
    let name = format!("{}/team/app", server.authority());
    assert_eq!(pulled.image.tags, [Reference::parse(&name).unwrap()]);
    assert_eq!(pulled.image.origins[0].familiar(), format!("{name}@{index}"));
    for known in [name.clone(), format!("{name}@{index}"), format!("{name}@{}", pulled.image.manifest)] {
        assert_eq!(store.resolve(&known, None).unwrap().id, pulled.image.id, "{known}");
    }
    // Once more: two small documents are asked for, and no blob.
    let before = server.requests().len();
    let again = puller.pull(&server, ":latest").unwrap();
    assert!(!again.newer && again.image == pulled.image);
    assert!(server.requests()[before..].iter().all(|request| !request.target.contains("/blobs/")));
    puller.expect_no_drafts();
    store.gc(&Default::default()).unwrap();
    store.layer_files(&pulled.image.layers[0]).unwrap();
    assert!(store.has_blob(&blob.parse().unwrap()));
}

#[test]
fn every_form_of_a_layer() {
    let mut content = Content::default();
    let tars: Vec<Vec<u8>> = ["a", "b", "c", "d"].iter().map(|name| tar(&[(name, name.as_bytes())])).collect();
    let zstd = zstd::encode_all(&tars[1][..], 3).unwrap();
    let layers = [
        (media_type::DOCKER_LAYER_GZIP, gzip(&tars[0]), tars[0].clone()),
        (media_type::OCI_LAYER_ZSTD, zstd, tars[1].clone()),
        (media_type::OCI_LAYER, tars[2].clone(), tars[2].clone()),
        (media_type::OCI_LAYER_GZIP, gzip(&tars[3]), tars[3].clone()),
        // The same once more, as some builders write empty layers.
        (media_type::OCI_LAYER_GZIP, gzip(&tars[3]), tars[3].clone()),
    ];
    let manifest = image(&mut content, &Platform::default(), &layers);
    tag(&mut content, "v1", &manifest);
    let server = registry(content, |_, _| Ok(false));
    let puller = Puller::new();
    let pulled = puller.pull(&server, ":v1").unwrap();
    assert_eq!((pulled.digest, pulled.image.layers.len()), (manifest.digest, 5));
    let fetched = server.requests().iter().filter(|request| request.target.contains("/blobs/")).count();
    assert_eq!(fetched, 1 + 4, "the configuration and four layers");
    // By its digest: no name, but it can be found.
    let other = Puller::new();
    let suffix = format!("@{}", manifest.digest);
    let by_digest = other.pull(&server, &suffix).unwrap();
    assert!(by_digest.image.tags.is_empty() && by_digest.newer);
    assert!(!other.pull(&server, &suffix).unwrap().newer);
}

#[test]
fn the_platform_is_chosen() {
    let server = registry(simple(), |_, _| Ok(false));
    let puller = Puller::new();
    let name = Reference::parse(&format!("{}/team/app", server.authority())).unwrap();
    let pull_for = |platform: &Platform| pull(&puller.client(), &puller.store(), &name, Some(platform), &Silent);
    let amd64 = pull_for(&Platform::new("linux", "amd64")).unwrap();
    assert_eq!(amd64.image.platform.to_string(), "linux/amd64");
    let error = pull_for(&Platform::new("linux", "s390x")).unwrap_err().to_string();
    assert!(error.starts_with("no matching manifest for linux/s390x in the manifest list entries"), "{error}");
    assert!(error.contains("linux/riscv64"), "{error}");
    assert_eq!(puller.store().resolve(&name.to_string(), None).unwrap().id, amd64.image.id, "the name stays");
}

#[test]
fn an_image_for_another_platform_alone() {
    let mut content = Content::default();
    let manifest = image(&mut content, &Platform::new("linux", "arm64"), &[]);
    tag(&mut content, "latest", &manifest);
    let server = registry(content, |_, _| Ok(false));
    let puller = Puller::new();
    let error = puller.pull(&server, "").unwrap_err().to_string();
    assert!(error.contains("wanted linux/riscv64, actual: linux/arm64"), "{error}");
    puller.expect_nothing();
}

#[test]
fn what_is_not_there() {
    let server = registry(simple(), |_, _| Ok(false));
    let puller = Puller::new();
    let error = puller.pull(&server, ":nope").unwrap_err().to_string();
    let name = format!("{}/team/app:nope", server.authority());
    assert_eq!(error, format!("manifest for {name} not found: manifest unknown: manifest unknown"));
    // An artifact that is no image.
    let mut content = Content::default();
    let config = common::blob(&mut content, "application/vnd.cncf.helm.config.v1+json", b"{}".to_vec());
    let chart = shallop_oci::Manifest::new(config, vec![]).to_json().unwrap();
    let chart = document(&mut content, media_type::OCI_MANIFEST, chart);
    tag(&mut content, "latest", &chart);
    let server = registry(content, |_, _| Ok(false));
    let error = puller.pull(&server, "").unwrap_err().to_string();
    assert!(error.contains("it is no image: its configuration is application/vnd.cncf.helm"), "{error}");
    puller.expect_nothing();
}

#[test]
fn a_mirror_is_asked_first() {
    let content = simple();
    let origin = registry(content.clone(), |_, _| Ok(false));
    let mirror = registry(content, |_, _| Ok(false));
    let mut puller = Puller::new();
    puller.log_in(&origin.authority(), "ann", "secret");
    let text = format!(r#"{{"mirrors":{{"{}":["http://{}"]}}}}"#, origin.authority(), mirror.authority());
    puller.settings = Settings::from_json(text.as_bytes()).unwrap().with_limits(LIMITS);
    puller.pull(&origin, "").unwrap();
    assert!(origin.requests().is_empty());
    assert!(mirror.requests().iter().all(|request| request.header("authorization").is_none()));
    // What the mirror has not comes from the registry itself.
    let error = puller.pull(&origin, ":nope").unwrap_err().to_string();
    assert!(error.contains("manifest unknown") && !origin.requests().is_empty(), "{error}");
}
