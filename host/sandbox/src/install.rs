//! How a task gets translated code: [`find`], the import that looks for it, and [`install`], which puts modules into its table.

use std::sync::{Arc, Mutex};

use wasmtime::{Caller, Error, Extern, Global, GlobalType, Instance, Mutability, Ref, Table, Val, ValType};

use crate::code::FUNCTIONS;
use crate::cpu::TABLE;
use crate::events::lock;
use crate::memory::{ProcessMemories, with_lent};
use crate::regions::{Install, Installs, Placed, Regions};
use crate::task::ready;
use crate::translation::Translation;

/// What a task's Store has of its own.
#[derive(Default)]
pub struct TaskData {
    /// Where its code comes from; `None`: it is interpreted.
    pub code: Option<Source>,
    /// Functions of its process's installs that it looked at.
    pub installed: usize,
    /// Its instances, by the modules' places there.
    pub instances: Vec<Option<Instance>>,
    /// Where the entry table is in engine memory.
    pub entries: u32,
}

/// The translated code that a process has or may have.
#[derive(Clone)]
pub struct Source {
    pub regions: Arc<Mutex<Regions>>,
    pub installs: Arc<Installs>,
    pub translation: Arc<Translation>,
    /// The memories of the process, with the task's state.
    pub memories: ProcessMemories,
}

impl TaskData {
    /// Whether the process has functions that the task lacks.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.code.as_ref().is_some_and(|code| code.installs.count() != self.installed)
    }
}

/// The translated function at `pc`, which the task can call from now on: its table index, and above 32 bits the number
/// of the entry. 0: there is none.
///
/// # Errors
/// As [`install`].
pub fn find(mut caller: Caller<'_, TaskData>, pc: u32) -> wasmtime::Result<u64> {
    let Some(code) = &caller.data().code else { return Ok(0) };
    let Some((index, entry)) = lock(&code.regions).find(&code.translation, pc) else { return Ok(0) };
    if caller.data().is_behind() {
        install(&mut caller)?;
    }
    Ok(u64::from(index) | u64::from(entry) << 32)
}

/// Puts those functions of the process into the calling task's table that it has not. Their modules are instantiated when
/// they come to be needed.
///
/// # Errors
/// When there is no memory for one; the task cannot go on then, since its table lacks functions.
pub fn install(caller: &mut Caller<'_, TaskData>) -> wasmtime::Result<()> {
    let Some(installs) = caller.data().code.as_ref().map(|code| code.installs.clone()) else { return Ok(()) };
    while let Some(placed) = installs.function(caller.data().installed) {
        caller.data_mut().installed += 1;
        place(caller, &installs, placed)?;
    }
    Ok(())
}

fn place(caller: &mut Caller<'_, TaskData>, installs: &Installs, placed: Placed) -> wasmtime::Result<()> {
    let Placed { place, function, index } = placed;
    let instance = match caller.data().instances.get(place) {
        Some(Some(instance)) => *instance,
        _ => {
            // One that was dropped meanwhile is not called any more.
            let Some(module) = installs.module(place) else { return Ok(()) };
            let instance = instantiate(caller, &module)?;
            let instances = &mut caller.data_mut().instances;
            instances.resize(instances.len().max(place + 1), None);
            *instances[place].insert(instance)
        }
    };
    let functions = instance.get_table(&mut *caller, FUNCTIONS);
    let function = functions.and_then(|functions| functions.get(&mut *caller, u64::from(function)));
    let function = function.ok_or_else(|| Error::msg("a translated module lacks a function"))?;
    let table = table(caller)?;
    grow(caller, table, u64::from(index) + 1)?;
    table.set(&mut *caller, u64::from(index), function)
}

fn table(caller: &mut Caller<'_, TaskData>) -> wasmtime::Result<Table> {
    let table = caller.get_export(TABLE).and_then(Extern::into_table);
    table.ok_or_else(|| Error::msg("the processor module exports no table"))
}

fn instantiate(caller: &mut Caller<'_, TaskData>, install: &Install) -> wasmtime::Result<Instance> {
    let mut own = |name: &str| {
        caller.get_export(name).ok_or_else(|| Error::msg(format!("the processor module exports no {name}")))
    };
    let functions = [own("float")?, own("dispatch")?, own("step")?, own("pause")?];
    let table = own(TABLE)?;
    let &TaskData { ref code, entries, .. } = caller.data();
    let memories = code.as_ref().map(|code| code.memories.clone()).ok_or_else(|| Error::msg("a task without code"))?;
    let mut imports = vec![table];
    for value in [install.bias, entries, memories.state] {
        imports.push(constant(caller, value)?);
    }
    imports.extend(functions);
    // It does not wait: nothing of the module runs.
    with_lent(memories, || ready(Instance::new_async(&mut *caller, &install.module, &imports)))?
}

/// Elements that a table grows by.
const GROWTH: u64 = 256;

fn grow(caller: &mut Caller<'_, TaskData>, table: Table, size: u64) -> wasmtime::Result<()> {
    let missing = size.saturating_sub(table.size(&*caller));
    if missing > 0 {
        table.grow(&mut *caller, missing.next_multiple_of(GROWTH), Ref::Func(None))?;
    }
    Ok(())
}

fn constant(caller: &mut Caller<'_, TaskData>, value: u32) -> wasmtime::Result<Extern> {
    let ty = GlobalType::new(ValType::I32, Mutability::Const);
    Ok(Global::new(&mut *caller, ty, Val::I32(value as i32))?.into())
}
