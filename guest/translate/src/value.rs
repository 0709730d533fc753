//! Values of the code that is emitted: expressions over locals, built for one instruction and written where they
//! are used.

use shallop_machine::backend::Binary;
use shallop_riscv64::interpreter::binary;
use wasm_encoder::{BlockType, InstructionSink, ValType};

use crate::Entries;
use crate::effects::Slots;
use crate::locals::Locals;

/// Globals of a module.
pub mod global {
    /// Imported; the module keeps copies of them, which cost one load less.
    pub const IMPORTED: u32 = 3;
    /// Where the region is loaded.
    pub const BIAS: u32 = 3;
    /// Where the table of function starts is in the engine's memory.
    pub const ENTRIES: u32 = 4;
    /// Where the task's state is in the engine's memory.
    pub const STATE: u32 = 5;
}

/// An expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Constant(u64),
    /// A wasm local of type i64.
    Local(u32),
    /// The bits of a wasm local of type f64.
    Float(u32),
    /// The address of the code at this offset.
    Pc(u32),
    Binary(Binary, Word, Word),
    /// The same of low halves, whose signs extend the result; of values that are so extended themselves.
    Narrow(Binary, Word, Word),
    Select(Word, Word, Word),
}

/// Index of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(u32);

/// The expressions of an instruction, and the code that they go to.
#[derive(Debug, Clone)]
pub struct Values {
    pub bytes: Vec<u8>,
    pub locals: Locals,
    /// Blocks that are open inside the three around the whole function: see [`Values::exit`].
    pub nesting: u32,
    /// Branches that nearly always go one way, by their offsets in `bytes`; whether they are taken.
    pub hints: Vec<(u32, bool)>,
    /// Offset behind all that is loaded of the code's file.
    image_end: u32,
    values: Vec<Value>,
}

impl Values {
    /// No code yet.
    pub fn new(used: Slots, entered: Entries, image_end: u32) -> Values {
        Values {
            bytes: Vec::new(),
            locals: Locals::new(used, entered),
            nesting: 0,
            hints: Vec::new(),
            image_end,
            values: Vec::new(),
        }
    }

    /// Forgets the expressions of the instruction before.
    pub fn begin(&mut self) {
        self.values.clear();
        self.locals.release();
    }

    /// Opens an `if`, whose condition is on the stack.
    pub fn open_if(&mut self) {
        self.sink().if_(BlockType::Empty);
        self.nesting += 1;
    }

    /// Says whether the branch that comes next is nearly always or nearly never taken. Where the other way leads is laid out
    /// apart, so both ways in code that is seldom come to are said to be seldom gone.
    pub fn hint(&mut self, taken: bool) {
        self.hints.push((self.bytes.len() as u32, taken));
    }

    /// Says that the code that follows is seldom come to, where something before it has cut it off from what a hint was about.
    pub fn hint_seldom(&mut self) {
        self.open_block();
        self.sink().i32_const(1);
        self.br_unlikely_if(0);
        self.close();
    }

    /// As [`Values::open_if`], for what is seldom so.
    pub fn open_unlikely_if(&mut self) {
        self.hint(false);
        self.open_if();
    }

    /// Branches when the i32 on the stack is not 0, which is seldom so.
    pub fn br_unlikely_if(&mut self, depth: u32) {
        self.hint(false);
        self.sink().br_if(depth);
    }

    /// Opens a block.
    pub fn open_block(&mut self) {
        self.sink().block(BlockType::Empty);
        self.nesting += 1;
    }

    /// Closes what was opened last.
    pub fn close(&mut self) {
        self.sink().end();
        self.nesting -= 1;
    }

    /// The branch for an `out` where a call was not expected to return.
    pub fn astray(&self) -> u32 {
        self.nesting
    }

    /// The branch that returns `out`. One place for all makes less code than a return at each.
    pub fn exit(&self) -> u32 {
        self.nesting + 1
    }

    /// The branch to an access that faults.
    pub fn fault(&self) -> u32 {
        self.nesting + 2
    }

    /// The code's end.
    pub fn sink(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.bytes)
    }

    /// Makes an expression.
    pub fn make(&mut self, value: Value) -> Word {
        self.values.push(value);
        Word(self.values.len() as u32 - 1)
    }

    /// What a word stands for.
    pub fn value(&self, word: Word) -> Value {
        self.values.get(word.0 as usize).copied().unwrap_or(Value::Constant(0))
    }

    /// A constant.
    pub fn constant(&mut self, value: u64) -> Word {
        self.make(Value::Constant(value))
    }

    /// `a operation b`, calculated here if it can be.
    pub fn combine(&mut self, operation: Binary, a: Word, b: Word) -> Word {
        match (operation, self.value(a), self.value(b)) {
            (_, Value::Constant(a), Value::Constant(b)) => self.constant(binary(operation, a, b)),
            (Binary::Add | Binary::Or | Binary::Xor | Binary::Sub, _, Value::Constant(0)) => a,
            (Binary::Add | Binary::Or | Binary::Xor, Value::Constant(0), _) => b,
            (Binary::And, _, Value::Constant(u64::MAX)) => a,
            (Binary::Add, Value::Pc(offset), Value::Constant(moved)) if self.reaches(offset, moved) => {
                self.make(Value::Pc(offset.wrapping_add(moved as u32)))
            }
            (Binary::And, Value::Pc(offset), Value::Constant(mask)) if mask == !1 && offset & 1 == 0 => a,
            _ => self.make(Value::Binary(operation, a, b)),
        }
    }

    /// Whether the address that is `moved` bytes from code is below 2^32 as that is. The last MiB of memory holds no code; a file
    /// is loaded as a whole.
    fn reaches(&self, offset: u32, moved: u64) -> bool {
        let to = i64::from(offset).checked_add(moved as i64);
        moved <= 8 || to.is_some_and(|to| (0..i64::from(self.image_end)).contains(&to))
    }

    /// A word for the value of `word` that costs nothing to use again.
    pub fn settle(&mut self, word: Word) -> Word {
        match self.value(word) {
            Value::Constant(_) | Value::Local(_) | Value::Float(_) => word,
            _ => {
                let local = self.locals.take();
                self.push(word);
                self.sink().local_set(local);
                self.make(Value::Local(local))
            }
        }
    }

    /// Writes code that leaves the value on the stack, as an i64.
    pub fn push(&mut self, word: Word) {
        match self.value(word) {
            Value::Constant(value) => {
                self.sink().i64_const(value as i64);
            }
            Value::Local(local) => {
                self.sink().local_get(local);
            }
            Value::Float(local) => {
                self.sink().local_get(local).i64_reinterpret_f64();
            }
            Value::Pc(offset) => {
                self.sink().global_get(global::BIAS).i32_const(offset as i32).i32_add().i64_extend_i32_u();
            }
            Value::Binary(operation, a, b) => self.push_binary(operation, a, b),
            Value::Narrow(operation, a, b) => {
                self.push_narrow(operation, a, b);
                match compares(operation) {
                    true => self.sink().i64_extend_i32_u(),
                    false => self.sink().i64_extend_i32_s(),
                };
            }
            Value::Select(condition, yes, no) => {
                self.push(yes);
                self.push(no);
                self.push_condition(condition);
                self.sink().select();
            }
        }
    }

    /// The value's bits as an f64.
    pub fn push_double(&mut self, word: Word) {
        match self.value(word) {
            Value::Float(local) => {
                self.sink().local_get(local);
            }
            _ => {
                self.push(word);
                self.sink().f64_reinterpret_i64();
            }
        }
    }

    /// The value's low half, as an i32.
    pub fn push_low(&mut self, word: Word) {
        match self.value(word) {
            Value::Constant(value) => {
                self.sink().i32_const(value as i32);
            }
            Value::Pc(offset) => {
                self.sink().global_get(global::BIAS).i32_const(offset as i32).i32_add();
            }
            Value::Binary(operation, a, b) if simple32(operation) => self.push_simple32(operation, a, b),
            Value::Narrow(operation, a, b) => self.push_narrow(operation, a, b),
            _ => {
                self.push(word);
                self.sink().i32_wrap_i64();
            }
        }
    }

    /// Whether the value is not 0, as an i32.
    pub fn push_condition(&mut self, word: Word) {
        match self.value(word) {
            Value::Binary(operation, a, b) if compares(operation) => self.push_comparison(operation, a, b),
            Value::Narrow(operation, a, b) => self.push_narrow(operation, a, b),
            _ => {
                self.push(word);
                self.sink().i64_const(0).i64_ne();
            }
        }
    }

    /// An operation on low halves that has such a form; leaves an i32.
    fn push_narrow(&mut self, operation: Binary, a: Word, b: Word) {
        self.push_low(a);
        if self.value(b) == Value::Constant(0) && operation == Binary::Equal {
            self.sink().i32_eqz();
            return;
        }
        self.push_low(b);
        let mut sink = self.sink();
        match operation {
            Binary::And => sink.i32_and(),
            Binary::Or => sink.i32_or(),
            Binary::Xor => sink.i32_xor(),
            Binary::Less => sink.i32_lt_s(),
            Binary::LessUnsigned => sink.i32_lt_u(),
            Binary::Equal => sink.i32_eq(),
            Binary::NotEqual => sink.i32_ne(),
            Binary::GreaterEqual => sink.i32_ge_s(),
            _ => sink.i32_ge_u(),
        };
    }

    fn push_comparison(&mut self, operation: Binary, a: Word, b: Word) {
        self.push(a);
        let zero = self.value(b) == Value::Constant(0);
        if zero && operation == Binary::Equal {
            self.sink().i64_eqz();
            return;
        }
        self.push(b);
        let mut sink = self.sink();
        match operation {
            Binary::Less => sink.i64_lt_s(),
            Binary::LessUnsigned => sink.i64_lt_u(),
            Binary::Equal => sink.i64_eq(),
            Binary::NotEqual => sink.i64_ne(),
            Binary::GreaterEqual => sink.i64_ge_s(),
            _ => sink.i64_ge_u(),
        };
    }

    fn push_binary(&mut self, operation: Binary, a: Word, b: Word) {
        match operation {
            _ if compares(operation) => {
                self.push_comparison(operation, a, b);
                self.sink().i64_extend_i32_u();
            }
            _ if simple32(operation) => {
                self.push_simple32(operation, a, b);
                self.sink().i64_extend_i32_s();
            }
            Binary::Div | Binary::DivUnsigned | Binary::Rem | Binary::RemUnsigned => {
                self.push_division(operation, a, b)
            }
            Binary::Div32 | Binary::DivUnsigned32 | Binary::Rem32 | Binary::RemUnsigned32 => {
                self.push_division32(operation, a, b);
            }
            Binary::MulHigh | Binary::MulHighUnsigned | Binary::MulHighSignedUnsigned => {
                self.push_high(operation, a, b);
            }
            _ => {
                self.push(a);
                self.push(b);
                let mut sink = self.sink();
                match operation {
                    Binary::Add => sink.i64_add(),
                    Binary::Sub => sink.i64_sub(),
                    Binary::And => sink.i64_and(),
                    Binary::Or => sink.i64_or(),
                    Binary::Xor => sink.i64_xor(),
                    Binary::ShiftLeft => sink.i64_shl(),
                    Binary::ShiftRight => sink.i64_shr_u(),
                    Binary::ShiftRightSigned => sink.i64_shr_s(),
                    _ => sink.i64_mul(),
                };
            }
        }
    }

    fn push_simple32(&mut self, operation: Binary, a: Word, b: Word) {
        self.push_low(a);
        if self.value(b) == Value::Constant(0) && operation == Binary::Add32 {
            return;
        }
        self.push_low(b);
        let mut sink = self.sink();
        match operation {
            Binary::Add32 => sink.i32_add(),
            Binary::Sub32 => sink.i32_sub(),
            Binary::ShiftLeft32 => sink.i32_shl(),
            Binary::ShiftRight32 => sink.i32_shr_u(),
            Binary::ShiftRightSigned32 => sink.i32_shr_s(),
            _ => sink.i32_mul(),
        };
    }

    /// 64-bit division. Divisors 0 and -1 are not left to wasm, which may trap.
    fn push_division(&mut self, operation: Binary, a: Word, b: Word) {
        let (a, b) = (self.settle(a), self.settle(b));
        let (one, minus, zero) = (self.constant(1), self.constant(u64::MAX), self.constant(0));
        let signed = matches!(operation, Binary::Div | Binary::Rem);
        // Whether the divisor is one of those.
        if signed {
            let next = self.combine(Binary::Add, b, one);
            self.push(next);
            self.sink().i64_const(1).i64_le_u();
        } else {
            self.push(b);
            self.sink().i64_eqz();
        }
        self.sink().if_(BlockType::Result(ValType::I64));
        let by_zero = if matches!(operation, Binary::Div | Binary::DivUnsigned) { minus } else { a };
        if signed {
            let negated = self.combine(Binary::Sub, zero, a);
            let other = if operation == Binary::Div { negated } else { zero };
            let divides = self.combine(Binary::Equal, b, zero);
            let value = self.make(Value::Select(divides, by_zero, other));
            self.push(value);
        } else {
            self.push(by_zero);
        }
        self.sink().else_();
        self.push(a);
        self.push(b);
        let mut sink = self.sink();
        match operation {
            Binary::Div => sink.i64_div_s(),
            Binary::DivUnsigned => sink.i64_div_u(),
            Binary::Rem => sink.i64_rem_s(),
            _ => sink.i64_rem_u(),
        };
        sink.end();
    }

    /// 32-bit division, in the same way.
    fn push_division32(&mut self, operation: Binary, a: Word, b: Word) {
        let (a, b) = (self.settle(a), self.settle(b));
        let signed = matches!(operation, Binary::Div32 | Binary::Rem32);
        let quotient = matches!(operation, Binary::Div32 | Binary::DivUnsigned32);
        self.push_low(b);
        let mut sink = self.sink();
        match signed {
            true => sink.i32_const(1).i32_add().i32_const(1).i32_le_u(),
            false => sink.i32_eqz(),
        };
        sink.if_(BlockType::Result(ValType::I32));
        match (quotient, signed) {
            (true, false) => {
                self.sink().i32_const(-1);
            }
            (false, false) => self.push_low(a),
            (true, true) => {
                self.sink().i32_const(-1).i32_const(0);
                self.push_low(a);
                self.sink().i32_sub();
            }
            (false, true) => {
                self.push_low(a);
                self.sink().i32_const(0);
            }
        }
        if signed {
            self.push_low(b);
            self.sink().i32_eqz().select();
        }
        self.sink().else_();
        self.push_low(a);
        self.push_low(b);
        let mut sink = self.sink();
        match operation {
            Binary::Div32 => sink.i32_div_s(),
            Binary::DivUnsigned32 => sink.i32_div_u(),
            Binary::Rem32 => sink.i32_rem_s(),
            _ => sink.i32_rem_u(),
        };
        sink.end().i64_extend_i32_s();
    }

    /// The upper half of a product.
    fn push_high(&mut self, operation: Binary, a: Word, b: Word) {
        let (a, b) = (self.settle(a), self.settle(b));
        let high = self.locals.take();
        self.push(a);
        self.push(b);
        let mut sink = self.sink();
        match operation {
            Binary::MulHigh => sink.i64_mul_wide_s(),
            _ => sink.i64_mul_wide_u(),
        };
        sink.local_set(high).drop().local_get(high);
        if operation == Binary::MulHighSignedUnsigned {
            // As if both were unsigned, `a` counted 2^64 more when it is negative.
            self.push(a);
            self.sink().i64_const(63).i64_shr_s();
            self.push(b);
            self.sink().i64_and().i64_sub();
        }
    }
}

fn compares(operation: Binary) -> bool {
    matches!(
        operation,
        Binary::Less
            | Binary::LessUnsigned
            | Binary::Equal
            | Binary::NotEqual
            | Binary::GreaterEqual
            | Binary::GreaterEqualUnsigned
    )
}

/// Operations on low halves that are one wasm instruction.
fn simple32(operation: Binary) -> bool {
    matches!(
        operation,
        Binary::Add32
            | Binary::Sub32
            | Binary::ShiftLeft32
            | Binary::ShiftRight32
            | Binary::ShiftRightSigned32
            | Binary::Mul32
    )
}

/// Whether the operation gives the same, extended, on the low halves of values that are extended by their signs: that keeps
/// their order, with signs and without.
pub fn has_narrow_form(operation: Binary) -> bool {
    compares(operation) || matches!(operation, Binary::And | Binary::Or | Binary::Xor)
}

/// Whether the operation's result is always extended from its low half by its sign.
pub fn is_narrow_always(operation: Binary) -> bool {
    compares(operation)
        || simple32(operation)
        || matches!(operation, Binary::Div32 | Binary::DivUnsigned32 | Binary::Rem32 | Binary::RemUnsigned32)
}
