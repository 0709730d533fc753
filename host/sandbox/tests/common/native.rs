//! What every test needs: native code and files.

use std::fs::File;
use std::io::{Seek, Write};

use shallop_sandbox::{Stops, compile};

/// A module's native code.
pub fn native(wat: &str, stops: Stops) -> Vec<u8> {
    compile(&wat::parse_str(wat).expect("wat"), stops).expect("compiling")
}

pub fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(content).expect("writing");
    file.rewind().expect("rewinding");
    file
}
