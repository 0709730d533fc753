//! The processor module: linked once as [`Cpu`], then instantiated per task and, as [`Service`], per process.

use anyhow::{Context, Result, anyhow};
use wasmtime::{Caller, Engine, ExternType, Instance, InstancePre, Linker, Module, Store, TypedFunc};

use crate::exchange::Words;
use crate::install::{self, TaskData};
use crate::memory::{EngineMemory, ProcessMemories, with_process};
use crate::task::{self, ready};

/// Tasks of one process at most: the module's tables have one slot for each. The last slot is the service's.
pub const SLOTS: u32 = 4095;
const SERVICE_SLOT: i32 = SLOTS as i32;

/// Memories that are kept for further processes, and cells that each may have used: 16 bytes and a link for each.
const MAX_SPARE: usize = 4;
const MAX_SPARE_CELLS: u32 = 1 << 16;

/// Import module and name of the call by which a task gives the thread back.
const SUSPEND: (&str, &str) = (shallop_host_abi::hypercall::MODULE, "suspend");

/// Import module and name of the call by which a task gets the translated code of others of its process.
const INSTALL: (&str, &str) = (shallop_host_abi::hypercall::MODULE, "install");

/// Import module and name of the call by which a task looks for translated code.
const FIND: (&str, &str) = (shallop_host_abi::hypercall::MODULE, "find");

/// The processor module's table, which translated functions go into.
pub const TABLE: &str = "__indirect_function_table";

/// `cpu.wasm`, ready to be instantiated.
pub struct Cpu {
    task: InstancePre<TaskData>,
    service: InstancePre<TaskData>,
    /// Bytes of its memory 0.
    pub engine_bytes: usize,
    /// Where each slot's data is, as far as asked; the same in every process.
    slots: Vec<Option<Slot>>,
    /// The first table index that it does not use itself; `None`: it cannot have translated code.
    first_index: Option<u32>,
    /// Where it exchanges with the host what concerns translated code, when a service was asked.
    exchange: Option<Exchange>,
    /// Memories of processes that are gone.
    spare: Vec<EngineMemory>,
}

/// Offsets in engine memory.
#[derive(Clone, Copy)]
pub struct Exchange {
    /// Whether to look for hot code, how much was found, and its addresses.
    pub words: u32,
    /// The table by which translated code finds functions.
    pub entries: u32,
    /// How many cells have decoded code.
    cells: u32,
}

/// Offsets in engine memory of one slot's data.
#[derive(Clone, Copy)]
pub struct Slot {
    pub number: i32,
    pub state: u32,
    pub control: u32,
    /// Top of its shadow stack.
    pub stack: i32,
}

impl Cpu {
    pub fn new(engine: &Engine, module: &Module) -> Result<Cpu> {
        let memory = match module.get_export("memory") {
            Some(ExternType::Memory(memory)) => memory.minimum(),
            _ => return Err(anyhow!("the processor module exports no memory")),
        };
        let engine_bytes = usize::try_from(memory.saturating_mul(65536)).context("the processor module's memory")?;
        Ok(Cpu {
            task: link_task(engine, module).map_err(unlinked)?,
            service: link_service(engine, module).map_err(unlinked)?,
            engine_bytes,
            slots: vec![None; SLOTS as usize],
            first_index: first_index(module),
            exchange: None,
            spare: Vec::new(),
        })
    }

    /// Memory 0 for a process.
    ///
    /// # Errors
    /// The system's, when it has no more.
    pub fn engine_memory(&mut self) -> rustix::io::Result<EngineMemory> {
        self.spare.pop().map_or_else(|| EngineMemory::new(self.engine_bytes), Ok)
    }

    /// Takes back the memory of a process that is gone: to map and fault in a new one costs more than to clear it.
    pub fn reuse(&mut self, memory: EngineMemory) {
        if self.spare.len() < MAX_SPARE && self.exchange.is_some_and(|at| mark_used(&memory, at).is_some()) {
            self.spare.push(memory);
        }
    }

    /// Whether translated code can be installed beside it.
    pub fn can_install(&self) -> bool {
        self.first_index.is_some()
    }

    /// The first table index for translated functions.
    pub fn first_index(&self) -> u32 {
        self.first_index.unwrap_or(u32::MAX)
    }

    /// Where it exchanges words about translated code; known once a slot is.
    pub fn exchange(&self) -> Option<Exchange> {
        self.exchange
    }

    /// A Store with an instance for one task.
    pub fn instantiate_task(
        &self,
        memories: ProcessMemories,
        data: TaskData,
    ) -> wasmtime::Result<(Store<TaskData>, Instance)> {
        let mut store = new_store(&self.task, &memories, data);
        let instance = with_process(memories, || ready(self.task.instantiate_async(&mut store)))??;
        Ok((store, instance))
    }

    pub fn instantiate_service(&self, memories: ProcessMemories) -> wasmtime::Result<Service> {
        let mut store = new_store(&self.service, &memories, TaskData::default());
        let instance = with_process(memories, || self.service.instantiate(&mut store))?;
        Service::new(store, &instance)
    }

    /// Where slot `number`'s data is.
    pub fn slot(&mut self, number: u32, service: &mut Service) -> wasmtime::Result<Slot> {
        let place = self.slots.get_mut(number as usize).ok_or_else(|| wasmtime::Error::msg("no such slot"))?;
        match place {
            Some(slot) => Ok(*slot),
            None => {
                if self.exchange.is_none() && self.first_index.is_some() {
                    self.exchange = Some(service.exchange()?);
                }
                Ok(*place.insert(service.locate(number as i32)?))
            }
        }
    }

    /// As [`Cpu::slot`], when it is known without asking.
    pub fn known_slot(&self, number: u32) -> Option<Slot> {
        *self.slots.get(number as usize)?
    }
}

/// Has the engine clear a memory before it uses it again; `None` when so much of it was used that it is no gain.
fn mark_used(memory: &EngineMemory, at: Exchange) -> Option<()> {
    let words = Words::new(memory, at.words)?;
    let cells = memory.at(at.cells, 4)?;
    // SAFETY: inside the memory, which no process has any more.
    if unsafe { cells.cast::<u32>().read_unaligned() } > MAX_SPARE_CELLS {
        return None;
    }
    words.mark_used();
    Some(())
}

/// The size of the module's table, when it is exported and can grow.
fn first_index(module: &Module) -> Option<u32> {
    match module.get_export(TABLE)? {
        ExternType::Table(table) if table.maximum().is_none() => u32::try_from(table.minimum()).ok(),
        _ => None,
    }
}

fn new_store(pre: &InstancePre<TaskData>, memories: &ProcessMemories, data: TaskData) -> Store<TaskData> {
    task::new_store(pre.module().engine(), memories.guest.base().addr(), memories.repairer.clone(), data)
}

fn unlinked(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("linking the processor module: {error:#}")
}

fn link_task(engine: &Engine, module: &Module) -> wasmtime::Result<InstancePre<TaskData>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(FIND.0, FIND.1, install::find)?;
    linker.func_wrap(INSTALL.0, INSTALL.1, |mut caller: Caller<'_, TaskData>, _slot: i32| {
        install::install(&mut caller)
    })?;
    linker.func_wrap_async(SUSPEND.0, SUSPEND.1, |caller: Caller<'_, TaskData>, (_slot,): (i32,)| {
        Box::new(suspend(caller))
    })?;
    linker.instantiate_pre(module)
}

/// Gives the thread back once. Then the task has what others of its process entered meanwhile.
async fn suspend(mut caller: Caller<'_, TaskData>) -> wasmtime::Result<()> {
    task::Suspend::default().await;
    if caller.data().is_behind() {
        install::install(&mut caller)?;
    }
    Ok(())
}

fn link_service(engine: &Engine, module: &Module) -> wasmtime::Result<InstancePre<TaskData>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(FIND.0, FIND.1, |_pc: i32| 0_i64)?;
    linker.func_wrap(INSTALL.0, INSTALL.1, |_slot: i32| {})?;
    linker.func_wrap(SUSPEND.0, SUSPEND.1, |_slot: i32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("a service call ran a task"))
    })?;
    linker.instantiate_pre(module)
}

/// An instance over a process's memories for calls that are made while its tasks are suspended.
pub struct Service {
    store: Store<TaskData>,
    instance: Instance,
    task_state: TypedFunc<i32, i32>,
    task_control: TypedFunc<i32, i32>,
    task_stack: TypedFunc<i32, i32>,
    flush: TypedFunc<(i64, i64), ()>,
    replay: TypedFunc<i32, i32>,
    fixup: TypedFunc<i32, ()>,
}

impl Service {
    fn new(mut store: Store<TaskData>, instance: &Instance) -> wasmtime::Result<Service> {
        let task_stack = instance.get_typed_func::<i32, i32>(&mut store, "task_stack")?;
        let own_stack = task_stack.call(&mut store, SERVICE_SLOT)?;
        task::set_stack(&mut store, instance, own_stack)?;
        Ok(Service {
            task_state: instance.get_typed_func(&mut store, "task_state")?,
            task_control: instance.get_typed_func(&mut store, "task_control")?,
            task_stack,
            flush: instance.get_typed_func(&mut store, "flush")?,
            replay: instance.get_typed_func(&mut store, "replay")?,
            fixup: instance.get_typed_func(&mut store, "fixup")?,
            instance: *instance,
            store,
        })
    }

    fn locate(&mut self, slot: i32) -> wasmtime::Result<Slot> {
        Ok(Slot {
            number: slot,
            state: self.task_state.call(&mut self.store, slot)? as u32,
            control: self.task_control.call(&mut self.store, slot)? as u32,
            stack: self.task_stack.call(&mut self.store, slot)?,
        })
    }

    fn exchange(&mut self) -> wasmtime::Result<Exchange> {
        let mut address = |name| -> wasmtime::Result<u32> {
            let function = self.instance.get_typed_func::<(), i32>(&mut self.store, name)?;
            Ok(function.call(&mut self.store, ())? as u32)
        };
        Ok(Exchange { words: address("exchange")?, entries: address("entries")?, cells: address("used_cells")? })
    }

    /// Makes known that translated code has come for the first `count` addresses of the exchange's list.
    pub fn announce(&mut self, count: usize) -> wasmtime::Result<()> {
        let announce = self.instance.get_typed_func::<i32, ()>(&mut self.store, "announce")?;
        announce.call(&mut self.store, count as i32)
    }

    /// Forgets the translated functions in `len` bytes at `addr`, and what was decoded there.
    pub fn forget(&mut self, addr: u64, len: u64) -> wasmtime::Result<()> {
        let forget = self.instance.get_typed_func::<(i64, i64), ()>(&mut self.store, "forget")?;
        forget.call(&mut self.store, (addr as i64, len as i64))
    }

    /// Forgets what was decoded from `len` bytes at `addr`.
    pub fn flush(&mut self, addr: u64, len: u64) -> wasmtime::Result<()> {
        self.flush.call(&mut self.store, (addr as i64, len as i64))
    }

    /// Has a slot whose guest access trapped in precise translated code come to it again in the interpreter. False when it
    /// did not trap in translated code.
    pub fn replay(&mut self, slot: i32) -> wasmtime::Result<bool> {
        Ok(self.replay.call(&mut self.store, slot)? != 0)
    }

    /// Completes the registers and control block of a slot whose guest access trapped.
    pub fn fixup(&mut self, slot: i32) -> wasmtime::Result<()> {
        self.fixup.call(&mut self.store, slot)
    }
}
