//! The files that an image's process starts with: [`files`], its program, what that names as its interpreter, and libraries.
//!
//! What images say is not believed: counts and sizes are bounded, and what does not fit is left out.

use std::collections::BTreeSet;

use shallop_layer::merge::{Merged, Node, Place};
use shallop_oci::Config;

/// Files, symlinks of a path, `#!` lines after one another, and bytes of a path at most.
const MAX_FILES: usize = 256;
const MAX_LINKS: usize = 40;
const MAX_PATH: usize = 4096;

/// Where libraries are looked for (ld.so(8)); the first two are Debian's.
const LIBRARIES: &[&str] = &["/lib/riscv64-linux-gnu", "/usr/lib/riscv64-linux-gnu", "/lib", "/usr/lib"];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// ELF-64 object file format, version 1.5: types of program headers, tags of the dynamic section.
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const NEEDED: u64 = 1;
const NAMES: u64 = 5;
const MAX_HEADERS: u64 = 64;
const MAX_ENTRIES: usize = 1024;

/// Where the files are that the image's entrypoint and command start with.
pub fn files(merged: &Merged, config: &Config) -> BTreeSet<Place> {
    let words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten());
    let path = config.env.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut found = BTreeSet::new();
    let mut wanted: Vec<String> = words.take(MAX_FILES).flat_map(|word| candidates(word, path)).collect();
    let mut looked = 0;
    while let Some(name) = wanted.pop().filter(|_| found.len() < MAX_FILES && looked < 16 * MAX_FILES) {
        looked += 1;
        let Some(node) = resolve(merged, name.as_bytes()) else { continue };
        if found.insert(node.top) {
            wanted.extend(named_in(merged, &node).unwrap_or_default());
        }
    }
    found
}

/// The paths that a command's word may mean, the one that is meant last.
fn candidates(word: &str, path: &str) -> Vec<String> {
    if word.contains('/') {
        return vec![word.to_owned()];
    }
    path.split(':').rev().map(|folder| format!("{folder}/{word}")).collect()
}

/// The regular file that a path leads to, by way of symlinks.
fn resolve(merged: &Merged, path: &[u8]) -> Option<Node> {
    let mut left: Vec<Vec<u8>> = names(path);
    let mut at = vec![merged.root()];
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == b".." {
            at.truncate((at.len() - 1).max(1));
            continue;
        }
        let node = merged.lookup(at.last()?, &name).ok()??;
        let target = merged.link(&node).ok().filter(|target| !target.is_empty());
        let Some(target) = target else {
            at.push(node);
            continue;
        };
        links += 1;
        if links > MAX_LINKS || target.len() > MAX_PATH {
            return None;
        }
        if target.starts_with(b"/") {
            at.truncate(1);
        }
        left.extend(names(target));
    }
    at.pop().filter(|node| merged.stat(node).is_ok_and(|stat| stat.is_regular()))
}

/// The names of a path, the first one last.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.map(<[u8]>::to_vec).rev().collect()
}

/// The paths of what a program needs to start.
fn named_in(merged: &Merged, node: &Node) -> Option<Vec<String>> {
    let file = Contents { merged, node };
    let start = file.bytes(0, 256)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next()?).into_owned();
        let mut words = line.split_whitespace();
        let first = words.next()?.to_owned();
        // `/usr/bin/env python3` means the second word.
        let second = words.next().filter(|_| first.ends_with("/env"));
        return Some(second.into_iter().flat_map(|word| candidates(word, DEFAULT_PATH)).chain([first]).collect());
    }
    file.elf(&start)
}

struct Contents<'a> {
    merged: &'a Merged,
    node: &'a Node,
}

/// A piece of a file that is loaded: offset, address, length.
type Segment = (u64, u64, u64);

impl Contents<'_> {
    /// What the file has of `len` bytes at an offset.
    fn bytes(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        let count = self.merged.read(self.node, offset, &mut bytes).ok()?;
        bytes.truncate(count);
        Some(bytes)
    }

    fn text(&self, offset: u64) -> Option<String> {
        let bytes = self.bytes(offset, MAX_PATH)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        String::from_utf8(bytes[..end].to_vec()).ok()
    }

    /// Paths of the interpreter and of libraries.
    fn elf(&self, header: &[u8]) -> Option<Vec<String>> {
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let (table, count) = (double(header, 32)?, u64::from(half(header, 56)?).min(MAX_HEADERS));
        let (mut paths, mut segments, mut dynamic) = (Vec::new(), Vec::<Segment>::new(), None);
        for index in 0..count {
            let entry = self.bytes(table.checked_add(index * 56)?, 56)?;
            let (offset, address, len) = (double(&entry, 8)?, double(&entry, 16)?, double(&entry, 32)?);
            match word(&entry, 0)? {
                LOAD => segments.push((offset, address, len)),
                DYNAMIC => dynamic = Some((offset, len)),
                INTERPRETER => paths.extend(self.text(offset)),
                _ => {}
            }
        }
        if let Some((offset, len)) = dynamic {
            let len = usize::try_from(len).ok()?.min(MAX_ENTRIES * 16);
            paths.extend(self.libraries(&self.bytes(offset, len)?, &segments).unwrap_or_default());
        }
        Some(paths)
    }

    /// Where the libraries may be that the dynamic section names.
    fn libraries(&self, dynamic: &[u8], segments: &[Segment]) -> Option<Vec<String>> {
        let entries = || dynamic.chunks_exact(16).map_while(|entry| Some((double(entry, 0)?, double(entry, 8)?)));
        let names = entries().find(|(tag, _)| *tag == NAMES)?.1;
        let holds = |&&(_, address, len): &&Segment| names.checked_sub(address).is_some_and(|into| into < len);
        let &(offset, address, _) = segments.iter().find(holds)?;
        let names = offset.checked_add(names - address)?;
        let wanted = entries().filter(|(tag, _)| *tag == NEEDED).take(MAX_FILES);
        let wanted = wanted.filter_map(|(_, at)| self.text(names.checked_add(at)?));
        Some(wanted.flat_map(|name| LIBRARIES.iter().map(move |folder| format!("{folder}/{name}"))).collect())
    }
}

fn half(from: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*from.get(at..)?.first_chunk()?))
}

fn word(from: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*from.get(at..)?.first_chunk()?))
}

fn double(from: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*from.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shallop_layer::index::{self, Index};
    use shallop_layer::tar::{Entry, Kind, Writer};

    /// An ELF file with an interpreter and one library, and nothing else.
    fn program() -> Vec<u8> {
        let mut file = vec![0; 512];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01");
        put(32, &64_u64.to_le_bytes());
        put(56, &3_u16.to_le_bytes());
        for (index, (kind, offset, len)) in
            [(LOAD, 0, 512), (INTERPRETER, 300, 9), (DYNAMIC, 400, 48)].into_iter().enumerate()
        {
            let at = 64 + index * 56;
            put(at, &u32::to_le_bytes(kind));
            put(at + 8, &u64::to_le_bytes(offset));
            put(at + 16, &u64::to_le_bytes(0x1_0000 + offset));
            put(at + 32, &u64::to_le_bytes(len));
        }
        put(300, b"/lib/ld.so\0");
        put(350, b"libm.so\0");
        for (at, value) in [(400, NEEDED), (408, 10), (416, NAMES), (424, 0x1_0000 + 340)] {
            put(at, &value.to_le_bytes());
        }
        file
    }

    fn merged(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Merged {
        let mut tar = Vec::new();
        let mut writer = Writer::new(&mut tar);
        for (path, content) in files {
            let size = content.len() as u64;
            writer.append(&Entry::new(*path, 0o755, Kind::File { size }), &mut &content[..]).unwrap();
        }
        for (path, target) in links {
            let kind = Kind::Symlink(target.as_bytes().to_vec());
            writer.append(&Entry::new(*path, 0o777, kind), &mut &[][..]).unwrap();
        }
        writer.finish().unwrap();
        let index = Index::parse(index::build(&mut &tar[..], &mut std::io::sink()).unwrap()).unwrap();
        let mut merged = Merged::new(vec![index]).unwrap();
        merged.attach(0, Box::new(tar));
        merged
    }

    #[test]
    fn a_script_leads_to_its_interpreter_and_libraries() {
        let elf = program();
        let files: &[(&str, &[u8])] = &[
            ("srv/start", b"#!/usr/bin/env py\nx"),
            ("usr/bin/py3", &elf),
            ("usr/bin/env", b"env"),
            ("usr/lib/ld.so", b"loader"),
            ("usr/lib/riscv64-linux-gnu/libm.so.6", b"library"),
            ("usr/bin/other", &elf),
        ];
        let links = &[
            ("lib", "usr/lib"),
            ("usr/bin/py", "py3"),
            ("usr/lib/riscv64-linux-gnu/libm.so", "/usr/lib/riscv64-linux-gnu/../riscv64-linux-gnu/libm.so.6"),
            ("loop", "loop"),
        ];
        let merged = merged(files, links);
        let config = Config {
            entrypoint: Some(vec!["/srv/start".into()]),
            cmd: Some(vec!["/loop".into()]),
            ..Config::default()
        };
        let found = super::files(&merged, &config);
        let place = |path: &str| merged.find(path.as_bytes()).unwrap().unwrap().top;
        let wanted = files.iter().map(|(path, _)| place(path)).filter(|at| *at != place("usr/bin/other"));
        assert_eq!(found, wanted.collect());
    }

    #[test]
    fn words_are_looked_for_in_the_path() {
        let merged = merged(&[("opt/b/tool", b"1"), ("opt/a/tool", b"2")], &[]);
        let config =
            Config { cmd: Some(vec!["tool".into()]), env: vec!["PATH=/opt/a:/opt/b".into()], ..Config::default() };
        let first = merged.find(b"opt/a/tool").unwrap().unwrap().top;
        assert!(super::files(&merged, &config).contains(&first));
        assert!(super::files(&merged, &Config::default()).is_empty());
    }
}
