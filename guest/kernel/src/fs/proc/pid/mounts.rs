//! /proc/<pid>/mounts and mountinfo, as seen from the process's root directory.

use std::io::Write;

use shallop_linux_abi::Errno;

use super::task;
use crate::fs::pseudo::tree::Subject;
use crate::kernel::Kernel;
use crate::syscall::stat::device_parts;
use crate::vfs::mount::Mount;

/// Space, tab, newline and backslash as three octal digits (getmntent(3)).
pub(in crate::fs::proc) fn escape(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().fold(Vec::new(), |mut out, byte| {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => out.extend(format!("\\{byte:03o}").into_bytes()),
            byte => out.push(*byte),
        }
        out
    })
}

/// The mounts that can be reached, each with its path below the root directory.
fn visible<'a>(k: &'a Kernel, subject: &Subject) -> Result<Vec<(&'a Mount, Vec<u8>)>, Errno> {
    let root = task(k, subject)?.fs.borrow().root.path();
    let below = |mount: &'a Mount| {
        if root == b"/" {
            return Some((mount, mount.target.clone()));
        }
        match mount.target.strip_prefix(root.as_slice())? {
            b"" => Some((mount, b"/".to_vec())),
            rest if rest.starts_with(b"/") => Some((mount, rest.to_vec())),
            _ => None,
        }
    };
    Ok(k.mounts.iter().filter_map(below).collect())
}

fn options(mount: &Mount) -> &'static str {
    let read_only = mount.read_only || mount.fs.read_only();
    match (mount.fs.name(), read_only) {
        ("proc" | "sysfs" | "cgroup2", false) => "rw,nosuid,nodev,noexec,relatime",
        ("proc" | "sysfs" | "cgroup2", true) => "ro,nosuid,nodev,noexec,relatime",
        (_, false) => "rw,relatime",
        (_, true) => "ro,relatime",
    }
}

pub(super) fn mounts(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    for (mount, target) in visible(k, subject)? {
        text.extend([&escape(&mount.source)[..], b" ", &escape(&target)].concat());
        // Writing to a Vec cannot fail.
        let _ = writeln!(text, " {} {} 0 0", mount.fs.name(), options(mount));
    }
    Ok(text)
}

pub(super) fn mountinfo(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    for (mount, target) in visible(k, subject)? {
        let (major, minor) = device_parts(mount.fs.dev());
        let _ = write!(text, "{} {} {major}:{minor} / ", mount.id, mount.parent);
        text.extend(escape(&target));
        let _ = write!(text, " {} - {} ", options(mount), mount.fs.name());
        text.extend(escape(&mount.source));
        text.extend_from_slice(if options(mount).starts_with("ro") { b" ro\n" } else { b" rw\n" });
    }
    Ok(text)
}
