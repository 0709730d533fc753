//! The guest's wasm modules, built and embedded by this crate's build script.
#![forbid(unsafe_code)]

/// One embedded module.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    pub name: &'static str,
    /// Changes whenever the module does; not a digest.
    pub identity: &'static str,
    pub wasm: &'static [u8],
}

macro_rules! embedded {
    ($name:literal) => {
        Embedded {
            name: $name,
            identity: include_str!(concat!(env!("OUT_DIR"), "/", $name, ".wasm.id")),
            wasm: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")),
        }
    };
}

/// The Linux personality (`guest/boot`), for wasm32-wasip1.
pub const KERNEL: Embedded = embedded!("kernel");

/// The engine of a task (`guest/cpu`), its guest memory accesses rewritten to memory 1.
pub const CPU: Embedded = embedded!("cpu");

/// The program of `catalog.internal/hello-world`, for wasm32-wasip1.
pub const HELLO_WORLD: Embedded = embedded!("hello-world");

#[cfg(test)]
mod tests {
    use wasmparser::{Operator, Parser, Payload};

    /// A fault inside a native helper would kill the worker (bulk memory and atomic waits are helpers).
    #[test]
    fn no_native_helper_takes_a_guest_address() {
        let mut accesses = 0;
        for payload in Parser::new(0).parse_all(super::CPU.wasm) {
            let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
            for operator in body.get_operators_reader().unwrap() {
                match operator.unwrap() {
                    Operator::MemoryFill { mem } | Operator::MemoryInit { mem, .. } => assert_eq!(mem, 0),
                    Operator::MemoryCopy { dst_mem, src_mem } => assert_eq!((dst_mem, src_mem), (0, 0)),
                    Operator::MemoryGrow { .. } | Operator::MemoryAtomicNotify { .. } => panic!("not in cpu.wasm"),
                    Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } => {
                        panic!("not in cpu.wasm")
                    }
                    Operator::I64Load { memarg } | Operator::I64Store { memarg } => {
                        accesses += usize::from(memarg.memory == 1)
                    }
                    _ => {}
                }
            }
        }
        assert!(accesses > 0, "the interpreter reaches guest memory somewhere");
    }

    #[test]
    fn the_engine_defines_its_memories_and_imports_only_what_a_task_needs() {
        let mut memories = Vec::new();
        let mut imports = Vec::new();
        for payload in Parser::new(0).parse_all(super::CPU.wasm) {
            match payload.unwrap() {
                Payload::MemorySection(section) => memories.extend(section.into_iter().map(|m| m.unwrap().initial)),
                Payload::ImportSection(section) => {
                    imports.extend(section.into_imports().map(|i| i.unwrap().name.to_owned()));
                }
                _ => {}
            }
        }
        assert_eq!(memories[1..], [65536, 1]);
        imports.sort();
        assert_eq!(imports, ["find", "install", "suspend"]);
    }
}
