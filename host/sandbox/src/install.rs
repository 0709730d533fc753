//! The import by which a task gets the translated modules of its process: [`install`].

use std::sync::Arc;

use wasmtime::{Caller, Error, Extern, Global, GlobalType, Instance, Mutability, Ref, Table, Val, ValType};

use crate::cpu::TABLE;
use crate::regions::{Install, Installs};

/// What a task's Store has of its own.
#[derive(Default)]
pub struct TaskData {
    /// The modules of its process.
    pub installs: Arc<Installs>,
    /// How many of them it looked at.
    pub installed: usize,
    /// Where the entry table is in engine memory.
    pub entries: u32,
}

/// Instantiates the modules of the process that the calling task has not.
///
/// # Errors
/// When there is no memory for one; the task cannot go on then, since its table lacks functions.
pub async fn install(mut caller: Caller<'_, TaskData>) -> wasmtime::Result<()> {
    let installs = caller.data().installs.clone();
    while let Some(place) = installs.get(caller.data().installed) {
        caller.data_mut().installed += 1;
        if let Some(module) = place {
            instantiate(&mut caller, &module).await?;
        }
    }
    Ok(())
}

async fn instantiate(caller: &mut Caller<'_, TaskData>, install: &Install) -> wasmtime::Result<()> {
    let mut own = |name: &str| {
        caller.get_export(name).ok_or_else(|| Error::msg(format!("the processor module exports no {name}")))
    };
    let (memory, guest, float) = (own("memory")?, own("guest")?, own("float")?);
    let table = own(TABLE)?.into_table().ok_or_else(|| Error::msg("the processor module's table is none"))?;
    let end = u64::from(install.base) + install.code.functions.len() as u64;
    grow(caller, table, end)?;
    let entries = caller.data().entries;
    let base = constant(caller, install.base)?;
    let bias = constant(caller, install.bias)?;
    let entries = constant(caller, entries)?;
    // In the order of the module's imports.
    let imports = [memory, guest, table.into(), base, bias, entries, float];
    Instance::new_async(&mut *caller, &install.code.module, &imports).await?;
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
