//! `-v`: folders and files of the host inside a container, read-only or not, and what may not leave them.

use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

struct Case {
    shallop: Shallop,
    folder: TempDir,
}

impl Case {
    fn new() -> Option<Case> {
        let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
        shallop.needs("volumes", &["busybox"]).then(|| Case { shallop, folder: folder() })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("write a file");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).expect("read a file")
    }

    /// Run a script with the folder at `/v`; `suffix` is `` or `:ro`.
    fn sh(&self, suffix: &str, script: &str) -> Finished {
        let volume = format!("{}:/v{suffix}", self.path().display());
        self.shallop.run(&["run", "--rm", "-v", &volume, "-w", "/v", "catalog.internal/busybox", "sh", "-c", script])
    }
}

#[test]
fn both_sides_see_the_same_files() {
    let Some(case) = Case::new() else { return };
    case.write("in", "from the host\n");
    let script = "cat in; echo 'from inside' > out; mkdir -p a/b; echo deep > a/b/c; mv in renamed; ln -s renamed link";
    let done = case.sh("", script).expect_code(0);
    assert_eq!(done.stdout, "from the host\n");
    assert_eq!(case.read("out"), "from inside\n");
    assert_eq!(case.read("a/b/c"), "deep\n");
    assert_eq!(case.read("renamed"), "from the host\n");
    assert!(!case.path().join("in").exists());
    assert_eq!(fs::read_link(case.path().join("link")).expect("read a link"), Path::new("renamed"));
    case.sh("", "rm -r a out link").expect_code(0);
    assert!(!case.path().join("a").exists());
}

#[test]
fn read_only_is_kept() {
    let Some(case) = Case::new() else { return };
    case.write("file", "kept\n");
    let script = "cat file; for c in 'touch new' 'rm file' 'mkdir d' 'mv file x' 'ln -s a b' 'chmod 777 file'; do
        $c 2>/dev/null && echo \"$c works\"; done; { echo x >> file; } 2>/dev/null && echo append works; true";
    let done = case.sh(":ro", script).expect_code(0);
    assert_eq!(done.stdout, "kept\n");
    assert_eq!(case.read("file"), "kept\n");
    let done = case.sh(":ro", "touch new").expect_code(1);
    done.expect_error("read-only file system");
}

#[test]
fn modes_sizes_and_times_come_through() {
    let Some(case) = Case::new() else { return };
    case.write("script", "#!/bin/sh\necho it runs\n");
    fs::set_permissions(case.path().join("script"), fs::Permissions::from_mode(0o755)).expect("set a mode");
    let done = case.sh("", "./script; stat -c '%a %s %F' script; touch -d @1000000000 script; chmod 640 script");
    assert_eq!(done.expect_code(0).stdout, "it runs\n755 23 regular file\n");
    let meta = fs::metadata(case.path().join("script")).expect("stat");
    assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o640, 1_000_000_000));
}

#[test]
fn links_do_not_lead_out() {
    let Some(case) = Case::new() else { return };
    let outside = folder();
    fs::write(outside.path().join("secret"), "not for the container\n").expect("write a file");
    symlink(outside.path().join("secret"), case.path().join("absolute")).expect("make a link");
    symlink(format!("../{}/secret", outside.path().file_name().unwrap().display()), case.path().join("relative"))
        .expect("make a link");
    symlink("/etc/passwd", case.path().join("passwd")).expect("make a link");
    let done = case.sh("", "cat absolute relative 2>/dev/null; cat ../secret ../../secret 2>/dev/null; ls -d ..; pwd");
    assert!(!done.stdout.contains("not for the container"), "{}", done.outputs());
    // An absolute link is followed inside the container.
    let done = case.sh("", "head -n 1 passwd").expect_code(0);
    assert!(done.stdout.starts_with("root:"), "{}", done.outputs());
    let done = case.sh("", "echo overwritten > absolute; true");
    assert!(!done.timed_out);
    assert_eq!(fs::read_to_string(outside.path().join("secret")).expect("read"), "not for the container\n");
}

#[test]
fn a_single_file() {
    let Some(case) = Case::new() else { return };
    case.write("config", "one\n");
    let volume = format!("{}:/etc/some/config", case.path().join("config").display());
    let script = "cat /etc/some/config; echo two >> /etc/some/config; ls /etc/some";
    let done = case
        .shallop
        .run(&["run", "--rm", "-v", &volume, "catalog.internal/busybox", "sh", "-c", script])
        .expect_code(0);
    assert_eq!(done.stdout, "one\nconfig\n");
    assert_eq!(case.read("config"), "one\ntwo\n");
}

#[test]
fn volumes_hide_what_is_below_and_nest() {
    let Some(case) = Case::new() else { return };
    let inner = folder();
    fs::write(inner.path().join("inner"), "").expect("write a file");
    case.write("outer", "");
    fs::create_dir(case.path().join("nested")).expect("make a folder");
    let (outer, nested) =
        (format!("{}:/etc", case.path().display()), format!("{}:/etc/nested", inner.path().display()));
    let image = "catalog.internal/busybox";
    let done = case.shallop.run(&[
        "run",
        "--rm",
        "-v",
        &nested,
        "-v",
        &outer,
        image,
        "sh",
        "-c",
        "ls -d /etc/outer /etc/nested/*",
    ]);
    assert_eq!(done.expect_code(0).stdout, "/etc/nested/inner\n/etc/outer\n");
}

#[test]
fn many_files_and_large_ones() {
    let Some(case) = Case::new() else { return };
    for number in 0..2000 {
        case.write(&format!("f{number}"), "");
    }
    assert_eq!(case.sh(":ro", "ls | wc -l; find . -type f | sort -u | wc -l").stdout.replace(' ', ""), "2000\n2000\n");
    let large: Vec<u8> = (0..5_000_000u32).map(|number| (number % 251) as u8).collect();
    fs::write(case.path().join("large"), &large).expect("write a file");
    case.sh("", "cp large copy && cmp large copy && truncate -s 4999999 large").expect_code(0);
    assert_eq!(fs::read(case.path().join("copy")).expect("read"), large);
    assert_eq!(fs::metadata(case.path().join("large")).expect("stat").len(), 4_999_999);
}

#[test]
fn a_missing_folder_is_made() {
    let Some(case) = Case::new() else { return };
    let volume = format!("{}/new/folder:/v", case.path().display());
    case.shallop.run(&["run", "--rm", "-v", &volume, "catalog.internal/busybox", "touch", "/v/x"]).expect_code(0);
    assert!(case.path().join("new/folder/x").exists());
}

#[test]
fn what_cannot_be_mounted_is_told() {
    let Some(case) = Case::new() else { return };
    let refuse = |volume: &str, text: &str| {
        let done = case.shallop.run(&["run", "--rm", "-v", volume, "catalog.internal/busybox", "true"]);
        done.expect_code(125).expect_error(text);
    };
    case.write("file", "");
    refuse(&format!("{}/file/below:/v", case.path().display()), "file/below");
    refuse(&format!("{}:relative", case.path().display()), "relative");
    refuse(&format!("{}:/v:odd", case.path().display()), "odd");
    refuse("", "volume");
}
