//! clone(2), clone3(2), exit(2), exit_group(2), unshare(2), set_tid_address(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::clone::*;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::clone::CloneArgs;
use crate::task::{VforkDone, exit};
use crate::wait::{OnSignal, Stop, SysResult, Wait};

pub fn clone(k: &mut Kernel, call: &Call) -> SysResult {
    // flags, stack, parent_tid, tls, child_tid: the order of architectures with CLONE_BACKWARDS (riscv64, arm64).
    let [flags, stack, parent_tid, tls, child_tid, _] = call.args;
    let args = CloneArgs {
        flags: flags & 0xffff_ffff & !CSIGNAL,
        exit_signal: (flags & CSIGNAL) as u32,
        stack,
        tls,
        parent_tid,
        child_tid,
        pidfd: parent_tid,
    };
    // Both would be stored at the same place.
    if flags & CLONE_PIDFD != 0 && flags & CLONE_PARENT_SETTID != 0 {
        return Err(Errno::EINVAL.into());
    }
    start(k, call, &args)
}

pub fn clone3(k: &mut Kernel, call: &Call) -> SysResult {
    let [addr, size, ..] = call.args;
    if size < 64 {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let mut words = [0; 8];
    for (i, word) in words.iter_mut().enumerate() {
        *word = k.read_u64(call.tid, addr + 8 * i as u64)?;
    }
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls] = words;
    if flags & CSIGNAL != 0 || exit_signal > 64 {
        return Err(Errno::EINVAL.into());
    }
    if (stack == 0) != (stack_size == 0) {
        return Err(Errno::EINVAL.into());
    }
    let stack = stack.wrapping_add(stack_size);
    start(k, call, &CloneArgs { flags, exit_signal: exit_signal as u32, stack, tls, parent_tid, child_tid, pidfd })
}

fn start(k: &mut Kernel, call: &Call, args: &CloneArgs) -> SysResult {
    let progress = &k.task(call.tid).progress;
    let (mut child, mut vfork) = (progress.done, None);
    if child == 0 {
        let cloned = crate::task::clone::clone(k, call.tid, args)?;
        child = cloned.tid.0.into();
        vfork = cloned.vfork;
    } else if let Some(saved) = progress.saved.as_ref().and_then(|s| s.downcast_ref::<VforkDone>()) {
        vfork = Some(saved.clone());
    }
    let Some(vfork) = vfork.filter(|v| !v.done.get()) else { return Ok(child) };
    let wait = Wait { on_signal: OnSignal::Ignore, ..Wait::on(&vfork.queue) };
    let progress = &mut k.task_mut(call.tid).progress;
    progress.done = child;
    progress.saved = Some(Box::new(vfork));
    Err(Stop::Block(wait))
}

pub fn exit(k: &mut Kernel, call: &Call) -> SysResult {
    exit::task(k, call.tid, call.args[0] as u32);
    Err(Stop::Gone)
}

pub fn exit_group(k: &mut Kernel, call: &Call) -> SysResult {
    let pid = k.task(call.tid).pid;
    exit::group(k, pid, call.args[0] as u32);
    Err(Stop::Gone)
}

pub fn unshare(k: &mut Kernel, call: &Call) -> SysResult {
    use std::{cell::RefCell, rc::Rc};
    let flags = call.args[0];
    if flags & CLONE_NEW_ANY != 0 {
        return Err(Errno::EPERM.into());
    }
    if flags & !(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let task = k.task_mut(call.tid);
    if flags & CLONE_FS != 0 {
        let own = task.fs.borrow().clone();
        task.fs = Rc::new(RefCell::new(own));
    }
    if flags & CLONE_FILES != 0 {
        let own = task.files.borrow().clone();
        task.files = Rc::new(RefCell::new(own));
    }
    Ok(0)
}

pub fn set_tid_address(k: &mut Kernel, call: &Call) -> SysResult {
    k.task_mut(call.tid).clear_child_tid = call.args[0];
    Ok(call.tid.0.into())
}
