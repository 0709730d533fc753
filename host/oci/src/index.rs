//! [`Index`]: a list of manifests, one per platform, or the root of a layout (OCI image specification, image-index.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Platform, media_type};

/// The annotation of a layout's `index.json` that holds the tag.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with the full reference, which Docker and containerd write and read.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An OCI index.
    pub fn new(manifests: Vec<Descriptor>) -> Index {
        let media_type = Some(media_type::OCI_INDEX.to_owned());
        Index { schema_version: 2, media_type, manifests, annotations: BTreeMap::new() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not JSON, not schema 2, or is of another media type.
    pub fn parse(json: &[u8]) -> Result<Index, serde_json::Error> {
        let index: Index = serde_json::from_slice(json)?;
        let known = index.media_type.as_deref().is_none_or(media_type::is_index);
        if index.schema_version != 2 || !known {
            return Err(serde::de::Error::custom("not an image index of schema version 2"));
        }
        Ok(index)
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// None in practice: every field is plain data.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The first manifest for `platform`. A single entry without a platform is taken as it is.
    pub fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let named = self.manifests.iter().find(|m| m.platform.as_ref().is_some_and(|p| platform.matches(p)));
        match (named, &self.manifests[..]) {
            (None, [only]) if only.platform.is_none() => Some(only),
            (found, _) => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn a_platform_selects() {
        let entry = |platform: Option<&str>, content: &[u8]| Descriptor {
            platform: platform.map(|p| p.parse().unwrap()),
            ..Descriptor::new(media_type::OCI_MANIFEST, Digest::of(content), 1)
        };
        let index = Index::new(vec![entry(Some("linux/amd64"), b"a"), entry(Some("linux/riscv64"), b"r")]);
        let index = Index::parse(&index.to_json().unwrap()).unwrap();
        assert_eq!(index.select(&Platform::default()).unwrap().digest, Digest::of(b"r"));
        assert!(index.select(&Platform::wasi_wasm()).is_none());
        assert!(Index::new(vec![entry(None, b"x")]).select(&Platform::default()).is_some());
    }
}
