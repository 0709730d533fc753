//! A module of translated functions: its imports, and the functions in a table that it exports.

use std::collections::{BTreeMap, BTreeSet};

use wasm_encoder::{
    BranchHint, BranchHints, CodeSection, ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection,
    FunctionSection, GlobalSection, GlobalType, ImportSection, Module, RefType, TableSection, TableType, TypeSection,
    ValType,
};

use crate::calls::{ENTERED_TYPE, FUNCTION_TYPE, TABLE};
use crate::doors::{self, engine};
use crate::function::{Emitted, Shape, emit};
use crate::value::global;
use crate::{Entries, FUNCTIONS, FunctionInfo, Options, Refusal, Region, Translated, memories};

/// Index of the first translated function.
const FIRST: u32 = doors::BEHIND;
/// Index of the type of the first imported function; the others' follow, and then those of the doors.
const ENGINE_TYPES: u32 = 2;
/// Index of the table of the module's own functions, behind the imported one.
const OWN_TABLE: u32 = TABLE + 1;

/// A function to translate: its start, and where it can be entered. One that is entered at its start alone comes first.
type Wanted = (u32, Entries);

/// Translates the functions at `starts` into one module; where code is in the middle of a function, that function with all
/// its entries.
pub fn translate(region: &Region, starts: &[u32], options: &Options) -> Translated {
    let (mut wanted, mut middles) = (BTreeSet::new(), BTreeMap::new());
    for &start in starts {
        match region.image.function(start) {
            Some(function) if function.start != start => {
                wanted.insert((function.start, Entries::All));
                middles.insert(start, function.start);
            }
            _ => {
                wanted.insert((start, options.entries));
            }
        }
    }
    let mut skipped = BTreeMap::new();
    loop {
        let before = (skipped.len(), middles.len());
        let shapes = shapes(region, &wanted, options, &mut skipped);
        middles.retain(|&middle, &mut function| {
            let entered = shapes.get(&(function, Entries::All)).is_some_and(|shape| shape.resume().contains(&middle));
            if !entered {
                wanted.insert((middle, options.entries));
            }
            entered
        });
        let in_middle = |start: u32| middles.values().any(|function| *function == start);
        wanted.retain(|&(start, entries)| entries == options.entries || in_middle(start));
        let bodies = bodies(&shapes, &numbers(&shapes), options, &mut skipped);
        if (skipped.len(), middles.len()) == before {
            let functions =
                shapes.iter().map(|(&(start, _), shape)| FunctionInfo { start, resume: shape.resume() }).collect();
            let skipped = skipped.into_iter().map(|((start, _), refusal)| (start, refusal)).collect();
            return Translated { wasm: module(&bodies), functions, skipped };
        }
        // Without those, jumps to them and calls of them are emitted otherwise.
        wanted.retain(|wanted| !skipped.contains_key(wanted));
    }
}

/// The wasm function for calls of each guest function that is entered at its start.
fn numbers(shapes: &BTreeMap<Wanted, Shape>) -> BTreeMap<u32, u32> {
    let mut numbers = BTreeMap::new();
    for (number, (&(start, _), shape)) in (FIRST..).zip(shapes) {
        if shape.entered() == Entries::Start {
            numbers.entry(start).or_insert(number);
        }
    }
    numbers
}

fn shapes(
    region: &Region,
    wanted: &BTreeSet<Wanted>,
    options: &Options,
    skipped: &mut BTreeMap<Wanted, Refusal>,
) -> BTreeMap<Wanted, Shape> {
    let starts = wanted.iter().map(|&(start, _)| start).collect();
    let mut shapes = BTreeMap::new();
    for &(start, entries) in wanted {
        match Shape::new(region, start, &starts, &Options { entries, ..options.clone() }) {
            Ok(shape) => {
                shapes.insert((start, entries), shape);
            }
            Err(refusal) => {
                skipped.insert((start, entries), refusal);
            }
        }
    }
    shapes
}

fn bodies(
    shapes: &BTreeMap<Wanted, Shape>,
    numbers: &BTreeMap<u32, u32>,
    options: &Options,
    skipped: &mut BTreeMap<Wanted, Refusal>,
) -> Vec<(u32, Emitted)> {
    let (mut bodies, mut total) = (Vec::new(), 0);
    for (&wanted, shape) in shapes {
        let body = emit(shape, numbers, options).and_then(|body| {
            match total + body.function.byte_len() > options.max_module {
                true => Err(Refusal::Module),
                false => Ok(body),
            }
        });
        match body {
            Ok(body) => {
                total += body.function.byte_len();
                let kind = if shape.entered() == Entries::Start { FUNCTION_TYPE } else { ENTERED_TYPE };
                bodies.push((kind, body));
            }
            Err(refusal) => {
                skipped.insert(wanted, refusal);
            }
        }
    }
    bodies
}

/// A module of functions, each with the index of its type.
fn module(bodies: &[(u32, Emitted)]) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&types()).section(&imports());
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    doors::add(&mut functions, &mut code, ENGINE_TYPES + engine::COUNT);
    for (kind, body) in bodies {
        functions.function(*kind);
        code.function(&body.function);
    }
    let mut exports = ExportSection::new();
    exports.export(FUNCTIONS, ExportKind::Table, OWN_TABLE);
    let count = bodies.len() as u32;
    module
        .section(&functions)
        .section(&table(count))
        .section(&memories::section())
        .section(&globals())
        .section(&exports);
    module.section(&elements(count)).section(&hints(bodies)).section(&code);
    module.finish()
}

/// The table of so many functions. As exports they would have names, of which a library has thousands: each process that
/// loads the module would read them all, before the first is entered.
fn table(count: u32) -> TableSection {
    let size = u64::from(count);
    let mut tables = TableSection::new();
    tables.table(TableType { minimum: size, maximum: Some(size), ..FUNCREFS });
    tables
}

/// What is in it.
fn elements(count: u32) -> ElementSection {
    let functions: Vec<u32> = (FIRST..FIRST + count).collect();
    let mut elements = ElementSection::new();
    elements.active(Some(OWN_TABLE), &ConstExpr::i32_const(0), Elements::Functions(functions.into()));
    elements
}

/// Says of branches which way they nearly always go, so that the other is laid out apart.
fn hints(bodies: &[(u32, Emitted)]) -> BranchHints {
    let mut hints = BranchHints::new();
    for (index, (_, body)) in (FIRST..).zip(bodies) {
        let hint = |&(at, taken)| BranchHint { branch_func_offset: at, branch_hint_value: u32::from(taken) };
        let of_body: Vec<BranchHint> = body.hints.iter().map(hint).collect();
        if !of_body.is_empty() {
            hints.function_hints(index, of_body);
        }
    }
    hints
}

/// The types of translated functions, those of the engine's, and those of the doors.
fn types() -> TypeSection {
    use ValType::{I32, I64};
    let mut types = TypeSection::new();
    types.ty().function([I32, I64, I64, I64], [I64]);
    types.ty().function([I32, I32], [I64]);
    for parameters in doors::types() {
        types.ty().function(parameters, [I64]);
    }
    types
}

const FUNCREFS: TableType =
    TableType { element_type: RefType::FUNCREF, table64: false, minimum: 0, maximum: None, shared: false };
const GLOBAL: GlobalType = GlobalType { val_type: ValType::I32, mutable: false, shared: false };

/// Copies of those imported globals that the code uses.
fn globals() -> GlobalSection {
    let mut globals = GlobalSection::new();
    for imported in 0..global::IMPORTED {
        globals.global(GLOBAL, &ConstExpr::global_get(imported));
    }
    globals
}

fn imports() -> ImportSection {
    let mut imports = ImportSection::new();
    imports.import("engine", "table", FUNCREFS);
    for name in ["bias", "entries", "state address"] {
        imports.import("engine", name, GLOBAL);
    }
    for ((name, _), kind) in engine::ALL.iter().zip(ENGINE_TYPES..) {
        imports.import("engine", name, EntityType::Function(kind));
    }
    imports
}
