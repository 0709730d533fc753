//! The memory family: mappings of an address space and copies between it and the kernel. Memory objects too.

use shallop_address_space::object::MemoryObject;
use shallop_address_space::{AddressSpace, Error, Protection, Sharing, Stability};
use wasmtime::Linker;

use super::{bytes, bytes_mut, define};
use crate::handles::Handle;
use crate::kernel::Host;
use crate::own_code::Part;
use crate::process::Errno;
use crate::translation::CodeFile;

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "mem_map_anon", map_anon, space: u32, addr: u64, len: u64, prot: u32);
    define!(
        linker, "mem_map_file", map_file,
        space: u32, addr: u64, len: u64, prot: u32, handle: u32, offset: u64, shared: u32
    );
    define!(linker, "mem_reserve", reserve, space: u32, addr: u64, len: u64);
    define!(linker, "mem_unmap", unmap, space: u32, addr: u64, len: u64);
    define!(linker, "mem_protect", protect, space: u32, addr: u64, len: u64, prot: u32);
    define!(linker, "mem_discard", discard, space: u32, addr: u64, len: u64);
    define!(linker, "mem_move", move_pages, space: u32, from: u64, to: u64, len: u64);
    define!(linker, "mem_read", read, space: u32, addr: u64, dst: u32, len: u32);
    define!(linker, "mem_write", write, space: u32, addr: u64, src: u32, len: u32);
    define!(linker, "mem_resident", resident, space: u32);
    define!(linker, "mem_touched", touched, space: u32);
    define!(linker, "object_create", object_create, len: u64);
    define!(linker, "object_drop", object_drop, handle: u32);
    Ok(())
}

/// Changes the mappings of a range of a space.
fn change(
    host: &mut Host,
    space: u32,
    range: (u64, u64),
    change: impl FnOnce(&mut AddressSpace) -> Result<(), Error>,
) -> Result<u64, Errno> {
    let process = host.spaces.get_mut(space).ok_or(libc::EINVAL)?;
    process.change(&host.cpu, range, change).map(|()| 0)
}

fn protection(prot: u32) -> Result<Protection, Errno> {
    Protection::from_bits(prot).ok_or(libc::EINVAL)
}

fn map_anon(_: &mut [u8], host: &mut Host, space: u32, addr: u64, len: u64, prot: u32) -> Result<u64, Errno> {
    let prot = protection(prot)?;
    change(host, space, (addr, len), |space| space.map_anon(addr, len, prot))
}

#[allow(clippy::too_many_arguments, reason = "one parameter per word of the hypercall")]
fn map_file(
    _: &mut [u8],
    host: &mut Host,
    space: u32,
    addr: u64,
    len: u64,
    prot: u32,
    handle: u32,
    offset: u64,
    shared: u32,
) -> Result<u64, Errno> {
    let prot = protection(prot)?;
    let (file, stability) = host.handles.mappable(handle)?;
    let file = file.clone();
    // What a program then writes into the pages asks nobody.
    if offset.checked_add(len).is_none_or(|end| end > host.handles.limit(handle)) {
        host.met.disk = true;
        return Err(libc::ENOSPC);
    }
    let sharing = if shared == 0 { Sharing::Private } else { Sharing::Shared };
    if sharing == Sharing::Shared && matches!(stability, Stability::Immutable) {
        return Err(libc::EACCES);
    }
    let own = host.handles.own(handle).is_some();
    let part = Part::new(&file, offset, len);
    if own && sharing == Sharing::Shared {
        host.changes(part)?;
        host.own_code.share(part);
    }
    let is_code = prot.contains(Protection::EXEC) && !prot.writable();
    let lasts = stability == Stability::Immutable;
    change(host, space, (addr, len), |space| space.map_file(addr, len, prot, &file, offset, sharing, stability))?;
    if is_code
        && let Some(translation) = &host.translation
        && (lasts || own && host.own_code.add(part))
    {
        let process = host.spaces.get_mut(space).ok_or(libc::EINVAL)?;
        process.add_code(translation, (addr, len), CodeFile { file, lasts }, offset);
    }
    Ok(0)
}

fn reserve(_: &mut [u8], host: &mut Host, space: u32, addr: u64, len: u64) -> Result<u64, Errno> {
    change(host, space, (addr, len), |space| space.reserve(addr, len))
}

fn unmap(_: &mut [u8], host: &mut Host, space: u32, addr: u64, len: u64) -> Result<u64, Errno> {
    change(host, space, (addr, len), |space| space.unmap(addr, len))
}

fn protect(_: &mut [u8], host: &mut Host, space: u32, addr: u64, len: u64, prot: u32) -> Result<u64, Errno> {
    let prot = protection(prot)?;
    change(host, space, (addr, len), |space| space.protect(addr, len, prot))
}

fn discard(_: &mut [u8], host: &mut Host, space: u32, addr: u64, len: u64) -> Result<u64, Errno> {
    change(host, space, (addr, len), |space| space.discard(addr, len))
}

fn move_pages(_: &mut [u8], host: &mut Host, space: u32, from: u64, to: u64, len: u64) -> Result<u64, Errno> {
    let process = host.spaces.get_mut(space).ok_or(libc::EINVAL)?;
    process.cut(&host.cpu, to, len)?;
    let code_there = process.ran && process.space.executable_in(to, len);
    process.change(&host.cpu, (from, len), |space| space.move_pages(from, to, len))?;
    if code_there || process.ran && process.space.executable_in(to, len) {
        process.flush(&host.cpu, to, len)?;
    }
    Ok(0)
}

fn read(memory: &mut [u8], host: &mut Host, space: u32, addr: u64, dst: u32, len: u32) -> Result<u64, Errno> {
    let process = host.spaces.get(space).ok_or(libc::EINVAL)?;
    Ok(process.space.read(addr, bytes_mut(memory, dst, len)?) as u64)
}

fn write(memory: &mut [u8], host: &mut Host, space: u32, addr: u64, src: u32, len: u32) -> Result<u64, Errno> {
    let process = host.spaces.get_mut(space).ok_or(libc::EINVAL)?;
    let written = process.space.write(addr, bytes(memory, src, len)?) as u64;
    process.cut(&host.cpu, addr, written)?;
    if process.ran && process.space.executable_in(addr, written) {
        process.flush(&host.cpu, addr, written)?;
    }
    Ok(written)
}

fn resident(_: &mut [u8], host: &mut Host, space: u32) -> Result<u64, Errno> {
    host.spaces.get(space).map(|process| process.space.resident()).ok_or(libc::EINVAL)
}

fn touched(_: &mut [u8], host: &mut Host, space: u32) -> Result<u64, Errno> {
    host.spaces.get(space).map(|process| process.space.touched()).ok_or(libc::EINVAL)
}

fn object_create(_: &mut [u8], host: &mut Host, len: u64) -> Result<u64, Errno> {
    let object = MemoryObject::create(len).map_err(|e| e.errno())?;
    host.handles.insert(Handle::Object(object.file())).map(u64::from)
}

fn object_drop(_: &mut [u8], host: &mut Host, handle: u32) -> Result<u64, Errno> {
    host.handles.remove(handle).map(|_| 0)
}
