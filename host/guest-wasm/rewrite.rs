//! Moves the engine's guest accesses to memory 1: calls of the imports `guest.load…`/`guest.store…` become loads and stores.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{ExportKind, ExportSection, ImportSection, Instruction, MemArg, MemorySection, MemoryType, Module};
use wasmparser::{Imports, Operator};

/// Import module of the guest memory accessors.
const ACCESSORS: &str = "guest";

/// Pages of memory 0: the engine's own data. Untouched pages cost nothing.
const ENGINE_PAGES: u64 = 192 * 16;

/// Pages of memory 1: all 4 GiB of the guest.
const GUEST_PAGES: u64 = 65536;

/// Pages of memory 2, for translated code: the part of memory 0 where the task's state is.
const STATE_PAGES: u64 = 1;

/// Rewrites the module that rustc made of `guest/cpu`.
///
/// # Errors
/// A sentence when the module is not as `guest/cpu` must be.
pub fn rewrite(wasm: &[u8]) -> Result<Vec<u8>, String> {
    let mut module = Module::new();
    let mut rewriter = Rewriter::default();
    rewriter.parse_core_module(&mut module, wasmparser::Parser::new(0), wasm).map_err(|e| e.to_string())?;
    Ok(module.finish())
}

/// What an imported function of the input becomes.
enum Function {
    /// A load or store named so.
    Accessor(String),
    /// A function with this index in the output.
    Kept(u32),
}

#[derive(Default)]
struct Rewriter {
    /// The input's imported functions, by index.
    imported: Vec<Function>,
    kept: u32,
}

impl Rewriter {
    fn removed(&self) -> u32 {
        self.imported.len() as u32 - self.kept
    }
}

impl Reencode for Rewriter {
    type Error = String;

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Result<(), Error<String>> {
        for group in section {
            let Imports::Single(_, import) = group? else {
                return Err(Error::UserError("cpu.wasm: import groups are not expected".into()));
            };
            if import.module == ACCESSORS {
                self.imported.push(Function::Accessor(import.name.to_owned()));
                continue;
            }
            self.imported.push(Function::Kept(self.kept));
            self.kept += 1;
            utils::parse_import(self, imports, import)?;
        }
        Ok(())
    }

    fn function_index(&mut self, index: u32) -> Result<u32, Error<String>> {
        match self.imported.get(index as usize) {
            None => Ok(index - self.removed()),
            Some(Function::Kept(index)) => Ok(*index),
            Some(Function::Accessor(name)) => {
                Err(Error::UserError(format!("cpu.wasm takes the address of guest accessor {name}")))
            }
        }
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error<String>> {
        if let Operator::Call { function_index } = operator
            && let Some(Function::Accessor(name)) = self.imported.get(function_index as usize)
        {
            return access(name).ok_or_else(|| Error::UserError(format!("cpu.wasm: unknown guest accessor {name}")));
        }
        utils::instruction(self, operator)
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        _section: wasmparser::MemorySectionReader<'_>,
    ) -> Result<(), Error<String>> {
        for pages in [ENGINE_PAGES, GUEST_PAGES, STATE_PAGES] {
            let (minimum, maximum) = (pages, Some(pages));
            memories.memory(MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None });
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error<String>> {
        let mut has_stack_pointer = false;
        for export in section {
            let export = export?;
            has_stack_pointer |= export.name == "__stack_pointer";
            utils::parse_export(self, exports, export)?;
        }
        exports.export("guest", ExportKind::Memory, 1);
        exports.export("state", ExportKind::Memory, 2);
        if !has_stack_pointer {
            // wasm-ld always makes the stack pointer global 0.
            exports.export("__stack_pointer", ExportKind::Global, 0);
        }
        Ok(())
    }

    fn parse_custom_section(
        &mut self,
        _module: &mut Module,
        _section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error<String>> {
        Ok(())
    }
}

/// The instruction that replaces a call of accessor `name`. Natural alignment is a hint only.
fn access(name: &str) -> Option<Instruction<'static>> {
    let at = |align| MemArg { offset: 0, align, memory_index: 1 };
    Some(match name {
        "load8u" => Instruction::I32Load8U(at(0)),
        "load8s" => Instruction::I32Load8S(at(0)),
        "load16u" => Instruction::I32Load16U(at(0)),
        "load16s" => Instruction::I32Load16S(at(0)),
        "load32u" => Instruction::I32Load(at(0)),
        "load32s" => Instruction::I64Load32S(at(0)),
        "load64" => Instruction::I64Load(at(0)),
        "store8" => Instruction::I32Store8(at(0)),
        "store16" => Instruction::I32Store16(at(0)),
        "store32" => Instruction::I32Store(at(0)),
        "store64" => Instruction::I64Store(at(0)),
        _ => return None,
    })
}
