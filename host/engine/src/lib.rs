//! What verbs (and later endpoints) call: sessions, running containers, building images, the catalog.
//!
//! | module | what |
//! |---|---|
//! | `session`, `ahead` | the store and the code cache of one command, and what it prepares meanwhile |
//! | `images` | finding an image by name, with the embedded one and substitutes |
//! | `pull`, `login` | registries: images from there, and who we are to them |
//! | `process` | what runs: the image's defaults and the flags, joined |
//! | `volume`, `terminal`, `signals` | `-v`, `-it`, what reaches the command from outside |
//! | `network`, `dns`, `mirrors`, `proxies` | what of the network there is, and what the machine lends with it |
//! | `launch` | from all that to a worker's request |
//! | `run` | create, start, wait, clean up |
//! | `build` | the builder's effects: layers from the store, steps in sandboxes |
//! | `catalog` | base images from Debian packages |
//! | `precompile`, `entrypoint` | all code of an image, translated ahead; what its process starts with |
//! | `platform` | what only Linux can do, and what other systems say of that |
//! | `timings`, `profile` | where the time of a start went, and of the program |
#![forbid(unsafe_code)]

mod ahead;
pub mod build;
pub mod catalog;
pub mod dns;
#[cfg(target_os = "linux")]
mod entrypoint;
pub mod images;
#[cfg(target_os = "linux")]
pub mod launch;
pub mod limits;
pub mod login;
mod mirrors;
pub mod network;
mod platform;
pub mod precompile;
pub mod process;
#[cfg(target_os = "linux")]
mod profile;
pub mod proxies;
pub mod pull;
pub mod run;
pub mod session;
#[cfg(target_os = "linux")]
mod signals;
pub mod substitutes;
pub mod terminal;
mod timings;
pub mod volume;
mod wasi;

pub use session::Session;
pub use volume::Volume;
