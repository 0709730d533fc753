//! /proc/<pid>/maps and smaps: the address map.

use std::io::Write;

use shallop_linux_abi::Errno;
use shallop_linux_abi::mman::{PROT_EXEC, PROT_READ, PROT_WRITE};

use super::{process, shown_path};
use crate::fs::pseudo::tree::Subject;
use crate::kernel::Kernel;
use crate::mm::{Content, Resident, Vma};
use crate::syscall::stat::device_parts;

/// The words of one line.
pub(in crate::fs::proc) struct Line {
    pub range: (u64, u64),
    pub prot: u32,
    pub shared: bool,
    pub offset: u64,
    /// Major and minor.
    pub device: (u32, u32),
    pub ino: u64,
    pub name: Vec<u8>,
}

/// Column where names start.
const NAME_COLUMN: usize = 73;

/// One line of maps, with its newline.
pub(in crate::fs::proc) fn line(of: &Line) -> Vec<u8> {
    let flag = |bit, letter| if of.prot & bit != 0 { letter } else { '-' };
    let (r, w, x) = (flag(PROT_READ, 'r'), flag(PROT_WRITE, 'w'), flag(PROT_EXEC, 'x'));
    let (start, end) = of.range;
    let (major, minor) = of.device;
    let kind = if of.shared { 's' } else { 'p' };
    let text = format!("{start:08x}-{end:08x} {r}{w}{x}{kind} {:08x} {major:02x}:{minor:02x} {} ", of.offset, of.ino);
    let mut bytes = text.into_bytes();
    if !of.name.is_empty() {
        bytes.resize(bytes.len().max(NAME_COLUMN), b' ');
        for byte in &of.name {
            match byte {
                b'\n' => bytes.extend_from_slice(b"\\012"),
                byte => bytes.push(*byte),
            }
        }
    }
    bytes.push(b'\n');
    bytes
}

fn line_of(k: &Kernel, subject: &Subject, vma: &Vma) -> Vec<u8> {
    let mut of = Line {
        range: (vma.start, vma.end),
        prot: vma.prot,
        shared: vma.shared,
        offset: 0,
        device: (0, 0),
        ino: 0,
        name: vma.name.as_bytes().to_vec(),
    };
    match &vma.content {
        Content::Anon { .. } => {}
        Content::Shared { object, offset } => {
            (of.offset, of.device, of.ino) = (*offset, (0, 1), object.handle.into());
            of.name = b"/dev/zero (deleted)".to_vec();
        }
        Content::File { file, offset, .. } => {
            of.offset = *offset;
            if let Ok(stat) = file.location.inode.stat() {
                (of.device, of.ino) = (device_parts(stat.dev), stat.ino);
            }
            of.name = shown_path(k, subject.caller, &file.location);
        }
    }
    line(&of)
}

pub(super) fn maps(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let mm = process(k, subject)?.mm.clone();
    let mm = mm.borrow();
    Ok(mm.vmas().flat_map(|vma| line_of(k, subject, vma)).collect())
}

/// The counters of smaps. What this process alone has come to of a file is not told from what others have.
fn counters(resident: Resident) -> String {
    let [rss, private, shared] = [resident.total(), resident.private, resident.shared].map(|bytes| bytes >> 10);
    let rows = [
        ("Rss", rss),
        ("Pss", rss),
        ("Shared_Clean", shared),
        ("Shared_Dirty", 0),
        ("Private_Clean", 0),
        ("Private_Dirty", private),
        ("Referenced", rss),
        ("Anonymous", private),
        ("LazyFree", 0),
        ("AnonHugePages", 0),
        ("Swap", 0),
        ("SwapPss", 0),
        ("Locked", 0),
    ];
    rows.map(|(name, value)| format!("{:<15} {value:>8} kB\n", format!("{name}:"))).concat()
}

fn resident(k: &Kernel, subject: &Subject) -> Result<Resident, Errno> {
    let process = process(k, subject)?;
    Ok(if process.is_zombie() { Resident::default() } else { Resident::of(k, process.space()) })
}

pub(super) fn smaps(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let mm = process(k, subject)?.mm.clone();
    let mm = mm.borrow();
    let (resident, whole) = (resident(k, subject)?, mm.size());
    let mut text = Vec::new();
    for vma in mm.vmas() {
        let size = vma.end - vma.start;
        let part = resident.part(size, whole);
        text.extend(line_of(k, subject, vma));
        let size = size >> 10;
        // Writing to a Vec cannot fail.
        let _ =
            write!(text, "Size:           {size:>8} kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n");
        text.extend(counters(part).into_bytes());
        text.extend_from_slice(b"THPeligible:           0\n");
    }
    Ok(text)
}

pub(super) fn smaps_rollup(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let mm = process(k, subject)?.mm.clone();
    let mm = mm.borrow();
    let start = mm.vmas().next().map_or(0, |vma| vma.start);
    let end = mm.vmas().last().map_or(0, |vma| vma.end);
    let name = b"[rollup]".to_vec();
    let head = Line { range: (start, end), prot: 0, shared: false, offset: 0, device: (0, 0), ino: 0, name };
    Ok([line(&head), counters(resident(k, subject)?).into_bytes()].concat())
}
