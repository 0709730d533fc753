//! Building and running needs no privilege: an ordinary user without capabilities can do both, and neither uses a
//! namespace, a mount, another root folder, tracing, or a program other than shallop itself.

use shallop_test_support::shallop::{example, folder};
use shallop_test_support::{Finished, Shallop, command, oracle};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(300);
/// The user and group `nobody` of Linux.
const NOBODY: &str = "65534";
/// Calls that only containers with privileges make, and those that start processes.
const TRACED: &str = "trace=unshare,setns,chroot,pivot_root,mount,umount2,fsopen,fsmount,move_mount,open_tree,mount_setattr,\
                      ptrace,bpf,clone,clone3,fork,vfork,execve,execveat";
/// Of those, the ones that may not occur at all.
const FORBIDDEN: &[&str] = &[
    "unshare",
    "setns",
    "chroot",
    "pivot_root",
    "mount",
    "umount2",
    "fsopen",
    "fsmount",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "ptrace",
    "bpf",
];

/// What an ordinary user needs: the binary, a home with images and a context, all of it theirs.
struct User {
    shallop: Shallop,
    binary: PathBuf,
    context: TempDir,
    _bin: TempDir,
}

impl User {
    fn new(suite: &str) -> Option<User> {
        let path = env!("CARGO_BIN_EXE_shallop");
        if !Shallop::shared(path).needs(suite, &["python"]) {
            return None;
        }
        if is_root() && !oracle(suite, &[("setpriv", "util-linux")]) {
            return None;
        }
        let shallop = Shallop::copy_of_shared(path);
        // The folder that cargo builds in may be closed to others.
        let bin = folder();
        let binary = bin.path().join("shallop");
        fs::copy(path, &binary).expect("copy the binary");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("make it executable");
        if is_root() {
            let owner = format!("{NOBODY}:{NOBODY}");
            let done = Command::new("chown").args(["-R", &owner]).arg(shallop.home()).status().expect("start chown");
            assert!(done.success(), "give the home away");
        }
        Some(User { shallop, binary, context: example("hello-python"), _bin: bin })
    }

    /// Run shallop as the user, below the command `wrapper`.
    fn run(&self, wrapper: &[&str], arguments: &[&str]) -> Finished {
        let mut words: Vec<&str> = Vec::new();
        if is_root() {
            words.extend(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"]);
            words.extend(["--inh-caps=-all", "--bounding-set=-all"]);
        }
        words.extend(wrapper);
        let binary = self.binary.to_str().expect("a path of this test");
        words.push(binary);
        words.extend(arguments);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.context.path());
        self.shallop.set_environment(&mut command);
        command::run(&mut command, b"", LIMIT)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

const BUILD: &[&str] = &["build", "--substitute", "--no-cache", "-t", "hello", "."];
const RUN: &[&str] = &["run", "--rm", "hello"];

#[test]
fn an_ordinary_user_builds_and_runs() {
    let Some(user) = User::new("privilege") else { return };
    user.run(&[], BUILD).expect_code(0);
    let done = user.run(&[], RUN).expect_code(0);
    assert_eq!(done.stdout, "Hello, Docker!\n");
    // Inside they are root all the same, and nothing outside is theirs for it.
    let script = "import os; os.chown('/etc/passwd', 1, 2); print(os.getuid(), os.stat('/etc/passwd').st_uid)";
    let done = user.run(&[], &["run", "--rm", "hello", "python3", "-c", script]).expect_code(0);
    assert_eq!(done.stdout, "0 1\n");
}

#[test]
fn no_call_needs_privilege() {
    let Some(user) = User::new("privilege calls") else { return };
    if !oracle("privilege calls", &[("strace", "strace")]) {
        return;
    }
    let logs = folder();
    fs::set_permissions(logs.path(), fs::Permissions::from_mode(0o777)).expect("open the folder of logs");
    for arguments in [BUILD, RUN] {
        let log = logs.path().join(arguments[0]);
        let log_name = log.to_str().expect("a path of this test");
        user.run(&["strace", "-f", "-qq", "-e", TRACED, "-e", "signal=none", "-o", log_name], arguments).expect_code(0);
        check(&fs::read_to_string(&log).expect("read the log"), &user.binary);
    }
}

/// Look at each line of an strace log: `<pid> <call>(<arguments>) = <result>`.
#[track_caller]
fn check(log: &str, binary: &Path) {
    let own = [format!("\"{}\"", binary.display()), "\"/proc/self/exe\"".to_owned()];
    let mut programs = 0;
    for line in log.lines() {
        let Some((name, arguments)) = line.split_once(' ').and_then(|(_, call)| call.trim_start().split_once('('))
        else {
            continue;
        };
        assert!(!FORBIDDEN.contains(&name), "{line}");
        assert!(!arguments.contains("CLONE_NEW"), "{line}");
        if name.starts_with("execve") {
            programs += 1;
            assert!(own.iter().any(|path| arguments.contains(path)), "another program: {line}");
        }
    }
    assert!(programs > 0, "the log has no execve:\n{log}");
}
