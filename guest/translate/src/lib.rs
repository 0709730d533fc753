//! Guest riscv64 functions to WebAssembly modules, which run beside the interpreter.
//!
//! The meaning of each instruction comes from `shallop_riscv64::execute` over a backend that emits wasm; this crate
//! adds what a whole function needs: its blocks (`flow`, `inline`), where its computed jumps lead (`image`, `tables`, `switch`), how
//! its loops nest (`forest`, `detour`), where registers are in locals (`places`,
//! `locals`) and what is known of them (`near`), how a fault finds them (`checkpoint`), which accesses are made as one (`bytewise`, `gather`), what calls find and leave (`calls`, `stack`, `doors`), and the code around all that (`function`, `module`, `memories`).
#![forbid(unsafe_code)]

pub mod bytewise;
pub mod calls;
pub mod checkpoint;
pub mod code;
pub mod detour;
pub mod doors;
pub mod effects;
pub mod emit;
pub mod float;
pub mod flow;
pub mod forest;
pub mod function;
pub mod gather;
pub mod graph;
pub mod image;
pub mod inline;
pub mod layout;
pub mod locals;
pub mod memories;
pub mod module;
pub mod near;
pub mod places;
pub mod stack;
pub mod sweep;
pub mod switch;
pub mod tables;
pub mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use image::Image;

/// Guest code to translate.
#[derive(Debug, Clone, Copy)]
pub struct Region<'a> {
    /// Bytes of guest code.
    pub code: &'a [u8],
    /// Offset of `code[0]` in the region's own numbering, for example the address of an ELF segment. It is even.
    pub start: u32,
    /// What its file says of it.
    pub image: &'a Image,
}

/// How a fault of guest memory finds the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Registers that were not stored are lost: a fault kills the process.
    Lazy,
    /// The interpreter comes to it again from the last checkpoint (see [`checkpoint`]), with all registers.
    Precise,
}

/// Where functions can be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entries {
    /// At their start alone, which is what makes good code.
    Start,
    /// Where calls return to and loops begin, too: for code that runs already.
    All,
}

/// What is translated, and how. Functions above a bound are refused.
#[derive(Debug, Clone)]
pub struct Options {
    pub variant: Variant,
    /// Of functions whose start is asked for.
    pub entries: Entries,
    /// Bytes of a function's wasm body.
    pub max_body: usize,
    /// Basic blocks of a function.
    pub max_blocks: usize,
    /// Guest instructions of a function.
    pub max_instructions: usize,
    /// Wasm locals times basic blocks.
    pub max_locals_blocks: usize,
    /// Entries of a function besides its start.
    pub max_resume: usize,
    /// Bytes of all bodies together.
    pub max_module: usize,
    /// Where computed jumps probably go, by their offsets: a jump looks first whether it goes there.
    pub likely: Arc<BTreeMap<u32, u32>>,
}

impl Options {
    /// The bounds for code of files that containers share: the largest functions of interpreters are within them.
    pub fn of_files() -> Options {
        Options {
            max_body: 4 << 20,
            max_blocks: 8192,
            max_instructions: 64 << 10,
            max_locals_blocks: 1 << 20,
            max_resume: 8192,
            max_module: 64 << 20,
            ..Options::default()
        }
    }
}

impl Default for Options {
    /// The bounds for code that a guest made.
    fn default() -> Options {
        Options {
            variant: Variant::Lazy,
            entries: Entries::Start,
            max_body: 16 << 10,
            max_blocks: 512,
            max_instructions: 4096,
            max_locals_blocks: 20_000,
            max_resume: 256,
            max_module: 1 << 20,
            likely: Arc::default(),
        }
    }
}

/// Why a function was not translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No code at its start.
    NoCode,
    /// Too many basic blocks.
    Blocks,
    /// Too many instructions.
    Instructions,
    /// Too many entries.
    Resume,
    /// Loops nest too deep, or cross each other too often.
    Shape,
    /// The body is too large.
    Body,
    /// Too many locals for its blocks.
    Locals,
    /// The module is full.
    Module,
}

/// Name of the table that a module of translated functions exports.
pub const FUNCTIONS: &str = "functions";

/// A translated function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Offset of its start, where entry 0 is.
    pub start: u32,
    /// Offsets of entries 1 and on.
    pub resume: Vec<u32>,
}

/// What came of a translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The module; function `k` of `functions` is element `k` of the table that it exports as [`FUNCTIONS`].
    pub wasm: Vec<u8>,
    pub functions: Vec<FunctionInfo>,
    /// The starts that are not translated.
    pub skipped: Vec<(u32, Refusal)>,
}

pub use module::translate;
