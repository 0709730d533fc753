//! Programs that tests compare with and that a machine may lack.

use shallop_config::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Whether each of `programs` (its name, and the package that brings it) is in `PATH`.
///
/// Where one is missing the calling test skips itself: this prints why, and appends `<suite>: needs <package>` to the
/// file that `SHALLOP_TEST_SKIPS` names. With `SHALLOP_TEST_REQUIRE_ORACLES` set it panics instead.
pub fn oracle(suite: &str, programs: &[(&str, &str)]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|(program, _)| find(program).is_none()).collect();
    for (program, package) in &missing {
        skip(suite, package, &format!("no {program} in PATH"));
    }
    missing.is_empty()
}

/// Skip a test for want of `package` (or an image); `reason` is printed. Panics when skipping is not allowed.
pub fn skip(suite: &str, package: &str, reason: &str) {
    if env::SHALLOP_TEST_REQUIRE_ORACLES.is_set() {
        panic!("{suite}: needs {package}: {reason}");
    }
    println!("{suite}: skipped, needs {package}: {reason}");
    let Some(file) = env::SHALLOP_TEST_SKIPS.get() else { return };
    let line = format!("{suite}: needs {package}\n");
    let written =
        OpenOptions::new().create(true).append(true).open(&file).and_then(|mut f| f.write_all(line.as_bytes()));
    if let Err(error) = written {
        println!("{}: {error}", Path::new(&file).display());
    }
}

/// The file that running `program` would start: searched in `PATH` unless it has a slash.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| executable(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_shell_and_not_a_folder() {
        assert!(find("sh").is_some());
        assert!(find("/").is_none());
        assert!(find("no-such-program-anywhere").is_none());
    }

    #[test]
    fn programs_that_exist_pass() {
        assert!(oracle("support", &[("sh", "dash"), ("cat", "coreutils")]));
    }
}
