//! The first program: its environment, its search in PATH, and what is said when it cannot be run (as Docker says it).

use shallop_host_abi::LaunchSpec;
use shallop_linux_abi::Errno;

use super::users::User;
use super::{CANNOT_RUN, FAILED, Failure, NOT_FOUND};
use crate::kernel::Kernel;
use crate::loader::{self, Program};
use crate::task::{INIT, exec as replace};
use crate::vfs::permission::{self, EXEC};
use crate::vfs::{FileKind, Location};
use crate::wait::Tid;

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Gives the first task its program.
pub fn exec(k: &mut Kernel, spec: &LaunchSpec, user: &User) -> Result<(), Failure> {
    let name = spec.argv.first().ok_or_else(|| Failure::new(FAILED, "no command was given"))?;
    let (path, location) = search(k, name, &spec.env)?;
    let argv = spec.argv.iter().map(|arg| arg.clone().into_bytes()).collect();
    let env = environment(spec, user);
    let program = Program { path, argv, env };
    replace::exec(k, Tid(INIT.0), location, program).map_err(|errno| match errno {
        // The file is there: what is missing is its interpreter.
        Errno::ENOENT => Failure::new(NOT_FOUND, format!("exec {name}: no such file or directory")),
        Errno::ENOEXEC => Failure::new(CANNOT_RUN, format!("exec {name}: exec format error")),
        other => Failure::new(CANNOT_RUN, format!("exec {name}: {}", other.text().to_lowercase())),
    })
}

/// The spec's environment, with HOME where it has none.
fn environment(spec: &LaunchSpec, user: &User) -> Vec<Vec<u8>> {
    let mut env: Vec<Vec<u8>> = spec.env.iter().map(|word| word.clone().into_bytes()).collect();
    if !spec.env.iter().any(|word| word.starts_with("HOME=")) {
        env.push(format!("HOME={}", user.home).into_bytes());
    }
    env
}

/// The program that a name means: a path, or the first that may be executed in PATH.
fn search(k: &Kernel, name: &str, env: &[String]) -> Result<(Vec<u8>, Location), Failure> {
    if name.contains('/') {
        return match find(k, name) {
            Ok(location) => Ok((name.into(), location)),
            Err(Errno::ENOENT) => {
                Err(Failure::new(NOT_FOUND, format!("exec: \"{name}\": stat {name}: no such file or directory")))
            }
            Err(errno) => Err(Failure::new(CANNOT_RUN, format!("exec: \"{name}\": {}", errno.text().to_lowercase()))),
        };
    }
    let path = env.iter().find_map(|word| word.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut denied = false;
    for directory in path.split(':').filter(|_| !name.is_empty()) {
        let candidate = if directory.is_empty() { format!("./{name}") } else { format!("{directory}/{name}") };
        match find(k, &candidate) {
            Ok(location) => return Ok((candidate.into(), location)),
            Err(Errno::EACCES) => denied = true,
            Err(_) => {}
        }
    }
    Err(match denied {
        true => Failure::new(CANNOT_RUN, format!("exec: \"{name}\": permission denied")),
        false => Failure::new(NOT_FOUND, format!("exec: \"{name}\": executable file not found in $PATH")),
    })
}

/// A file that the first task may execute.
fn find(k: &Kernel, path: &str) -> Result<Location, Errno> {
    let tid = Tid(INIT.0);
    let location = loader::find(k, tid, path.as_bytes())?;
    match location.inode.kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(Errno::EISDIR),
        _ => return Err(Errno::EACCES),
    }
    permission::check(&k.task(tid).credentials, &location.inode, EXEC)?;
    Ok(location)
}
