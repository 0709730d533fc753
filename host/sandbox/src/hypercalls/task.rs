//! The task family: address spaces, tasks, and running them.

use shallop_address_space::classify;
use shallop_host_abi::hypercall::{Exit, STATE_BYTES, exit};
use wasmtime::{Caller, Linker};

use super::{bytes_mut, check_ended, define, define_fallible, split};
use crate::kernel::Host;
use crate::limits::PreemptWord;
use crate::process::{Control, Errno, Process};
use crate::task::{Stop, Task, load_registers, save_registers};

/// Bytes of an exit record: kind u32, detail u32, address u64.
const EXIT_BYTES: u32 = 16;

/// Bit of `Exit::detail` for a bus error.
const BUS: u32 = 0x100;

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "space_create", space_create);
    define!(linker, "space_fork", space_fork, space: u32);
    define!(linker, "space_precise", space_precise, space: u32);
    define!(linker, "space_drop", space_drop, space: u32);
    define!(linker, "task_create", task_create, space: u32);
    define!(linker, "task_drop", task_drop, task: u32);
    define_fallible(linker, "task_run", |mut caller: Caller<'_, Host>, task: u32, state: u32, exit: u32| {
        let (memory, host) = split(&mut caller);
        let result = task_run(memory, host, task, state, exit);
        check_ended(host)?;
        Ok(super::answer(result))
    })
}

fn space_create(_: &mut [u8], host: &mut Host) -> Result<u64, Errno> {
    let process = Process::new(&mut host.cpu)?;
    host.spaces.insert(process).map(u64::from).ok_or(libc::EAGAIN)
}

fn space_fork(_: &mut [u8], host: &mut Host, space: u32) -> Result<u64, Errno> {
    let parent = host.spaces.get_mut(space).ok_or(libc::EINVAL)?;
    let child = parent.fork(&mut host.cpu)?;
    host.spaces.insert(child).map(u64::from).ok_or(libc::EAGAIN)
}

fn space_precise(_: &mut [u8], host: &mut Host, space: u32) -> Result<u64, Errno> {
    host.spaces.get_mut(space).ok_or(libc::EINVAL)?.turn_precise(&host.cpu).map(|()| 0)
}

fn space_drop(_: &mut [u8], host: &mut Host, space: u32) -> Result<u64, Errno> {
    if host.spaces.get(space).ok_or(libc::EINVAL)?.tasks != 0 {
        return Err(libc::EBUSY);
    }
    if let Some(memory) = host.spaces.remove(space).and_then(Process::end) {
        host.cpu.reuse(memory);
    }
    Ok(0)
}

fn task_create(_: &mut [u8], host: &mut Host, space: u32) -> Result<u64, Errno> {
    let process = host.spaces.get_mut(space).ok_or(libc::EINVAL)?;
    let task = process.create_task(&mut host.cpu, host.translation.as_ref(), space)?;
    let slot = task.slot;
    match host.tasks.insert(task) {
        Some(number) => Ok(number.into()),
        None => {
            process.release(slot);
            Err(libc::EAGAIN)
        }
    }
}

fn task_drop(_: &mut [u8], host: &mut Host, task: u32) -> Result<u64, Errno> {
    let task = host.tasks.remove(task).ok_or(libc::EINVAL)?;
    let (space, slot) = (task.space, task.slot);
    drop(task);
    if let Some(process) = host.spaces.get_mut(space) {
        process.release(slot);
    }
    Ok(0)
}

fn task_run(memory: &mut [u8], host: &mut Host, task: u32, state: u32, exit: u32) -> Result<u64, Errno> {
    bytes_mut(memory, exit, EXIT_BYTES)?;
    host.mark_task();
    let task = host.tasks.get_mut(task).ok_or(libc::EINVAL)?;
    let process = host.spaces.get_mut(task.space).ok_or(libc::EINVAL)?;
    let block = process.registers(task.slot).ok_or(libc::EIO)?;
    let control = process.control(task.slot).ok_or(libc::EIO)?;
    let registers = bytes_mut(memory, state, STATE_BYTES as u32)?;
    // SAFETY: the block has that many bytes, and the task is suspended.
    unsafe { load_registers(block, registers) };
    process.ran = true;
    if let Some(translation) = &host.translation {
        translation.update();
        process.translate(&host.cpu, translation).map_err(|_| libc::ENOMEM)?;
    }
    // SAFETY: the control block is aligned and in engine memory, which outlives this call.
    host.interrupt.enter(unsafe { PreemptWord::new(control.preempt_word()) });
    let mut stop = task.run();
    if let (Stop::Fault(_), Some(translation)) = (&stop, &host.translation)
        && process.replay(&host.cpu, task.slot, translation).unwrap_or(false)
    {
        stop = task.run();
    }
    host.interrupt.leave();
    if let Some(translation) = &host.translation {
        process.report_hot(&host.cpu, translation);
    }
    let record = match stop {
        Stop::Suspended => Exit { kind: control.kind(), detail: control.detail(), address: control.address() },
        Stop::Fault(addr) => {
            let address = classify(&process.space, addr);
            address.map_or(BROKEN, |address| guest_fault(process, &host.cpu, task, control, address))
        }
        // Where it was to go is lost with the registers.
        Stop::FarFault => guest_fault(process, &host.cpu, task, control, 0),
        Stop::Broken => BROKEN,
    };
    // SAFETY: as above.
    unsafe { save_registers(block, registers) };
    put_exit(bytes_mut(memory, exit, EXIT_BYTES)?, record);
    Ok(0)
}

const BROKEN: Exit = Exit { kind: exit::BROKEN, detail: 0, address: 0 };

/// The exit of a task that trapped at a guest address.
fn guest_fault(process: &mut Process, cpu: &crate::cpu::Cpu, task: &Task, control: Control, address: u64) -> Exit {
    if process.fixup(cpu, task.slot).is_err() {
        return BROKEN;
    }
    let bus = if process.space.take_bus(address) { BUS } else { 0 };
    Exit { kind: exit::FAULT, detail: control.fault_kind() & 0xff | bus, address }
}

fn put_exit(place: &mut [u8], record: Exit) {
    place[..4].copy_from_slice(&record.kind.to_le_bytes());
    place[4..8].copy_from_slice(&record.detail.to_le_bytes());
    place[8..].copy_from_slice(&record.address.to_le_bytes());
}
