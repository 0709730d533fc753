//! What the kernel must know of an instruction set: where the system call's words are, signal frames, ELF identity.

/// Raw register block of one task, as `task_run` copies it. Its layout belongs to the instruction set alone.
pub const STATE_BYTES: usize = 640;

/// One task's registers, opaque to everything but its `Isa`.
#[derive(Clone)]
#[repr(C, align(16))]
pub struct Registers(pub [u8; STATE_BYTES]);

impl Default for Registers {
    fn default() -> Self {
        Registers([0; STATE_BYTES])
    }
}

/// A signal to be delivered: what goes into the frame that the handler sees (sigaction(2), signal(7)).
#[derive(Debug, Clone)]
pub struct SignalFrame<'a> {
    pub signal: u32,
    pub handler: u64,
    /// The 128-byte siginfo_t.
    pub info: &'a [u8; 128],
    /// The blocked mask to restore.
    pub mask: u64,
    /// uc_stack: sp, flags, size.
    pub alt_stack: (u64, u32, u64),
    /// Where the frame goes: the current stack or the alternate one's top.
    pub stack_top: u64,
    /// Address of the code that calls rt_sigreturn (the kernel's vdso page).
    pub restorer: u64,
}

/// An instruction set, from the kernel's point of view. Implemented by a unit struct in `guest/<isa>`.
pub trait Isa {
    /// `uname -m`, and the architecture word of ld.so paths.
    fn machine(&self) -> &'static str;
    /// e_machine of its ELF files.
    fn elf_machine(&self) -> u16;
    /// AT_HWCAP.
    fn hwcap(&self) -> u64;
    /// System call number and its six arguments.
    fn syscall(&self, registers: &Registers) -> (u64, [u64; 6]);
    /// Sets a system call's result.
    fn set_result(&self, registers: &mut Registers, value: i64);
    /// Makes the task issue the same call again when it next runs (pc back to the call instruction, first
    /// argument restored to `first_argument`, as ERESTARTSYS does).
    fn restart_syscall(&self, registers: &mut Registers, number: u64, first_argument: u64);
    /// Registers of a program about to start.
    fn start(&self, registers: &mut Registers, pc: u64, sp: u64);
    fn pc(&self, registers: &Registers) -> u64;
    fn sp(&self, registers: &Registers) -> u64;
    /// The return address register's value, and the frame pointer's.
    fn links(&self, registers: &Registers) -> (u64, u64);
    /// Where a frame keeps its caller's frame pointer and, behind it, its return address, in code that has frame pointers.
    fn frame_record(&self, frame_pointer: u64) -> u64;
    /// Whether code that ends with these bytes ends with a call.
    fn is_call(&self, code: [u8; 4]) -> bool;
    /// For a cloned task: its stack (if not 0), its thread pointer (if given), result 0.
    fn set_clone(&self, registers: &mut Registers, sp: u64, tls: Option<u64>);
    /// Bytes of the code page mapped at the vdso address: an rt_sigreturn trampoline.
    fn restorer_code(&self) -> &'static [u8];
    /// Builds the signal frame: changes `registers` to enter the handler and returns (address, bytes) to be
    /// written to guest memory.
    fn push_frame(&self, registers: &mut Registers, frame: &SignalFrame<'_>) -> (u64, FrameBytes);
    /// Number of bytes at `sp` that rt_sigreturn must read.
    fn frame_size(&self) -> usize;
    /// Restores `registers` from the frame's bytes; returns the signal mask and the alternate stack to restore.
    fn pop_frame(&self, registers: &mut Registers, frame: &[u8]) -> (u64, (u64, u32, u64));
    /// One line a register pair, for reports of a crash.
    fn describe(&self, registers: &Registers, out: &mut dyn core::fmt::Write) -> core::fmt::Result;
}

/// The bytes of a signal frame, at most 2 KiB.
#[derive(Clone)]
pub struct FrameBytes {
    pub bytes: [u8; 2048],
    pub len: usize,
}
