//! [`Manifest`]: an image's configuration and layers (OCI image specification, manifest.md; Docker schema 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Descriptor, media_type};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    /// Lowest first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// An OCI manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        let media_type = Some(media_type::OCI_MANIFEST.to_owned());
        Manifest { schema_version: 2, media_type, config, layers, annotations: BTreeMap::new() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not JSON, not schema 2, or is of another media type.
    pub fn parse(json: &[u8]) -> Result<Manifest, serde_json::Error> {
        let manifest: Manifest = serde_json::from_slice(json)?;
        let known = manifest.media_type.as_deref().is_none_or(media_type::is_manifest);
        if manifest.schema_version != 2 || !known {
            return Err(serde::de::Error::custom("not an image manifest of schema version 2"));
        }
        Ok(manifest)
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// None in practice: every field is plain data.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn round_trip_and_refusals() {
        let config = Descriptor::new(media_type::OCI_CONFIG, Digest::of(b"{}"), 2);
        let layer = Descriptor::new(media_type::OCI_LAYER, Digest::of(b"x"), 1);
        let manifest = Manifest::new(config, vec![layer]);
        let json = manifest.to_json().unwrap();
        assert_eq!(Manifest::parse(&json).unwrap(), manifest);
        let text = String::from_utf8(json).unwrap();
        assert!(text.starts_with("{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\""));
        assert!(Manifest::parse(text.replace("Version\":2", "Version\":1").as_bytes()).is_err());
        assert!(Manifest::parse(text.replacen("image.manifest", "image.index", 1).as_bytes()).is_err());
        assert!(Manifest::parse(b"[]").is_err());
    }
}
