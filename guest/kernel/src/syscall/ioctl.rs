//! ioctl: what every file answers to, job control; the rest is the file's own matter.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{ioctl as req, open};

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::tty::{TtyFile, job};
use crate::vfs::FileKind;
use crate::vfs::open_file::OpenFile;
use crate::wait::SysResult;

/// `ioctl(fd, request, arg)`
pub fn ioctl(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, request, arg, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    let request = request as u32;
    match request {
        req::FIOCLEX | req::FIONCLEX => {
            k.task(call.tid).files.borrow_mut().set_cloexec(fd as u32, request == req::FIOCLEX)?;
            return Ok(0);
        }
        req::FIONBIO => {
            let on = k.read_u32(call.tid, arg)? != 0;
            let others = file.flags() & !open::NONBLOCK;
            file.set_flags(others | if on { open::NONBLOCK } else { 0 });
            return Ok(0);
        }
        // SIGIO is never sent.
        req::FIOASYNC => return Ok(0),
        req::FIONREAD => return fionread(k, call, &file),
        _ => {}
    }
    if let Some(tty) = file.file.as_any().downcast_ref::<TtyFile>() {
        return tty_ioctl(k, call, tty, request);
    }
    let memory = k.memory(call.tid);
    file.file.ioctl(request, arg, &memory)
}

fn fionread(k: &Kernel, call: &Call, file: &OpenFile) -> SysResult {
    let count = match file.file.available() {
        Some(count) => count as u64,
        None if file.location.inode.kind() == FileKind::Regular => {
            file.location.inode.stat()?.size.saturating_sub(file.offset.get())
        }
        None => return Err(Errno::ENOTTY.into()),
    };
    k.write_u32(call.tid, call.args[2], count.min(i32::MAX as u64) as u32)?;
    Ok(0)
}

fn tty_ioctl(k: &mut Kernel, call: &Call, tty: &TtyFile, request: u32) -> SysResult {
    let arg = call.args[2];
    if let Some(result) = job::job_ioctl(k, call.tid, tty, request, arg) {
        return result;
    }
    if request == req::TIOCGPTPEER && tty.master {
        let place = crate::fs::devpts::location(k, tty.tty.index);
        let flags = arg as u32 & !open::CREAT;
        let file = OpenFile::new(Rc::new(TtyFile::slave(&tty.tty)), place, flags, &k.io.locks);
        return Ok(k.install(call.tid, file, flags & open::CLOEXEC != 0)?.into());
    }
    let changes =
        matches!(request, req::TCSETS | req::TCSETSW | req::TCSETSF | req::TCFLSH | req::TCXONC | req::TCSBRK);
    if changes {
        job::check_write(k, call.tid, tty, true)?;
    }
    let memory = k.memory(call.tid);
    let result = crate::vfs::File::ioctl(tty, request, arg, &memory);
    crate::tty::send_pending(k);
    result
}
