//! Open regular files and directories of the overlay.

use std::any::Any;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::node::Node;
use crate::vfs::{Backing, File};
use crate::wait::Stop;

/// An open regular file.
pub(super) struct OpenRegular {
    pub(super) node: Rc<Node>,
    pub(super) writable: bool,
}

impl File for OpenRegular {
    fn read_at(&self, offset: u64, buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        Ok(self.node.read(offset, buf)?)
    }

    fn write_at(&self, offset: u64, bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        self.node.write(offset, bytes)?;
        Ok(bytes.len())
    }

    fn backing(&self, offset: u64, len: u64, shared: bool) -> Result<Vec<Backing>, Errno> {
        self.node.backing(offset, len, shared, self.writable)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.node.overlay().sync_all()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An open directory; its names are read through the inode.
pub(super) struct OpenDirectory {
    pub(super) node: Rc<Node>,
}

impl File for OpenDirectory {
    fn read_at(&self, _offset: u64, _buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        Err(Errno::EISDIR.into())
    }

    fn sync(&self) -> Result<(), Errno> {
        self.node.overlay().sync_all()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
