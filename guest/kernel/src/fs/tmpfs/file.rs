//! Open regular files of a tmpfs.

use std::any::Any;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::node::{Body, Node};
use crate::tunables::PAGE;
use crate::vfs::{Backing, File};
use crate::wait::Stop;

/// An open regular file.
pub(super) struct OpenRegular {
    pub node: Rc<Node>,
}

impl File for OpenRegular {
    fn read_at(&self, offset: u64, buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        let Body::Regular(data) = &self.node.body else { return Err(Errno::EINVAL.into()) };
        let count = data.borrow().read(offset, buf)?;
        self.node.accessed();
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        let Body::Regular(data) = &self.node.body else { return Err(Errno::EINVAL.into()) };
        self.node.check_write(offset.saturating_add(bytes.len() as u64))?;
        let count = data.borrow_mut().write(offset, bytes)?;
        self.node.touch();
        Ok(count)
    }

    fn backing(&self, offset: u64, len: u64, _shared: bool) -> Result<Vec<Backing>, Errno> {
        let Body::Regular(data) = &self.node.body else { return Err(Errno::ENODEV) };
        let mut data = data.borrow_mut();
        let end = data.size().next_multiple_of(PAGE);
        let len = len.min(end.saturating_sub(offset));
        if len == 0 {
            return Ok(Vec::new());
        }
        let handle = data.object(end)?;
        Ok(vec![Backing::Host { handle, offset, len }])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
