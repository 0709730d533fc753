//! How a task gets translated code: [`find`], the import that looks for it, and [`install`], which puts modules into its table.

use std::sync::{Arc, Mutex};

use wasmtime::{Caller, Error, Extern, Global, GlobalType, Instance, Mutability, Ref, Table, Val, ValType};

use crate::cpu::TABLE;
use crate::events::lock;
use crate::regions::{Install, Installs, Regions};
use crate::translation::Translation;

/// What a task's Store has of its own.
#[derive(Default)]
pub struct TaskData {
    /// Where its code comes from; `None`: it is interpreted.
    pub code: Option<Source>,
    /// Places of its process's installs that it looked at.
    pub installed: usize,
    /// Where the entry table is in engine memory.
    pub entries: u32,
    /// Where the task's state is there.
    pub state: u32,
}

/// The translated code that a process has or may have.
#[derive(Clone)]
pub struct Source {
    pub regions: Arc<Mutex<Regions>>,
    pub installs: Arc<Installs>,
    pub translation: Arc<Translation>,
}

impl TaskData {
    /// Whether the process has modules that the task lacks.
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
pub async fn find(mut caller: Caller<'_, TaskData>, pc: u32) -> wasmtime::Result<u64> {
    let Some(code) = &caller.data().code else { return Ok(0) };
    let Some((index, entry)) = lock(&code.regions).find(&code.translation, pc) else { return Ok(0) };
    if caller.data().is_behind() {
        install(&mut caller).await?;
    }
    Ok(u64::from(index) | u64::from(entry) << 32)
}

/// Instantiates the modules of the process that the calling task has not.
///
/// # Errors
/// When there is no memory for one; the task cannot go on then, since its table lacks functions.
pub async fn install(caller: &mut Caller<'_, TaskData>) -> wasmtime::Result<()> {
    let Some(installs) = caller.data().code.as_ref().map(|code| code.installs.clone()) else { return Ok(()) };
    while caller.data().installed < installs.count() {
        let place = caller.data().installed;
        caller.data_mut().installed += 1;
        if let Some(module) = installs.get(place) {
            instantiate(caller, &module).await?;
        }
    }
    Ok(())
}

async fn instantiate(caller: &mut Caller<'_, TaskData>, install: &Install) -> wasmtime::Result<()> {
    let mut own = |name: &str| {
        caller.get_export(name).ok_or_else(|| Error::msg(format!("the processor module exports no {name}")))
    };
    let memories = [own("state")?, own("guest")?, own("memory")?];
    let functions = [own("float")?, own("dispatch")?, own("step")?, own("pause")?];
    let table = own(TABLE)?.into_table().ok_or_else(|| Error::msg("the processor module's table is none"))?;
    let end = u64::from(install.base) + u64::from(install.functions);
    grow(caller, table, end)?;
    let TaskData { entries, state, .. } = *caller.data();
    let mut imports = Vec::from(memories);
    imports.push(table.into());
    for value in [install.base, install.bias, entries, state] {
        imports.push(constant(caller, value)?);
    }
    imports.extend(functions);
    Instance::new_async(&mut *caller, &install.module, &imports).await?;
    Ok(())
}

fn grow(caller: &mut Caller<'_, TaskData>, table: Table, size: u64) -> wasmtime::Result<()> {
    let missing = size.saturating_sub(table.size(&*caller));
    if missing > 0 {
        table.grow(&mut *caller, missing, Ref::Func(None))?;
    }
    Ok(())
}

fn constant(caller: &mut Caller<'_, TaskData>, value: u32) -> wasmtime::Result<Extern> {
    let ty = GlobalType::new(ValType::I32, Mutability::Const);
    Ok(Global::new(&mut *caller, ty, Val::I32(value as i32))?.into())
}
