//! A pseudo-terminal with `shallop` in it: type, wait for text on the screen, look at the host's settings.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use shallop_test_support::command::code;
use shallop_test_support::{Shallop, oracle};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// For a text to appear, or a program to end.
const LIMIT: Duration = Duration::from_secs(60);

/// A terminal of 24 × 80 and the command that runs in it.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    /// Kept open, so that the settings can be read after the command's end.
    slave: File,
    /// `None` once it was given away.
    child: Option<Child>,
    arriving: Receiver<Vec<u8>>,
    /// Ends the thread that reads.
    stop: Arc<AtomicBool>,
    /// Everything that was shown, and how much of it `expect` has passed.
    shown: Vec<u8>,
    passed: usize,
}

impl Terminal {
    /// Starts `command` as the leader of a session that a fresh terminal controls. It needs setsid(1).
    pub fn start(shallop: &Shallop, program: &str, arguments: &[&str]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("open a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("unlock the terminal");
        let path = ptsname(&master, Vec::new()).expect("name the terminal").into_string().expect("a plain name");
        let slave = File::options().read(true).write(true).open(path).expect("open the terminal's other side");
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).args(arguments).env("TERM", "xterm");
        shallop.set_environment(&mut command);
        command.stdin(clone(&slave)).stdout(clone(&slave)).stderr(clone(&slave));
        let master = File::from(master);
        let stop = Arc::new(AtomicBool::new(false));
        let arriving = read_all(clone(&master), stop.clone());
        resize(&master, 24, 80);
        let child = Some(command.spawn().expect("start setsid"));
        Terminal { master, slave, child, arriving, stop, shown: Vec::new(), passed: 0 }
    }

    /// Starts `shallop` itself.
    pub fn shallop(shallop: &Shallop, arguments: &[&str]) -> Terminal {
        let binary = shallop.binary().to_str().expect("a plain path").to_owned();
        Terminal::start(shallop, &binary, arguments)
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("type into the terminal");
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) {
        self.send(&format!("{text}\r"));
    }

    /// Waits until `text` is shown behind what was expected before; gives what stood between.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(at) = find(&self.shown[self.passed..], text.as_bytes()) {
                let between = String::from_utf8_lossy(&self.shown[self.passed..self.passed + at]).into_owned();
                self.passed += at + text.len();
                return between;
            }
            match self.arriving.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown.extend(bytes),
                Err(RecvTimeoutError::Timeout) => panic!("'{text}' was not shown in time\n{}", self.screen()),
                Err(RecvTimeoutError::Disconnected) => panic!("'{text}' was not shown\n{}", self.screen()),
            }
        }
    }

    /// Types a line and waits for what it prints.
    #[track_caller]
    pub fn ask(&mut self, line: &str, answer: &str) -> String {
        self.line(line);
        self.expect(answer)
    }

    /// Another window size, with the signal that comes with it.
    pub fn resize(&self, rows: u16, columns: u16) {
        resize(&self.master, rows, columns);
    }

    /// Sends a signal to the command alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child()), signal).expect("send a signal");
    }

    /// The host's process id of the command.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("the command was not given away")
    }

    /// Whether the host's terminal edits lines and echoes, as a shell wants it; else it is raw.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.slave).expect("read the terminal's settings").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits for the end; the exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if let Some(status) = self.ended() {
                return code(status);
            }
            // What is still shown is taken, so that nobody waits for room to write.
            if let Ok(bytes) = self.arriving.recv_timeout(Duration::from_millis(10)) {
                self.shown.extend(bytes);
            }
        }
        panic!("the command did not end in time\n{}", self.screen());
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("the command was not given away");
        child.try_wait().expect("wait for a child of this process")
    }

    /// Takes the terminal away, as closing its window does; gives the command.
    pub fn close(mut self) -> Child {
        self.child.take().expect("the command was not given away")
    }

    /// Everything shown so far, for messages.
    pub fn screen(&self) -> String {
        format!("--- screen\n{}\n---", String::from_utf8_lossy(&self.shown))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether the programs that [`Terminal`] needs are there.
pub fn available() -> bool {
    oracle("tty", &[("setsid", "util-linux")])
}

fn clone(file: &File) -> File {
    file.try_clone().expect("share the terminal")
}

fn resize(master: &File, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("set the window's size");
}

/// Reads until the other side is closed or `stop` is set; then nothing here keeps the terminal open.
fn read_all(mut master: File, stop: Arc<AtomicBool>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    let moment = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while !stop.load(Ordering::Relaxed) {
            if matches!(poll(&mut [PollFd::new(&master, PollFlags::IN)], Some(&moment)), Ok(0)) {
                continue;
            }
            let Ok(count @ 1..) = master.read(&mut buffer) else { return };
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn find(shown: &[u8], text: &[u8]) -> Option<usize> {
    shown.windows(text.len()).position(|window| window == text)
}
