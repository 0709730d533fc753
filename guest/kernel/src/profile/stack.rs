//! The frames of a task: its pc, and those callers that the return address register and frame pointers tell of.
//!
//! Most code keeps no frame pointer, so that the stack often ends with the first caller. What is found is checked: before
//! a return address there is a call.

use std::rc::Rc;

use shallop_linux_abi::mman::PROT_EXEC;

use super::symbols::Symbols;
use super::{Frame, Profile};
use crate::kernel::Kernel;
use crate::mm::Content;
use crate::vfs::GuestMemory;
use crate::vfs::open_file::OpenFile;
use crate::wait::Tid;

/// Callers that are followed.
const MAX_DEPTH: usize = 64;

/// Bytes between the stack pointer and a frame pointer at most.
const MAX_STACK: u64 = 64 << 20;

/// What is mapped at an address of code.
enum Place {
    File(Rc<OpenFile>, u64),
    Other(&'static str),
}

impl Profile {
    /// Frames' numbers, the pc's first.
    pub(super) fn stack(&mut self, k: &Kernel, tid: Tid, interpreted: bool) -> Vec<u32> {
        let mut frames = vec![self.frame_at(k, tid, k.isa.pc(&k.task(tid).registers), interpreted)];
        let innermost = self.frame_at(k, tid, k.isa.pc(&k.task(tid).registers), false);
        let links = Links::of(k, tid);
        // A function that has made calls has the return address of the last one in the register.
        if let Some(caller) = links.register.map(|address| self.frame_at(k, tid, address, false))
            && caller != innermost
            && links.register != links.frames.first().copied()
        {
            frames.push(caller);
        }
        frames.extend(links.frames.iter().map(|address| self.frame_at(k, tid, *address, false)));
        frames
    }

    fn frame_at(&mut self, k: &Kernel, tid: Tid, pc: u64, interpreted: bool) -> u32 {
        let (file, offset) = match place(k, tid, pc) {
            Place::File(file, offset) => (file, offset),
            Place::Other(name) => return self.other(k, name.to_owned()),
        };
        let id = file.location.inode.stat().map_or((0, 0), |stat| (stat.dev, stat.ino));
        let symbols = self.files.entry(id).or_insert_with(|| Rc::new(Symbols::read(&*file.file))).clone();
        let start = symbols.function(offset);
        self.frame(k, Frame::Function { file: id, start, interpreted }, || {
            let path = String::from_utf8_lossy(&file.location.path()).into_owned();
            let short = path.rsplit('/').next().unwrap_or_default();
            let name = symbols.name(&*file.file, start).unwrap_or_else(|| format!("{short}+{start:#x}"));
            (if interpreted { format!("{name} (interpreted)") } else { name }, Some(path))
        })
    }
}

fn place(k: &Kernel, tid: Tid, pc: u64) -> Place {
    let mm = k.process_of(tid).mm.borrow();
    let Some(vma) = mm.find(pc) else { return Place::Other("[unmapped]") };
    match &vma.content {
        Content::File { file, offset, .. } => Place::File(file.clone(), offset + (pc - vma.start)),
        _ if vma.name.is_empty() => Place::Other("[code without a file]"),
        _ => Place::Other(vma.name),
    }
}

/// Return addresses.
struct Links {
    /// What the register holds, if that is one.
    register: Option<u64>,
    /// Those of frames, the innermost first.
    frames: Vec<u64>,
}

impl Links {
    fn of(k: &Kernel, tid: Tid) -> Links {
        let registers = &k.task(tid).registers;
        let (sp, (register, mut fp)) = (k.isa.sp(registers), k.isa.links(registers));
        let mut links = Links { register: Some(register).filter(|at| is_return(k, tid, *at)), frames: Vec::new() };
        let mut low = sp;
        while fp > low && fp - sp <= MAX_STACK && fp.is_multiple_of(16) && links.frames.len() < MAX_DEPTH {
            let Some([first, second]) = pair(k, tid, k.isa.frame_record(fp)) else { break };
            low = fp;
            if is_return(k, tid, second) {
                links.frames.push(second);
                fp = first;
            } else if links.frames.is_empty() {
                // A function that calls nothing keeps its caller's frame pointer alone.
                fp = second;
            } else {
                break;
            }
        }
        links
    }
}

fn pair(k: &Kernel, tid: Tid, at: u64) -> Option<[u64; 2]> {
    let mut bytes = [0; 16];
    k.memory(tid).read(at, &mut bytes).ok()?;
    let (words, _) = bytes.as_chunks::<8>();
    Some([u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])])
}

/// Whether there is code at an address, with a call before it.
fn is_return(k: &Kernel, tid: Tid, address: u64) -> bool {
    let executable = |at| k.process_of(tid).mm.borrow().find(at).is_some_and(|vma| vma.prot & PROT_EXEC != 0);
    let mut before = [0; 4];
    let Some(start) = address.checked_sub(4).filter(|start| executable(*start)) else { return false };
    k.memory(tid).read(start, &mut before).is_ok() && k.isa.is_call(before)
}
