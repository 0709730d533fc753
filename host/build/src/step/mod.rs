//! The steps that change files: what each does, a file each.

pub mod copy;
pub mod run;
pub mod workdir;
