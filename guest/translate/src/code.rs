//! The code of a function as it is emitted: registers in locals, accesses to memory, ways out.

use shallop_machine::backend::{Binary, Width};
use shallop_riscv64::registers::{offset, word};
use wasm_encoder::{BlockType, MemArg};

use crate::Variant;
use crate::calls::engine;
use crate::effects::{FCSR, Slots, bit};
use crate::value::{Value, Values, Word, global, parameter};

/// Memory that begins with the task's registers.
pub const STATE: u32 = 0;
/// Memory of the guest.
pub const GUEST: u32 = 1;
/// Memory of the engine.
pub const ENGINE: u32 = 2;
/// Where the preempt word is, behind the state.
const PREEMPT: u64 = shallop_machine::isa::STATE_BYTES as u64;
/// How far an address may have moved from one that was found to be below 2^32. Both ends of the guest's memory are
/// without access for farther than this, so such an address faults when it is not below 2^32.
const DRIFT: u64 = 256 << 10;

/// The code of one function.
#[derive(Debug)]
pub struct Code {
    pub values: Values,
    pub variant: Variant,
    /// Offset of the current instruction.
    pub pc: u32,
    /// Registers whose locals hold their values.
    pub valid: Slots,
    /// Registers whose locals are newer than the state.
    pub dirty: Slots,
    /// What the current instruction writes when it is done.
    pub pending: Option<(u8, Word)>,
    /// A branch's condition.
    pub condition: Option<Word>,
    /// Where a computed jump goes.
    pub target: Option<Word>,
    /// Whether the rounding mode in `fcsr` is known to be none that is reserved.
    pub rounds: bool,
    /// Distance of each register from a value that is below 2^32.
    near: [Option<u64>; 64],
}

/// Address of a slot's word in the state.
fn place(slot: u8) -> u64 {
    match slot {
        FCSR => offset::FCSR as u64,
        1..=31 => u64::from(slot) * 8,
        _ => ((word::F + usize::from(slot & 31)) * 8) as u64,
    }
}

/// An access to the state, at address 0.
pub fn state(offset: u64) -> MemArg {
    MemArg { offset, align: 3, memory_index: STATE }
}

impl Code {
    /// No code yet.
    pub fn new(used: Slots, variant: Variant) -> Code {
        Code {
            values: Values::new(used),
            variant,
            pc: 0,
            valid: 0,
            dirty: 0,
            pending: None,
            condition: None,
            target: None,
            rounds: false,
            near: [None; 64],
        }
    }

    /// Begins a node: what is in locals there.
    pub fn enter(&mut self, valid: Slots, dirty: Slots) {
        self.valid = valid;
        self.dirty = dirty;
        self.rounds = false;
        self.near = [None; 64];
    }

    /// Begins an instruction.
    pub fn begin(&mut self, pc: u32) {
        self.pc = pc;
        self.values.begin();
        self.pending = None;
    }

    /// Writes what the instruction has as its result.
    pub fn finish(&mut self) {
        let Some((slot, value)) = self.pending.take() else { return };
        let near = self.distance(value);
        let local = self.values.locals.slot(slot);
        self.values.push(value);
        self.values.sink().local_set(local);
        self.valid |= bit(slot);
        self.dirty |= bit(slot);
        self.near[usize::from(slot)] = near;
    }

    /// Loads registers into their locals.
    pub fn load_slots(&mut self, slots: Slots) {
        for slot in (0..64).filter(|&slot| slots & !self.valid & bit(slot) != 0) {
            let local = self.values.locals.slot(slot);
            let mut sink = self.values.sink();
            sink.i32_const(0);
            match slot {
                FCSR => sink.i64_load8_u(MemArg { align: 0, ..state(place(slot)) }),
                _ => sink.i64_load(state(place(slot))),
            };
            sink.local_set(local);
        }
        self.valid |= slots;
    }

    /// The value of a register.
    pub fn slot(&mut self, slot: u8) -> Word {
        self.load_slots(bit(slot));
        let local = self.values.locals.slot(slot);
        self.values.make(Value::Local(local))
    }

    /// A copy of a value, which later writes do not change.
    pub fn copy(&mut self, word: Word) -> Word {
        let local = self.values.locals.take();
        self.values.push(word);
        self.values.sink().local_set(local);
        self.values.make(Value::Local(local))
    }

    /// Stores the registers that are newer than the state; they stay so for the code that follows.
    pub fn store_dirty(&mut self) {
        let slots = self.dirty & self.valid;
        for slot in (0..64).filter(|&slot| slots & bit(slot) != 0) {
            let local = self.values.locals.slot(slot);
            self.values.sink().i32_const(0).local_get(local).i64_store(state(place(slot)));
        }
    }

    /// Stores a value to a word of the state.
    pub fn set_state(&mut self, offset: usize, value: Word) {
        self.values.sink().i32_const(0);
        self.values.push(value);
        self.values.sink().i64_store(state(offset as u64));
    }

    /// The value of a word of the state.
    pub fn get_state(&mut self, offset: usize) -> Word {
        let local = self.values.locals.take();
        self.values.sink().i32_const(0).i64_load(state(offset as u64)).local_set(local);
        self.values.make(Value::Local(local))
    }

    /// Returns to the dispatcher, at `from + imm`.
    pub fn leave(&mut self, from: u32, imm: i64) {
        self.store_dirty();
        self.push_target(from, imm);
        self.values.sink().return_();
    }

    /// The address `imm` bytes from the code at `from`.
    pub fn push_target(&mut self, from: u32, imm: i64) {
        let from = self.values.make(Value::Pc(from));
        let imm = self.values.constant(imm as u64);
        let target = self.values.combine(Binary::Add, from, imm);
        self.values.push(target);
    }

    /// Returns `result` unless it is the address `imm` bytes from `from`.
    pub fn expect(&mut self, result: u32, from: u32, imm: i64) {
        self.values.sink().local_get(result);
        self.push_target(from, imm);
        self.values.sink().i64_ne().if_(BlockType::Empty).local_get(result).return_().end();
    }

    /// Leaves the preempt word on the stack, as an i32; it is not 0 when the task is to stop.
    pub fn push_preempt(&mut self) {
        // A load before never stands for it: the call in `pause_if`, which may change the word, lies between.
        let preempt = MemArg { offset: PREEMPT, align: 2, memory_index: STATE };
        self.values.sink().i32_const(0).i32_load(preempt);
    }

    /// When the i32 on the stack is not 0, has the engine yield or give up at `pc`; then what is in locals is as it was.
    pub fn pause_if(&mut self, pc: Word) {
        self.values.sink().if_(BlockType::Empty);
        self.store_dirty();
        let result = self.values.locals.take();
        self.values.sink().global_get(global::STATE).local_get(parameter::DEPTH);
        self.values.push(pc);
        self.values.sink().call(engine::PAUSE).local_tee(result);
        self.values.push(pc);
        self.values.sink().i64_ne().if_(BlockType::Empty).local_get(result).return_().end().end();
    }

    /// Leaves the current instruction to the interpreter when the i32 on the stack is not 0.
    pub fn leave_if(&mut self) {
        self.values.sink().if_(BlockType::Empty);
        self.leave(self.pc, 0);
        self.values.sink().end();
    }

    /// How far a value may be from one that is below 2^32.
    fn distance(&self, word: Word) -> Option<u64> {
        match self.values.value(word) {
            Value::Constant(value) => (value >> 32 == 0).then_some(0),
            Value::Pc(_) => Some(0),
            Value::Local(local) => self.near[usize::from(self.values.locals.slot_of(local)?)],
            Value::Binary(Binary::Add, base, moved) => {
                let Value::Constant(moved) = self.values.value(moved) else { return None };
                let distance = self.distance(base)?.saturating_add((moved as i64).unsigned_abs());
                (distance <= DRIFT).then_some(distance)
            }
            _ => None,
        }
    }

    /// Makes ready for an access to guest memory: nothing of the task may be in locals alone, if it can fault.
    fn before_access(&mut self) {
        if self.variant == Variant::Precise {
            self.store_dirty();
            self.dirty = 0;
            let pc = self.values.make(Value::Pc(self.pc));
            self.set_state(offset::PC, pc);
        }
    }

    /// Checks an address; gives what [`Code::push_address`] takes.
    pub fn address(&mut self, address: Word) -> (Word, i32) {
        self.before_access();
        let (base, moved) = match self.values.value(address) {
            Value::Binary(Binary::Add, base, moved) => match self.values.value(moved) {
                Value::Constant(moved) if (moved as i64).unsigned_abs() <= 2048 => (base, moved as i32),
                _ => (address, 0),
            },
            _ => (address, 0),
        };
        let base = match self.values.value(base) {
            Value::Pc(_) => base,
            _ => self.values.settle(base),
        };
        if self.distance(base).is_none() {
            self.check_range(base);
        }
        (base, moved)
    }

    /// Checks that a base address is below 2^32. One that is not faults, as offsets are small and both ends of
    /// memory are without access; so the lazy variant has nothing to store.
    fn check_range(&mut self, base: Word) {
        self.values.push(base);
        self.values.sink().i64_const(0xffff_ffff).i64_gt_u().if_(BlockType::Empty);
        match self.variant {
            Variant::Lazy => {
                self.values.sink().i32_const(0).i64_load(access(Width::Double, 0)).return_();
            }
            Variant::Precise => self.leave(self.pc, 0),
        }
        self.values.sink().end();
        if let Value::Local(local) = self.values.value(base)
            && let Some(slot) = self.values.locals.slot_of(local)
        {
            self.near[usize::from(slot)] = Some(0);
        }
    }

    /// Leaves an address on the stack; gives the offset that the access adds.
    fn push_address(&mut self, (base, moved): (Word, i32)) -> u64 {
        self.values.push_low(base);
        if moved < 0 {
            self.values.sink().i32_const(moved).i32_add();
        }
        moved.max(0) as u64
    }

    /// Loads from a checked address.
    pub fn load_at(&mut self, address: (Word, i32), width: Width, signed: bool) -> Word {
        let local = self.values.locals.take();
        let offset = self.push_address(address);
        let at = access(width, offset);
        let mut sink = self.values.sink();
        match (width, signed) {
            (Width::Byte, true) => sink.i64_load8_s(at),
            (Width::Byte, false) => sink.i64_load8_u(at),
            (Width::Half, true) => sink.i64_load16_s(at),
            (Width::Half, false) => sink.i64_load16_u(at),
            (Width::Word, true) => sink.i64_load32_s(at),
            (Width::Word, false) => sink.i64_load32_u(at),
            (Width::Double, _) => sink.i64_load(at),
        };
        sink.local_set(local);
        self.values.make(Value::Local(local))
    }

    /// Stores to a checked address.
    pub fn store_at(&mut self, address: (Word, i32), value: Word, width: Width) {
        let offset = self.push_address(address);
        self.values.push(value);
        let at = access(width, offset);
        let mut sink = self.values.sink();
        match width {
            Width::Byte => sink.i64_store8(at),
            Width::Half => sink.i64_store16(at),
            Width::Word => sink.i64_store32(at),
            Width::Double => sink.i64_store(at),
        };
    }

    /// Leaves to the interpreter what an atomic access would do at a misaligned address.
    pub fn check_aligned(&mut self, address: Word, width: Width) {
        self.values.push_low(address);
        self.values.sink().i32_const(width.bytes() as i32 - 1).i32_and();
        self.leave_if();
    }
}

/// An access to guest memory, which need not be aligned.
fn access(width: Width, offset: u64) -> MemArg {
    let align = match width {
        Width::Byte => 0,
        Width::Half => 1,
        Width::Word => 2,
        Width::Double => 3,
    };
    MemArg { offset, align, memory_index: GUEST }
}
