//! Calls and jumps to other guest functions: wasm calls where the target is translated, else calls of the engine.
//!
//! Before each call all registers are in the state. What is called returns the guest address that it came to; when
//! that is not the one expected, every function returns it in turn, to the engine, which goes on there.

use shallop_riscv64::Op;
use shallop_riscv64::decode::Kind;
use wasm_encoder::{BlockType, MemArg, ValType};

use crate::code::{ENGINE, Known};
use crate::function::Body;
use crate::graph::{Next, Node};
use crate::value::{Value, Word, global, parameter};

/// Index of the type of translated functions.
pub const FUNCTION_TYPE: u32 = 0;
/// Index of the table of translated functions.
const TABLE: u32 = 0;
/// `ra`, where the target of a tail call is expected to return.
const RETURN_ADDRESS: u8 = 1;

/// Functions that the engine exports, by their index as imports.
pub mod engine {
    /// `(state, operation, precision, rounding, a, b, c) -> value`: any operation on floating-point numbers.
    pub const FLOAT: u32 = 0;
    /// `(state, depth, target, back) -> pc`: goes on at `target` until the guest comes to `back`.
    pub const DISPATCH: u32 = 1;
    /// `(state, pc) -> pc`: executes the one instruction there, system calls included.
    pub const STEP: u32 = 2;
    /// `(state, pc) -> pc`: yields when the task is to stop; gives up when calls are too deep.
    pub const PAUSE: u32 = 3;
    pub const COUNT: u32 = 4;
}

impl Body<'_> {
    /// Calls, and goes on at `site` when the callee returned there.
    pub fn call(&mut self, node: Node, known: Option<u32>, (pc, op): (u32, Op), site: Next) {
        self.arrive((pc, op));
        match known.and_then(|known| self.functions.get(&known)) {
            Some(&function) => {
                self.push_arguments();
                self.code.values.sink().call(function);
            }
            None => {
                let back = self.code.values.make(Value::Pc(pc + u32::from(op.len)));
                self.probe(back);
            }
        }
        self.code.expect(pc, i64::from(op.len));
        self.code.enter(Known::default());
        self.go(node, site);
    }

    /// Goes to another function, and returns what it returns.
    pub fn tail(&mut self, known: Option<u32>, at: (u32, Op)) {
        self.arrive(at);
        match known.and_then(|known| self.functions.get(&known)) {
            Some(&function) => {
                self.push_arguments();
                self.code.values.sink().call(function);
                self.code.exit();
            }
            None => self.tail_unknown(),
        }
    }

    /// Goes to the target, which is in no register alone, and returns what it returns.
    pub fn tail_unknown(&mut self) {
        let back = self.code.get_state(usize::from(RETURN_ADDRESS) * 8);
        self.probe(back);
        self.code.exit();
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
        self.push_depth();
        self.code.values.sink().i32_const(0);
    }

    /// The depth of what this function calls.
    fn push_depth(&mut self) {
        self.code.values.sink().local_get(parameter::DEPTH).i32_const(self.weight).i32_add();
    }

    /// Calls what the entry table has for the target, else the engine; leaves what it returned on the stack.
    fn probe(&mut self, back: Word) {
        let Some(target) = self.code.target.take() else { return };
        let slot = self.code.values.locals.i32(0);
        self.push_slot(target);
        let mut sink = self.code.values.sink();
        sink.local_tee(slot).i64_load32_u(entry(0));
        self.code.values.push(target);
        let mut sink = self.code.values.sink();
        sink.i64_eq().if_(BlockType::Result(ValType::I64));
        self.push_arguments();
        let mut sink = self.code.values.sink();
        sink.local_get(slot).i32_load(entry(4)).call_indirect(TABLE, FUNCTION_TYPE).else_();
        sink.global_get(global::STATE);
        self.push_depth();
        self.code.values.push(target);
        self.code.values.push(back);
        self.code.values.sink().call(engine::DISPATCH).end();
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
        self.code.values.sink().global_get(global::STATE);
        self.code.push_target(pc, 0);
        self.code.values.sink().call(engine::STEP);
        self.code.expect(pc, i64::from(op.len));
        self.code.enter(Known::default());
        self.go(node, site);
    }
}

fn entry(offset: u64) -> MemArg {
    MemArg { offset, align: 2, memory_index: ENGINE }
}
