//! Windows.

use std::fs::File;
use std::io;
use std::os::windows::io::AsHandle;

/// stdin, as the file or pipe that it is.
pub fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}
