//! pidfd_open and its family: `PidFile` stands for a process, whatever becomes of its number.

use std::any::Any;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use super::signal::{check_signal, may_signal};
use crate::dispatch::Call;
use crate::fs::proc;
use crate::kernel::Kernel;
use crate::signal::{SignalInfo, Target};
use crate::task::credentials::cap;
use crate::task::{Pid, ProcessWatch};
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::vfs::{File, poll};
use crate::wait::{SysResult, Tid, WaitQueue};

/// A process held by descriptor (pidfd_open(2)). Readable once the process has ended.
pub struct PidFile {
    pid: Pid,
    watch: Rc<ProcessWatch>,
}

impl PidFile {
    /// The process; ESRCH when it was waited for.
    pub fn pid(&self) -> Result<Pid, Errno> {
        if self.watch.reaped() { Err(Errno::ESRCH) } else { Ok(self.pid) }
    }

    pub fn watch(&self) -> &Rc<ProcessWatch> {
        &self.watch
    }
}

impl File for PidFile {
    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        let ended = if self.watch.ended() { poll::IN } else { 0 };
        ended | if self.watch.reaped() { poll::HUP } else { 0 }
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.watch.queue.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Gives the task a descriptor of a process. `flags`: O_NONBLOCK or nothing.
pub fn install(k: &Kernel, tid: Tid, pid: Pid, watch: &Rc<ProcessWatch>, flags: u32) -> Result<u32, Errno> {
    let place = anonymous::location(&k.io, Label::Anon("pidfd"), 0, 0, k.now_realtime());
    let file = Rc::new(PidFile { pid, watch: watch.clone() });
    k.install(tid, OpenFile::new(file, place, open::RDWR | flags, &k.io.locks), true)
}

/// The process of a descriptor argument, and whether the descriptor is non-blocking; EBADF when it is no pidfd.
pub fn process(k: &Kernel, tid: Tid, fd: u64) -> Result<(Pid, bool), Errno> {
    let file = k.file(tid, fd)?;
    let pidfd = file.file.as_any().downcast_ref::<PidFile>().ok_or(Errno::EBADF)?;
    Ok((pidfd.pid()?, file.nonblock()))
}

/// `pidfd_open(pid, flags)`: PIDFD_NONBLOCK. EINVAL for a thread that is no process.
pub fn pidfd_open(k: &mut Kernel, call: &Call) -> SysResult {
    let (pid, flags) = (call.args[0] as i32, call.args[1] as u32);
    if flags & !open::NONBLOCK != 0 || pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let pid = Pid(pid as u32);
    match k.processes.get(pid) {
        Some(process) => Ok(install(k, call.tid, pid, &process.watch, flags)?.into()),
        None if k.tasks.get(Tid(pid.0)).is_some() => Err(Errno::EINVAL.into()),
        None => Err(Errno::ESRCH.into()),
    }
}

/// As [`process`], for what takes `/proc/<pid>` opened in place of a pidfd.
fn process_or_directory(k: &Kernel, tid: Tid, fd: u64) -> Result<Pid, Errno> {
    match proc::directory_of(&k.file(tid, fd)?.location.inode) {
        Some(pid) => k.processes.get(pid).map(|process| process.pid).ok_or(Errno::ESRCH),
        None => process(k, tid, fd).map(|(pid, _)| pid),
    }
}

/// `pidfd_send_signal(pidfd, signal, info, flags)`: as kill(2), or as rt_sigqueueinfo(2) with an info.
pub fn pidfd_send_signal(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, signal, info, flags, ..] = call.args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let pid = process_or_directory(k, call.tid, fd)?;
    let me = k.task(call.tid);
    let info = match info {
        0 => SignalInfo::user(check_signal(signal)?, me.pid, me.credentials.uid),
        addr => {
            let mut bytes = [0; 128];
            k.read_memory(call.tid, addr, &mut bytes)?;
            let info = SignalInfo::from_bytes(check_signal(signal)?, &bytes);
            if u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) != signal {
                return Err(Errno::EINVAL.into());
            }
            if info.code >= 0 && pid != me.pid {
                return Err(Errno::EPERM.into());
            }
            info
        }
    };
    may_signal(k, call.tid, pid, info.signal)?;
    if info.signal != 0 {
        k.send_signal(Target::Process(pid), info);
    }
    Ok(0)
}

/// `pidfd_getfd(pidfd, fd, flags)`: a descriptor for an open file of another process of the same user.
pub fn pidfd_getfd(k: &mut Kernel, call: &Call) -> SysResult {
    let [pidfd, fd, flags, ..] = call.args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (pid, _) = process(k, call.tid, pidfd)?;
    let target = k.process(pid).tasks.first().and_then(|tid| k.tasks.get(*tid)).ok_or(Errno::ESRCH)?;
    let (who, other) = (&k.task(call.tid).credentials, &target.credentials);
    let same = [other.uid, other.euid, other.suid].iter().all(|uid| *uid == who.uid)
        && [other.gid, other.egid, other.sgid].iter().all(|gid| *gid == who.gid);
    let dumpable = pid == k.task(call.tid).pid || k.process(pid).dumpable;
    if !(same && dumpable || who.has(cap::SYS_PTRACE)) {
        return Err(Errno::EPERM.into());
    }
    let file = target.files.borrow().get(fd as u32)?;
    Ok(k.install(call.tid, file, true)?.into())
}
