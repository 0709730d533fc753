//! Calls and jumps to other guest functions: wasm calls, where the target is translated.

use shallop_riscv64::Op;
use shallop_riscv64::decode::Kind;
use wasm_encoder::{BlockType, MemArg};

use crate::code::ENGINE;
use crate::function::Body;
use crate::graph::{Next, Node};
use crate::value::{Value, Word, parameter};

/// Index of the global with the address of the entry table.
const ENTRIES: u32 = 2;
/// Index of the type of translated functions.
pub const FUNCTION_TYPE: u32 = 0;
/// Index of the table of translated functions.
const TABLE: u32 = 0;

impl Body<'_> {
    /// Calls, and goes on at `site` when the callee returned there.
    pub fn call(&mut self, node: Node, known: Option<u32>, (pc, op): (u32, Op), site: Next) {
        self.arrive((pc, op));
        let result = self.code.values.locals.take();
        match known.and_then(|known| self.functions.get(&known)) {
            Some(&function) => {
                self.push_arguments();
                self.code.values.sink().call(function).local_set(result);
            }
            None => {
                self.probe(result);
            }
        }
        self.code.values.sink().local_get(result);
        self.code.push_target(pc, i64::from(op.len));
        self.code.values.sink().i64_ne().if_(BlockType::Empty).local_get(result).return_().end();
        self.code.enter(0, 0);
        self.go(node, site);
    }

    /// Goes to another function, and returns what it returns.
    pub fn tail(&mut self, known: Option<u32>, at: (u32, Op)) {
        self.arrive(at);
        match known.and_then(|known| self.functions.get(&known)) {
            Some(&function) => {
                self.push_arguments();
                self.code.values.sink().call(function).return_();
            }
            None => self.tail_unknown(),
        }
    }

    /// Goes to the target, which is in no register alone, and returns what it returns.
    pub fn tail_unknown(&mut self) {
        let result = self.code.values.locals.take();
        self.probe(result);
        self.code.values.sink().local_get(result).return_();
    }

    /// Makes `target` the jump's, and puts all registers into the state.
    fn arrive(&mut self, (pc, op): (u32, Op)) {
        if op.kind != Kind::Jalr {
            // `jal`: its target is an address from here.
            let from = self.code.values.make(Value::Pc(pc));
            let imm = self.code.values.constant(op.imm as u64);
            let target = self.code.values.combine(shallop_machine::backend::Binary::Add, from, imm);
            self.code.target = Some(self.code.values.settle(target));
        }
        self.code.finish();
        self.code.store_dirty();
    }

    fn push_arguments(&mut self) {
        let mut sink = self.code.values.sink();
        sink.local_get(parameter::STATE).local_get(parameter::CONTROL);
        sink.local_get(parameter::DEPTH).i32_const(1).i32_add().i32_const(0);
    }

    /// Calls what the entry table has for the target, or returns the target; sets `result`.
    fn probe(&mut self, result: u32) {
        let Some(target) = self.code.target.take() else { return };
        let (slot, index) = (self.code.values.locals.i32(0), self.code.values.locals.i32(1));
        self.push_slot(target);
        let mut sink = self.code.values.sink();
        sink.local_tee(slot).i64_load32_u(entry(0));
        self.code.values.push(target);
        let mut sink = self.code.values.sink();
        sink.i64_ne().if_(BlockType::Empty);
        self.code.values.push(target);
        let mut sink = self.code.values.sink();
        sink.return_().end();
        // Indexes 0 and -1 stand for nothing.
        sink.local_get(slot).i32_load(entry(4)).local_tee(index).i32_const(1).i32_sub();
        sink.i32_const(-2).i32_ge_u().if_(BlockType::Empty);
        self.code.values.push(target);
        self.code.values.sink().return_().end();
        self.push_arguments();
        self.code.values.sink().local_get(index).call_indirect(TABLE, FUNCTION_TYPE).local_set(result);
    }

    /// The address of the target's entry.
    fn push_slot(&mut self, target: Word) {
        self.code.values.push_low(target);
        let mut sink = self.code.values.sink();
        // (pc >> 1 & 0xffff) * 8
        sink.i32_const(2).i32_shl().i32_const(0x7_fff8).i32_and().global_get(ENTRIES).i32_add();
    }
}

fn entry(offset: u64) -> MemArg {
    MemArg { offset, align: 2, memory_index: ENGINE }
}
