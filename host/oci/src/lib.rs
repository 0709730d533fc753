//! The words of images: references, digests, platforms, and the JSON documents of the OCI image specification.
//!
//! Values only, no I/O. `reference` is what a user types, `digest` names content, `descriptor`, `manifest` and
//! `index` tie blobs together, `config` says how to run an image, `media_type` lists the types of both OCI and Docker, `time` reads and writes their time stamps.
#![forbid(unsafe_code)]

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod index;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod reference;
pub mod time;

pub use config::{Config, Healthcheck, History, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestError, Hasher};
pub use index::Index;
pub use manifest::Manifest;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
