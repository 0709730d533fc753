//! The code of a function as it is emitted: registers in locals, accesses to memory, ways out.

use std::collections::BTreeMap;

use shallop_machine::backend::{Binary, Width};
use shallop_machine::exit::ASTRAY;
use shallop_riscv64::Op;
use shallop_riscv64::decode::Kind;
use shallop_riscv64::registers::{offset, word};
use wasm_encoder::{BlockType, MemArg};

use crate::Variant;
use crate::checkpoint::Since;
use crate::doors::{door, engine};
use crate::effects::{FCSR, RA, SP, Slots, bit, is_float};
use crate::memories::{Memories, STATE_ALONE};
use crate::near::{DRIFT, Near};
use crate::value::{Value, Values, Word, has_narrow_form, is_narrow_always};

/// Where the preempt word is, behind the state.
const PREEMPT: u64 = shallop_machine::isa::STATE_BYTES as u64;
/// What the local of `fcsr` holds while rounding is to nearest and the inexact flag is set; else it is 0. A result whose
/// bits without the sign, moved up by one, are below it has a flag to set only if it is too small (see `float`).
pub const BOUND: i64 = 0x7fd << 53;

/// What is known at a point of the code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Registers whose locals hold their values.
    pub valid: Slots,
    /// Registers whose locals are newer than the state.
    pub dirty: Slots,
    pub near: Near,
    pub since: Since,
}

/// The code of one function.
#[derive(Debug)]
pub struct Code {
    pub values: Values,
    pub variant: Variant,
    /// Offset of the current instruction.
    pub pc: u32,
    known: Known,
    /// What the current instruction writes when it is done.
    pub pending: Option<(u8, Word)>,
    /// A branch's condition.
    pub condition: Option<Word>,
    /// Where a computed jump goes.
    pub target: Option<Word>,
    /// Whether the rounding mode in `fcsr` is known to be none that is reserved.
    pub rounds: bool,
    /// Whether the current instruction loads a floating-point register.
    loads_double: bool,
    /// The local with what the current instruction loaded, if that is narrow (see [`Code::is_narrow`]).
    loaded: Option<u32>,
    /// Registers whose locals were set to their low halves, extended: Cranelift need not be told again.
    extended: Slots,
    /// The register by which the current instruction accesses memory, and the local with its low half, extended.
    low: Option<(u8, u32)>,
    /// Whether there are jumps by labels.
    pub by_labels: bool,
    /// Registers that are better loaded again behind rare calls than live across them.
    pub reloads: Slots,
    memories: Memories,
    /// The locals of what the block loads at once, by number (see `bytewise`).
    pub copies: BTreeMap<usize, u32>,
}

/// Address of a slot's word in the state.
fn place(slot: u8) -> u64 {
    match slot {
        FCSR => offset::FCSR as u64,
        1..=31 => u64::from(slot) * 8,
        _ => ((word::F + usize::from(slot & 31)) * 8) as u64,
    }
}

impl Code {
    /// No code yet.
    pub fn new(values: Values, variant: Variant, memories: Memories) -> Code {
        Code {
            values,
            variant,
            pc: 0,
            known: Known::default(),
            pending: None,
            condition: None,
            target: None,
            rounds: false,
            loads_double: false,
            loaded: None,
            extended: 0,
            low: None,
            by_labels: false,
            reloads: !0,
            memories,
            copies: BTreeMap::new(),
        }
    }

    /// An access to the state, at address 0.
    fn state(&self, offset: u64) -> MemArg {
        MemArg { offset, align: 3, memory_index: self.memories.state }
    }

    /// An access to guest memory, which need not be aligned.
    fn guest(&self, width: Width, offset: u64) -> MemArg {
        let align = match width {
            Width::Byte => 0,
            Width::Half => 1,
            Width::Word => 2,
            Width::Double => 3,
        };
        MemArg { offset, align, memory_index: self.memories.guest }
    }

    /// Begins a node with what is known there.
    pub fn enter(&mut self, known: Known) {
        self.known = known;
        self.rounds = false;
        self.extended = 0;
        self.copies.clear();
        self.values.locals.release_kept();
    }

    /// What is known here.
    pub fn known(&self) -> Known {
        self.known
    }

    /// Goes back to what was known before a way out.
    pub fn restore(&mut self, known: Known) {
        self.known = known;
    }

    /// Forgets the registers that nothing needs any more but these.
    pub fn need(&mut self, slots: Slots) {
        self.known.valid &= slots;
        self.known.dirty &= slots;
    }

    /// Begins an instruction.
    pub fn begin(&mut self, pc: u32, op: &Op) {
        self.pc = pc;
        self.loads_double = op.kind == Kind::Fld;
        self.loaded = None;
        self.low = None;
        self.values.begin();
        self.pending = None;
    }

    /// Notes that the code is not on its way to a label.
    pub fn clear_label(&mut self) {
        let label = self.values.locals.label();
        self.values.sink().i32_const(0).local_set(label);
    }

    /// Sets the locals of registers to nothing, where what they hold is not read any more: otherwise it would have to be kept
    /// on all ways that lead here, for ways from here on that code takes as if it were.
    pub fn clear(&mut self, slots: Slots) {
        for slot in (0..64).filter(|&slot| slots & bit(slot) != 0) {
            let local = self.values.locals.slot(slot);
            let mut sink = self.values.sink();
            match is_float(slot) {
                true => sink.f64_const(0.0.into()),
                false => sink.i64_const(0),
            };
            sink.local_set(local);
        }
    }

    /// Writes what the instruction has as its result.
    pub fn finish(&mut self) {
        let Some((slot, value)) = self.pending.take() else { return };
        let (distance, narrow) = (self.distance(value), !is_float(slot) && self.is_narrow(value));
        let local = self.values.locals.slot(slot);
        if is_float(slot) {
            self.values.push_double(value);
        } else {
            self.values.push(value);
        }
        self.values.sink().local_set(local);
        self.known.valid |= bit(slot);
        self.known.dirty |= bit(slot);
        self.known.near.set(slot, distance, narrow);
        self.extended &= !bit(slot);
    }

    /// Loads registers into their locals.
    pub fn load_slots(&mut self, slots: Slots) {
        self.load_into(slots & !self.known.valid);
        self.known.valid |= slots;
    }

    fn load_into(&mut self, slots: Slots) {
        for slot in (0..64).filter(|&slot| slots & bit(slot) != 0) {
            let (local, at) = (self.values.locals.slot(slot), self.state(place(slot)));
            self.extended &= !bit(slot);
            if slot == FCSR {
                self.push_bound();
                self.values.sink().local_set(local);
                continue;
            }
            let mut sink = self.values.sink();
            sink.i32_const(0);
            match is_float(slot) {
                true => sink.f64_load(at),
                false => sink.i64_load(at),
            };
            sink.local_set(local);
        }
    }

    /// Leaves on the stack what the local of `fcsr` holds.
    fn push_bound(&mut self) {
        self.values.sink().i64_const(BOUND).i64_const(0);
        self.push_control();
        self.values.sink().i32_const(0xe1).i32_and().i32_const(1).i32_eq().select();
    }

    /// Leaves `fcsr` on the stack, as an i32.
    pub fn push_control(&mut self) {
        let at = MemArg { align: 0, ..self.state(place(FCSR)) };
        self.values.sink().i32_const(0).i32_load8_u(at);
    }

    /// The value of `fcsr`.
    pub fn control(&mut self) -> Word {
        let local = self.values.locals.take();
        self.push_control();
        self.values.sink().i64_extend_i32_u().local_set(local);
        // If this was done again it would find what was set since: flags by operations, or all of it before it is set.
        self.known.since = Since::Spoilt;
        self.values.make(Value::Local(local))
    }

    /// Sets `fcsr`.
    pub fn set_control(&mut self, value: Word) {
        self.set_state(offset::FCSR, value);
        self.load_into(bit(FCSR));
        self.known.valid |= bit(FCSR);
        self.rounds = false;
    }

    /// The value of a register.
    pub fn slot(&mut self, slot: u8) -> Word {
        self.load_slots(bit(slot));
        let local = self.values.locals.slot(slot);
        self.values.make(if is_float(slot) { Value::Float(local) } else { Value::Local(local) })
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
        self.store_slots(!0);
    }

    /// As [`Code::store_dirty`], of these registers.
    pub fn store_slots(&mut self, slots: Slots) {
        let slots = slots & self.known.dirty & self.known.valid;
        for slot in (0..64).filter(|&slot| slots & bit(slot) != 0) {
            let (local, at) = (self.values.locals.slot(slot), self.state(place(slot)));
            let mut sink = self.values.sink();
            sink.i32_const(0).local_get(local);
            match is_float(slot) {
                true => sink.f64_store(at),
                false => sink.i64_store(at),
            };
        }
    }

    /// Stores a value to a word of the state.
    pub fn set_state(&mut self, offset: usize, value: Word) {
        let at = self.state(offset as u64);
        self.values.sink().i32_const(0);
        self.values.push(value);
        self.values.sink().i64_store(at);
    }

    /// The value of a word of the state.
    pub fn get_state(&mut self, offset: usize) -> Word {
        let (local, at) = (self.values.locals.take(), self.state(offset as u64));
        self.values.sink().i32_const(0).i64_load(at).local_set(local);
        self.values.make(Value::Local(local))
    }

    /// Gives up all calls, to go on at `from + imm`.
    pub fn leave(&mut self, from: u32, imm: i64) {
        self.store_dirty();
        self.push_target(from, imm + ASTRAY as i64);
        self.exit();
    }

    /// The address `imm` bytes from the code at `from`.
    pub fn push_target(&mut self, from: u32, imm: i64) {
        let from = self.values.make(Value::Pc(from));
        let imm = self.values.constant(imm as u64);
        let target = self.values.combine(Binary::Add, from, imm);
        self.values.push(target);
    }

    /// Returns the value on the stack.
    pub fn exit(&mut self) {
        let (out, exit) = (self.values.locals.out(), self.values.exit());
        self.values.sink().local_set(out).br(exit);
    }

    /// Gives up all calls unless the value on the stack, from where one came back, is the address `imm` bytes from `from`.
    pub fn expect(&mut self, from: u32, imm: i64) {
        let (out, astray) = (self.values.locals.out(), self.values.astray());
        self.values.sink().local_tee(out);
        self.push_target(from, imm);
        self.values.sink().i64_ne();
        self.values.br_unlikely_if(astray);
    }

    /// Leaves the preempt word on the stack, as an i32; it is not 0 when the task is to stop.
    pub fn push_preempt(&mut self) {
        // A load before never stands for it: the call in `pause_if`, which may change the word, lies between.
        let preempt = MemArg { align: 2, ..self.state(PREEMPT) };
        self.values.sink().i32_const(0).i32_load(preempt);
    }

    /// As [`Code::push_preempt`], leaving no base of the state's memory for the code that follows: it would be live on the ways
    /// to all targets of a switch.
    pub fn push_preempt_alone(&mut self) {
        let preempt = MemArg { offset: PREEMPT, align: 2, memory_index: STATE_ALONE };
        self.values.sink().i32_const(0).i32_load(preempt);
    }

    /// When the i32 on the stack is not 0, has the engine yield or give up at `pc`.
    pub fn pause_if(&mut self, pc: Word) {
        self.values.open_unlikely_if();
        self.store_dirty();
        self.values.push(pc);
        let (out, exit) = (self.values.locals.out(), self.values.exit());
        let mut sink = self.values.sink();
        sink.call(door(engine::PAUSE)).local_tee(out).i64_const(ASTRAY as i64).i64_and().i32_wrap_i64();
        // The way on is one that is seldom gone, too.
        self.values.hint(true);
        self.values.sink().br_if(exit);
        if let Value::Local(aim) = self.values.value(pc) {
            self.values.sink().local_get(out).local_set(aim);
        }
        self.reload();
        if self.by_labels {
            self.clear_label();
        }
        self.values.close();
    }

    /// Loads again what is valid, behind a call that is seldom made: so no register is live across it, and those who assign the
    /// processor's registers need not make room on the stack for the way that is often taken.
    pub fn reload(&mut self) {
        self.load_into(self.known.valid & (self.reloads | bit(FCSR)));
    }

    /// Leaves the code at `pc` to the interpreter when the i32 on the stack is not 0.
    pub fn leave_if(&mut self, pc: u32) {
        self.values.open_unlikely_if();
        self.leave(pc, 0);
        self.values.close();
    }

    /// How far a value may be from one that is below 2^32.
    fn distance(&self, word: Word) -> Option<u64> {
        match self.values.value(word) {
            Value::Constant(value) => (value >> 32 == 0).then_some(0),
            Value::Pc(_) => Some(0),
            Value::Local(_) => self.known.near.distance(self.register(word)?),
            Value::Binary(Binary::Add, base, moved) => {
                let Value::Constant(moved) = self.values.value(moved) else { return None };
                let distance = self.distance(base)?.saturating_add((moved as i64).unsigned_abs());
                (distance <= DRIFT).then_some(distance)
            }
            _ => None,
        }
    }

    /// Whether a value is known to be extended from its low half by its sign.
    pub fn is_narrow(&self, word: Word) -> bool {
        match self.values.value(word) {
            Value::Constant(value) => value as i32 as u64 == value,
            Value::Local(local) if self.loaded == Some(local) => true,
            Value::Local(_) => self.register(word).is_some_and(|slot| self.known.near.is_narrow(slot)),
            Value::Narrow(..) => true,
            Value::Binary(operation, a, b) => match operation {
                Binary::And if self.is_small(a) || self.is_small(b) => true,
                Binary::ShiftRight => matches!(self.values.value(b), Value::Constant(33..=63)),
                Binary::ShiftRightSigned => matches!(self.values.value(b), Value::Constant(32..=63)),
                _ => is_narrow_always(operation),
            },
            Value::Select(_, yes, no) => self.is_narrow(yes) && self.is_narrow(no),
            Value::Float(_) | Value::Pc(_) => false,
        }
    }

    /// Whether a value is a constant below 2^31.
    fn is_small(&self, word: Word) -> bool {
        matches!(self.values.value(word), Value::Constant(value) if value >> 31 == 0)
    }

    /// `a operation b`, of low halves where that is the same: what extended them is not needed then.
    pub fn combine(&mut self, operation: Binary, a: Word, b: Word) -> Word {
        let combined = self.values.combine(operation, a, b);
        match self.values.value(combined) {
            Value::Binary(operation, a, b) if has_narrow_form(operation) && self.is_narrow(a) && self.is_narrow(b) => {
                self.values.make(Value::Narrow(operation, a, b))
            }
            Value::Binary(Binary::Add32, a, b) if self.values.value(b) == Value::Constant(0) && self.is_narrow(a) => a,
            _ => combined,
        }
    }

    /// Makes ready for an access to guest memory, which can fault.
    fn before_access(&mut self) {
        if self.variant == Variant::Precise && self.known.since.wants_checkpoint() {
            self.checkpoint();
            self.known.dirty = 0;
            self.known.since = Since::Stores;
        }
    }

    /// Stores what the interpreter needs to go on with the current instruction.
    pub fn checkpoint(&mut self) {
        self.store_dirty();
        let pc = self.values.make(Value::Pc(self.pc));
        self.set_state(offset::PC, pc);
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
        match self.distance(base) {
            None => self.check_range(base),
            Some(_) => self.take_low(base),
        }
        (base, moved)
    }

    /// Has the access that follows use the low half of a register that is near to an address.
    fn take_low(&mut self, base: Word) {
        if let Some(slot) = self.register(base)
            && self.extended & bit(slot) == 0
        {
            let low = self.values.locals.take();
            self.values.push_low(base);
            self.values.sink().i64_extend_i32_u().local_set(low);
            self.low = Some((slot, low));
        }
    }

    /// The register whose local a value is.
    fn register(&self, word: Word) -> Option<u8> {
        if let Value::Local(local) = self.values.value(word) { self.values.locals.slot_of(local) } else { None }
    }

    /// Checks that a base address is below 2^32. One that is not faults, as offsets are small and both ends of
    /// memory are without access; so the lazy variant has nothing to store.
    fn check_range(&mut self, base: Word) {
        let low = self.push_exceeds(base);
        match self.variant {
            Variant::Lazy => {
                let fault = self.values.fault();
                self.values.br_unlikely_if(fault);
            }
            Variant::Precise => self.leave_if(self.pc),
        }
        self.found(base, low);
    }

    /// Leaves for the code at `pc` unless a register's value is below 2^32.
    pub fn look_at(&mut self, slot: u8, pc: u32) {
        let word = self.slot(slot);
        let low = self.push_exceeds(word);
        self.leave_if(pc);
        self.found(word, low);
    }

    /// Makes sure that the stack pointer is below 2^32, as it nearly always is where the code at `pc` begins; else leaves for that.
    pub fn settle_stack(&mut self, pc: u32) {
        if self.known.near.distance(SP) != Some(0) {
            self.look_at(SP, pc);
        }
    }

    /// Notes that a value was found to be below 2^32; `low`: the local with its low half, extended.
    fn found(&mut self, word: Word, low: u32) {
        if let Some(slot) = self.register(word) {
            self.extend(slot, low);
            self.known.near.is_address(slot);
        }
    }

    /// Leaves on the stack whether a value is not below 2^32; gives the local with its low half, extended.
    fn push_exceeds(&mut self, base: Word) -> u32 {
        let low = self.values.locals.take();
        self.values.push_low(base);
        self.values.sink().i64_extend_i32_u().local_tee(low);
        self.values.push(base);
        self.values.sink().i64_ne();
        low
    }

    /// Notes that an access by a checked address succeeded.
    pub fn reached(&mut self, (base, _): (Word, i32)) {
        if let Some((slot, low)) = self.low.take() {
            self.extend(slot, low);
        }
        if let Some(slot) = self.register(base) {
            self.known.near.is_address(slot);
        }
    }

    /// Takes for a register its low half, extended, where that is the same value: one that Cranelift knows to be no other
    /// as an address.
    fn extend(&mut self, slot: u8, low: u32) {
        let local = self.values.locals.slot(slot);
        self.values.sink().local_get(low).local_set(local);
        self.extended |= bit(slot);
    }

    /// Leaves an address on the stack; gives the offset that the access adds.
    fn push_address(&mut self, (base, moved): (Word, i32)) -> u64 {
        self.values.push_low(base);
        if moved < 0 {
            self.values.sink().i32_const(moved).i32_add();
        }
        moved.max(0) as u64
    }

    /// Emits what comes after the code: the places that branches lead to from everywhere.
    pub fn conclude(&mut self) {
        let out = self.values.locals.out();
        let [ra, sp] = [RA, SP].map(|slot| self.state(place(slot)));
        let level = self.values.locals.slot(SP);
        let mut sink = self.values.sink();
        sink.unreachable().end();
        // What a call left out of the state; nothing, when it was given up.
        sink.local_get(out).i64_const(ASTRAY as i64).i64_and().i64_eqz().if_(BlockType::Empty);
        sink.i32_const(0).local_get(level).i64_store(sp);
        sink.i32_const(0).local_get(out).i64_store(ra);
        sink.local_get(out).i64_const(ASTRAY as i64).i64_or().local_set(out).end().end();
        sink.local_get(out).return_().end();
        // A trap of its own, which needs no register: an access would want one at each branch to here.
        sink.i32_const(0).i32_const(0).i32_div_u().drop().unreachable().end();
    }

    /// Loads from a checked address.
    pub fn load_at(&mut self, address: (Word, i32), width: Width, signed: bool) -> Word {
        self.known.since = self.known.since.loaded();
        if self.loads_double {
            return self.load_double(address);
        }
        let local = self.values.locals.take();
        let offset = self.push_address(address);
        let at = self.guest(width, offset);
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
        if matches!((width, signed), (Width::Byte | Width::Half, _) | (Width::Word, true)) {
            self.loaded = Some(local);
        }
        self.values.make(Value::Local(local))
    }

    fn load_double(&mut self, address: (Word, i32)) -> Word {
        let offset = self.push_address(address);
        let (result, at) = (self.values.locals.float_result(), self.guest(Width::Double, offset));
        self.values.sink().f64_load(at).local_set(result);
        self.values.make(Value::Float(result))
    }

    /// Stores to a checked address.
    pub fn store_at(&mut self, address: (Word, i32), value: Word, width: Width) {
        self.known.since = self.known.since.stored();
        let offset = self.push_address(address);
        let at = self.guest(width, offset);
        if let (Width::Double, Value::Float(local)) = (width, self.values.value(value)) {
            self.values.sink().local_get(local).f64_store(at);
            return;
        }
        self.values.push(value);
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
        self.leave_if(self.pc);
    }
}
