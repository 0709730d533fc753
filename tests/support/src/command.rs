//! Run a command with a time limit and keep what it printed.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a command left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; 128 + n when signal n ended it.
    pub code: i32,
    /// The time limit was reached and the command was killed.
    pub timed_out: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Assert the exit code; a failure shows both outputs.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Finished {
        assert!(!self.timed_out, "time limit reached\n{}", self.outputs());
        assert_eq!(self.code, code, "exit code\n{}", self.outputs());
        self
    }

    /// Assert that stderr contains `text`, whatever the case of its letters.
    #[track_caller]
    pub fn expect_error(self, text: &str) -> Finished {
        let found = self.stderr.to_lowercase().contains(&text.to_lowercase());
        assert!(found, "'{text}' is not in stderr\n{}", self.outputs());
        self
    }

    /// Both outputs, for messages.
    pub fn outputs(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Run `command` with `input` on its stdin; kill it (by its id) after `limit`.
///
/// Panics when the command cannot be started.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    feed(&mut child, input.to_vec());
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let (status, timed_out) = wait(child, limit);
    Finished { code: code(status), timed_out, stdout: text(stdout), stderr: text(stderr) }
}

/// Wait at most `limit`, then kill. The second value tells whether it was killed.
pub fn wait(mut child: Child, limit: Duration) -> (ExitStatus, bool) {
    let pid = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel::<()>();
    // The guard kills by id; it ends before the child is reaped, except for the instant in which both race.
    let guard = thread::spawn(move || match receiver.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => kill_process(pid, Signal::KILL).is_ok(),
        _ => false,
    });
    let status = child.wait().expect("wait for a child of this process");
    drop(sender);
    (status, guard.join().expect("the guard does not panic"))
}

/// Exit code as a shell shows it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Write `input` from another thread; a command that does not read it is no error.
fn feed(child: &mut Child, input: Vec<u8>) {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        all
    })
}

fn text(thread: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&thread.join().expect("the reader does not panic")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &[u8], limit: Duration) -> Finished {
        run(Command::new("sh").args(["-c", script]), input, limit)
    }

    #[test]
    fn keeps_code_and_outputs() {
        let done = sh("cat; echo bad >&2; exit 3", b"in", Duration::from_secs(60));
        assert_eq!((done.code, done.timed_out, &*done.stdout, &*done.stderr), (3, false, "in", "bad\n"));
        assert_eq!(sh("kill -9 $$", b"", Duration::from_secs(60)).code, 137);
    }

    #[test]
    fn kills_at_the_limit() {
        let done = sh("exec sleep 1000", b"", Duration::from_millis(50));
        assert!(done.timed_out);
        assert_eq!(done.code, 137);
    }
}
