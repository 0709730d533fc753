//! Files that cannot grow, and a disk that is full: one message that names the file, and the store works on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shallop_test_support::oracle::skip;
use shallop_test_support::{Finished, Shallop, command, shallop};

use crate::home::{self, BASE, clean, works};

const LIMIT: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// No file of this command grows above so many blocks, which have 512 or 1024 bytes, as the shell says.
fn limited(shallop: &Shallop, blocks: u32, folder: &Path, arguments: &[&str]) -> Finished {
    let mut sh = Command::new("sh");
    sh.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &blocks.to_string()]);
    sh.arg(shallop.binary()).args(arguments).current_dir(folder);
    shallop.set_environment(&mut sh);
    command::run(&mut sh, b"", LIMIT)
}

/// A context with a file of so many bytes, in files `Dockerfile.copy` and `Dockerfile.run` that make it in the image.
fn context(size: u64) -> tempfile::TempDir {
    let folder = shallop::folder();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    fs::File::create(folder.path().join("big")).unwrap().set_len(size).unwrap();
    write("Dockerfile.copy", format!("FROM {BASE}\nCOPY big /\n"));
    write("Dockerfile.run", format!("FROM {BASE}\nRUN dd if=/dev/zero of=/big bs=1M count={}\n", size / MIB));
    folder
}

/// It failed, and said so once.
#[track_caller]
fn expect_failure(done: Finished, texts: &[&str]) {
    let done = texts.iter().fold(done.expect_code(1), |done, text| done.expect_error(text));
    assert_eq!(done.stderr.matches("shallop: ").count(), 1, "{}", done.outputs());
}

#[test]
fn a_file_that_cannot_grow_ends_the_command() {
    let Some(shallop) = home::new() else { return };
    let folder = context(8 * MIB);
    let limited = |blocks, arguments: &[&str]| limited(&shallop, blocks, folder.path(), arguments);
    const BLOCKS: u32 = 4096;
    let copied = limited(BLOCKS, &["build", "-q", "-f", "Dockerfile.copy", "."]);
    expect_failure(copied, &["Dockerfile.copy:2:1: writing ", "/data/ingest/", "File too large"]);
    let ran = limited(BLOCKS, &["build", "-q", "-f", "Dockerfile.run", "."]);
    expect_failure(ran, &["dd: error writing '/big': File too large", "did not complete successfully: exit code: 1"]);
    let script = "dd if=/dev/zero of=/big bs=1M count=8 || echo goes on";
    let ran = limited(BLOCKS, &["run", "--rm", BASE, "sh", "-c", script]).expect_code(0);
    assert_eq!(ran.expect_error("File too large").stdout, "goes on\n");
    works(&shallop);
    if home::has_packages(&shallop) {
        expect_failure(limited(1024, &["catalog", "build", "busybox"]), &["File too large"]);
    }
    works(&shallop);
    clean(&shallop);
}

/// Each command with its exit code behind it.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=24m none "$1" && cp -a "$SHALLOP_HOME"/. "$1" || exit
export SHALLOP_HOME="$1"
shift
"$@" build -q -f Dockerfile.copy .; echo "copy $?" >&2
"$@" build -q -f Dockerfile.run .; echo "run $?" >&2
"$@" run --rm shallop-test/base sh -c 'dd if=/dev/zero of=/big bs=1M count=32 || echo goes on'; echo "container $?" >&2
"$@" run --rm shallop-test/base cat /before; echo "after $?" >&2
ls "$SHALLOP_HOME"/data/ingest "$SHALLOP_HOME"/state/containers | grep -v :
"#;

#[test]
fn a_full_disk_is_said_and_the_store_works_on() {
    let Some(shallop) = home::new() else { return };
    let inside = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        shallop.set_environment(&mut unshare);
        unshare
    };
    let folder = context(32 * MIB);
    let small = shallop::folder();
    let mut able = inside("mount -t tmpfs none \"$1\"");
    if !able.arg(small.path()).output().is_ok_and(|out| out.status.success()) {
        return skip("crash", "a user namespace with tmpfs", "mount is not allowed");
    }
    home::forget_translations(&shallop);
    let mut sh = inside(SCRIPT);
    sh.arg(small.path()).arg(shallop.binary()).current_dir(folder.path());
    let done = command::run(&mut sh, b"", LIMIT);
    assert_eq!(done.stdout, "goes on\nbefore\n\n", "{}", done.outputs());
    let full = format!("no space left on the file system of {}/data/ingest/", small.path().display());
    for text in [&full, "copy 1\n", "run 1\n", "container 0\n", "after 0\n"] {
        assert!(done.stderr.contains(text), "{text}\n{}", done.outputs());
    }
    assert_eq!(done.stderr.matches("dd: error writing '/big': No space left on device").count(), 2);
    assert_eq!(done.stderr.matches("shallop: ").count(), 2, "{}", done.outputs());
}
