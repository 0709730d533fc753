//! Makes the memories that a module defines imports of it, since a test has no memories of the host's making to lend.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{ImportSection, MemorySection, Module};
use wasmparser::{ImportSectionReader, MemorySectionReader, MemoryType, Parser, Payload};

/// The module, which has its memories as its first imports; of the guest's it wants this many pages.
pub fn with_imported_memories(wasm: &[u8], guest_pages: u64) -> Vec<u8> {
    let payloads = Parser::new(0).parse_all(wasm).map(Result::unwrap);
    let memories =
        payloads.filter_map(|payload| if let Payload::MemorySection(section) = payload { Some(section) } else { None });
    let mut memories: Vec<MemoryType> = memories.flatten().map(Result::unwrap).collect();
    for guest in memories.iter_mut().filter(|memory| memory.initial > guest_pages) {
        guest.initial = guest_pages;
    }
    let mut module = Module::new();
    Lending { memories }.parse_core_module(&mut module, Parser::new(0), wasm).unwrap();
    module.finish()
}

struct Lending {
    memories: Vec<MemoryType>,
}

impl Reencode for Lending {
    type Error = std::convert::Infallible;

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        for memory in &self.memories {
            imports.import("", "", wasm_encoder::MemoryType::from(*memory));
        }
        utils::parse_import_section(self, imports, section)
    }

    fn parse_memory_section(
        &mut self,
        _memories: &mut MemorySection,
        _section: MemorySectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        Ok(())
    }
}
