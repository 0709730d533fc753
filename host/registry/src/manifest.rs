//! Manifests and indexes from a registry: bounded, verified, and of one kind only.

use serde::Deserialize;
use shallop_oci::{Descriptor, Digest, Index, Manifest, Reference, media_type};
use ureq::http::header::HeaderName;

use crate::client::{Client, Place, failure_of};
use crate::error::{RegistryError, Result};

/// Bytes of a manifest or an index, as the distribution specification has it.
const MANIFEST_MAX: u64 = 4 << 20;

/// A document with its digest.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one or two are made per pull")]
pub(crate) enum Kind {
    Index(Index),
    Manifest(Manifest),
}

/// What a name stands for.
///
/// # Errors
/// When the registry refuses, or what it gives is no manifest and no index.
pub(crate) fn of_name(client: &Client, place: &Place, name: &Reference) -> Result<Document> {
    let digest = name.digest();
    let which = digest.map_or_else(|| name.tag().unwrap_or("latest").to_owned(), Digest::to_string);
    fetch(client, place, name, &which, digest)
}

/// The manifest that an index names.
///
/// # Errors
/// As [`of_name`], and when it is an index again.
pub(crate) fn of_descriptor(
    client: &Client,
    place: &Place,
    name: &Reference,
    descriptor: &Descriptor,
) -> Result<Document> {
    let document = fetch(client, place, name, &descriptor.digest.to_string(), Some(&descriptor.digest))?;
    if document.bytes.len() as u64 != descriptor.size {
        let why = format!("it has {} bytes, the index says {}", document.bytes.len(), descriptor.size);
        return Err(RegistryError::invalid(format!("manifest {}", descriptor.digest), why));
    }
    Ok(document)
}

fn fetch(client: &Client, place: &Place, name: &Reference, which: &str, expected: Option<&Digest>) -> Result<Document> {
    let accept =
        [media_type::OCI_INDEX, media_type::OCI_MANIFEST, media_type::DOCKER_INDEX, media_type::DOCKER_MANIFEST];
    let answer = client.get(place, &format!("manifests/{which}"), vec![("accept", accept.join(", "))])?;
    if answer.status != 200 {
        return Err(failure_of(answer).about(name));
    }
    let header = |name: HeaderName| answer.header(name).map(str::to_owned);
    let stated = header(HeaderName::from_static("docker-content-digest")).and_then(|text| text.parse().ok());
    let content_type = header(ureq::http::header::CONTENT_TYPE).unwrap_or_default();
    let bytes = answer.document(MANIFEST_MAX)?;
    let digest = Digest::of(&bytes);
    if let Some(expected) = expected.or(stated.as_ref()).filter(|expected| **expected != digest) {
        let what = format!("manifest {} of {}", expected, name.familiar());
        return Err(RegistryError::Mismatch { what, expected: *expected, found: digest });
    }
    let kind = kind(&bytes, &content_type).map_err(|why| RegistryError::invalid(format!("manifest {digest}"), why))?;
    Ok(Document { bytes, digest, kind })
}

/// Reads a document. One that can be read both ways is refused: two clients would see two images (CVE-2021-41190).
fn kind(bytes: &[u8], content_type: &str) -> std::result::Result<Kind, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        #[serde(default)]
        schema_version: u32,
        media_type: Option<String>,
        config: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let shape: Shape = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if shape.schema_version == 1 {
        return Err("it is of schema version 1, which was given up; push the image again with a newer tool".to_owned());
    }
    if shape.manifests.is_some() && (shape.config.is_some() || shape.layers.is_some()) {
        return Err("it is an index and an image manifest at once".to_owned());
    }
    let header = content_type.split(';').next().unwrap_or_default().trim();
    let stated = shape.media_type.as_deref().unwrap_or(header);
    if media_type::is_index(stated) && shape.manifests.is_some() {
        Index::parse(bytes).map(Kind::Index).map_err(|e| e.to_string())
    } else if media_type::is_manifest(stated) && shape.manifests.is_none() {
        Manifest::parse(bytes).map(Kind::Manifest).map_err(|e| e.to_string())
    } else {
        Err(format!("{stated:.100} is no type of an image manifest or index"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_of_one_kind() {
        let config = Descriptor::new(media_type::OCI_CONFIG, Digest::of(b"{}"), 2);
        let manifest = String::from_utf8(Manifest::new(config, vec![]).to_json().unwrap()).unwrap();
        assert!(matches!(kind(manifest.as_bytes(), "text/plain"), Ok(Kind::Manifest(_))));
        let untyped = manifest.replacen(&format!("\"mediaType\":\"{}\",", media_type::OCI_MANIFEST), "", 1);
        let with_parameter = format!("{}; charset=utf-8", media_type::OCI_MANIFEST);
        assert!(matches!(kind(untyped.as_bytes(), &with_parameter), Ok(Kind::Manifest(_))));
        assert!(kind(untyped.as_bytes(), "application/json").is_err());
        assert!(kind(untyped.as_bytes(), media_type::OCI_INDEX).is_err());
        let both = manifest.replacen("\"layers\"", "\"manifests\":[],\"layers\"", 1);
        assert!(kind(both.as_bytes(), "").unwrap_err().contains("at once"));
        let old = manifest.replacen("Version\":2", "Version\":1", 1);
        assert!(kind(old.as_bytes(), "").unwrap_err().contains("schema version 1"));
    }
}
