//! What the kernel asks of the outside: the trait [`Platform`], its WASI implementation, a deterministic fake.
//!
//! The kernel knows no other way out. Methods mirror the hypercalls of `shallop_host_abi::hypercall` one to one;
//! see there for their meaning.

pub mod fake;
#[cfg(target_family = "wasm")]
pub mod wasi;

use std::net::{IpAddr, SocketAddr};

use shallop_host_abi::hypercall::{Exit, HostStat};
use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_machine::Registers;

pub type Result<T> = core::result::Result<T, Errno>;

/// Which clock `Platform::now` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Realtime,
    Monotonic,
    Cpu,
}

/// An address space's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId(pub u32);

/// A host task's number (not a Linux tid).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostTask(pub u32);

/// A host socket's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostSocket(pub u32);

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4 = 4,
    V6 = 6,
}

/// What was found out about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// As the question had it.
    pub id: u32,
    /// Of `shallop_host_abi::hypercall::resolved`.
    pub status: u32,
    pub addresses: Vec<IpAddr>,
    /// Of the address that was asked about.
    pub name: Option<String>,
}

/// The host, by family. One implementation per kind of host; the kernel holds it as `&'static dyn Platform`.
pub trait Platform {
    fn space_create(&self) -> Result<SpaceId>;
    fn space_fork(&self, space: SpaceId) -> Result<SpaceId>;
    fn space_drop(&self, space: SpaceId);
    fn space_precise(&self, space: SpaceId) -> Result<()>;
    fn task_create(&self, space: SpaceId) -> Result<HostTask>;
    fn task_drop(&self, task: HostTask);
    fn task_run(&self, task: HostTask, registers: &mut Registers) -> Result<Exit>;

    fn map_anon(&self, space: SpaceId, addr: u64, len: u64, prot: u32) -> Result<()>;
    #[allow(clippy::too_many_arguments, reason = "the words of mmap(2)")]
    fn map_file(
        &self,
        space: SpaceId,
        addr: u64,
        len: u64,
        prot: u32,
        file: Handle,
        offset: u64,
        shared: bool,
    ) -> Result<()>;
    fn reserve(&self, space: SpaceId, addr: u64, len: u64) -> Result<()>;
    fn unmap(&self, space: SpaceId, addr: u64, len: u64) -> Result<()>;
    fn protect(&self, space: SpaceId, addr: u64, len: u64, prot: u32) -> Result<()>;
    fn discard(&self, space: SpaceId, addr: u64, len: u64) -> Result<()>;
    fn move_pages(&self, space: SpaceId, from: u64, to: u64, len: u64) -> Result<()>;
    fn read(&self, space: SpaceId, addr: u64, buf: &mut [u8]) -> usize;
    fn write(&self, space: SpaceId, addr: u64, bytes: &[u8]) -> usize;
    /// Private bytes that are there.
    fn resident(&self, space: SpaceId) -> u64;
    /// Bytes of files and memory objects that it has come to.
    fn touched(&self, space: SpaceId) -> u64;

    fn object_create(&self, len: u64) -> Result<Handle>;
    fn object_drop(&self, object: Handle);

    fn file_read(&self, file: Handle, offset: u64, buf: &mut [u8]) -> Result<usize>;
    fn file_write(&self, file: Handle, offset: u64, bytes: &[u8]) -> Result<usize>;
    fn file_size(&self, file: Handle) -> Result<u64>;
    fn file_resize(&self, file: Handle, len: u64) -> Result<()>;
    fn file_sync(&self, file: Handle) -> Result<()>;
    fn file_punch(&self, file: Handle, offset: u64, len: u64) -> Result<()>;
    fn file_close(&self, file: Handle);
    fn file_stat(&self, file: Handle) -> Result<HostStat>;

    fn volume_stat(&self, root: Handle, path: &[u8]) -> Result<HostStat>;
    fn volume_open(&self, root: Handle, path: &[u8], flags: u32, mode: u32) -> Result<Handle>;
    /// Entries as (d_type, name), without `.` and `..`.
    fn volume_read_dir(&self, root: Handle, path: &[u8]) -> Result<Vec<(u8, Vec<u8>)>>;
    fn volume_make_dir(&self, root: Handle, path: &[u8], mode: u32) -> Result<()>;
    fn volume_remove(&self, root: Handle, path: &[u8], directory: bool) -> Result<()>;
    fn volume_rename(&self, root: Handle, from: &[u8], to: &[u8]) -> Result<()>;
    fn volume_symlink(&self, root: Handle, target: &[u8], path: &[u8]) -> Result<()>;
    fn volume_link(&self, root: Handle, from: &[u8], to: &[u8]) -> Result<()>;
    fn volume_read_link(&self, root: Handle, path: &[u8]) -> Result<Vec<u8>>;
    fn volume_set_mode(&self, root: Handle, path: &[u8], mode: u32) -> Result<()>;
    fn volume_set_times(&self, root: Handle, path: &[u8], atime_ns: Option<i64>, mtime_ns: Option<i64>) -> Result<()>;

    fn stdio_read(&self, fd: u32, buf: &mut [u8]) -> Result<usize>;
    fn stdio_write(&self, fd: u32, bytes: &[u8]) -> Result<usize>;
    /// Rows and columns.
    fn winsize(&self) -> Result<(u16, u16)>;

    /// A socket to an address outside: connecting (`stream`: TCP) or connected (UDP).
    fn net_open(&self, stream: bool, to: SocketAddr) -> Result<HostSocket>;
    /// Fails with EINPROGRESS while it connects, and with what went wrong, once.
    fn net_status(&self, socket: HostSocket) -> Result<()>;
    fn net_receive(&self, socket: HostSocket, buf: &mut [u8], peek: bool) -> Result<usize>;
    fn net_send(&self, socket: HostSocket, bytes: &[u8]) -> Result<usize>;
    fn net_shutdown(&self, socket: HostSocket, how: u32) -> Result<()>;
    /// Bits of poll(2).
    fn net_poll(&self, socket: HostSocket) -> u32;
    fn net_available(&self, socket: HostSocket) -> Result<usize>;
    fn net_close(&self, socket: HostSocket);
    /// Sockets whose state changed since this was last asked.
    fn net_events(&self) -> Vec<HostSocket>;
    /// Asks for a name's addresses; the answer comes later, under this number.
    fn net_resolve(&self, id: u32, family: Family, name: &str) -> Result<()>;
    /// Asks for an address's name, likewise.
    fn net_reverse(&self, id: u32, ip: IpAddr) -> Result<()>;
    /// The next answer that has come.
    fn net_answer(&self) -> Option<Resolved>;

    /// Waits for `shallop_host_abi::hypercall::event` bits or the monotonic deadline in nanoseconds.
    fn event_wait(&self, deadline: Option<u64>) -> u32;
    /// From now on a task that runs at that monotonic time yields.
    fn alarm(&self, deadline: Option<u64>);
    fn take_signal(&self) -> Option<u32>;

    fn now(&self, clock: Clock) -> u64;
    fn random(&self, buf: &mut [u8]);

    /// Has it told at the end that there was no room for another process or thread.
    fn crowded(&self);
    fn mark(&self, point: u32);
    /// Ends the sandbox; `status` as wait(2) encodes it.
    fn exit(&self, status: u32) -> !;
}
