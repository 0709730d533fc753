//! pipe2.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use crate::dispatch::Call;
use crate::fs::pipe::{Pipe, PipeEnd};
use crate::kernel::Kernel;
use crate::vfs::File;
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::wait::SysResult;

/// `pipe2(fds, flags)`: O_CLOEXEC, O_NONBLOCK; O_DIRECT (packet mode) is EINVAL.
pub fn pipe2(k: &mut Kernel, call: &Call) -> SysResult {
    let [addr, flags, ..] = call.args;
    let flags = flags as u32;
    if flags & !(open::CLOEXEC | open::NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let pipe = Rc::new(Pipe::default());
    let who = &k.task(call.tid).credentials;
    let again = Rc::downgrade(&pipe);
    let reopen = Box::new(move |flags: u32| match again.upgrade() {
        Some(pipe) => Rc::new(PipeEnd::new(&pipe, flags)) as Rc<dyn File>,
        None => Rc::new(PipeEnd::new(&Rc::default(), flags)),
    });
    let now = k.now_realtime();
    let place = anonymous::reopenable(&k.io, Label::Pipe, who.fsuid, who.fsgid, now, Some(reopen));
    let end = |mode: u32| {
        let file = Rc::new(PipeEnd::new(&pipe, mode));
        OpenFile::new(file, place.clone(), mode | flags & open::NONBLOCK, &k.io.locks)
    };
    let (reader, writer) = (end(open::RDONLY), end(open::WRONLY));
    let cloexec = flags & open::CLOEXEC != 0;
    let first = k.install(call.tid, reader, cloexec)?;
    let undo = |k: &Kernel, fd: u32| drop(k.task(call.tid).files.borrow_mut().remove(fd));
    let second = k.install(call.tid, writer, cloexec).inspect_err(|_| undo(k, first))?;
    let bytes = [first.to_le_bytes(), second.to_le_bytes()].concat();
    k.write_memory(call.tid, addr, &bytes).inspect_err(|_| {
        undo(k, first);
        undo(k, second);
    })?;
    Ok(0)
}
