//! The open file description (open(2)): a `File`, where it was found, its offset and status flags.

use std::cell::Cell;
use std::rc::Rc;

use super::{File, InodeRef, Location};

/// What a file descriptor refers to; shared by dup(2) and fork(2).
pub struct OpenFile {
    pub file: Rc<dyn File>,
    pub inode: InodeRef,
    pub location: Option<Location>,
    pub offset: Cell<u64>,
    pub flags: Cell<u32>,
}
