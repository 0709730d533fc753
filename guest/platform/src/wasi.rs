//! The host behind the hypercalls: each `Platform` method is one import of the module `shallop`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use shallop_host_abi::hypercall::{Exit, HostStat, MAX_ADDRESSES, MAX_NAME};
use shallop_host_abi::spec::{Handle, LaunchSpec};
use shallop_linux_abi::Errno;
use shallop_machine::Registers;

use crate::{Clock, Family, HostSocket, HostTask, Platform, Resolved, Result, SpaceId};

/// The imports themselves, in the order of `shallop_host_abi::hypercall`'s table.
mod import {
    use super::{Exit, HostStat};

    #[link(wasm_import_module = "shallop")]
    unsafe extern "C" {
        pub fn space_create() -> i64;
        pub fn space_fork(space: u32) -> i64;
        pub fn space_drop(space: u32) -> i64;
        pub fn space_precise(space: u32) -> i64;
        pub fn task_create(space: u32) -> i64;
        pub fn task_drop(task: u32) -> i64;
        pub fn task_run(task: u32, state: *mut u8, exit: *mut Exit) -> i64;
        pub fn mem_map_anon(space: u32, addr: u64, len: u64, prot: u32) -> i64;
        pub fn mem_map_file(space: u32, addr: u64, len: u64, prot: u32, handle: u32, offset: u64, shared: u32) -> i64;
        pub fn mem_reserve(space: u32, addr: u64, len: u64) -> i64;
        pub fn mem_unmap(space: u32, addr: u64, len: u64) -> i64;
        pub fn mem_protect(space: u32, addr: u64, len: u64, prot: u32) -> i64;
        pub fn mem_discard(space: u32, addr: u64, len: u64) -> i64;
        pub fn mem_move(space: u32, from: u64, to: u64, len: u64) -> i64;
        pub fn mem_read(space: u32, addr: u64, dst: *mut u8, len: usize) -> i64;
        pub fn mem_write(space: u32, addr: u64, src: *const u8, len: usize) -> i64;
        pub fn mem_resident(space: u32) -> i64;
        pub fn mem_touched(space: u32) -> i64;
        pub fn object_create(len: u64) -> i64;
        pub fn object_drop(handle: u32) -> i64;
        pub fn file_read(handle: u32, offset: u64, dst: *mut u8, len: usize) -> i64;
        pub fn file_write(handle: u32, offset: u64, src: *const u8, len: usize) -> i64;
        pub fn file_size(handle: u32) -> i64;
        pub fn file_resize(handle: u32, len: u64) -> i64;
        pub fn file_sync(handle: u32) -> i64;
        pub fn file_punch(handle: u32, offset: u64, len: u64) -> i64;
        pub fn file_close(handle: u32) -> i64;
        pub fn file_stat(handle: u32, dst: *mut HostStat) -> i64;
        pub fn volume_stat(root: u32, path: *const u8, path_len: usize, dst: *mut HostStat) -> i64;
        pub fn volume_open(root: u32, path: *const u8, path_len: usize, flags: u32, mode: u32) -> i64;
        pub fn volume_read_dir(root: u32, path: *const u8, path_len: usize, dst: *mut u8, len: usize) -> i64;
        pub fn volume_make_dir(root: u32, path: *const u8, path_len: usize, mode: u32) -> i64;
        pub fn volume_remove(root: u32, path: *const u8, path_len: usize, directory: u32) -> i64;
        pub fn volume_rename(root: u32, from: *const u8, from_len: usize, to: *const u8, to_len: usize) -> i64;
        pub fn volume_symlink(root: u32, target: *const u8, target_len: usize, path: *const u8, path_len: usize)
        -> i64;
        pub fn volume_link(root: u32, from: *const u8, from_len: usize, to: *const u8, to_len: usize) -> i64;
        pub fn volume_read_link(root: u32, path: *const u8, path_len: usize, dst: *mut u8, len: usize) -> i64;
        pub fn volume_set_mode(root: u32, path: *const u8, path_len: usize, mode: u32) -> i64;
        pub fn volume_set_times(root: u32, path: *const u8, path_len: usize, atime_ns: i64, mtime_ns: i64) -> i64;
        pub fn stdio_read(fd: u32, dst: *mut u8, len: usize) -> i64;
        pub fn stdio_write(fd: u32, src: *const u8, len: usize) -> i64;
        pub fn stdio_winsize(dst: *mut u16) -> i64;
        pub fn net_open(stream: u32, ip: *const u8, port: u32) -> i64;
        pub fn net_status(socket: u32) -> i64;
        pub fn net_receive(socket: u32, dst: *mut u8, len: usize, peek: u32) -> i64;
        pub fn net_send(socket: u32, src: *const u8, len: usize) -> i64;
        pub fn net_shutdown(socket: u32, how: u32) -> i64;
        pub fn net_poll(socket: u32) -> i64;
        pub fn net_available(socket: u32) -> i64;
        pub fn net_close(socket: u32) -> i64;
        pub fn net_events(dst: *mut u8, len: usize) -> i64;
        pub fn net_resolve(id: u32, kind: u32, name: *const u8, name_len: usize) -> i64;
        pub fn net_reverse(id: u32, ip: *const u8) -> i64;
        pub fn net_answer(dst: *mut u8, len: usize) -> i64;
        pub fn event_wait(deadline_ns: i64) -> i64;
        pub fn event_alarm(deadline_ns: i64) -> i64;
        pub fn event_take_signal() -> i64;
        pub fn clock_now(clock: u32) -> i64;
        pub fn random(dst: *mut u8, len: usize) -> i64;
        pub fn spec_read(dst: *mut u8, len: usize) -> i64;
        pub fn crowded() -> i64;
        pub fn mark(point: u32) -> i64;
        pub fn exit(status: u32);
    }
}

/// A deadline as hypercalls have it.
fn deadline_ns(deadline: Option<u64>) -> i64 {
    deadline.map_or(i64::MAX, |ns| i64::try_from(ns).unwrap_or(i64::MAX))
}

/// Splits a hypercall's answer into value and errno.
fn answer(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| Errno(value.unsigned_abs() as i32))
}

fn done(value: i64) -> Result<()> {
    answer(value).map(drop)
}

/// The launch spec that the host holds for this sandbox.
///
/// # Errors
/// A sentence when the host gave something that is no launch spec.
pub fn launch_spec() -> core::result::Result<LaunchSpec, String> {
    // SAFETY: a length of 0 writes nothing.
    let len = unsafe { import::spec_read(core::ptr::null_mut(), 0) };
    let mut json = vec![0; usize::try_from(len).map_err(|_| format!("launch spec: error {len}"))?];
    // SAFETY: `json` is `len` bytes.
    unsafe { import::spec_read(json.as_mut_ptr(), json.len()) };
    LaunchSpec::from_json(&json)
}

/// The hypercalls. Zero-sized: the authority is the module's imports.
pub struct Hypercalls;

// Every `unsafe` block below calls an import. SAFETY, for all of them: pointers come from slices or references of this module
// with the length that is passed along, live for the call, and the host keeps none after it returns.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one SAFETY comment above covers the table")]
impl Platform for Hypercalls {
    fn space_create(&self) -> Result<SpaceId> {
        answer(unsafe { import::space_create() }).map(|id| SpaceId(id as u32))
    }

    fn space_fork(&self, space: SpaceId) -> Result<SpaceId> {
        answer(unsafe { import::space_fork(space.0) }).map(|id| SpaceId(id as u32))
    }

    fn space_drop(&self, space: SpaceId) {
        unsafe { import::space_drop(space.0) };
    }

    fn space_precise(&self, space: SpaceId) -> Result<()> {
        answer(unsafe { import::space_precise(space.0) }).map(drop)
    }

    fn task_create(&self, space: SpaceId) -> Result<HostTask> {
        answer(unsafe { import::task_create(space.0) }).map(|id| HostTask(id as u32))
    }

    fn task_drop(&self, task: HostTask) {
        unsafe { import::task_drop(task.0) };
    }

    fn task_run(&self, task: HostTask, registers: &mut Registers) -> Result<Exit> {
        const { assert!(size_of::<Registers>() == shallop_host_abi::hypercall::STATE_BYTES) };
        let mut exit = Exit { kind: 0, detail: 0, address: 0 };
        done(unsafe { import::task_run(task.0, registers.0.as_mut_ptr(), &mut exit) })?;
        Ok(exit)
    }

    fn map_anon(&self, space: SpaceId, addr: u64, len: u64, prot: u32) -> Result<()> {
        done(unsafe { import::mem_map_anon(space.0, addr, len, prot) })
    }

    fn map_file(
        &self,
        space: SpaceId,
        addr: u64,
        len: u64,
        prot: u32,
        file: Handle,
        offset: u64,
        shared: bool,
    ) -> Result<()> {
        done(unsafe { import::mem_map_file(space.0, addr, len, prot, file, offset, shared.into()) })
    }

    fn reserve(&self, space: SpaceId, addr: u64, len: u64) -> Result<()> {
        done(unsafe { import::mem_reserve(space.0, addr, len) })
    }

    fn unmap(&self, space: SpaceId, addr: u64, len: u64) -> Result<()> {
        done(unsafe { import::mem_unmap(space.0, addr, len) })
    }

    fn protect(&self, space: SpaceId, addr: u64, len: u64, prot: u32) -> Result<()> {
        done(unsafe { import::mem_protect(space.0, addr, len, prot) })
    }

    fn discard(&self, space: SpaceId, addr: u64, len: u64) -> Result<()> {
        done(unsafe { import::mem_discard(space.0, addr, len) })
    }

    fn move_pages(&self, space: SpaceId, from: u64, to: u64, len: u64) -> Result<()> {
        done(unsafe { import::mem_move(space.0, from, to, len) })
    }

    fn read(&self, space: SpaceId, addr: u64, buf: &mut [u8]) -> usize {
        answer(unsafe { import::mem_read(space.0, addr, buf.as_mut_ptr(), buf.len()) }).unwrap_or(0) as usize
    }

    fn write(&self, space: SpaceId, addr: u64, bytes: &[u8]) -> usize {
        answer(unsafe { import::mem_write(space.0, addr, bytes.as_ptr(), bytes.len()) }).unwrap_or(0) as usize
    }

    fn resident(&self, space: SpaceId) -> u64 {
        answer(unsafe { import::mem_resident(space.0) }).unwrap_or(0)
    }

    fn touched(&self, space: SpaceId) -> u64 {
        answer(unsafe { import::mem_touched(space.0) }).unwrap_or(0)
    }

    fn object_create(&self, len: u64) -> Result<Handle> {
        answer(unsafe { import::object_create(len) }).map(|id| id as Handle)
    }

    fn object_drop(&self, object: Handle) {
        unsafe { import::object_drop(object) };
    }

    fn file_read(&self, file: Handle, offset: u64, buf: &mut [u8]) -> Result<usize> {
        answer(unsafe { import::file_read(file, offset, buf.as_mut_ptr(), buf.len()) }).map(|n| n as usize)
    }

    fn file_write(&self, file: Handle, offset: u64, bytes: &[u8]) -> Result<usize> {
        answer(unsafe { import::file_write(file, offset, bytes.as_ptr(), bytes.len()) }).map(|n| n as usize)
    }

    fn file_size(&self, file: Handle) -> Result<u64> {
        answer(unsafe { import::file_size(file) })
    }

    fn file_resize(&self, file: Handle, len: u64) -> Result<()> {
        done(unsafe { import::file_resize(file, len) })
    }

    fn file_sync(&self, file: Handle) -> Result<()> {
        done(unsafe { import::file_sync(file) })
    }

    fn file_punch(&self, file: Handle, offset: u64, len: u64) -> Result<()> {
        done(unsafe { import::file_punch(file, offset, len) })
    }

    fn file_close(&self, file: Handle) {
        unsafe { import::file_close(file) };
    }

    fn file_stat(&self, file: Handle) -> Result<HostStat> {
        let mut stat = HostStat::default();
        done(unsafe { import::file_stat(file, &mut stat) })?;
        Ok(stat)
    }

    fn volume_stat(&self, root: Handle, path: &[u8]) -> Result<HostStat> {
        let mut stat = HostStat::default();
        done(unsafe { import::volume_stat(root, path.as_ptr(), path.len(), &mut stat) })?;
        Ok(stat)
    }

    fn volume_open(&self, root: Handle, path: &[u8], flags: u32, mode: u32) -> Result<Handle> {
        answer(unsafe { import::volume_open(root, path.as_ptr(), path.len(), flags, mode) }).map(|id| id as Handle)
    }

    fn volume_read_dir(&self, root: Handle, path: &[u8]) -> Result<Vec<(u8, Vec<u8>)>> {
        let mut bytes = vec![0; 4096];
        loop {
            let needed = answer(unsafe {
                import::volume_read_dir(root, path.as_ptr(), path.len(), bytes.as_mut_ptr(), bytes.len())
            })? as usize;
            if needed <= bytes.len() {
                bytes.truncate(needed);
                return split_entries(&bytes);
            }
            bytes.resize(needed, 0);
        }
    }

    fn volume_make_dir(&self, root: Handle, path: &[u8], mode: u32) -> Result<()> {
        done(unsafe { import::volume_make_dir(root, path.as_ptr(), path.len(), mode) })
    }

    fn volume_remove(&self, root: Handle, path: &[u8], directory: bool) -> Result<()> {
        done(unsafe { import::volume_remove(root, path.as_ptr(), path.len(), directory.into()) })
    }

    fn volume_rename(&self, root: Handle, from: &[u8], to: &[u8]) -> Result<()> {
        done(unsafe { import::volume_rename(root, from.as_ptr(), from.len(), to.as_ptr(), to.len()) })
    }

    fn volume_symlink(&self, root: Handle, target: &[u8], path: &[u8]) -> Result<()> {
        done(unsafe { import::volume_symlink(root, target.as_ptr(), target.len(), path.as_ptr(), path.len()) })
    }

    fn volume_link(&self, root: Handle, from: &[u8], to: &[u8]) -> Result<()> {
        done(unsafe { import::volume_link(root, from.as_ptr(), from.len(), to.as_ptr(), to.len()) })
    }

    fn volume_read_link(&self, root: Handle, path: &[u8]) -> Result<Vec<u8>> {
        let mut target = vec![0; 4096];
        let len = answer(unsafe {
            import::volume_read_link(root, path.as_ptr(), path.len(), target.as_mut_ptr(), target.len())
        })?;
        target.truncate(len as usize);
        Ok(target)
    }

    fn volume_set_mode(&self, root: Handle, path: &[u8], mode: u32) -> Result<()> {
        done(unsafe { import::volume_set_mode(root, path.as_ptr(), path.len(), mode) })
    }

    fn volume_set_times(&self, root: Handle, path: &[u8], atime: Option<i64>, mtime: Option<i64>) -> Result<()> {
        let (atime, mtime) = (atime.unwrap_or(i64::MIN), mtime.unwrap_or(i64::MIN));
        done(unsafe { import::volume_set_times(root, path.as_ptr(), path.len(), atime, mtime) })
    }

    fn stdio_read(&self, fd: u32, buf: &mut [u8]) -> Result<usize> {
        answer(unsafe { import::stdio_read(fd, buf.as_mut_ptr(), buf.len()) }).map(|n| n as usize)
    }

    fn stdio_write(&self, fd: u32, bytes: &[u8]) -> Result<usize> {
        answer(unsafe { import::stdio_write(fd, bytes.as_ptr(), bytes.len()) }).map(|n| n as usize)
    }

    fn winsize(&self) -> Result<(u16, u16)> {
        let mut size = [0u16; 2];
        done(unsafe { import::stdio_winsize(size.as_mut_ptr()) })?;
        Ok((size[0], size[1]))
    }

    fn net_open(&self, stream: bool, to: SocketAddr) -> Result<HostSocket> {
        let ip = octets(to.ip());
        answer(unsafe { import::net_open(stream.into(), ip.as_ptr(), to.port().into()) }).map(|n| HostSocket(n as u32))
    }

    fn net_status(&self, socket: HostSocket) -> Result<()> {
        done(unsafe { import::net_status(socket.0) })
    }

    fn net_receive(&self, socket: HostSocket, buf: &mut [u8], peek: bool) -> Result<usize> {
        answer(unsafe { import::net_receive(socket.0, buf.as_mut_ptr(), buf.len(), peek.into()) }).map(|n| n as usize)
    }

    fn net_send(&self, socket: HostSocket, bytes: &[u8]) -> Result<usize> {
        answer(unsafe { import::net_send(socket.0, bytes.as_ptr(), bytes.len()) }).map(|n| n as usize)
    }

    fn net_shutdown(&self, socket: HostSocket, how: u32) -> Result<()> {
        done(unsafe { import::net_shutdown(socket.0, how) })
    }

    fn net_poll(&self, socket: HostSocket) -> u32 {
        answer(unsafe { import::net_poll(socket.0) }).unwrap_or(0) as u32
    }

    fn net_available(&self, socket: HostSocket) -> Result<usize> {
        answer(unsafe { import::net_available(socket.0) }).map(|n| n as usize)
    }

    fn net_close(&self, socket: HostSocket) {
        unsafe { import::net_close(socket.0) };
    }

    fn net_events(&self) -> Vec<HostSocket> {
        let mut numbers = Vec::new();
        loop {
            let mut bytes = [0; 1024];
            let len = answer(unsafe { import::net_events(bytes.as_mut_ptr(), bytes.len()) }).unwrap_or(0) as usize;
            let words = bytes[..len.min(bytes.len())].chunks_exact(4);
            numbers.extend(words.map(|word| HostSocket(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))));
            if len < bytes.len() {
                return numbers;
            }
        }
    }

    fn net_resolve(&self, id: u32, family: Family, name: &str) -> Result<()> {
        done(unsafe { import::net_resolve(id, family as u32, name.as_ptr(), name.len()) })
    }

    fn net_reverse(&self, id: u32, ip: IpAddr) -> Result<()> {
        let octets = octets(ip);
        done(unsafe { import::net_reverse(id, octets.as_ptr()) })
    }

    fn net_answer(&self) -> Option<Resolved> {
        let mut bytes = [0; 16 + 16 * MAX_ADDRESSES + MAX_NAME];
        let len = answer(unsafe { import::net_answer(bytes.as_mut_ptr(), bytes.len()) }).ok()? as usize;
        split_answer(bytes.get(..len)?)
    }

    fn event_wait(&self, deadline: Option<u64>) -> u32 {
        answer(unsafe { import::event_wait(deadline_ns(deadline)) }).unwrap_or(0) as u32
    }

    fn alarm(&self, deadline: Option<u64>) {
        // It cannot fail.
        unsafe { import::event_alarm(deadline_ns(deadline)) };
    }

    fn take_signal(&self) -> Option<u32> {
        match unsafe { import::event_take_signal() } {
            n if n > 0 => Some(n as u32),
            _ => None,
        }
    }

    fn now(&self, clock: Clock) -> u64 {
        let number = match clock {
            Clock::Realtime => 0,
            Clock::Monotonic => 1,
            Clock::Cpu => 2,
        };
        unsafe { import::clock_now(number) as u64 }
    }

    fn random(&self, buf: &mut [u8]) {
        unsafe { import::random(buf.as_mut_ptr(), buf.len()) };
    }

    fn crowded(&self) {
        unsafe { import::crowded() };
    }

    fn mark(&self, point: u32) {
        unsafe { import::mark(point) };
    }

    fn exit(&self, status: u32) -> ! {
        unsafe { import::exit(status) };
        unreachable!("the host came back from exit")
    }
}

/// An address as hypercalls take it.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Decodes `net_answer`'s record.
fn split_answer(bytes: &[u8]) -> Option<Resolved> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (id, status, count, name_len) = (word(0)?, word(4)?, word(8)? as usize, word(12)? as usize);
    let address = |octets: &[u8]| {
        let ip = Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap_or_default());
        ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
    };
    let (addresses, name) = bytes.get(16..)?.split_at_checked(count.checked_mul(16)?)?;
    let addresses = addresses.chunks_exact(16).map(address).collect();
    let name = name.get(..name_len).filter(|name| !name.is_empty());
    let name = name.and_then(|name| String::from_utf8(name.to_vec()).ok());
    Some(Resolved { id, status, addresses, name })
}

/// Decodes `volume_read_dir`'s entries: `{kind: u8, name_len: u16 LE, name}`.
fn split_entries(mut bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>> {
    let mut entries = Vec::new();
    while let [kind, low, high, rest @ ..] = bytes {
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        let (name, rest) = rest.split_at_checked(len).ok_or(Errno::EIO)?;
        entries.push((*kind, name.to_vec()));
        bytes = rest;
    }
    Ok(entries)
}
