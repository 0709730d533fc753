//! What differs between systems: Linux containers and build steps run on Linux alone, and only there are signals passed on.
//! Each system's file has the same items.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(not(target_os = "linux"))]
pub use portable::*;
use shallop_store::{Container, Image};

use crate::process::Process;
use crate::run::Options;

/// A container of a Linux image that is to be started.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "it is not started there"))]
pub struct Starting<'a> {
    pub options: &'a Options,
    pub profile: Option<&'a Profile>,
    pub image: &'a Image,
    pub container: &'a Container,
    pub process: Process,
    pub hostname: String,
}
