//! A deterministic host for tests: files, volumes, address spaces, stdio and a network in memory, a clock that only
//! tests move.
//!
//! Tasks run through a closure (`Fake::on_run`), so a test plays the CPU. `exit` panics with the status, since
//! the trait says that it does not return.

mod net;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use shallop_host_abi::hypercall::{Exit, HostStat, open_flags};
use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_machine::Registers;

use crate::{Clock, Family, HostSocket, HostTask, Platform, Resolved, Result, SpaceId};

const PAGE: u64 = 4096;

/// Plays the CPU: gets the host (to read and write guest memory), the task, its space and registers.
pub type Cpu = dyn FnMut(&Fake, HostTask, SpaceId, &mut Registers) -> Exit;

#[derive(Clone)]
enum Page {
    Private(Box<[u8; PAGE as usize]>),
    Shared(Handle, u64),
    Reserved,
}

#[derive(Default, Clone)]
struct Space {
    pages: BTreeMap<u64, (Page, u32)>,
}

/// A node of the one in-memory volume tree.
#[derive(Clone)]
enum Node {
    File(Handle),
    Directory,
    Symlink(Vec<u8>),
}

/// The entries of a volume by path, with their modes.
type Files = BTreeMap<Vec<u8>, (Node, u32)>;

/// The fake host. Build one, leak it (`Box::leak`) where a `&'static dyn Platform` is wanted.
#[derive(Default)]
pub struct Fake {
    files: RefCell<BTreeMap<Handle, Rc<RefCell<Vec<u8>>>>>,
    next: Cell<u32>,
    spaces: RefCell<BTreeMap<SpaceId, Space>>,
    tasks: RefCell<BTreeMap<HostTask, SpaceId>>,
    cpu: RefCell<Option<Box<Cpu>>>,
    volumes: RefCell<BTreeMap<Handle, Files>>,
    /// Monotonic nanoseconds; `event_wait` with a deadline moves it there.
    pub clock: Cell<u64>,
    /// When a task that runs is to yield.
    pub alarm: Cell<Option<u64>>,
    /// What `stdio_read` gives.
    pub stdin: RefCell<VecDeque<u8>>,
    /// Whether stdin is at its end once empty (else EAGAIN).
    pub stdin_closed: Cell<bool>,
    /// What was written, by descriptor 0 to 3.
    pub output: RefCell<[Vec<u8>; 5]>,
    pub signals: RefCell<VecDeque<u32>>,
    /// Terminal size; `None`: not a terminal.
    pub size: Cell<Option<(u16, u16)>>,
    random: Cell<u64>,
    /// The world outside.
    pub net: net::FakeNet,
}

impl Fake {
    pub fn new() -> Fake {
        Fake::default()
    }

    fn number(&self) -> u32 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Grants a file with this content.
    pub fn add_file(&self, content: Vec<u8>) -> Handle {
        let handle = self.number();
        self.files.borrow_mut().insert(handle, Rc::new(RefCell::new(content)));
        handle
    }

    /// A file's content now.
    pub fn content(&self, handle: Handle) -> Vec<u8> {
        self.files.borrow().get(&handle).map(|f| f.borrow().clone()).unwrap_or_default()
    }

    /// Grants an empty directory.
    pub fn add_volume(&self) -> Handle {
        let handle = self.number();
        self.volumes.borrow_mut().insert(handle, BTreeMap::from([(Vec::new(), (Node::Directory, 0o40755))]));
        handle
    }

    /// Sets what runs tasks.
    pub fn on_run(&self, cpu: Box<Cpu>) {
        *self.cpu.borrow_mut() = Some(cpu);
    }

    /// What was written to descriptor 1 so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.borrow()[1]).into_owned()
    }

    fn file(&self, handle: Handle) -> Result<Rc<RefCell<Vec<u8>>>> {
        self.files.borrow().get(&handle).cloned().ok_or(Errno::EBADF)
    }

    fn each_page(&self, space: SpaceId, addr: u64, len: u64, mut f: impl FnMut(&mut Space, u64)) -> Result<()> {
        if !addr.is_multiple_of(PAGE) || addr.checked_add(len).is_none_or(|end| end > 1 << 32) {
            return Err(Errno::EINVAL);
        }
        let mut spaces = self.spaces.borrow_mut();
        let space = spaces.get_mut(&space).ok_or(Errno::ESRCH)?;
        for page in addr / PAGE..(addr + len).div_ceil(PAGE) {
            f(space, page);
        }
        Ok(())
    }

    fn node(&self, root: Handle, path: &[u8]) -> Result<(Node, u32)> {
        let volumes = self.volumes.borrow();
        volumes.get(&root).ok_or(Errno::EBADF)?.get(path).cloned().ok_or(Errno::ENOENT)
    }

    fn add_node(&self, root: Handle, path: &[u8], node: Node, mode: u32) -> Result<()> {
        let mut volumes = self.volumes.borrow_mut();
        let tree = volumes.get_mut(&root).ok_or(Errno::EBADF)?;
        let parent = path.iter().rposition(|b| *b == b'/').map_or(&path[..0], |i| &path[..i]);
        match tree.get(parent) {
            Some((Node::Directory, _)) => {}
            Some(_) => return Err(Errno::ENOTDIR),
            None => return Err(Errno::ENOENT),
        }
        if tree.contains_key(path) {
            return Err(Errno::EEXIST);
        }
        tree.insert(path.to_vec(), (node, mode));
        Ok(())
    }
}

fn private(bytes: &[u8]) -> Page {
    let mut page = Box::new([0; PAGE as usize]);
    page[..bytes.len()].copy_from_slice(bytes);
    Page::Private(page)
}

/// Entries of `tree` directly below `path`, as (name, node).
fn below<'a>(tree: &'a Files, path: &[u8]) -> Vec<(&'a [u8], &'a Node)> {
    let prefix = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
    tree.iter()
        .filter_map(|(p, (node, _))| Some((p.strip_prefix(prefix.as_slice())?, node)))
        .filter(|(rest, _)| !rest.is_empty() && !rest.contains(&b'/'))
        .collect()
}

impl Platform for Fake {
    fn space_create(&self) -> Result<SpaceId> {
        let id = SpaceId(self.number());
        self.spaces.borrow_mut().insert(id, Space::default());
        Ok(id)
    }
    fn space_fork(&self, space: SpaceId) -> Result<SpaceId> {
        let copy = self.spaces.borrow().get(&space).cloned().ok_or(Errno::ESRCH)?;
        let id = SpaceId(self.number());
        self.spaces.borrow_mut().insert(id, copy);
        Ok(id)
    }
    fn space_drop(&self, space: SpaceId) {
        self.spaces.borrow_mut().remove(&space);
    }
    fn space_precise(&self, _: SpaceId) -> Result<()> {
        Ok(())
    }
    fn task_create(&self, space: SpaceId) -> Result<HostTask> {
        let id = HostTask(self.number());
        self.tasks.borrow_mut().insert(id, space);
        Ok(id)
    }
    fn task_drop(&self, task: HostTask) {
        self.tasks.borrow_mut().remove(&task);
    }
    fn task_run(&self, task: HostTask, registers: &mut Registers) -> Result<Exit> {
        let space = *self.tasks.borrow().get(&task).ok_or(Errno::ESRCH)?;
        let mut cpu = self.cpu.borrow_mut().take().ok_or(Errno::ENOSYS)?;
        let exit = cpu(self, task, space, registers);
        self.cpu.borrow_mut().get_or_insert(cpu);
        Ok(exit)
    }

    fn map_anon(&self, space: SpaceId, addr: u64, len: u64, prot: u32) -> Result<()> {
        self.each_page(space, addr, len, |s, page| {
            s.pages.insert(page, (private(&[]), prot));
        })
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
        if !offset.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let content = self.file(file)?;
        self.each_page(space, addr, len, |s, page| {
            let at = offset + page * PAGE - addr;
            let bytes = content.borrow();
            let end = bytes.len().min((at + PAGE) as usize);
            let page_content = match shared {
                true => Page::Shared(file, at),
                false => private(bytes.get(at as usize..end).unwrap_or(&[])),
            };
            s.pages.insert(page, (page_content, prot));
        })
    }
    fn reserve(&self, space: SpaceId, addr: u64, len: u64) -> Result<()> {
        self.each_page(space, addr, len, |s, page| {
            s.pages.insert(page, (Page::Reserved, 0));
        })
    }
    fn unmap(&self, space: SpaceId, addr: u64, len: u64) -> Result<()> {
        self.each_page(space, addr, len, |s, page| {
            s.pages.remove(&page);
        })
    }
    fn protect(&self, space: SpaceId, addr: u64, len: u64, prot: u32) -> Result<()> {
        self.each_page(space, addr, len, |s, page| {
            if let Some(entry) = s.pages.get_mut(&page) {
                entry.1 = prot;
            }
        })
    }
    fn discard(&self, space: SpaceId, addr: u64, len: u64) -> Result<()> {
        self.each_page(space, addr, len, |s, page| {
            if let Some((Page::Private(bytes), _)) = s.pages.get_mut(&page) {
                bytes.fill(0);
            }
        })
    }
    fn move_pages(&self, space: SpaceId, from: u64, to: u64, len: u64) -> Result<()> {
        let shift = to as i64 / PAGE as i64 - from as i64 / PAGE as i64;
        let mut moved = Vec::new();
        self.each_page(space, from, len, |s, page| {
            moved.extend(s.pages.remove(&page).map(|content| (page.wrapping_add_signed(shift), content)));
        })?;
        self.unmap(space, to, len)?;
        let mut spaces = self.spaces.borrow_mut();
        spaces.get_mut(&space).ok_or(Errno::ESRCH)?.pages.extend(moved);
        Ok(())
    }
    fn read(&self, space: SpaceId, addr: u64, buf: &mut [u8]) -> usize {
        let spaces = self.spaces.borrow();
        let Some(space) = spaces.get(&space) else { return 0 };
        for (i, byte) in buf.iter_mut().enumerate() {
            let at = addr + i as u64;
            let within = (at % PAGE) as usize;
            *byte = match space.pages.get(&(at / PAGE)) {
                Some((Page::Private(bytes), prot)) if prot & 1 != 0 => bytes[within],
                Some((Page::Shared(file, offset), prot)) if prot & 1 != 0 => {
                    let Ok(content) = self.file(*file) else { return i };
                    content.borrow().get(*offset as usize + within).copied().unwrap_or(0)
                }
                _ => return i,
            };
        }
        buf.len()
    }
    fn write(&self, space: SpaceId, addr: u64, bytes: &[u8]) -> usize {
        let mut spaces = self.spaces.borrow_mut();
        let Some(space) = spaces.get_mut(&space) else { return 0 };
        for (i, byte) in bytes.iter().enumerate() {
            let at = addr + i as u64;
            let within = (at % PAGE) as usize;
            match space.pages.get_mut(&(at / PAGE)) {
                Some((Page::Private(page), prot)) if *prot & 2 != 0 => page[within] = *byte,
                Some((Page::Shared(file, offset), prot)) if *prot & 2 != 0 => {
                    let Ok(content) = self.file(*file) else { return i };
                    if let Some(cell) = content.borrow_mut().get_mut(*offset as usize + within) {
                        *cell = *byte;
                    }
                }
                _ => return i,
            }
        }
        bytes.len()
    }
    fn resident(&self, space: SpaceId) -> u64 {
        self.spaces.borrow().get(&space).map_or(0, |s| s.pages.len() as u64 * PAGE)
    }

    fn touched(&self, _space: SpaceId) -> u64 {
        0
    }

    fn object_create(&self, len: u64) -> Result<Handle> {
        Ok(self.add_file(vec![0; len as usize]))
    }
    fn object_drop(&self, _object: Handle) {}

    fn file_read(&self, file: Handle, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let content = self.file(file)?;
        let content = content.borrow();
        let rest = content.get(offset as usize..).unwrap_or(&[]);
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
    fn file_write(&self, file: Handle, offset: u64, bytes: &[u8]) -> Result<usize> {
        let content = self.file(file)?;
        let mut content = content.borrow_mut();
        let end = offset as usize + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset as usize..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }
    fn file_size(&self, file: Handle) -> Result<u64> {
        Ok(self.file(file)?.borrow().len() as u64)
    }
    fn file_resize(&self, file: Handle, len: u64) -> Result<()> {
        self.file(file)?.borrow_mut().resize(len as usize, 0);
        Ok(())
    }
    fn file_sync(&self, file: Handle) -> Result<()> {
        self.file(file).map(drop)
    }
    fn file_punch(&self, file: Handle, offset: u64, len: u64) -> Result<()> {
        let content = self.file(file)?;
        let mut content = content.borrow_mut();
        let end = content.len().min((offset + len) as usize);
        if let Some(hole) = content.get_mut(offset as usize..end) {
            hole.fill(0);
        }
        Ok(())
    }
    fn file_close(&self, _file: Handle) {}
    fn file_stat(&self, file: Handle) -> Result<HostStat> {
        let size = self.file_size(file)?;
        Ok(HostStat {
            ino: file.into(),
            size,
            mode: 0o100644,
            nlink: 1,
            blocks: size.div_ceil(512),
            ..HostStat::default()
        })
    }

    fn volume_stat(&self, root: Handle, path: &[u8]) -> Result<HostStat> {
        let (node, mode) = self.node(root, path)?;
        let (ino, size) = match node {
            Node::File(handle) => (handle.into(), self.file_size(handle)?),
            Node::Directory => (1 << 32 | path.iter().map(|b| u64::from(*b)).sum::<u64>(), 0),
            Node::Symlink(target) => (1 << 33 | path.len() as u64, target.len() as u64),
        };
        Ok(HostStat { ino, size, mode, nlink: 1, ..HostStat::default() })
    }
    fn volume_open(&self, root: Handle, path: &[u8], flags: u32, mode: u32) -> Result<Handle> {
        match self.node(root, path) {
            Ok(_) if flags & open_flags::EXCLUSIVE != 0 => Err(Errno::EEXIST),
            Ok((Node::File(handle), _)) => {
                if flags & open_flags::TRUNCATE != 0 {
                    self.file_resize(handle, 0)?;
                }
                Ok(handle)
            }
            Ok((Node::Directory, _)) => Err(Errno::EISDIR),
            Ok((Node::Symlink(_), _)) => Err(Errno::ELOOP),
            Err(Errno::ENOENT) if flags & open_flags::CREATE != 0 => {
                let handle = self.add_file(Vec::new());
                self.add_node(root, path, Node::File(handle), 0o100000 | mode)?;
                Ok(handle)
            }
            Err(errno) => Err(errno),
        }
    }
    fn volume_read_dir(&self, root: Handle, path: &[u8]) -> Result<Vec<(u8, Vec<u8>)>> {
        if !matches!(self.node(root, path)?.0, Node::Directory) {
            return Err(Errno::ENOTDIR);
        }
        let volumes = self.volumes.borrow();
        let entries = below(&volumes[&root], path).into_iter().map(|(name, node)| {
            let kind = match node {
                Node::File(_) => 8,
                Node::Directory => 4,
                Node::Symlink(_) => 10,
            };
            (kind, name.to_vec())
        });
        Ok(entries.collect())
    }
    fn volume_make_dir(&self, root: Handle, path: &[u8], mode: u32) -> Result<()> {
        self.add_node(root, path, Node::Directory, 0o40000 | mode)
    }
    fn volume_remove(&self, root: Handle, path: &[u8], directory: bool) -> Result<()> {
        let is_directory = matches!(self.node(root, path)?.0, Node::Directory);
        if is_directory != directory {
            return Err(if directory { Errno::ENOTDIR } else { Errno::EISDIR });
        }
        let mut volumes = self.volumes.borrow_mut();
        let tree = volumes.get_mut(&root).ok_or(Errno::EBADF)?;
        if directory && !below(tree, path).is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        tree.remove(path);
        Ok(())
    }
    fn volume_rename(&self, root: Handle, from: &[u8], to: &[u8]) -> Result<()> {
        self.node(root, from)?;
        let mut volumes = self.volumes.borrow_mut();
        let tree = volumes.get_mut(&root).ok_or(Errno::EBADF)?;
        let inside = [from, b"/"].concat();
        let moved: Vec<_> = tree.keys().filter(|p| *p == from || p.starts_with(&inside)).cloned().collect();
        for path in moved {
            if let Some(node) = tree.remove(&path) {
                tree.insert([to, &path[from.len()..]].concat(), node);
            }
        }
        Ok(())
    }
    fn volume_symlink(&self, root: Handle, target: &[u8], path: &[u8]) -> Result<()> {
        self.add_node(root, path, Node::Symlink(target.to_vec()), 0o120777)
    }
    fn volume_link(&self, root: Handle, from: &[u8], to: &[u8]) -> Result<()> {
        let (node, mode) = self.node(root, from)?;
        self.add_node(root, to, node, mode)
    }
    fn volume_read_link(&self, root: Handle, path: &[u8]) -> Result<Vec<u8>> {
        match self.node(root, path)?.0 {
            Node::Symlink(target) => Ok(target),
            _ => Err(Errno::EINVAL),
        }
    }
    fn volume_set_mode(&self, root: Handle, path: &[u8], mode: u32) -> Result<()> {
        let mut volumes = self.volumes.borrow_mut();
        let tree = volumes.get_mut(&root).ok_or(Errno::EBADF)?;
        let node = tree.get_mut(path).ok_or(Errno::ENOENT)?;
        node.1 = node.1 & !0o7777 | mode & 0o7777;
        Ok(())
    }
    fn volume_set_times(&self, root: Handle, path: &[u8], _atime: Option<i64>, _mtime: Option<i64>) -> Result<()> {
        self.node(root, path).map(drop)
    }

    fn stdio_read(&self, _fd: u32, buf: &mut [u8]) -> Result<usize> {
        let mut stdin = self.stdin.borrow_mut();
        if stdin.is_empty() {
            return if self.stdin_closed.get() { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        let n = buf.len().min(stdin.len());
        for (to, from) in buf.iter_mut().zip(stdin.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }
    fn stdio_write(&self, fd: u32, bytes: &[u8]) -> Result<usize> {
        self.output.borrow_mut().get_mut(fd as usize).ok_or(Errno::EBADF)?.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn winsize(&self) -> Result<(u16, u16)> {
        self.size.get().ok_or(Errno::ENOTTY)
    }

    fn net_open(&self, stream: bool, to: SocketAddr) -> Result<HostSocket> {
        self.net.open(stream, to)
    }
    fn net_status(&self, socket: HostSocket) -> Result<()> {
        self.net.status(socket)
    }
    fn net_receive(&self, socket: HostSocket, buf: &mut [u8], peek: bool) -> Result<usize> {
        self.net.receive(socket, buf, peek)
    }
    fn net_send(&self, socket: HostSocket, bytes: &[u8]) -> Result<usize> {
        self.net.send(socket, bytes)
    }
    fn net_shutdown(&self, socket: HostSocket, how: u32) -> Result<()> {
        self.net.shutdown(socket, how)
    }
    fn net_poll(&self, socket: HostSocket) -> u32 {
        self.net.poll(socket)
    }
    fn net_available(&self, socket: HostSocket) -> Result<usize> {
        self.net.available(socket)
    }
    fn net_close(&self, socket: HostSocket) {
        self.net.close(socket);
    }
    fn net_events(&self) -> Vec<HostSocket> {
        self.net.take_events()
    }
    fn net_resolve(&self, id: u32, family: Family, name: &str) -> Result<()> {
        self.net.resolve(id, family, name)
    }
    fn net_reverse(&self, id: u32, ip: IpAddr) -> Result<()> {
        self.net.reverse(id, ip)
    }
    fn net_answer(&self) -> Option<Resolved> {
        self.net.take_answer()
    }

    fn event_wait(&self, deadline: Option<u64>) -> u32 {
        let signal = if self.signals.borrow().is_empty() { 0 } else { 2 };
        let input = u32::from(!self.stdin.borrow().is_empty() || self.stdin_closed.get());
        let net = if self.net.has_news() { 8 } else { 0 };
        if signal | input | net == 0 {
            let deadline =
                deadline.expect("the fake host would wait for ever: nothing is ready and there is no deadline");
            self.clock.set(self.clock.get().max(deadline));
        }
        signal | input | net
    }
    fn alarm(&self, deadline: Option<u64>) {
        self.alarm.set(deadline);
    }
    fn take_signal(&self) -> Option<u32> {
        self.signals.borrow_mut().pop_front()
    }

    fn now(&self, clock: Clock) -> u64 {
        match clock {
            Clock::Realtime => 1_600_000_000_000_000_000 + self.clock.get(),
            Clock::Monotonic | Clock::Cpu => self.clock.get(),
        }
    }
    fn random(&self, buf: &mut [u8]) {
        for byte in buf {
            let next = self.random.get().wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            self.random.set(next);
            *byte = (next >> 56) as u8;
        }
    }

    fn crowded(&self) {}
    fn mark(&self, _point: u32) {}
    fn exit(&self, status: u32) -> ! {
        panic!("the sandbox ended with status {status:#x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_pages_agree_with_file_reads() {
        let host = Fake::new();
        let space = host.space_create().unwrap();
        let object = host.object_create(PAGE).unwrap();
        host.map_file(space, 0x10_0000, PAGE, 3, object, 0, true).unwrap();
        let child = host.space_fork(space).unwrap();
        assert_eq!(host.write(space, 0x10_0ffc, b"abcdef"), 4);
        let mut seen = [0; 4];
        assert_eq!(host.read(child, 0x10_0ffc, &mut seen), 4);
        assert_eq!(&seen, b"abcd");
        host.file_read(object, 0xffc, &mut seen).unwrap();
        assert_eq!(&seen, b"abcd");
    }

    #[test]
    fn a_volume_keeps_its_tree() {
        let host = Fake::new();
        let root = host.add_volume();
        host.volume_make_dir(root, b"d", 0o755).unwrap();
        host.volume_open(root, b"d/f", open_flags::CREATE | open_flags::WRITE, 0o600).unwrap();
        assert_eq!(host.volume_remove(root, b"d", true), Err(Errno::ENOTEMPTY));
        host.volume_rename(root, b"d", b"e").unwrap();
        assert_eq!(host.volume_read_dir(root, b"e").unwrap(), vec![(8, b"f".to_vec())]);
    }
}
