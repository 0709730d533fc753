//! Calls and jumps to other guest functions: wasm calls where the target is translated, else calls of the engine.
//!
//! A function that is entered at its start has `sp`, `a0` and `ra` as parameters, and all other registers in the state.
//! `sp` is below 2^32 then, and wherever ways through a function meet, so that it need not be looked at before each access by it.
//! It returns the guest address that it came to. Where that is even, `ra` holds it, `sp` is what it was at the start, and
//! all registers but these two are in the state. When the address is not the one expected, or is odd ([`ASTRAY`]: all
//! registers are in the state), every function returns in turn, to the engine, which goes on there.

use shallop_machine::exit::ASTRAY;
use shallop_riscv64::Op;
use shallop_riscv64::decode::Kind;
use wasm_encoder::{BlockType, MemArg, ValType};

use crate::Entries;
use crate::checkpoint::Since;
use crate::code::Known;
use crate::doors::{door, engine};
use crate::effects::{A0, RA, SP, bit};
use crate::flow::links;
use crate::function::Body;
use crate::graph::{Next, Node};
use crate::locals::parameter;
use crate::memories::ENGINE;
use crate::near::Near;
use crate::places::{CARRIED, RETURNED};
use crate::value::{Value, Word, global};

/// Index of the type of translated functions.
pub const FUNCTION_TYPE: u32 = 0;
/// Index of the engine's table of translated functions.
pub const TABLE: u32 = 0;
/// Index of the type of those that have more entries than their start.
pub const ENTERED_TYPE: u32 = 1;

impl Body<'_> {
    /// Takes the registers that are parameters.
    pub fn receive(&mut self) {
        if self.shape.entered() == Entries::All {
            return;
        }
        for (slot, parameter) in [(SP, parameter::SP), (A0, parameter::A0), (RA, parameter::RA)] {
            let local = self.code.values.locals.slot(slot);
            self.code.values.sink().local_get(parameter).local_set(local);
        }
    }

    /// Calls, and goes on at `site` when the callee returned there, which is at `offset`.
    pub fn call(&mut self, node: Node, known: Option<u32>, (pc, op): (u32, Op), (offset, site): (u32, Next)) {
        self.arrive((pc, op));
        if links(op.rd) && op.rd != RA {
            return self.give_up();
        }
        let back = self.code.values.make(Value::Pc(offset));
        self.call_target(known, pc, back);
        self.code.expect(offset, 0);
        let ra = self.code.values.locals.slot(RA);
        self.code.values.push(back);
        self.code.values.sink().local_set(ra);
        let near = self.near_behind();
        self.code.enter(Known { valid: RETURNED, dirty: RETURNED, near, since: Since::Spoilt });
        self.go(node, site);
    }

    /// What is known of values behind code elsewhere, which came back with the stack pointer as it was.
    fn near_behind(&self) -> Near {
        let mut near = self.code.known().near;
        near.forget(!bit(SP));
        near
    }

    /// Goes to another function, and returns what it returns. `level`: the stack pointer is as at the start.
    pub fn tail(&mut self, known: Option<u32>, at: (u32, Op), level: bool) {
        self.arrive(at);
        self.go_over(known, at.0, level);
    }

    /// Goes to the target of a computed jump that is none of the known ones, as [`Body::tail`] does.
    pub fn tail_unknown(&mut self) {
        // What was branched to before knows nothing of what this loads.
        let known = self.code.known();
        self.ready();
        self.check_level(false);
        let back = self.code.slot(RA);
        self.probe(back);
        self.conclude_tail();
        self.code.restore(known);
    }

    fn go_over(&mut self, known: Option<u32>, pc: u32, level: bool) {
        self.check_level(level);
        let back = self.code.slot(RA);
        self.call_target(known, pc, back);
        self.conclude_tail();
    }

    /// Returns what is on the stack, where a function returned that was gone to.
    fn conclude_tail(&mut self) {
        match self.shape.entered() {
            Entries::Start => self.code.exit(),
            // The engine wants all registers in the state.
            Entries::All => {
                let (out, astray) = (self.code.values.locals.out(), self.code.values.astray());
                self.code.values.sink().local_set(out).br(astray);
            }
        }
    }

    /// Returns.
    pub fn give_back(&mut self, op: &Op, level: bool) {
        self.code.finish();
        if self.shape.entered() == Entries::All || op.rs1 != RA {
            self.code.store_slots(!CARRIED);
            return self.give_up();
        }
        self.code.load_slots(RETURNED);
        self.code.store_slots(!RETURNED);
        let [ra, sp] = [RA, SP].map(|slot| self.code.values.locals.slot(slot));
        let mut sink = self.code.values.sink();
        sink.local_get(ra).i64_const(1).i64_and();
        if !level {
            sink.local_get(sp).local_get(parameter::SP).i64_xor().i64_or();
        }
        sink.i64_eqz().i32_eqz();
        self.open_unlikely_if();
        self.code.store_slots(RETURNED);
        self.code.values.sink().local_get(ra).i64_const(ASTRAY as i64).i64_or();
        self.code.exit();
        self.close();
        self.code.values.sink().local_get(ra);
        self.code.exit();
    }

    /// Gives up all calls to go on at the target, with all registers in the state but those that are parameters.
    fn give_up(&mut self) {
        self.code.store_slots(CARRIED);
        if let Some(target) = self.code.target.take() {
            self.code.values.push(target);
        }
        self.code.values.sink().i64_const(ASTRAY as i64).i64_or();
        self.code.exit();
    }

    /// Gives up all calls where the stack pointer is not as at the start, since the target's caller expects that.
    fn check_level(&mut self, level: bool) {
        if level || self.shape.entered() == Entries::All {
            return;
        }
        let (sp, target) = (self.code.values.locals.slot(SP), self.code.target);
        self.code.values.sink().local_get(sp).local_get(parameter::SP).i64_ne();
        self.open_unlikely_if();
        self.give_up();
        self.code.target = target;
        self.close();
    }

    /// Makes `target` the jump's, and puts all registers where callees want them.
    fn arrive(&mut self, (pc, op): (u32, Op)) {
        if op.kind != Kind::Jalr {
            // `jal`: its target is an address from here.
            let from = self.code.values.make(Value::Pc(pc));
            let imm = self.code.values.constant(op.imm as u64);
            let target = self.code.values.combine(shallop_machine::backend::Binary::Add, from, imm);
            self.code.target = Some(self.code.values.settle(target));
        }
        self.code.finish();
        self.ready();
    }

    /// Puts all registers where callees want them.
    fn ready(&mut self) {
        self.code.store_slots(!CARRIED);
        self.code.load_slots(CARRIED);
    }

    fn push_arguments(&mut self) {
        self.push_room();
        for slot in [SP, A0, RA] {
            let local = self.code.values.locals.slot(slot);
            self.code.values.sink().local_get(local);
        }
    }

    /// The room of what this function calls.
    fn push_room(&mut self) {
        self.code.values.sink().local_get(parameter::ROOM).i32_const(self.weight).i32_sub();
    }

    /// Calls the target of the jump at `pc`: at once if it is known, and if it is the one that is likely.
    fn call_target(&mut self, known: Option<u32>, pc: u32, back: Word) {
        if let Some(&function) = known.and_then(|known| self.functions.get(&known)) {
            self.push_arguments();
            self.code.values.sink().call(function);
            return;
        }
        let likely = self.likely.get(&pc).and_then(|likely| Some((*likely, *self.functions.get(likely)?)));
        let (Some((likely, function)), Some(target)) = (likely, self.code.target) else { return self.probe(back) };
        // What a call by the table finds, the memories of its instance too, it finds behind four loads, one after another.
        let likely = self.code.values.make(Value::Pc(likely));
        self.code.values.push(target);
        self.code.values.push(likely);
        self.code.values.sink().i64_eq();
        self.code.values.hint(true);
        self.code.values.sink().if_(BlockType::Result(ValType::I64));
        self.push_arguments();
        self.code.values.sink().call(function).else_();
        self.probe(back);
        self.code.values.sink().end();
    }

    /// Calls what the entry table has for the target, else the engine; leaves what it returned on the stack.
    fn probe(&mut self, back: Word) {
        let Some(target) = self.code.target.take() else { return };
        // The address of a function, and its index above that.
        let entry = self.code.values.locals.take();
        self.push_slot(target);
        let mut sink = self.code.values.sink();
        sink.i64_load(MemArg { offset: 0, align: 2, memory_index: ENGINE }).local_tee(entry);
        sink.i32_wrap_i64().i64_extend_i32_u();
        self.code.values.push(target);
        self.code.values.sink().i64_eq();
        self.code.values.hint(true);
        self.code.values.sink().if_(BlockType::Result(ValType::I64));
        self.push_arguments();
        let mut sink = self.code.values.sink();
        sink.local_get(entry).i64_const(32).i64_shr_u().i32_wrap_i64();
        sink.call_indirect(TABLE, FUNCTION_TYPE).else_();
        self.code.store_slots(CARRIED);
        self.push_room();
        self.code.values.push(target);
        self.code.values.push(back);
        self.code.values.sink().call(door(engine::DISPATCH)).end();
    }

    /// The address of the target's entry.
    fn push_slot(&mut self, target: Word) {
        self.code.values.push_low(target);
        let mut sink = self.code.values.sink();
        // (pc >> 1 & 0xffff) * 8
        sink.i32_const(2).i32_shl().i32_const(0x7_fff8).i32_and().global_get(global::ENTRIES).i32_add();
    }

    /// Has the engine execute the last instruction of a block, and goes on at `site` when that is where it led.
    pub fn step(&mut self, node: Node, (pc, op): (u32, Op), site: Next) {
        self.code.store_dirty();
        self.code.push_target(pc, 0);
        self.code.values.sink().call(door(engine::STEP));
        self.code.expect(pc, i64::from(op.len));
        let near = self.near_behind();
        self.code.enter(Known { near, ..Known::default() });
        self.go(node, site);
    }
}
