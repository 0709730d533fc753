//! Files whose content is the kernel's own state (/proc, /sys): `PseudoFile` is an open one, `Node` a fixed tree.
//!
//! Their text is made when it is read from the start; later reads go on in the same text, as with Linux's seq_file.

pub mod tree;

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use crate::kernel::Kernel;
use crate::vfs::{File, InodeRef};
use crate::wait::{Stop, Tid};

/// An open file with a text. The calls that read and write call `refresh` and `store` first, which have the kernel.
pub struct PseudoFile {
    inode: InodeRef,
    text: RefCell<Option<Vec<u8>>>,
}

impl PseudoFile {
    pub fn new(inode: InodeRef) -> Rc<PseudoFile> {
        Rc::new(PseudoFile { inode, text: RefCell::default() })
    }

    /// Before a read at `offset`: makes the text when it is the first one, or starts over.
    pub fn refresh(&self, k: &Kernel, caller: Tid, offset: u64) -> Result<(), Errno> {
        if offset > 0 && self.text.borrow().is_some() {
            return Ok(());
        }
        let view = self.inode.kernel_view().ok_or(Errno::EINVAL)?;
        *self.text.borrow_mut() = Some(view.content(k, caller)?);
        Ok(())
    }

    /// write(2), whatever the offset.
    pub fn store(&self, k: &mut Kernel, caller: Tid, bytes: &[u8]) -> Result<(), Errno> {
        self.inode.kernel_view().ok_or(Errno::EINVAL)?.store(k, caller, bytes)
    }
}

impl File for PseudoFile {
    fn read_at(&self, offset: u64, buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        let text = self.text.borrow();
        let text = text.as_deref().unwrap_or(&[]);
        let rest = usize::try_from(offset).ok().and_then(|at| text.get(at..)).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
