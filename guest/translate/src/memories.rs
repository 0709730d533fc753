//! The memories of a translated module: what [`section`] defines, and by which of them code accesses what ([`Memories`]).
//!
//! They are defined, not imported, though they are the task's, which the host lends to whom it makes an instance for: the base
//! of a module's own memory is one load away from what compiled code has at hand, that of an imported one two. The host tells
//! them by their least sizes (`Creator` in `host/sandbox/src/memory.rs`).

use wasm_encoder::{MemorySection, MemoryType};

/// Pages of a guest's address space.
const GUEST_PAGES: u64 = 65_536;
/// Pages of the memory that begins with the task's state.
const STATE_PAGES: u64 = 1;
/// Pages of the engine's memory at least, of which the state is a part.
const ENGINE_PAGES: u64 = 2;

/// Memory of the engine.
pub const ENGINE: u32 = 2;

/// The state once more, for `Code::push_preempt_alone`.
pub const STATE_ALONE: u32 = 5;

/// The two memories that most accesses are to, by their indexes.
#[derive(Debug, Clone, Copy)]
pub struct Memories {
    /// Begins with the task's registers.
    pub state: u32,
    pub guest: u32,
}

impl Memories {
    /// As memories that stay where they are: Cranelift loads their bases once for a function.
    pub const FIXED: Memories = Memories { state: 0, guest: 1 };
    /// The same, once more as memories that may move, which they do not: their bases are loaded again behind calls and where
    /// ways meet. In a huge function the base of the others is on the stack, and is loaded from there for each access.
    pub const MOVABLE: Memories = Memories { state: 3, guest: 4 };
}

/// The memories, by index.
pub fn section() -> MemorySection {
    let memory =
        |minimum, maximum| MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None };
    // One that cannot grow does not move.
    let fixed = |pages| memory(pages, Some(pages));
    let movable = |pages| memory(pages, Some(GUEST_PAGES));
    let mut memories = MemorySection::new();
    memories
        .memory(fixed(STATE_PAGES))
        .memory(fixed(GUEST_PAGES))
        .memory(memory(ENGINE_PAGES, None))
        .memory(movable(STATE_PAGES))
        .memory(movable(GUEST_PAGES - 1))
        .memory(movable(STATE_PAGES));
    memories
}
