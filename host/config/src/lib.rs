//! What a user can set from outside: `env` has every variable, `dirs` every path that shallop touches;
//! `size` reads sizes.
#![forbid(unsafe_code)]

pub mod dirs;
pub mod env;
pub mod size;

pub use dirs::{Dirs, DirsError};
