//! Whole programs, natively, on the test memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use shallop_machine::backend::Width;
use shallop_machine::exit::kind;
use shallop_machine::{Control, Registers};
use shallop_riscv64::State;

use crate::memory::native;
use crate::{cache, memory, run, slots, translated};

const SLOT: usize = 5;
const CODE: u64 = 0x1000;

/// `a0 = sum of 1..=a0`, then a system call; 32-bit encodings.
const SUM: &[u16] = &[0x0593, 0x0000, 0x85b3, 0x00a5, 0x0513, 0xfff5, 0x1ce3, 0xfe05, 0x0073, 0x0000];
/// Sets up a stack at 0x80000, calls a recursive `fib(a0)`, then a system call.
const FIB: &[u16] = &[
    0x0137, 0x0008, 0x00ef, 0x0080, 0x0073, 0x0000, 0x4789, 0x4463, 0x02f5, 0x1101, 0xec06, 0xe822, 0x842a, 0x0513,
    0xfff4, 0xf0ef, 0xfeff, 0xe42a, 0x0513, 0xffe4, 0xf0ef, 0xfe5f, 0x67a2, 0x953e, 0x60e2, 0x6442, 0x6105, 0x8082,
];
/// Adds 1 to the word at `a0`, `a1` times, with lr/sc; then `amomaxu.d a5` and `amoadd.w a6` of -1 at `a0 + 8`.
const ATOMICS: &[u16] = &[
    0x262f, 0x1005, 0x0605, 0x26af, 0x18c5, 0xfafd, 0x15fd, 0xf9ed, 0x577d, 0x0521, 0x37af, 0xe0e5, 0x282f, 0x00e5,
    0x0073, 0x0000,
];
/// The square root of 2 by eight steps of Newton's in `a2`, by `fsqrt.d` in `a3`, as a single in `a4`; the flags in
/// `a5`, the truncated single in `a6`.
const ROOT: &[u16] = &[
    0x4509, 0x7553, 0xd225, 0x75d3, 0xd225, 0x45a1, 0x7653, 0x1ab5, 0xf5d3, 0x02c5, 0x76d3, 0xd225, 0xf5d3, 0x1ad5,
    0x15fd, 0xf5fd, 0x7753, 0x5a05, 0x8653, 0xe205, 0x06d3, 0xe207, 0x77d3, 0x4017, 0x8753, 0xe007, 0x27f3, 0x0010,
    0x9853, 0xc007, 0x0073, 0x0000,
];
const ECALL: [u16; 2] = [0x0073, 0x0000];

/// The engine, whose statics one test at a time may use.
struct Engine(#[allow(dead_code)] MutexGuard<'static, ()>);

impl Engine {
    /// An engine with `code` at [`CODE`] and the task's pc there.
    fn with(code: &[u16]) -> Engine {
        static LOCK: Mutex<()> = Mutex::new(());
        let engine = Engine(LOCK.lock().unwrap_or_else(PoisonError::into_inner));
        engine.start(code);
        engine
    }

    /// Begins anew with other code.
    fn start(&self, code: &[u16]) {
        cache::reset();
        self.write_code(CODE, code);
        self.set(&State { pc: CODE, ..State::default() });
        self.set_preempt(0);
    }

    fn write_code(&self, address: u64, code: &[u16]) {
        for (at, half) in code.iter().enumerate() {
            memory::store(address as u32 + 2 * at as u32, u64::from(*half), Width::Half).unwrap();
        }
    }

    fn set(&self, state: &State) {
        let mut registers = Registers::default();
        state.store(&mut registers);
        // SAFETY: the lock is held.
        unsafe { *slots::registers(SLOT) = registers };
    }

    fn set_preempt(&self, preempt: u32) {
        // SAFETY: the lock is held.
        unsafe { (*slots::control(SLOT)).preempt = preempt };
    }

    fn state(&self) -> State {
        // SAFETY: the lock is held.
        State::view(unsafe { &*slots::registers(SLOT) })
    }

    fn control(&self) -> Control {
        // SAFETY: the lock is held.
        unsafe { *slots::control(SLOT) }
    }

    /// Runs to the next exit; gives its kind.
    fn run(&self) -> u32 {
        run::run_to_exit(SLOT);
        self.control().kind
    }

    /// Runs with `a0` and `a1`, expecting a system call.
    fn call(&self, a0: u64, a1: u64) -> State {
        let mut state = State { pc: CODE, ..State::default() };
        (state.x[10], state.x[11]) = (a0, a1);
        self.set(&state);
        assert_eq!(self.run(), kind::SYSCALL);
        self.state()
    }
}

#[test]
fn a_loop_runs_to_its_system_call() {
    let engine = Engine::with(SUM);
    let state = engine.call(1000, 0);
    assert_eq!(state.x[11], 500_500);
    assert_eq!(state.pc, CODE + 0x14);
    assert_eq!(engine.call(10, 0).x[11], 55);
}

#[test]
fn calls_and_returns_nest() {
    assert_eq!(Engine::with(FIB).call(15, 0).x[10], 610);
}

#[test]
fn atomics_change_memory() {
    let engine = Engine::with(ATOMICS);
    memory::store(0x4000, 41, Width::Word).unwrap();
    memory::store(0x4008, 7, Width::Double).unwrap();
    let state = engine.call(0x4000, 1000);
    assert_eq!(memory::load(0x4000, Width::Word, false), Ok(1041));
    assert_eq!(state.x[15], 7);
    assert_eq!(state.x[16], u64::MAX);
    assert_eq!(memory::load(0x4008, Width::Double, false), Ok(0xffff_ffff_ffff_fffe));
}

#[test]
fn a_misaligned_atomic_is_refused() {
    let engine = Engine::with(ATOMICS);
    engine.set(&State { pc: CODE, ..State::default() });
    let mut state = engine.state();
    state.x[10] = 0x4002;
    engine.set(&state);
    assert_eq!(engine.run(), kind::MISALIGNED);
    assert_eq!((engine.control().detail, engine.control().address), (0, 0x4002));
    assert_eq!(engine.state().pc, CODE);
}

#[test]
fn floating_point_accrues_flags() {
    let state = Engine::with(ROOT).call(0, 0);
    let newton = (0..8).fold(2_f64, |root, _| (root + 2.0 / root) / 2.0);
    assert_eq!(f64::from_bits(state.x[12]), newton);
    assert_eq!(state.x[13], 2_f64.sqrt().to_bits());
    assert_eq!(state.x[14], u64::from(2_f32.sqrt().to_bits()));
    assert_eq!(state.x[15], 1);
    assert_eq!(state.x[16], 1);
}

#[test]
fn a_preempted_loop_goes_on_where_it_was() {
    let engine = Engine::with(SUM);
    let mut state = engine.state();
    state.x[10] = 100;
    engine.set(&state);
    engine.set_preempt(1);
    assert_eq!(engine.run(), kind::YIELD);
    assert_eq!((engine.control().preempt, engine.state().pc), (0, CODE));
    assert_eq!(engine.run(), kind::SYSCALL);
    assert_eq!(engine.state().x[11], 5050);
}

#[test]
fn accesses_past_four_gigabytes_fault() {
    let load = [0x3503, 0x0085]; // ld a0, 8(a0)
    let engine = Engine::with(&load);
    let mut state = engine.state();
    state.x[10] = 0xffff_fffc;
    engine.set(&state);
    assert_eq!(engine.run(), kind::FAULT);
    assert_eq!((engine.control().detail, engine.control().address), (0, 0x1_0000_0004));
    assert_eq!((engine.state().pc, engine.state().x[10]), (CODE, 0xffff_fffc));

    engine.set(&State { pc: 1 << 32, ..State::default() });
    assert_eq!(engine.run(), kind::FAULT);
    assert_eq!((engine.control().detail, engine.control().address), (2, 1 << 32));
    assert_eq!(engine.state().pc, 1 << 32);
}

#[test]
fn a_fault_names_its_instruction() {
    let code = [0x0505, 0xe10c]; // addi a0, a0, 1; sd a1, 0(a0)
    let engine = Engine::with(&code);
    let mut state = engine.state();
    state.x[10] = native::BYTES as u64;
    engine.set(&state);
    assert_eq!(engine.run(), kind::FAULT);
    run::fixup(SLOT);
    assert_eq!((engine.control().fault_kind, engine.state().pc), (1, CODE + 2));
    assert_eq!(engine.control().address, native::BYTES as u64 + 1);

    engine.set(&State { pc: native::BYTES as u64, ..State::default() });
    assert_eq!(engine.run(), kind::FAULT);
    run::fixup(SLOT);
    assert_eq!((engine.control().fault_kind, engine.state().pc), (2, native::BYTES as u64));
}

#[test]
fn an_instruction_across_the_last_page_faults_where_it_ends() {
    let end = native::BYTES as u64 - 4;
    let engine = Engine::with(&[]);
    engine.write_code(end, &[0x0505, 0x0593]); // addi a0, a0, 1; the first half of li a1, …
    engine.set(&State { pc: end, ..State::default() });
    assert_eq!(engine.run(), kind::FAULT);
    assert_eq!((engine.control().address, engine.state().pc), (native::BYTES as u64, native::BYTES as u64 - 2));
    assert_eq!(engine.state().x[10], 1);
}

#[test]
fn what_is_no_instruction_is_told_with_its_bits() {
    let engine = Engine::with(&[0x0001, 0xffff, 0xffff]);
    assert_eq!(engine.run(), kind::ILLEGAL);
    assert_eq!((engine.control().detail, engine.state().pc), (0xffff_ffff, CODE + 2));
    engine.start(&[0x9002]);
    assert_eq!(engine.run(), kind::BREAKPOINT);
    assert_eq!(engine.state().pc, CODE);
    engine.set(&State { pc: CODE + 1, ..State::default() });
    assert_eq!(engine.run(), kind::MISALIGNED);
}

#[test]
fn a_dynamic_rounding_mode_that_is_reserved_is_illegal() {
    let engine = Engine::with(&[0x7553, 0x02b5]); // fadd.d fa0, fa0, fa1, dyn
    engine.set(&State { pc: CODE, fcsr: 5 << 5, ..State::default() });
    assert_eq!(engine.run(), kind::ILLEGAL);
    assert_eq!(engine.control().detail, 0x02b5_7553);
}

#[test]
fn x0_stays_zero() {
    let engine = Engine::with(&[0x0013, 0x0015, 0x0513, 0x0000, 0x0073, 0x0000]); // addi x0, a0, 1; mv a0, x0; ecall
    assert_eq!(engine.call(7, 0).x[10], 0);
}

#[test]
fn flushed_code_is_decoded_again() {
    let load_one = [0x4505, 0x0073, 0x0000]; // li a0, 1; ecall
    let engine = Engine::with(&load_one);
    assert_eq!(engine.call(0, 0).x[10], 1);
    engine.write_code(CODE, &[0x4509]); // li a0, 2
    assert_eq!(engine.call(0, 0).x[10], 1);
    cache::flush(CODE + 0x1000, 0x1000);
    assert_eq!(engine.call(0, 0).x[10], 1);
    cache::flush(CODE, 2);
    assert_eq!(engine.call(0, 0).x[10], 2);
    engine.write_code(CODE, &[0x4505]);
    cache::flush(0, u64::MAX);
    assert_eq!(engine.call(0, 0).x[10], 1);
}

#[test]
fn a_full_arena_is_dropped_and_filled_again() {
    let engine = Engine::with(SUM);
    let before = cache::generation();
    // Each flush wastes the cells of what it drops.
    let mut rounds = 0;
    while cache::generation() == before {
        assert_eq!(engine.call(3, 0).x[11], 6);
        cache::flush(CODE, 4);
        rounds += 1;
        assert!(rounds < 1 << 22);
    }
    assert_eq!(engine.call(4, 0).x[11], 10);
}

#[test]
fn links_into_flushed_code_find_the_new_code() {
    // 0x1000: beq x0, x0, 0x3000; 0x3000: li a0, 1; ecall
    let engine = Engine::with(&[0x0063, 0x0000]);
    engine.write_code(CODE, &[0x2537, 0x0000, 0x006f, 0x0000]);
    engine.write_code(CODE + 4, &[0x106f, 0x7fd0]); // j 0x3000
    engine.write_code(0x3000, &[0x4505, 0x0073, 0x0000]);
    assert_eq!(engine.call(0, 0).x[10], 1);
    engine.write_code(0x3000, &[0x4511]); // li a0, 4
    cache::flush(0x3000, 0x1000);
    assert_eq!(engine.call(0, 0).x[10], 4);
    assert_eq!(engine.call(0, 0).x[10], 4);
}

#[test]
fn an_instruction_across_a_page_is_flushed_with_either() {
    let engine = Engine::with(&[]);
    engine.write_code(0x1ffe, &[0x0513, 0x0010]); // li a0, 1
    engine.write_code(0x2002, &ECALL);
    let run = || {
        engine.set(&State { pc: 0x1ffe, ..State::default() });
        assert_eq!(engine.run(), kind::SYSCALL);
        engine.state().x[10]
    };
    assert_eq!(run(), 1);
    engine.write_code(0x2000, &[0x0020]); // li a0, 2
    cache::flush(0x2000, 1);
    assert_eq!(run(), 2);
    engine.write_code(0x2000, &[0x0030]);
    cache::flush(0x2000, 1);
    assert_eq!(run(), 3);
}

#[test]
fn fence_i_drops_decoded_code() {
    // sh a1, 8(a2); fence.i; nop; ecall slot
    let engine = Engine::with(&[0x1423, 0x00b6, 0x100f, 0x0000, 0x4501, 0x0073, 0x0000]);
    engine.write_code(CODE + 8, &[0x4505, 0x0073, 0x0000]); // li a0, 1; ecall
    let mut state = engine.state();
    (state.x[11], state.x[12]) = (0x4509, CODE);
    for (word, expected) in [(0x4505, 1), (0x4509, 2)] {
        state.x[11] = word;
        engine.set(&state);
        assert_eq!(engine.run(), kind::SYSCALL);
        assert_eq!(engine.state().x[10], expected);
    }
}

#[test]
fn counters_grow() {
    let read = [0x2573, 0xc000, 0x25f3, 0xc010, 0x2673, 0xc020]; // rdcycle a0; rdtime a1; rdinstret a2
    let engine = Engine::with(&[&read[..], &ECALL].concat());
    let state = engine.call(0, 0);
    assert!(state.x[10] < state.x[11] && state.x[11] < state.x[12]);
    engine.start(&[0x1073, 0xc000]); // csrw cycle, x0
    assert_eq!(engine.run(), kind::ILLEGAL);
}

#[test]
fn a_long_line_is_decoded_in_pieces() {
    let mut code = vec![0x0505; 1000]; // addi a0, a0, 1
    code.extend(ECALL);
    assert_eq!(Engine::with(&code).call(0, 0).x[10], 1000);
}

#[test]
fn a_jump_is_noted_with_its_most_frequent_target() {
    let _engine = Engine::with(&ECALL);
    const SITE: u32 = 0x1234;
    let noted = |targets: &[u32]| {
        targets.iter().for_each(|target| translated::note_jump(SITE, *target));
        // SAFETY: the lock is held.
        unsafe { (*translated::exchange()).seen.iter().find(|seen| seen.site == SITE).unwrap().target }
    };
    assert_eq!(noted(&[2]), 2);
    assert_eq!(noted(&[4, 2, 4, 4, 6, 4, 2]), 4);
    assert_eq!(noted(&[2, 2, 2]), 2);
    // Another site has the same place.
    translated::note_jump(SITE + 2 * 2048, 8);
    assert_eq!(noted(&[6]), 6);
}

#[test]
fn a_loop_that_computed_jumps_close_is_found_hot() {
    // addi a0, a0, -1; beqz a0, .+4; jr a2; ecall
    let engine = Engine::with(&[&[0x157d, 0xc111, 0x8602][..], &ECALL].concat());
    let exchange = translated::exchange();
    // SAFETY: the lock is held.
    unsafe { (*exchange).looks = 32 };
    let mut state = engine.state();
    (state.x[10], state.x[12]) = (1000, CODE);
    engine.set(&state);
    assert_eq!(engine.run(), kind::SYSCALL);
    // SAFETY: as above.
    unsafe {
        // It is told of as warm after the first and 2 passages, and as hot after 32, 128 and 512.
        let (code, warm) = (CODE as u32, CODE as u32 | 1);
        assert_eq!(((*exchange).hot, &(&(*exchange).list)[..5]), (5, &[warm, warm, code, code, code][..]));
        // The jump is behind two short instructions, and went to the first.
        let jump = CODE as u32 + 4;
        assert!((*exchange).seen.iter().any(|seen| (seen.site, seen.target) == (jump, CODE as u32)));
        ((*exchange).looks, (*exchange).hot) = (0, 0);
    }
}
