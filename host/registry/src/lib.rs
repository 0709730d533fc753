//! A client of image registries: the distribution API (OCI distribution specification 1.1), Docker's token and basic
//! authentication, and pulling into the store.
//!
//! | module | what |
//! |---|---|
//! | `pull` | a name to an image in the store: manifest, platform, layers three at a time |
//! | `manifest` | indexes and manifests: fetched, bounded, verified |
//! | `blob` | one blob as a reader that goes on where a connection broke |
//! | `client` | requests to one repository: endpoints, authentication, what a status means |
//! | `auth`, `challenge` | tokens, and the header that asks for them |
//! | `credentials` | Docker's `config.json` and its credential helpers; `login`, `logout` |
//! | `endpoint`, `settings` | where a registry is: mirrors, plain http, certificates |
//! | `http`, `proxy`, `url` | one request: redirects, retries, time limits, proxies |
//! | `progress` | what a pull tells its caller |
//!
//! Why not the crate `oci-client`: it needs an async runtime, which nothing else here does; it offers no resumed blobs, no
//! mirrors, no credential helpers, and does not say where credentials go after a redirect. What is left is small over a good
//! blocking HTTP library: `ureq`, with rustls over ring, which builds with a C compiler alone. From ureq this takes
//! connections, TLS and HTTP/1.1; redirects, retries and proxies are decided here, because they decide where secrets go.
//!
//! Everything that a registry says is hostile: documents are bounded in size, blobs by their stated size, waiting by time.
#![forbid(unsafe_code)]

mod auth;
mod blob;
mod challenge;
mod client;
mod credentials;
mod endpoint;
mod error;
mod http;
mod login;
mod manifest;
mod progress;
mod proxy;
mod pull;
mod settings;
mod url;

pub use client::Client;
pub use credentials::{Credentials, DockerConfig, Kept};
pub use endpoint::server_address;
pub use error::{RegistryError, Result};
pub use progress::{Progress, Silent, Step};
pub use pull::{Pulled, pull};
pub use settings::{Limits, Settings};
