//! For tests: a kernel on the fake host, with a tmpfs as its root and one process whose program the test plays.
//!
//! A [`Script`] is a task's program: it is asked for the next system call and told the result of the last one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use shallop_host_abi::hypercall::{Exit, exit};
use shallop_machine::{Isa, Registers};
use shallop_platform::HostTask;
use shallop_platform::fake::Fake;
use shallop_riscv64::registers::{offset, read, write};

use crate::fs::tmpfs::Tmpfs;
use crate::kernel::Kernel;
use crate::launch::{insert_first, isa};
use crate::mm::{Fixed, Mm, Request};
use crate::task::{Credentials, INIT};
use crate::vfs::mount::MountTable;
use crate::vfs::{FileSystem, FsContext};
use crate::wait::Tid;

/// Guest address of a page that programs may write, mapped in every address space.
pub const DATA: u64 = 0x20_0000;
/// Bytes mapped at [`DATA`].
pub const DATA_BYTES: u64 = 0x10000;

const A0: usize = 10;
const A7: usize = 17;
const EXIT_GROUP: u64 = 94;
const RT_SIGRETURN: u64 = 139;

/// What a task does next: `Call` makes a system call, `Spin` uses up its slice.
pub enum Next {
    Call(u64, [u64; 6]),
    Spin,
}

/// A task's program: gets the last call's result (0 at the start) and says what comes next. The number is how often it
/// was asked before.
pub type Script = Box<dyn FnMut(usize, i64) -> Next>;

/// A task that plays: how often its script was asked, and its last call with where the program counter was before it.
struct Playing {
    asked: usize,
    script: Script,
    last: Option<(u64, u64, [u64; 6])>,
}

/// Scripts by the order in which host tasks first run; a task without one makes `exit_group(0)`.
struct Player {
    waiting: Vec<Script>,
    running: HashMap<HostTask, Playing>,
}

/// A kernel with process 1 in it, which has no program but memory at [`DATA`].
pub fn kernel() -> (Kernel, &'static Fake) {
    let fake: &'static Fake = Box::leak(Box::new(Fake::new()));
    let isa = isa("riscv64").unwrap();
    let mut k = Kernel::bare(fake, isa);
    let root = Tmpfs::new(fake, 1 << 30);
    let _ = root.root().set_attr(&crate::vfs::SetAttr { mode: Some(0o755), ..Default::default() });
    k.mounts = MountTable::new(root);
    let context = FsContext { cwd: k.mounts.root(), root: k.mounts.root(), umask: 0o022 };
    insert_first(&mut k, context, Credentials::new(0, 0, Vec::new()));
    give_memory(&mut k);
    (k, fake)
}

fn give_memory(k: &mut Kernel) {
    let mut mm = Mm::new(k.platform).unwrap();
    let request =
        Request { addr: DATA, len: DATA_BYTES, prot: 3, shared: false, fixed: Fixed::Replace, file: None, name: "" };
    mm.mmap(request).unwrap();
    let space = mm.space();
    k.process_mut(INIT).mm = Rc::new(RefCell::new(mm));
    let host = k.platform.task_create(space).unwrap();
    let task = k.task_mut(Tid(1));
    task.space = space;
    task.host = Some(host);
}

/// Runs process 1 with the first script, its descendants with the others in the order in which they first run; returns
/// process 1's wait status.
pub fn run(k: &mut Kernel, fake: &'static Fake, scripts: Vec<Script>) -> u32 {
    let isa: &'static dyn Isa = k.isa;
    let mut player = Player { waiting: scripts, running: HashMap::new() };
    player.waiting.reverse();
    fake.on_run(Box::new(move |_, task, _, registers| play(&mut player, isa, task, registers)));
    k.enqueue(Tid(1));
    crate::dispatch::run(k)
}

fn play(player: &mut Player, isa: &'static dyn Isa, task: HostTask, registers: &mut Registers) -> Exit {
    let waiting = &mut player.waiting;
    let playing = player.running.entry(task).or_insert_with(|| {
        let script = waiting.pop().unwrap_or_else(|| Box::new(|_, _| Next::Call(EXIT_GROUP, [0; 6])));
        Playing { asked: 0, script, last: None }
    });
    let pc = isa.pc(registers);
    let ended = |kind| Exit { kind, detail: 0, address: 0 };
    if let Some((before, number, args)) = playing.last
        && before == pc
    {
        // The kernel wants the same call again.
        set_call(registers, number, args, pc + 4);
        return ended(exit::SYSCALL);
    }
    let result = read(registers, offset::X + 8 * A0) as i64;
    let next = (playing.script)(playing.asked, result);
    playing.asked += 1;
    let Next::Call(number, args) = next else { return ended(exit::YIELD) };
    if number != RT_SIGRETURN {
        playing.last = Some((pc, number, args));
    }
    set_call(registers, number, args, pc + 4);
    ended(exit::SYSCALL)
}

fn set_call(registers: &mut Registers, number: u64, args: [u64; 6], pc: u64) {
    for (i, arg) in args.into_iter().enumerate() {
        write(registers, offset::X + 8 * (A0 + i), arg);
    }
    write(registers, offset::X + 8 * A7, number);
    write(registers, offset::PC, pc);
}
