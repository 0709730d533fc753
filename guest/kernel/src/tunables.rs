//! The numbers that could be others.

/// Size of a page of guest memory.
pub const PAGE: u64 = 4096;
/// Lowest address that can be mapped (vm.mmap_min_addr); static programs are linked to start there.
pub const LOWEST: u64 = 0x1_0000;
/// Mappings that did not ask for an address go no lower.
pub const PLACE_LOWEST: u64 = 1 << 20;
/// End of what can be mapped: the last MiB never is.
pub const HIGHEST: u64 = 0xfff0_0000;
/// Where the page with the rt_sigreturn trampoline is.
pub const RESTORER: u64 = HIGHEST - PAGE;
/// Size of a main thread's stack, mapped at exec.
pub const STACK_BYTES: u64 = 8 << 20;
/// The stack's top is moved down at random by up to this many bytes.
pub const STACK_RANDOM: u64 = 8 << 20;
/// Distance kept between the stack and mappings.
pub const STACK_GUARD: u64 = 1 << 20;
/// Where position-independent programs are loaded, plus up to `PIE_RANDOM`.
pub const PIE_BASE: u64 = 0x2aaa_0000;
pub const PIE_RANDOM: u64 = 16 << 20;
/// The heap starts at random up to this far behind the program.
pub const BRK_RANDOM: u64 = 1 << 20;
/// Mappings of one process (vm.max_map_count's place).
pub const MAPPINGS_MAX: usize = 40_000;
/// Most bytes of arguments and environment (ARG_MAX).
pub const ARGUMENT_BYTES: usize = 2 << 20;
/// Most bytes of one argument, its NUL included (MAX_ARG_STRLEN).
pub const ARGUMENT_MAX: usize = 128 << 10;
/// Process ids wrap here.
pub const PID_MAX: u32 = 32768;
/// RLIMIT_NOFILE.
pub const OPEN_FILES: u64 = 1 << 20;
/// Look for events of the host after this many system calls without a yield.
pub const CALLS_PER_POLL: u32 = 256;
/// Queued real-time signals of one process.
pub const QUEUED_SIGNALS: usize = 4096;
/// Depth of `#!` interpreters.
pub const SCRIPT_DEPTH: u32 = 5;
/// Bytes of the first line of a script that are looked at.
pub const SCRIPT_LINE: usize = 256;
/// What uname(2) and /proc/sys/kernel say: a kernel whose calls are all known here or refused.
pub const OS_RELEASE: &str = "6.12.0-shallop";
pub const OS_VERSION: &str = "#1 SMP PREEMPT_DYNAMIC";
