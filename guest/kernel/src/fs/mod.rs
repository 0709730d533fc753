//! A folder per file system.
