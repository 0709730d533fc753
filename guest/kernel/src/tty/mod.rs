//! Terminals: `Tty` is one (the container's own under `-t`, or a pseudo-terminal), `TtyFile` an open side of it.
//!
//! Neighbours: `discipline` edits lines, `screen` processes output, `termios` holds settings, `job` is job control,
//! `stdio` the host's plain stdio, `fs/devpts` names the terminals. `Kernel` tells of the host through `stdin_ready` and `winsize_changed`.

pub mod discipline;
pub mod job;
pub mod screen;
pub mod stdio;
pub mod termios;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{ioctl, open};
use shallop_platform::{Clock, Platform};

use crate::fs::pipe::take;
use crate::kernel::Kernel;
use crate::signal::number::{SIGCONT, SIGHUP, SIGWINCH};
use crate::signal::{SignalInfo, Target};
use crate::task::Pid;
use crate::vfs::anonymous::{self, Label};
use crate::vfs::context::PendingSignals;
use crate::vfs::fd_table::FdTable;
use crate::vfs::open_file::OpenFile;
use crate::vfs::{File, GuestMemory, Location, poll};
use crate::wait::{Stop, Wait, WaitQueue};
use discipline::{Discipline, PIECE};
use stdio::{HostInput, StdioFile};
use termios::{BYTES, Termios};

/// Major number of pseudo-terminal slaves.
pub const PTS_MAJOR: u32 = 136;

/// Bytes of output a pseudo-terminal keeps for its master.
const OUTPUT_MAX: usize = 65536;

/// Rows, columns, and pixels that nobody uses (TIOCGWINSZ).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSize(pub [u16; 4]);

/// One terminal.
pub struct Tty {
    /// Minor number; its name is `/dev/pts/<index>`.
    pub index: u32,
    discipline: RefCell<Discipline>,
    size: Cell<WindowSize>,
    /// The session it controls, and that session's foreground process group.
    pub session: Cell<Option<Pid>>,
    pub foreground: Cell<Option<Pid>>,
    platform: &'static dyn Platform,
    /// `None` for the container's own terminal, whose other side is the host's; else what the master reads.
    output: Option<RefCell<VecDeque<u8>>>,
    /// The other side is gone.
    hung_up: Cell<bool>,
    /// Of the container's own terminal: the host's stdin types into it (`-i`).
    listens: Cell<bool>,
    /// The host has typed more than there was room for; it is fetched when there is some.
    backlog: Cell<bool>,
    slaves: Cell<u32>,
    ever_opened: Cell<bool>,
    locked: Cell<bool>,
    queue: WaitQueue,
    signals: PendingSignals,
    registry: std::rc::Weak<RefCell<Vec<Option<Rc<Tty>>>>>,
}

impl Tty {
    /// A terminal at the first free number. `host`: its other side is the host's terminal, not a master.
    pub fn new(k: &Kernel, host: bool) -> Rc<Tty> {
        let mut ttys = k.io.ttys.borrow_mut();
        let index = ttys.iter().position(Option::is_none).unwrap_or(ttys.len());
        let tty = Rc::new(Tty {
            index: index as u32,
            discipline: RefCell::default(),
            size: Cell::default(),
            session: Cell::new(None),
            foreground: Cell::new(None),
            platform: k.platform,
            output: (!host).then(RefCell::default),
            hung_up: Cell::new(false),
            listens: Cell::new(false),
            backlog: Cell::new(false),
            slaves: Cell::new(0),
            ever_opened: Cell::new(false),
            locked: Cell::new(!host),
            queue: WaitQueue::new(),
            signals: k.io.pending_signals.clone(),
            registry: Rc::downgrade(&k.io.ttys),
        });
        if index == ttys.len() {
            ttys.push(None);
        }
        ttys[index] = Some(tty.clone());
        tty
    }

    fn is_host(&self) -> bool {
        self.output.is_none()
    }

    /// The slave may not be opened yet (TIOCSPTLCK).
    pub fn locked(&self) -> bool {
        self.locked.get()
    }

    pub fn termios(&self) -> Termios {
        self.discipline.borrow().termios
    }

    fn signal_foreground(&self, signal: u32) {
        if let Some(group) = self.foreground.get() {
            self.signals.borrow_mut().push((Target::Group(group), SignalInfo::kernel(signal)));
        }
    }

    /// Bytes typed at the other side.
    pub fn type_in(&self, bytes: &[u8]) {
        let typed = self.discipline.borrow_mut().input(bytes);
        // What is echoed is for the screen; when it is gone there is nobody to tell.
        let _ = self.show(&typed.echo);
        typed.signals.into_iter().for_each(|signal| self.signal_foreground(signal));
        self.queue.wake();
    }

    /// Fetches what was typed at the host's terminal, as far as there is room.
    fn fetch(&self) {
        let mut bytes = [0; PIECE];
        while self.is_host() && self.listens.get() && !self.hung_up.get() {
            if self.discipline.borrow().full() {
                self.backlog.set(true);
                return;
            }
            match self.platform.stdio_read(0, &mut bytes) {
                Ok(count @ 1..) => self.type_in(&bytes[..count]),
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Ok(0) | Err(_) => self.hang_up(),
            }
        }
    }

    /// Puts processed bytes on the screen. A screen that is gone hangs the terminal up.
    fn show(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        match &self.output {
            Some(output) => output.borrow_mut().extend(bytes),
            None => {
                while !bytes.is_empty() {
                    let count = self.platform.stdio_write(1, bytes).map_err(|errno| self.lost(errno))?;
                    bytes = &bytes[count.clamp(1, bytes.len())..];
                }
            }
        }
        self.queue.wake();
        Ok(())
    }

    /// What a failed write to the host means to the writer.
    fn lost(&self, errno: Errno) -> Errno {
        if errno == Errno::EINTR {
            return errno;
        }
        self.hang_up();
        Errno::EIO
    }

    pub fn size(&self) -> WindowSize {
        self.size.get()
    }

    /// Sets the window's size; SIGWINCH to the foreground group when it is another.
    pub fn set_size(&self, size: WindowSize) {
        if self.size.replace(size) != size {
            self.signal_foreground(SIGWINCH);
        }
    }

    /// The other side went away: readers see the end, the session gets SIGHUP.
    fn hang_up(&self) {
        if self.hung_up.replace(true) {
            return;
        }
        self.queue.wake();
        if let Some(leader) = self.session.get() {
            let mut signals = self.signals.borrow_mut();
            // When the host's terminal is gone a container that does not care has nobody left to end it.
            let hup = SignalInfo { forced: self.is_host(), ..SignalInfo::kernel(SIGHUP) };
            signals.push((Target::Process(leader), hup));
            signals.push((Target::Process(leader), SignalInfo::kernel(SIGCONT)));
        }
    }

    fn read(&self, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.discipline.borrow_mut().read(buf);
        if let Some(count) = count {
            if self.backlog.get() && !self.discipline.borrow().full() {
                self.backlog.set(false);
                self.fetch();
            }
            self.queue.wake();
            return Ok(count);
        }
        if self.hung_up.get() {
            return Ok(0);
        }
        if nonblock {
            return Err(Errno::EAGAIN.into());
        }
        let mut wait = Wait::on(&self.queue);
        let timeout = self.discipline.borrow().read_timeout();
        wait.deadline = timeout.map(|t| self.platform.now(Clock::Monotonic) + u64::from(t) * 100_000_000);
        Err(Stop::Block(wait))
    }

    fn write(&self, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        if self.hung_up.get() {
            return Err(Errno::EIO.into());
        }
        let full = self.output.as_ref().is_some_and(|o| o.borrow().len() >= OUTPUT_MAX);
        if self.discipline.borrow().stopped || full {
            return match nonblock {
                true => Err(Errno::EAGAIN.into()),
                false => Err(Stop::Block(Wait::on(&self.queue))),
            };
        }
        let bytes = &bytes[..bytes.len().min(OUTPUT_MAX)];
        let mut shown = Vec::new();
        {
            let discipline = &mut *self.discipline.borrow_mut();
            discipline.screen.put(&discipline.termios, bytes, &mut shown);
        }
        self.show(&shown)?;
        Ok(bytes.len())
    }

    fn write_master(&self, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        if self.discipline.borrow().full() {
            return match nonblock {
                true => Err(Errno::EAGAIN.into()),
                false => Err(Stop::Block(Wait::on(&self.queue))),
            };
        }
        let bytes = &bytes[..bytes.len().min(PIECE)];
        self.type_in(bytes);
        Ok(bytes.len())
    }

    fn read_master(&self, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        let Some(output) = &self.output else { return Err(Errno::EIO.into()) };
        let count = take(&mut output.borrow_mut(), buf);
        if count > 0 || buf.is_empty() {
            self.queue.wake();
            return Ok(count);
        }
        if self.slaves.get() == 0 && self.ever_opened.get() {
            return Err(Errno::EIO.into());
        }
        match nonblock {
            true => Err(Errno::EAGAIN.into()),
            false => Err(Stop::Block(Wait::on(&self.queue))),
        }
    }
}

/// An open side of a terminal.
pub struct TtyFile {
    pub tty: Rc<Tty>,
    pub master: bool,
}

impl TtyFile {
    pub fn slave(tty: &Rc<Tty>) -> TtyFile {
        tty.slaves.set(tty.slaves.get() + 1);
        tty.ever_opened.set(true);
        TtyFile { tty: tty.clone(), master: false }
    }

    pub fn master(tty: &Rc<Tty>) -> TtyFile {
        TtyFile { tty: tty.clone(), master: true }
    }

    fn set_termios(&self, request: u32, arg: u64, memory: &dyn GuestMemory) -> Result<(), Errno> {
        let mut bytes = [0; BYTES];
        memory.read(arg, &mut bytes)?;
        let mut discipline = self.tty.discipline.borrow_mut();
        if request == ioctl::TCSETSF {
            discipline.flush_input();
        }
        discipline.termios = Termios::from_bytes(&bytes);
        drop(discipline);
        self.tty.queue.wake();
        Ok(())
    }

    fn flush(&self, which: u64) -> Result<u64, Stop> {
        if which > 2 {
            return Err(Errno::EINVAL.into());
        }
        if which != 1 {
            self.tty.discipline.borrow_mut().flush_input();
        }
        if let (true, Some(output)) = (which != 0, &self.tty.output) {
            output.borrow_mut().clear();
        }
        Ok(0)
    }

    fn set_size(&self, arg: u64, memory: &dyn GuestMemory) -> Result<(), Errno> {
        let mut bytes = [0; 8];
        memory.read(arg, &mut bytes)?;
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        self.tty.set_size(WindowSize([word(0), word(2), word(4), word(6)]));
        Ok(())
    }
}

impl Drop for TtyFile {
    fn drop(&mut self) {
        if !self.master {
            self.tty.slaves.set(self.tty.slaves.get() - 1);
            self.tty.queue.wake();
        } else {
            self.tty.hang_up();
            if let Some(registry) = self.tty.registry.upgrade()
                && let Ok(mut ttys) = registry.try_borrow_mut()
                && let Some(slot) = ttys.get_mut(self.tty.index as usize)
            {
                *slot = None;
            }
        }
    }
}

impl File for TtyFile {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        match self.master {
            true => self.tty.read_master(buf, nonblock),
            false => self.tty.read(buf, nonblock),
        }
    }

    fn write_at(&self, _offset: u64, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        match self.master {
            true => self.tty.write_master(bytes, nonblock),
            false => self.tty.write(bytes, nonblock),
        }
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        let tty = &self.tty;
        if let (true, Some(output)) = (self.master, &tty.output) {
            let gone = tty.slaves.get() == 0 && tty.ever_opened.get();
            let readable = if output.borrow().is_empty() { 0 } else { poll::IN };
            let writable = if tty.discipline.borrow().full() { 0 } else { poll::OUT };
            return writable | readable | if gone { poll::HUP } else { 0 };
        }
        let hung = if tty.hung_up.get() { poll::IN | poll::HUP } else { 0 };
        let discipline = tty.discipline.borrow();
        let readable = if discipline.readable() { poll::IN } else { 0 };
        let writable = if discipline.stopped { 0 } else { poll::OUT };
        hung | readable | writable
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.tty.queue.clone())
    }

    fn available(&self) -> Option<usize> {
        match (&self.tty.output, self.master) {
            (Some(output), true) => Some(output.borrow().len()),
            _ => Some(self.tty.discipline.borrow().available()),
        }
    }

    fn ioctl(&self, request: u32, arg: u64, memory: &dyn GuestMemory) -> Result<u64, Stop> {
        match request {
            ioctl::TCGETS => memory.write(arg, &self.tty.termios().to_bytes())?,
            ioctl::TCSETS | ioctl::TCSETSW | ioctl::TCSETSF => self.set_termios(request, arg, memory)?,
            ioctl::TIOCGWINSZ => {
                let bytes: Vec<u8> = self.tty.size().0.iter().flat_map(|w| w.to_le_bytes()).collect();
                memory.write(arg, &bytes)?;
            }
            ioctl::TIOCSWINSZ => self.set_size(arg, memory)?,
            ioctl::TCFLSH => return self.flush(arg),
            // Output is never queued here, so there is nothing to wait for or to break.
            ioctl::TCSBRK | ioctl::TCSBRKP | ioctl::TIOCEXCL | ioctl::TIOCNXCL => {}
            ioctl::TCXONC => {
                self.tty.discipline.borrow_mut().stopped = arg == 0;
                self.tty.queue.wake();
            }
            ioctl::TIOCOUTQ => memory.write(arg, &0u32.to_le_bytes())?,
            ioctl::TIOCGPTN if self.master => memory.write(arg, &self.tty.index.to_le_bytes())?,
            ioctl::TIOCSPTLCK if self.master => {
                let mut word = [0; 4];
                memory.read(arg, &mut word)?;
                self.tty.locked.set(word != [0; 4]);
            }
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The host's stdin has bytes or is at its end.
pub fn stdin_ready(k: &mut Kernel) {
    let host = k.io.ttys.borrow().first().cloned().flatten().filter(|tty| tty.is_host());
    if let Some(tty) = host {
        tty.fetch();
    }
    k.io.stdin.wake();
    send_pending(k);
}

/// The host's window has another size.
pub fn winsize_changed(k: &mut Kernel) {
    let host = k.io.ttys.borrow().first().cloned().flatten().filter(|tty| tty.is_host());
    if let (Some(tty), Ok((rows, columns))) = (host, k.platform.winsize()) {
        tty.set_size(WindowSize([rows, columns, 0, 0]));
    }
    send_pending(k);
}

/// Sends the signals that terminals asked for.
pub fn send_pending(k: &mut Kernel) {
    if k.io.pending_signals.borrow().is_empty() {
        return;
    }
    let pending = std::mem::take(&mut *k.io.pending_signals.borrow_mut());
    for (target, info) in pending {
        k.send_signal(target, info);
    }
}

/// The descriptors that pid 1 starts with. `pid` leads the session that the terminal, if any, controls.
///
/// Needs the tree to be mounted (`fs::mount_special`). Sets the process's controlling terminal.
pub fn standard_files(k: &mut Kernel, pid: Pid, owner: (u32, u32), tty: bool, interactive: bool) -> FdTable {
    let mut files = FdTable::new(&k.io.locks);
    if tty {
        let tty = k.io.ttys.borrow().first().cloned().flatten().unwrap_or_else(|| Tty::new(k, true));
        tty.listens.set(interactive);
        tty.session.set(Some(pid));
        tty.foreground.set(Some(pid));
        if let Some(process) = k.processes.get_mut(pid) {
            process.tty = Some((PTS_MAJOR, tty.index));
        }
        let place = crate::fs::devpts::location(k, tty.index);
        let file = OpenFile::new(Rc::new(TtyFile::slave(&tty)), place, open::RDWR, &k.io.locks);
        (0..3).for_each(|fd| drop(files.replace(fd, file.clone(), false)));
        return files;
    }
    let input = HostInput::new(k.platform, &k.io.stdin);
    for fd in 0..3 {
        let flags = if fd == 0 { open::RDONLY } else { open::WRONLY };
        let (file, place): (Rc<dyn File>, Location) = match fd {
            0 if !interactive => crate::fs::dev::null(k),
            _ => {
                let again = input.clone();
                let reopen = Box::new(move |_| Rc::new(StdioFile { fd, input: again.clone() }) as Rc<dyn File>);
                let now = k.now_realtime();
                let place = anonymous::reopenable(&k.io, Label::Pipe, owner.0, owner.1, now, Some(reopen));
                (Rc::new(StdioFile { fd, input: input.clone() }), place)
            }
        };
        files.replace(fd, OpenFile::new(file, place, flags, &k.io.locks), false);
    }
    files
}

/// Makes the container's own terminal (`-t`), before anything is opened.
pub fn create_host_tty(k: &Kernel) {
    let tty = Tty::new(k, true);
    if let Ok((rows, columns)) = k.platform.winsize() {
        tty.set_size(WindowSize([rows, columns, 0, 0]));
    }
}
