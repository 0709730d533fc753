//! From a launch spec to an exit status: a whole image on the fake host, whose CPU exits at once.

use shallop_host_abi::hypercall::{Exit, exit};
use shallop_host_abi::{ABI_VERSION, LaunchSpec, LayerGrant};
use shallop_layer::index;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_platform::fake::Fake;
use shallop_riscv64::registers::{offset, write};

/// A static riscv64 program: one segment with its own headers and a few bytes of code.
fn program() -> Vec<u8> {
    let mut elf = vec![0; 128];
    let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[2, 0, 243, 0, 1]);
    put(24, &0x1_0078u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 1, 0]);
    put(64, &[1, 0, 0, 0, 5, 0, 0, 0]);
    for (i, word) in [0, 0x1_0000, 0x1_0000, 128, 128, 4096u64].into_iter().enumerate() {
        put(72 + 8 * i, &word.to_le_bytes());
    }
    elf
}

fn image() -> Vec<u8> {
    let mut tar = Vec::new();
    let mut writer = Writer::new(&mut tar);
    let elf = program();
    let passwd: &[u8] = b"root:x:0:0::/root:/bin/sh\nweb:x:5:6::/srv:/bin/sh\n";
    let files: [(&str, u32, &[u8]); 5] = [
        ("bin/true", 0o755, &elf),
        ("bin/plain", 0o644, &elf),
        ("bin/junk", 0o755, b"no program"),
        ("bin/script", 0o755, b"#!/bin/missing\n"),
        ("etc/passwd", 0o644, passwd),
    ];
    for (path, mode, data) in files {
        writer.append(&Entry::new(path, mode, Kind::File { size: data.len() as u64 }), &mut &data[..]).unwrap();
    }
    writer.finish().unwrap();
    tar
}

fn spec(host: &Fake, argv: &[&str]) -> LaunchSpec {
    let tar = image();
    let mut aligned = Vec::new();
    let index = index::build(&mut &tar[..], &mut aligned).unwrap();
    let layer =
        LayerGrant { tar: host.add_file(tar), index: host.add_file(index), aligned: Some(host.add_file(aligned)) };
    LaunchSpec {
        version: ABI_VERSION,
        arch: "riscv64".into(),
        hostname: "box".into(),
        argv: argv.iter().map(|word| word.to_string()).collect(),
        env: vec!["PATH=/usr/bin:/bin".into()],
        cwd: "/srv/dir".into(),
        user: String::new(),
        layers: vec![layer],
        network: None,
        upper_journal: host.add_file(shallop_layer::upper::empty_journal()),
        upper_data: host.add_file(Vec::new()),
        mounts: Vec::new(),
        overlay_files: vec![("/etc/hostname".into(), "box\n".into())],
        tty: false,
        interactive: false,
        memory_limit: 1 << 30,
        disk_limit: 1 << 40,
        tasks_max: 100,
        strace: false,
        profile: false,
        seed: 1,
    }
}

/// Boots with a CPU that makes `exit_group(3)`; returns the status and what was written to stderr.
fn boot(change: impl FnOnce(&mut LaunchSpec), argv: &[&str]) -> (u32, String) {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let mut spec = spec(host, argv);
    change(&mut spec);
    host.on_run(Box::new(|_, _, _, registers| {
        write(registers, offset::X + 8 * 17, 94);
        write(registers, offset::X + 8 * 10, 3);
        Exit { kind: exit::SYSCALL, detail: 0, address: 0 }
    }));
    let status = crate::boot(host, spec);
    (status, String::from_utf8_lossy(&host.output.borrow()[2]).into_owned())
}

#[test]
fn a_program_is_found_and_its_status_comes_back() {
    assert_eq!(boot(|_| (), &["true"]), (3 << 8, String::new()));
    assert_eq!(boot(|spec| spec.user = "web".into(), &["/bin/true"]), (3 << 8, String::new()));
    assert_eq!(boot(|spec| spec.tty = true, &["/bin/true"]), (3 << 8, String::new()));
}

#[test]
fn what_cannot_run_is_said_as_docker_says_it() {
    let failed = |argv: &[&str]| boot(|_| (), argv);
    let (status, text) = failed(&["nothing"]);
    assert_eq!((status, &*text), (127 << 8, "shallop: exec: \"nothing\": executable file not found in $PATH\n"));
    let (status, text) = failed(&["/bin/nothing"]);
    assert_eq!(status, 127 << 8);
    assert_eq!(text, "shallop: exec: \"/bin/nothing\": stat /bin/nothing: no such file or directory\n");
    assert_eq!(failed(&["plain"]), (126 << 8, "shallop: exec: \"plain\": permission denied\n".into()));
    assert_eq!(failed(&["/bin"]), (126 << 8, "shallop: exec: \"/bin\": is a directory\n".into()));
    assert_eq!(failed(&["junk"]), (126 << 8, "shallop: exec junk: exec format error\n".into()));
    assert_eq!(failed(&["script"]), (127 << 8, "shallop: exec script: no such file or directory\n".into()));
    assert_eq!(failed(&[]).0, 125 << 8);
    let (status, text) = boot(|spec| spec.user = "nobody".into(), &["true"]);
    assert_eq!((status, text.contains("unable to find user nobody")), (125 << 8, true));
    assert_eq!(boot(|spec| spec.arch = "vax".into(), &["true"]).0, 125 << 8);
    assert_eq!(boot(|spec| spec.cwd = "/bin/true".into(), &["true"]).0, 126 << 8);
}

#[test]
fn what_was_made_is_in_the_writable_layer() {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let spec = spec(host, &["true"]);
    let journal = spec.upper_journal;
    let before = host.content(journal).len();
    host.on_run(Box::new(|_, _, _, registers| {
        write(registers, offset::X + 8 * 17, 94);
        Exit { kind: exit::SYSCALL, detail: 0, address: 0 }
    }));
    crate::boot(host, spec);
    let saved = host.content(journal);
    assert!(saved.len() > before && saved.windows(3).any(|name| name == b"dir"));
}
