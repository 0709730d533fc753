//! Linux and macOS.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// stdin, as the file or pipe that it is.
pub fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}
