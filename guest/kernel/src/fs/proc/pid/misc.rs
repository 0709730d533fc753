//! The small files of /proc/<pid>.

use shallop_linux_abi::Errno;

use super::{process, shown_path, task};
use crate::fs::pseudo::tree::Subject;
use crate::kernel::Kernel;
use crate::syscall::time::task_cpu_time;
use crate::vfs::Location;

type Text = Result<Vec<u8>, Errno>;

/// Most bytes of arguments or environment that are shown.
const STRINGS_MAX: u64 = 4 << 20;
/// Longest name of a task (TASK_COMM_LEN less the NUL).
const COMM_MAX: usize = 15;

pub(super) fn cwd(k: &Kernel, subject: &Subject) -> Result<Location, Errno> {
    Ok(task(k, subject)?.fs.borrow().cwd.clone())
}

pub(super) fn cwd_text(k: &Kernel, subject: &Subject) -> Text {
    Ok(shown_path(k, subject.caller, &cwd(k, subject)?))
}

pub(super) fn root(k: &Kernel, subject: &Subject) -> Result<Location, Errno> {
    Ok(task(k, subject)?.fs.borrow().root.clone())
}

pub(super) fn root_text(k: &Kernel, subject: &Subject) -> Text {
    Ok(shown_path(k, subject.caller, &root(k, subject)?))
}

pub(super) fn exe(k: &Kernel, subject: &Subject) -> Result<Location, Errno> {
    let process = process(k, subject)?;
    if process.is_zombie() { Err(Errno::ENOENT) } else { process.exe.clone().ok_or(Errno::ENOENT) }
}

pub(super) fn exe_text(k: &Kernel, subject: &Subject) -> Text {
    Ok(shown_path(k, subject.caller, &exe(k, subject)?))
}

/// Guest memory of the process, if all of it can be read.
fn memory(k: &Kernel, subject: &Subject, (start, end): (u64, u64)) -> Option<Vec<u8>> {
    let len = end.checked_sub(start).filter(|len| (1..=STRINGS_MAX).contains(len))?;
    let mut bytes = vec![0; len as usize];
    let space = process(k, subject).ok().filter(|process| !process.is_zombie())?.space();
    (k.platform.read(space, start, &mut bytes) == bytes.len()).then_some(bytes)
}

/// What is in the memory of the arguments now: programs change it to show a title.
pub(super) fn cmdline(k: &Kernel, subject: &Subject) -> Text {
    let process = process(k, subject)?;
    if process.is_zombie() {
        return Ok(Vec::new());
    }
    let (arguments, environment) = (process.mm.borrow().arg_range, process.mm.borrow().env_range);
    let Some(mut bytes) = memory(k, subject, arguments) else { return Ok(process.cmdline.clone()) };
    if bytes.last() != Some(&0) {
        // A title that went on into the environment: one string, up to its NUL.
        bytes.extend(memory(k, subject, environment).unwrap_or_default());
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
    }
    Ok(bytes)
}

pub(super) fn environ(k: &Kernel, subject: &Subject) -> Text {
    let process = process(k, subject)?;
    if process.is_zombie() {
        return Ok(Vec::new());
    }
    let range = process.mm.borrow().env_range;
    Ok(memory(k, subject, range).unwrap_or_else(|| process.environ.clone()))
}

/// The name of the task, or of the ended process.
pub(super) fn name(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    match task(k, subject) {
        Ok(task) => Ok(task.name.clone()),
        Err(_) => Ok(process(k, subject)?.name.clone()),
    }
}

pub(super) fn comm(k: &Kernel, subject: &Subject) -> Text {
    Ok([name(k, subject)?, b"\n".to_vec()].concat())
}

/// Only threads of the same process may be renamed.
pub(super) fn set_comm(k: &mut Kernel, subject: &Subject, bytes: &[u8]) -> Result<(), Errno> {
    let own = k.tasks.get(subject.caller).is_some_and(|task| task.pid == subject.pid);
    if !own {
        return Err(Errno::EINVAL);
    }
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(bytes.len()).min(COMM_MAX);
    let task = k.tasks.get_mut(subject.tid).ok_or(Errno::ESRCH)?;
    task.name = bytes[..end].to_vec();
    Ok(())
}

/// All ids are what they are outside (user_namespaces(7)).
pub(super) fn id_map(_: &Kernel, _: &Subject) -> Text {
    Ok(format!("{:>10} {:>10} {:>10}\n", 0, 0, u32::MAX).into_bytes())
}

/// Transfers are not counted.
pub(super) fn io(k: &Kernel, subject: &Subject) -> Text {
    process(k, subject)?;
    let names = ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"];
    Ok(names.map(|name| format!("{name}: 0\n")).concat().into_bytes())
}

/// A value from -1000 to 1000 is accepted and has no effect: memory is limited for the sandbox as a whole.
pub(super) fn set_oom_score_adj(_: &mut Kernel, _: &Subject, bytes: &[u8]) -> Result<(), Errno> {
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    match text.trim().parse::<i32>() {
        Ok(-1000..=1000) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn schedstat(k: &Kernel, subject: &Subject) -> Text {
    let time = task(k, subject).map_or(0, |task| task_cpu_time(k, task.tid));
    Ok(format!("{time} 0 1\n").into_bytes())
}

/// Children of the process; they are not told apart by the thread that made them, so the first thread has them.
pub(super) fn children(k: &Kernel, subject: &Subject) -> Text {
    let process = process(k, subject)?;
    if subject.tid.0 != process.pid.0 {
        return Ok(Vec::new());
    }
    Ok(process.children.iter().flat_map(|pid| format!("{} ", pid.0).into_bytes()).collect())
}
