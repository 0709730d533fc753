//! A module of translated functions: its imports, and one element segment for the table.

use std::collections::{BTreeMap, BTreeSet};

use wasm_encoder::{
    CodeSection, ConstExpr, ElementSection, Elements, EntityType, Function, FunctionSection, GlobalType, ImportSection,
    MemoryType, Module, RefType, TableType, TypeSection, ValType,
};

use crate::function::{Shape, emit};
use crate::{FunctionInfo, Options, Refusal, Region, Translated};

/// Imported functions; translated ones are numbered after them.
const IMPORTED: u32 = 1;
/// Global with the first index in the table.
const BASE: u32 = 0;
/// Pages of the guest's memory.
const GUEST_PAGES: u64 = 65_536;

/// Translates the functions at `starts` into one module.
pub fn translate(region: &Region, starts: &[u32], options: &Options) -> Translated {
    // Code in the middle of a function is entered there, where that can be.
    let (mut wanted, mut middles) = (BTreeSet::new(), BTreeMap::new());
    for &start in starts {
        let function = region.image.function(start).map_or(start, |function| function.start);
        wanted.insert(function);
        if function != start {
            middles.insert(start, function);
        }
    }
    let mut skipped = BTreeMap::new();
    loop {
        let before = (skipped.len(), middles.len());
        let shapes = shapes(region, &wanted, options, &mut skipped);
        middles.retain(|&middle, function| {
            let entered = shapes.get(function).is_some_and(|shape| shape.resume().contains(&middle));
            if !entered {
                wanted.insert(middle);
            }
            entered
        });
        let numbers = (IMPORTED..).zip(shapes.keys()).map(|(number, &start)| (start, number)).collect();
        let bodies = bodies(&shapes, &numbers, options, &mut skipped);
        if (skipped.len(), middles.len()) == before {
            let functions =
                shapes.iter().map(|(&start, shape)| FunctionInfo { start, resume: shape.resume() }).collect();
            return Translated { wasm: module(&bodies), functions, skipped: skipped.into_iter().collect() };
        }
        // Without those, jumps to them and calls of them are emitted otherwise.
        wanted.retain(|start| !skipped.contains_key(start));
    }
}

fn shapes(
    region: &Region,
    wanted: &BTreeSet<u32>,
    options: &Options,
    skipped: &mut BTreeMap<u32, Refusal>,
) -> BTreeMap<u32, Shape> {
    let mut shapes = BTreeMap::new();
    for &start in wanted {
        match Shape::new(region, start, wanted, options) {
            Ok(shape) => {
                shapes.insert(start, shape);
            }
            Err(refusal) => {
                skipped.insert(start, refusal);
            }
        }
    }
    shapes
}

fn bodies(
    shapes: &BTreeMap<u32, Shape>,
    numbers: &BTreeMap<u32, u32>,
    options: &Options,
    skipped: &mut BTreeMap<u32, Refusal>,
) -> Vec<Function> {
    let (mut bodies, mut total) = (Vec::new(), 0);
    for (&start, shape) in shapes {
        let body = emit(shape, numbers, options).and_then(|body| match total + body.byte_len() > options.max_module {
            true => Err(Refusal::Module),
            false => Ok(body),
        });
        match body {
            Ok(body) => {
                total += body.byte_len();
                bodies.push(body);
            }
            Err(refusal) => {
                skipped.insert(start, refusal);
            }
        }
    }
    bodies
}

fn module(bodies: &[Function]) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&types()).section(&imports());
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    for body in bodies {
        functions.function(crate::calls::FUNCTION_TYPE);
        code.function(body);
    }
    let numbers: Vec<u32> = (IMPORTED..).take(bodies.len()).collect();
    let mut elements = ElementSection::new();
    elements.active(None, &ConstExpr::global_get(BASE), Elements::Functions(numbers.into()));
    module.section(&functions).section(&elements).section(&code);
    module.finish()
}

/// The type of translated functions, and that of `float`.
fn types() -> TypeSection {
    use ValType::{I32, I64};
    let mut types = TypeSection::new();
    types.ty().function([I32; 4], [I64]);
    types.ty().function([I32, I32, I32, I32, I64, I64, I64], [I64]);
    types
}

fn imports() -> ImportSection {
    let memory =
        |minimum, maximum| MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None };
    let table = TableType { element_type: RefType::FUNCREF, table64: false, minimum: 0, maximum: None, shared: false };
    let global = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
    let mut imports = ImportSection::new();
    imports
        .import("engine", "memory", memory(1, None))
        .import("guest", "memory", memory(GUEST_PAGES, Some(GUEST_PAGES)))
        .import("engine", "table", table)
        .import("engine", "base", global)
        .import("engine", "bias", global)
        .import("engine", "entries", global)
        .import("engine", "float", EntityType::Function(1));
    imports
}
