//! POSIX message queues: mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;
use shallop_linux_abi::rlimit::RLIMIT_MSGQUEUE;
use shallop_linux_abi::signal::{NSIG, SI_MESGQ};

use super::time::{clock_to_monotonic, read_timespec};
use crate::dispatch::Call;
use crate::fs::mqueue::queue::{COOKIE_BYTES, How, Listener, Message, Queue, Size, Waiting};
use crate::fs::mqueue::{Allowance, OpenQueue, PRIORITIES, QUEUES_MAX, QueueFile, SIZE_MAX};
use crate::kernel::Kernel;
use crate::net::Socket;
use crate::net::netlink::Netlink;
use crate::signal::{SignalInfo, Target};
use crate::task::Pid;
use crate::task::credentials::cap;
use crate::vfs::open_file::OpenFile;
use crate::vfs::permission::{self, EXEC, READ, WRITE};
use crate::vfs::{FileSystem, InodeRef, NewAttr};
use crate::wait::{Stop, SysResult, Tid, Wait};

/// The most that CAP_SYS_RESOURCE allows (HARD_MSGMAX, HARD_MSGSIZEMAX).
const SIZE_HARD_MAX: Size = Size { messages: 65536, bytes: 16 << 20 };
/// struct mq_attr, and its words.
const ATTR_BYTES: usize = 64;
/// struct sigevent: kinds of notification.
const SIGEV_SIGNAL: u32 = 0;
const SIGEV_NONE: u32 = 1;
const SIGEV_THREAD: u32 = 2;

/// `mq_open(name, flags, mode, attr)`: the name is without the slash that programs begin it with.
pub fn mq_open(k: &mut Kernel, call: &Call) -> SysResult {
    let [name, flags, mode, attr, ..] = call.args;
    let (tid, flags) = (call.tid, flags as u32);
    let size = match attr {
        0 => None,
        attr => {
            let [_, messages, bytes, _] = read_attr(k, tid, attr)?;
            Some((messages as i64, bytes as i64))
        }
    };
    let name = k.path_argument(tid, name)?;
    k.check_descriptors(tid)?;
    check_name(&name)?;
    check_folder(k, tid, EXEC)?;
    let file = match k.queues.find(&name) {
        Err(Errno::ENOENT) if flags & open::CREAT != 0 => create(k, tid, &name, mode as u32, size)?,
        Err(errno) => return Err(errno.into()),
        Ok(_) if flags & (open::CREAT | open::EXCL) == open::CREAT | open::EXCL => return Err(Errno::EEXIST.into()),
        Ok(file) => {
            check_access(k, tid, &file, flags)?;
            file
        }
    };
    let place = crate::fs::place(k, b"/dev/mqueue").child(&name, file.clone());
    let file = OpenFile::new(Rc::new(OpenQueue(file)), place, flags, &k.io.locks);
    Ok(k.install(tid, file, true)?.into())
}

/// EACCES for what is no name of a file of the folder, ENOENT for none at all.
fn check_name(name: &[u8]) -> Result<(), Errno> {
    match name {
        b"" => Err(Errno::ENOENT),
        b"." | b".." => Err(Errno::EACCES),
        name if name.contains(&b'/') => Err(Errno::EACCES),
        _ => Ok(()),
    }
}

/// EACCES where the task may not look for, or make and remove names.
fn check_folder(k: &Kernel, tid: Tid, want: u32) -> Result<(), Errno> {
    permission::check(&k.task(tid).credentials, &FileSystem::root(&*k.queues), want)
}

fn check_access(k: &Kernel, tid: Tid, file: &Rc<QueueFile>, flags: u32) -> Result<(), Errno> {
    let want = match flags & open::ACCMODE {
        open::RDONLY => READ,
        open::WRONLY => WRITE,
        open::RDWR => READ | WRITE,
        _ => return Err(Errno::EINVAL),
    };
    let inode: InodeRef = file.clone();
    permission::check(&k.task(tid).credentials, &inode, want)
}

fn create(k: &mut Kernel, tid: Tid, name: &[u8], mode: u32, size: Option<(i64, i64)>) -> Result<Rc<QueueFile>, Errno> {
    check_folder(k, tid, WRITE | EXEC)?;
    let who = &k.task(tid).credentials;
    let privileged = who.has(cap::SYS_RESOURCE);
    let attr = NewAttr {
        mode: mode & 0o7777 & !k.task(tid).fs.borrow().umask,
        uid: who.fsuid,
        gid: who.fsgid,
        now: k.now_realtime(),
    };
    let allowance = Allowance {
        user: who.uid,
        bytes: k.process_of(tid).rlimits[RLIMIT_MSGQUEUE].0,
        queues: if privileged { usize::MAX } else { QUEUES_MAX },
    };
    let size = match size {
        None => SIZE_MAX,
        Some((messages, bytes)) if messages <= 0 || bytes <= 0 => return Err(Errno::EINVAL),
        Some((messages, bytes)) => Size { messages: messages as u64, bytes: bytes as u64 },
    };
    let most = if privileged { SIZE_HARD_MAX } else { SIZE_MAX };
    if size.messages > most.messages || size.bytes > most.bytes {
        return Err(Errno::EINVAL);
    }
    k.queues.create(name, &attr, size, allowance)
}

/// `mq_unlink(name)`
pub fn mq_unlink(k: &mut Kernel, call: &Call) -> SysResult {
    let name = k.path_argument(call.tid, call.args[0])?;
    check_name(&name)?;
    check_folder(k, call.tid, EXEC)?;
    let (file, folder) = (k.queues.find(&name)?, FileSystem::root(&*k.queues));
    let file: InodeRef = file;
    check_folder(k, call.tid, WRITE | EXEC)?;
    permission::check_sticky(&k.task(call.tid).credentials, &folder.stat()?, &file.stat()?)?;
    k.queues.unlink(&name)?;
    Ok(0)
}

/// An open queue of a descriptor, EBADF for anything else.
fn queue_of(file: &OpenFile) -> Result<Rc<QueueFile>, Errno> {
    file.file.as_any().downcast_ref::<OpenQueue>().map(|open| open.0.clone()).ok_or(Errno::EBADF)
}

/// The call's end of waiting, which is a time of the real-time clock.
fn deadline(k: &Kernel, tid: Tid, addr: u64) -> Result<Option<u64>, Errno> {
    match addr {
        0 => Ok(None),
        addr => Ok(Some(clock_to_monotonic(k, read_timespec(k, tid, addr)?))),
    }
}

/// What the call left when it began to wait, if it did.
fn waited<'a>(k: &'a Kernel, call: &Call) -> Option<&'a Waiting> {
    k.task(call.tid).progress.saved.as_ref().and_then(|saved| saved.downcast_ref())
}

fn begin_to_wait(k: &mut Kernel, tid: Tid, waiting: Waiting, deadline: Option<u64>) -> Stop {
    let wait = Wait { deadline, ..Wait::on(&waiting.waiter.queue) };
    let progress = &mut k.task_mut(tid).progress;
    progress.deadline = deadline;
    progress.saved = Some(Box::new(waiting));
    Stop::Block(wait)
}

/// The call was woken for nothing, or its time is over.
fn go_on_waiting(k: &Kernel, call: &Call) -> Stop {
    let progress = &k.task(call.tid).progress;
    match waited(k, call) {
        Some(waiting) if !progress.timed_out => {
            Stop::Block(Wait { deadline: progress.deadline, ..Wait::on(&waiting.waiter.queue) })
        }
        _ => Errno::ETIMEDOUT.into(),
    }
}

/// `mq_timedsend(queue, message, length, priority, timeout)`
pub fn mq_timedsend(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, addr, len, priority, timeout, _] = call.args;
    let tid = call.tid;
    if let Some(waiting) = waited(k, call) {
        return if waiting.is_done() { Ok(0) } else { Err(go_on_waiting(k, call)) };
    }
    let deadline = deadline(k, tid, timeout)?;
    let priority = u64::from(priority as u32);
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL.into());
    }
    let open = k.file(tid, fd)?;
    let file = queue_of(&open)?;
    if !open.writable() {
        return Err(Errno::EBADF.into());
    }
    if len > file.queue.size.bytes {
        return Err(Errno::EMSGSIZE.into());
    }
    let mut bytes = vec![0; len as usize];
    k.read_memory(tid, addr, &mut bytes)?;
    let message = Message { priority: priority as u32, bytes };
    if file.queue.is_full() {
        return match open.nonblock() {
            true => Err(Errno::EAGAIN.into()),
            false => Err(begin_to_wait(k, tid, file.queue.wait(Some(message)), deadline)),
        };
    }
    let told = file.queue.send(message);
    file.touch();
    if let Some(listener) = told {
        tell(k, tid, &listener);
    }
    Ok(0)
}

/// The signal of who asked to be told.
fn tell(k: &mut Kernel, sender: Tid, listener: &Listener) {
    let How::Signal { signal, value } = listener.how else { return };
    if signal == 0 {
        return;
    }
    let (pid, uid) = (k.task(sender).pid.0, k.task(sender).credentials.uid);
    let info = SignalInfo { signal, code: SI_MESGQ, pid, uid, value, ..SignalInfo::default() };
    k.send_signal(Target::Process(listener.pid), info);
}

/// `mq_timedreceive(queue, message, length, priority, timeout)`
pub fn mq_timedreceive(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, _, len, _, timeout, _] = call.args;
    let tid = call.tid;
    if let Some(waiting) = waited(k, call) {
        return match waiting.take() {
            Some(message) => deliver(k, call, &message),
            None => Err(go_on_waiting(k, call)),
        };
    }
    let deadline = deadline(k, tid, timeout)?;
    let open = k.file(tid, fd)?;
    let file = queue_of(&open)?;
    if !open.readable() {
        return Err(Errno::EBADF.into());
    }
    if len < file.queue.size.bytes {
        return Err(Errno::EMSGSIZE.into());
    }
    match file.queue.receive() {
        Some(message) => {
            file.touch();
            deliver(k, call, &message)
        }
        None if open.nonblock() => Err(Errno::EAGAIN.into()),
        None => Err(begin_to_wait(k, tid, file.queue.wait(None), deadline)),
    }
}

fn deliver(k: &Kernel, call: &Call, message: &Message) -> SysResult {
    let [_, addr, _, priority, ..] = call.args;
    if priority != 0 {
        k.write_u32(call.tid, priority, message.priority)?;
    }
    k.write_memory(call.tid, addr, &message.bytes)?;
    Ok(message.bytes.len() as u64)
}

/// `mq_notify(queue, event)`
pub fn mq_notify(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, event, ..] = call.args;
    let tid = call.tid;
    let how = if event == 0 { None } else { Some(read_event(k, tid, event)?) };
    let queue: Rc<Queue> = queue_of(&*k.file(tid, fd)?)?.queue.clone();
    let process = k.process_of(tid);
    let Some(how) = how else {
        queue.forget(process.pid);
        return Ok(0);
    };
    match queue.listen(Listener { pid: process.pid, watch: process.watch.clone(), how }) {
        true => Ok(0),
        false => Err(Errno::EBUSY.into()),
    }
}

/// struct sigevent, as far as it matters here.
fn read_event(k: &Kernel, tid: Tid, addr: u64) -> Result<How, Errno> {
    let value = k.read_u64(tid, addr)?;
    let (signal, kind) = (k.read_u32(tid, addr + 8)?, k.read_u32(tid, addr + 12)?);
    match kind {
        SIGEV_NONE => Ok(How::Nothing),
        SIGEV_SIGNAL if signal <= NSIG => Ok(How::Signal { signal, value }),
        SIGEV_THREAD => {
            let mut cookie = [0; COOKIE_BYTES];
            k.read_memory(tid, value, &mut cookie)?;
            let file = k.file(tid, signal.into())?;
            let socket = file.file.as_any().downcast_ref::<Socket>().ok_or(Errno::ENOTSOCK)?;
            let netlink = socket.protocol.as_any().downcast_ref::<Netlink>().ok_or(Errno::EINVAL)?;
            Ok(How::Socket { cookie, mailbox: netlink.mailbox() })
        }
        _ => Err(Errno::EINVAL),
    }
}

/// A process closed a descriptor: when it is a queue's, it is not told of messages any more.
pub fn closed(file: &OpenFile, pid: Pid) {
    if let Some(open) = file.file.as_any().downcast_ref::<OpenQueue>() {
        open.0.queue.forget(pid);
    }
}

/// `mq_getsetattr(queue, new, old)`
pub fn mq_getsetattr(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, new, old, ..] = call.args;
    let tid = call.tid;
    let flags = match new {
        0 => None,
        new => Some(read_attr(k, tid, new)?[0]),
    };
    if flags.is_some_and(|flags| flags & !u64::from(open::NONBLOCK) != 0) {
        return Err(Errno::EINVAL.into());
    }
    let open = k.file(tid, fd)?;
    let queue = &queue_of(&open)?.queue;
    if old != 0 {
        let shown = u64::from(open.flags() & open::NONBLOCK);
        let words = [shown, queue.size.messages, queue.size.bytes, queue.count(), 0, 0, 0, 0];
        k.write_memory(tid, old, &super::time::words(words))?;
    }
    if let Some(flags) = flags {
        open.set_flags(open.flags() & !open::NONBLOCK | flags as u32);
    }
    Ok(0)
}

/// Flags, messages, bytes of a message, messages now.
fn read_attr(k: &Kernel, tid: Tid, addr: u64) -> Result<[u64; 4], Errno> {
    let mut bytes = [0; ATTR_BYTES];
    k.read_memory(tid, addr, &mut bytes)?;
    Ok(std::array::from_fn(|n| u64::from_le_bytes(std::array::from_fn(|i| bytes[8 * n + i]))))
}
