//! A machine for tests: translated modules in wasmtime beside single steps of the interpreter.
#![allow(dead_code)]

pub mod elf;

use std::collections::HashMap;

use shallop_machine::Exit;
use shallop_machine::backend::{Backend, Float, Precision, Width};
use shallop_riscv64::interpreter::{Guest, Interpreter, Leave};
use shallop_riscv64::registers::{offset, word};
use shallop_riscv64::single_step::Memory as Steps;
use shallop_riscv64::{State, interpret_one};
use shallop_translate::Translated;
use wasmtime::{
    Caller, Config, Engine, Extern, Func, Global, GlobalType, Instance, Memory, MemoryType, Module, Mutability, Ref,
    RefType, Store, Table, TableType, Val, ValType,
};

/// Where the harness keeps its things in the engine's memory.
const STATE: u32 = 0x1000;
const CONTROL: u32 = 0x2000;
const ENTRIES: u32 = 0x1_0000;
/// Code that is not translated: where tests end.
pub const STOP: u64 = 0x00f0_0000;

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

type Entry = wasmtime::TypedFunc<(i32, i32, i32, i32), i64>;

pub struct Machine {
    pub store: Store<()>,
    engine_memory: Memory,
    guest: Memory,
    table: Table,
    float: Func,
    entries: HashMap<u64, (Entry, i32)>,
    /// Instructions that were interpreted.
    pub interpreted: u64,
    /// Calls of translated code by the dispatcher.
    pub dispatched: u64,
    /// When set, tasks are asked to stop at random.
    pub storm: Option<Numbers>,
}

pub fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_multi_memory(true).epoch_interruption(true).memory_reservation(4 << 30).max_wasm_stack(1 << 20);
    Engine::new(&config).unwrap()
}

impl Machine {
    pub fn new(engine: &Engine) -> Machine {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1 << 40);
        let engine_memory = Memory::new(&mut store, MemoryType::new(32, None)).unwrap();
        let guest = Memory::new(&mut store, MemoryType::new(65_536, Some(65_536))).unwrap();
        let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None)).unwrap();
        let float = Func::wrap(
            &mut store,
            move |mut caller: Caller<'_, ()>,
                  state: i32,
                  operation: i32,
                  precision: i32,
                  rounding: i32,
                  a: i64,
                  b: i64,
                  c: i64|
                  -> i64 {
                let at = state as usize + offset::FCSR;
                let bytes = engine_memory.data_mut(&mut caller);
                let mut interpreter = Interpreter(Control(u64::from(bytes[at])));
                let precision = if precision == 0 { Precision::Single } else { Precision::Double };
                let operands = [a as u64, b as u64, c as u64];
                let operation = FLOATS[operation as usize];
                let value = interpreter.float(operation, precision, operands, rounding as u8, 0).unwrap();
                bytes[at] = interpreter.0.0 as u8;
                value as i64
            },
        );
        Machine {
            store,
            engine_memory,
            guest,
            table,
            float,
            entries: HashMap::new(),
            interpreted: 0,
            dispatched: 0,
            storm: None,
        }
    }

    /// Makes a module's functions callable.
    pub fn install(&mut self, translated: &Translated, bias: u32) {
        let module = Module::new(self.store.engine(), &translated.wasm).unwrap();
        self.install_module(&module, translated, bias);
    }

    pub fn install_module(&mut self, module: &Module, translated: &Translated, bias: u32) {
        let store = &mut self.store;
        let base = self.table.grow(&mut *store, translated.functions.len() as u64, Ref::Func(None)).unwrap() as u32;
        let mut global = |value: u32| -> Extern {
            let kind = GlobalType::new(ValType::I32, Mutability::Const);
            Global::new(&mut *store, kind, Val::I32(value as i32)).unwrap().into()
        };
        let (base_global, bias_global, entries) = (global(base), global(bias), global(ENTRIES));
        let imports = [
            self.engine_memory.into(),
            self.guest.into(),
            self.table.into(),
            base_global,
            bias_global,
            entries,
            self.float.into(),
        ];
        Instance::new(&mut self.store, module, &imports).unwrap();
        for (k, function) in translated.functions.iter().enumerate() {
            let index = base + k as u32;
            let Ref::Func(Some(func)) = self.table.get(&mut self.store, u64::from(index)).unwrap() else { panic!() };
            let typed: Entry = func.typed(&self.store).unwrap();
            let pc = bias.wrapping_add(function.start);
            let at = (ENTRIES + (pc >> 1 & 0xffff) * 8) as usize;
            let bytes = self.engine_memory.data_mut(&mut self.store);
            bytes[at..at + 4].copy_from_slice(&pc.to_le_bytes());
            bytes[at + 4..at + 8].copy_from_slice(&index.to_le_bytes());
            self.entries.insert(u64::from(pc), (typed.clone(), 0));
            for (k, resume) in function.resume.iter().enumerate() {
                let pc = u64::from(bias.wrapping_add(*resume));
                self.entries.entry(pc).or_insert((typed.clone(), k as i32 + 1));
            }
        }
    }

    pub fn guest(&mut self) -> &mut [u8] {
        self.guest.data_mut(&mut self.store)
    }

    pub fn set_preempt(&mut self, value: u32) {
        let at = CONTROL as usize;
        self.engine_memory.data_mut(&mut self.store)[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn preempt(&mut self) -> u32 {
        u32::from(self.engine_memory.data(&self.store)[CONTROL as usize])
    }

    pub fn state(&self) -> State {
        let bytes = &self.engine_memory.data(&self.store)[STATE as usize..];
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
        let bytes = &mut self.engine_memory.data_mut(&mut self.store)[STATE as usize..];
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

    /// Runs one piece: translated code when there is an entry at the pc and `fresh`, else one instruction.
    /// Gives whether an instruction was interpreted.
    pub fn piece(&mut self, fresh: bool) -> Result<bool, Exit> {
        let mut state = self.state();
        if let Some(numbers) = &mut self.storm {
            let preempt = u32::from(numbers.below(3) != 0);
            self.set_preempt(preempt);
        }
        if fresh && let Some((function, entry)) = self.entries.get(&state.pc).cloned() {
            self.dispatched += 1;
            let pc = function.call(&mut self.store, (STATE as i32, CONTROL as i32, 0, entry)).unwrap() as u64;
            let at = STATE as usize + offset::PC;
            self.engine_memory.data_mut(&mut self.store)[at..at + 8].copy_from_slice(&pc.to_le_bytes());
            return Ok(false);
        }
        self.interpreted += 1;
        let result = interpret_one(&mut state, &mut Flat(self.guest.data_mut(&mut self.store)));
        self.set_state(&state);
        result.map(|()| true)
    }

    /// Runs to `STOP`, or to the first exit.
    pub fn run(&mut self, limit: u64) -> Result<State, Exit> {
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
