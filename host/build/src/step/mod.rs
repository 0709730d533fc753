//! The steps that change files: what each does, a file each.

pub mod copy;
pub mod owner;
pub mod run;
pub mod workdir;
