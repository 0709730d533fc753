//! A machine for tests: translated modules in wasmtime beside single steps of the interpreter.
#![allow(dead_code)]

pub mod elf;
mod lend;

use std::collections::HashMap;

use shallop_machine::Exit;
use shallop_machine::backend::{Backend, Float, Precision, Width};
use shallop_machine::exit::{Access, MAX_DEPTH, PREEMPT, UNWIND};
use shallop_riscv64::interpreter::{Guest, Interpreter, Leave};
use shallop_riscv64::registers::{offset, word};
use shallop_riscv64::single_step::Memory as Steps;
use shallop_riscv64::{State, interpret_one};
use shallop_translate::{FUNCTIONS, Translated, Variant};
use wasmtime::{
    Caller, Config, Engine, Extern, Func, Global, GlobalType, Instance, Memory, MemoryType, Module, Mutability, Ref,
    RefType, Store, Table, TableType, Trap, Val, ValType,
};

/// Where the preempt word is in the state's memory, behind the state at 0.
const PREEMPT_WORD: usize = shallop_machine::isa::STATE_BYTES;
/// Where the table of function starts is in the engine's memory.
const ENTRIES: u32 = 0x1_0000;
/// Code that is not translated: where tests end.
pub const STOP: u64 = 0x00f0_0000;
/// Pages of 4 GiB.
const ALL_PAGES: u64 = 65_536;

const FLOATS: [Float; 21] = {
    use Float::*;
    [
        Add,
        Sub,
        Mul,
        Div,
        Sqrt,
        FusedMultiplyAdd,
        Min,
        Max,
        Equal,
        Less,
        LessEqual,
        Classify,
        ToI32,
        ToU32,
        ToI64,
        ToU64,
        FromI32,
        FromU32,
        FromI64,
        FromU64,
        Convert,
    ]
};

/// A translated function: entered at its start alone, or elsewhere.
#[derive(Clone)]
enum Function {
    Start(wasmtime::TypedFunc<(i32, i64, i64, i64), i64>),
    Entered(wasmtime::TypedFunc<(i32, i32), i64>),
}

pub struct Machine {
    pub store: Store<Storm>,
    state_memory: Memory,
    engine_memory: Memory,
    guest: Memory,
    table: Table,
    /// What translated code calls, in the order of its imports.
    functions: [Func; 4],
    entries: HashMap<u64, (Function, i32)>,
    /// Instructions that were interpreted.
    pub interpreted: u64,
    /// Calls of translated code by the dispatcher.
    pub dispatched: u64,
    /// Faults in translated code; what it did before is interpreted then.
    pub replayed: u64,
    replays: bool,
}

/// When set, tasks are asked to stop at random.
type Storm = Option<Numbers>;

pub fn engine() -> Engine {
    let mut config = Config::new();
    // As in a sandbox, where it makes a difference.
    config.wasm_multi_memory(true).memory_reservation(2 << 30).memory_guard_size((2 << 30) + (256 << 20));
    config.memory_may_move(true);
    config.max_wasm_stack(1 << 20).native_unwind_info(false).relaxed_simd_deterministic(true);
    config.wasm_branch_hinting(true).wasm_wide_arithmetic(true);
    Engine::new(&config).unwrap()
}

/// Compiles a translated module.
pub fn module(engine: &Engine, translated: &Translated, guest_pages: u64) -> Module {
    Module::new(engine, lend::with_imported_memories(&translated.wasm, guest_pages)).unwrap()
}

impl Machine {
    pub fn new(engine: &Engine) -> Machine {
        Machine::with_pages(engine, ALL_PAGES)
    }

    /// One for code of this variant: the memory of precise code ends at `end`, where a page does, and accesses behind that fault.
    pub fn up_to(engine: &Engine, end: u64, variant: Variant) -> Machine {
        Machine::with_pages(engine, if variant == Variant::Precise { end >> 16 } else { ALL_PAGES })
    }

    fn with_pages(engine: &Engine, pages: u64) -> Machine {
        let mut store = Store::new(engine, None);
        let state_memory = Memory::new(&mut store, MemoryType::new(1, Some(1))).unwrap();
        let engine_memory = Memory::new(&mut store, MemoryType::new(32, None)).unwrap();
        let guest = Memory::new(&mut store, MemoryType::new(pages as u32, Some(ALL_PAGES as u32))).unwrap();
        let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None)).unwrap();
        let float = Func::wrap(
            &mut store,
            move |mut caller: Caller<'_, Storm>,
                  _: i32,
                  operation: i32,
                  precision: i32,
                  rounding: i32,
                  a: i64,
                  b: i64,
                  c: i64|
                  -> i64 {
                let bytes = state_memory.data_mut(&mut caller);
                let mut interpreter = Interpreter(Control(u64::from(bytes[offset::FCSR])));
                let precision = if precision == 0 { Precision::Single } else { Precision::Double };
                let operands = [a as u64, b as u64, c as u64];
                let operation = FLOATS[operation as usize];
                let value = interpreter.float(operation, precision, operands, rounding as u8, 0).unwrap();
                bytes[offset::FCSR] = interpreter.0.0 as u8;
                value as i64
            },
        );
        // What would go on nested is left to `piece`.
        let dispatch = Func::wrap(&mut store, |_: i32, _: i32, target: i64, _: i64| target | 1);
        let step = Func::wrap(&mut store, |_: i32, pc: i64| pc | 1);
        let pause = Func::wrap(&mut store, move |mut caller: Caller<'_, Storm>, _: i32, pc: i64| -> i64 {
            let (bytes, storm) = state_memory.data_and_store_mut(&mut caller);
            // As the engine has it: a task that is not to yield is too deep in calls.
            let deep = bytes[PREEMPT_WORD + 3] == 0;
            let again = storm.as_mut().is_some_and(|numbers| numbers.below(3) != 0);
            bytes[PREEMPT_WORD..PREEMPT_WORD + 4].copy_from_slice(&if again { PREEMPT } else { 0 }.to_le_bytes());
            bytes[offset::PC..offset::PC + 8].copy_from_slice(&pc.to_le_bytes());
            let unwinds = deep || storm.as_mut().is_some_and(|numbers| numbers.below(2) == 0);
            if unwinds { UNWIND as i64 } else { pc }
        });
        let functions = [float, dispatch, step, pause];
        Machine {
            store,
            state_memory,
            engine_memory,
            guest,
            table,
            functions,
            entries: HashMap::new(),
            interpreted: 0,
            dispatched: 0,
            replayed: 0,
            replays: false,
        }
    }

    /// Has tasks asked to stop at random.
    pub fn storm(&mut self, numbers: Numbers) {
        *self.store.data_mut() = Some(numbers);
    }

    /// Makes a module's functions callable.
    pub fn install(&mut self, translated: &Translated, bias: u32) {
        let module = module(self.store.engine(), translated, self.guest.size(&self.store));
        self.install_module(&module, translated, bias);
    }

    pub fn install_module(&mut self, module: &Module, translated: &Translated, bias: u32) {
        let store = &mut self.store;
        let base = self.table.grow(&mut *store, translated.functions.len() as u64, Ref::Func(None)).unwrap() as u32;
        let mut global = |value: u32| -> Extern {
            let kind = GlobalType::new(ValType::I32, Mutability::Const);
            Global::new(&mut *store, kind, Val::I32(value as i32)).unwrap().into()
        };
        let (state, guest) = (self.state_memory, self.guest);
        let memories = [state, guest, self.engine_memory, state, guest, state].map(Extern::from);
        let globals = [bias, ENTRIES, 0].map(&mut global);
        let functions = self.functions.map(Extern::from);
        let imports = [&memories[..], &[self.table.into()], &globals, &functions].concat();
        let instance = Instance::new(&mut self.store, module, &imports).unwrap();
        let functions = instance.get_table(&mut self.store, FUNCTIONS).unwrap();
        for (k, function) in translated.functions.iter().enumerate() {
            let index = base + k as u32;
            let Some(Ref::Func(Some(func))) = functions.get(&mut self.store, k as u64) else { panic!("function {k}") };
            self.table.set(&mut self.store, u64::from(index), Ref::Func(Some(func))).unwrap();
            let entry = match function.resume.is_empty() {
                true => Function::Start(func.typed(&self.store).unwrap()),
                false => Function::Entered(func.typed(&self.store).unwrap()),
            };
            let pc = bias.wrapping_add(function.start);
            if let Function::Start(_) = entry
                && let std::collections::hash_map::Entry::Vacant(place) = self.entries.entry(u64::from(pc))
            {
                let at = (ENTRIES + (pc >> 1 & 0xffff) * 8) as usize;
                let bytes = self.engine_memory.data_mut(&mut self.store);
                bytes[at..at + 4].copy_from_slice(&pc.to_le_bytes());
                bytes[at + 4..at + 8].copy_from_slice(&index.to_le_bytes());
                place.insert((entry.clone(), 0));
            }
            for (k, resume) in function.resume.iter().enumerate() {
                let pc = u64::from(bias.wrapping_add(*resume));
                self.entries.entry(pc).or_insert((entry.clone(), k as i32 + 1));
            }
        }
    }

    pub fn guest(&mut self) -> &mut [u8] {
        self.guest.data_mut(&mut self.store)
    }

    fn set_preempt(&mut self, value: u32) {
        self.state_memory.data_mut(&mut self.store)[PREEMPT_WORD..PREEMPT_WORD + 4]
            .copy_from_slice(&value.to_le_bytes());
    }

    pub fn state(&self) -> State {
        let bytes = self.state_memory.data(&self.store);
        let read = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        State {
            x: std::array::from_fn(|i| read(offset::X + 8 * i)),
            pc: read(offset::PC),
            f: std::array::from_fn(|i| read(offset::F + 8 * i)),
            fcsr: read(offset::FCSR) as u32,
            reservation_address: read(offset::RESERVATION_ADDRESS),
            reservation_value: read(offset::RESERVATION_VALUE),
            counter: read(offset::COUNTER),
        }
    }

    pub fn set_state(&mut self, state: &State) {
        let bytes = self.state_memory.data_mut(&mut self.store);
        let mut write = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        for i in 0..32 {
            write(offset::X + 8 * i, state.x[i]);
            write(offset::F + 8 * i, state.f[i]);
        }
        write(offset::PC, state.pc);
        write(offset::FCSR, u64::from(state.fcsr));
        write(offset::RESERVATION_ADDRESS, state.reservation_address);
        write(offset::RESERVATION_VALUE, state.reservation_value);
        write(offset::COUNTER, state.counter);
    }

    /// The translated function that can go on from a state, and its entry.
    fn entered_at(&self, state: &State) -> Option<(Function, i32)> {
        // They take the stack pointer for an address.
        u32::try_from(state.x[2]).ok()?;
        self.entries.get(&state.pc).cloned()
    }

    /// Runs a translated function until it comes back, and completes the state.
    fn enter(&mut self, function: &Function, entry: i32, state: &State) -> wasmtime::Result<()> {
        let pc = match function {
            Function::Entered(function) => function.call(&mut self.store, (MAX_DEPTH, entry))? as u64,
            Function::Start(function) => {
                let [ra, sp, a0] = [1, 2, 10].map(|register| state.x[register] as i64);
                let pc = function.call(&mut self.store, (MAX_DEPTH, sp, a0, ra))? as u64;
                if pc & 1 == 0 {
                    let mut state = self.state();
                    (state.x[1], state.x[2]) = (pc, sp as u64);
                    self.set_state(&state);
                }
                pc
            }
        };
        if pc != UNWIND {
            let bytes = self.state_memory.data_mut(&mut self.store);
            bytes[offset::PC..offset::PC + 8].copy_from_slice(&(pc & !1).to_le_bytes());
        }
        Ok(())
    }

    /// Runs one piece: translated code when there is an entry at the pc and `fresh`, else one instruction.
    /// Gives whether an instruction was interpreted.
    pub fn piece(&mut self, fresh: bool) -> Result<bool, Exit> {
        let mut state = self.state();
        if let Some(numbers) = self.store.data_mut() {
            let preempt = numbers.below(3) != 0;
            self.set_preempt(if preempt { PREEMPT } else { 0 });
        }
        if fresh
            && !self.replays
            && let Some((function, entry)) = self.entered_at(&state)
        {
            self.dispatched += 1;
            match self.enter(&function, entry, &state) {
                Err(error) if error.downcast_ref::<Trap>() == Some(&Trap::MemoryOutOfBounds) => {
                    (self.replays, self.replayed) = (true, self.replayed + 1);
                    state = self.state();
                }
                result => return result.map(|()| false).map_err(fault),
            }
        }
        self.interpreted += 1;
        let result = interpret_one(&mut state, &mut Flat(self.guest.data_mut(&mut self.store)));
        self.set_state(&state);
        result.map(|()| true)
    }

    /// Runs to `STOP`, or to the first exit.
    pub fn run(&mut self, limit: u64) -> Result<State, Exit> {
        self.replays = false;
        let mut fresh = true;
        let mut before = u64::MAX;
        for _ in 0..limit {
            let pc = self.state().pc;
            if pc == STOP {
                return Ok(self.state());
            }
            // Where translated code gave up at once, one instruction is interpreted first.
            fresh = fresh || pc != before;
            fresh = self.piece(fresh)?;
            before = if fresh { u64::MAX } else { self.state().pc };
        }
        panic!("still running at {:#x}", self.state().pc);
    }
}

/// The exit of translated code that came to an address above 4 GiB.
#[allow(clippy::needless_pass_by_value)]
fn fault(error: wasmtime::Error) -> Exit {
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::IntegerDivisionByZero), "{error:?}");
    Exit::Fault(Access::Load, 0)
}

/// `fcsr` alone.
struct Control(u64);

impl Guest for Control {
    const DEFERS: bool = false;
    fn word(&self, index: usize) -> u64 {
        assert_eq!(index, word::FCSR);
        self.0
    }
    fn set_word(&mut self, _: usize, value: u64) {
        self.0 = value;
    }
    fn pc(&self) -> u64 {
        0
    }
    fn load(&mut self, _: u64, _: Width, _: bool) -> Result<u64, Leave> {
        Ok(0)
    }
    fn store(&mut self, _: u64, _: u64, _: Width) -> Result<(), Leave> {
        Ok(())
    }
    fn exit(&mut self, _: Exit) -> Leave {
        Leave::Exit
    }
    fn count(&mut self) -> u64 {
        0
    }
}

/// Memory from address 0 on.
pub struct Flat<'a>(pub &'a mut [u8]);

impl Steps for Flat<'_> {
    fn load(&mut self, address: u64, width: Width) -> Option<u64> {
        let at = usize::try_from(address).ok()?;
        let bytes = self.0.get(at..at.checked_add(width.bytes() as usize)?)?;
        let mut value = [0; 8];
        value[..bytes.len()].copy_from_slice(bytes);
        Some(u64::from_le_bytes(value))
    }

    fn store(&mut self, address: u64, value: u64, width: Width) -> Option<()> {
        let at = usize::try_from(address).ok()?;
        let bytes = self.0.get_mut(at..at.checked_add(width.bytes() as usize)?)?;
        bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
        Some(())
    }
}

/// Numbers that look random (xorshift64*).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
