//! The `shallop` command as a user runs it: its file, its home folder, a time limit.

use crate::command::{self, Finished};
use crate::oracle::skip;
use shallop_config::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Long enough for a catalog image on a slow machine; a command that hangs still ends.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// A `shallop` binary with a home.
#[derive(Debug)]
pub struct Shallop {
    binary: PathBuf,
    home: PathBuf,
    limit: Duration,
    /// Removes a private home at the end.
    owned: Option<tempfile::TempDir>,
}

impl Shallop {
    /// With the home that all tests of this target folder share (`<target>/test-home`); it keeps catalog images.
    ///
    /// `binary` is `env!("CARGO_BIN_EXE_shallop")`.
    pub fn shared(binary: &str) -> Shallop {
        let binary = PathBuf::from(binary);
        let target = binary.ancestors().nth(2).expect("binaries are in <target>/<profile>");
        let home = target.join("test-home");
        fs::create_dir_all(&home).expect("create the shared home");
        Shallop { binary, home, limit: RUN_LIMIT, owned: None }
    }

    /// With the home in this folder.
    pub fn at(binary: PathBuf, home: PathBuf) -> Shallop {
        Shallop { binary, home, limit: RUN_LIMIT, owned: None }
    }

    /// With an empty home of its own, removed when the value goes.
    pub fn private(binary: &str) -> Shallop {
        let owned = tempfile::Builder::new().prefix("shallop-").tempdir().expect("create a home");
        Shallop { binary: binary.into(), home: owned.path().to_owned(), limit: RUN_LIMIT, owned: Some(owned) }
    }

    /// With a copy of the shared home (no containers), for tests that damage or give away what is in it.
    pub fn copy_of_shared(binary: &str) -> Shallop {
        let shared = Shallop::shared(binary);
        let copy = Shallop::private(binary);
        let _lock = shared.lock();
        let from = shared.home.join("data");
        let to = copy.home.join("data");
        fs::create_dir_all(&to).expect("create a store");
        let names =
            fs::read_dir(&from).expect("list the store").map(|entry| entry.expect("list the store").file_name());
        // Other tests may add images meanwhile: what is on its way in is left out, and the database comes first, so that all that
        // it tells of is there.
        let mut names: Vec<OsString> = names.filter(|name| name != "ingest" && name != "partial").collect();
        names.sort_by_key(|name| !name.as_encoded_bytes().starts_with(b"shallop.db"));
        for name in names {
            let done = Command::new("cp").arg("-a").arg(from.join(&name)).arg(&to).status().expect("start cp");
            assert!(done.success(), "cp -a {} failed", from.join(&name).display());
        }
        let code = shared.home.join("cache/code");
        if code.is_dir() {
            // Only to save time: what is not there is compiled.
            fs::create_dir_all(copy.home.join("cache")).expect("create a cache");
            let _ = Command::new("cp").arg("-a").arg(&code).arg(copy.home.join("cache")).status();
        }
        copy
    }

    /// The folder that `SHALLOP_HOME` names.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Keep a private home (for a look after a failure); gives its path.
    pub fn keep(&mut self) -> &Path {
        if let Some(owned) = self.owned.take() {
            let _ = owned.keep();
        }
        &self.home
    }

    /// A command with this home, to be changed before it is run with [`command::run`].
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments);
        self.set_environment(&mut command);
        command
    }

    /// Give any command (a wrapper such as `strace`) this home.
    pub fn set_environment(&self, command: &mut Command) {
        command.env(env::SHALLOP_HOME.name, &self.home).env(env::NO_COLOR.name, "1");
        // What is left behind is to leave the machine to the next test.
        command.env(env::SHALLOP_TEST_LINGER.name, "2");
        // Tests of registries take this away.
        command.env(env::SHALLOP_OFFLINE.name, "1");
    }

    /// Run with an empty stdin.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, b"")
    }

    /// Run with `input` on stdin.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Finished {
        command::run(&mut self.command(arguments), input, self.limit)
    }

    /// Run in a folder.
    pub fn run_in(&self, folder: &Path, arguments: &[&str]) -> Finished {
        command::run(self.command(arguments).current_dir(folder), b"", self.limit)
    }

    /// Start in the background, outputs piped; the caller waits with [`command::wait`].
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("start shallop")
    }

    /// Whether the image is in the store.
    pub fn has(&self, image: &str) -> bool {
        self.run(&["inspect", image]).code == 0
    }

    /// Make sure that these catalog images (`busybox`, `debian` …) are in the home, once for all tests. Where one
    /// cannot be had (no network), `suite` is skipped and this is false.
    pub fn needs(&self, suite: &str, images: &[&str]) -> bool {
        let _lock = self.lock();
        images.iter().all(|image| {
            if self.has(&format!("catalog.internal/{image}")) {
                return true;
            }
            let built = command::run(&mut self.command(&["catalog", "build", image]), b"", BUILD_LIMIT);
            if built.code != 0 {
                let last = built.stderr.lines().last().unwrap_or("no message");
                skip(suite, &format!("catalog image {image}"), last);
            }
            built.code == 0
        })
    }

    /// Held while a test process looks for images and builds missing ones; freed with the file.
    pub(crate) fn lock(&self) -> File {
        let path = self.home.join("test.lock");
        let file = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.lock().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file
    }
}

/// A folder for a test's files, removed at the end, readable by every user.
pub fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new().prefix("shallop-test-").tempdir().expect("create a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open the folder to others");
    folder
}

/// Copy `examples/<name>` to a fresh folder, so that a build cannot write into the source tree.
pub fn example(name: &str) -> tempfile::TempDir {
    let from = crate::workspace().join("examples").join(name);
    let folder = folder();
    let done = Command::new("cp").arg("-r").arg(from.join(".")).arg(folder.path()).status().expect("start cp");
    assert!(done.success(), "copy {}", from.display());
    folder
}
