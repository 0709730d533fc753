//! What a user can set from outside: `env` has every variable, `dirs` every path that shallop touches.
#![forbid(unsafe_code)]

pub mod dirs;
pub mod env;

pub use dirs::{Dirs, DirsError};
