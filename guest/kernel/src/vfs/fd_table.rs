//! The descriptor table of a process (or of tasks that share it, CLONE_FILES).

use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::open_file::OpenFile;

/// Descriptor number to (description, close-on-exec).
#[derive(Clone, Default)]
pub struct FdTable(Vec<Option<(Rc<OpenFile>, bool)>>);

impl FdTable {
    /// The description behind `fd`; EBADF when there is none.
    pub fn get(&self, fd: i32) -> Result<Rc<OpenFile>, Errno> {
        let slot = usize::try_from(fd).ok().and_then(|i| self.0.get(i));
        slot.and_then(|s| s.as_ref()).map(|(file, _)| file.clone()).ok_or(Errno::EBADF)
    }

    /// Closes what execve(2) closes.
    pub fn close_on_exec(&mut self) {
        for slot in &mut self.0 {
            slot.take_if(|(_, cloexec)| *cloexec);
        }
    }
}
