//! A folder per file system.

pub mod dev;
pub mod devpts;
pub mod host;
pub mod overlay;
pub mod pipe;
pub mod proc;
pub mod sys;
pub mod tmpfs;
