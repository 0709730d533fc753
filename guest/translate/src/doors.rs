//! A module's own functions that call the engine's. Translated code calls these: a call within the module needs nothing
//! loaded, whereas Cranelift would load an import's address before a loop, for a call in it that is seldom made.

use wasm_encoder::{CodeSection, Function, FunctionSection, ValType};

use crate::value::global;

/// Functions that the engine exports, by their index as imports, and their types.
pub mod engine {
    use wasm_encoder::ValType::{self, I32, I64};

    /// How many there are.
    pub const COUNT: u32 = 4;
    /// `(state, operation, precision, rounding, a, b, c) -> value`: any operation on floating-point numbers.
    pub const FLOAT: u32 = 0;
    /// `(state, room, target, back) -> pc`: goes on at `target` until the guest comes to `back`.
    pub const DISPATCH: u32 = 1;
    /// `(state, pc) -> pc`: executes the one instruction there, system calls included.
    pub const STEP: u32 = 2;
    /// `(state, pc) -> pc`: yields when the task is to stop; gives up when calls are too deep.
    pub const PAUSE: u32 = 3;

    /// By index: its name, and its parameters behind the state. All give an `i64`.
    pub const ALL: [(&str, &[ValType]); COUNT as usize] = [
        ("float", &[I32, I32, I32, I64, I64, I64]),
        ("dispatch", &[I32, I64, I64]),
        ("step", &[I64]),
        ("pause", &[I64]),
    ];
}

/// The index of the function that calls the engine's of this index, with the state.
pub const fn door(engine: u32) -> u32 {
    engine::COUNT + engine
}

/// Index of the first function behind these.
pub const BEHIND: u32 = 2 * engine::COUNT;

/// The parameters of a door: those of the engine's function, but the state.
///
/// Those of `float` that are numbers of the instruction are one, so that all are in the processor's registers.
fn parameters(engine: u32) -> Vec<ValType> {
    let (_, parameters) = engine::ALL[engine as usize];
    if engine == engine::FLOAT { parameters[2..].to_vec() } else { parameters.to_vec() }
}

/// Types of the engine's functions and of the doors, by the functions' indexes.
pub fn types() -> Vec<Vec<ValType>> {
    let of_engine = engine::ALL.iter().map(|(_, parameters)| [&[ValType::I32], *parameters].concat());
    of_engine.chain((0..engine::COUNT).map(parameters)).collect()
}

/// Puts the operation, precision and rounding of `float` into one number.
pub const fn packed(operation: i32, precision: i32, rounding: u8) -> i32 {
    operation << 16 | precision << 8 | rounding as i32
}

/// Adds the doors to a module whose types of them begin at `first_type`.
pub fn add(functions: &mut FunctionSection, code: &mut CodeSection, first_type: u32) {
    for engine in 0..engine::COUNT {
        functions.function(first_type + engine);
        let mut function = Function::new([]);
        let mut sink = function.instructions();
        sink.global_get(global::STATE);
        let mut rest = 0;
        if engine == engine::FLOAT {
            sink.local_get(0).i32_const(16).i32_shr_u();
            sink.local_get(0).i32_const(8).i32_shr_u().i32_const(0xff).i32_and();
            sink.local_get(0).i32_const(0xff).i32_and();
            rest = 1;
        }
        for parameter in rest..parameters(engine).len() as u32 {
            sink.local_get(parameter);
        }
        sink.call(engine).end();
        code.function(&function);
    }
}
