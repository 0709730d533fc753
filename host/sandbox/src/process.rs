//! One Linux process of the sandbox: its address space, the engine's memory for it, and slots for its tasks.

use std::sync::{Arc, Mutex};

use shallop_address_space::AddressSpace;
use shallop_host_abi::hypercall::STATE_BYTES;

use crate::config::{GUARD, RESERVATION};
use crate::cpu::{Cpu, SLOTS, Service, Slot};
use crate::events::lock;
use crate::exchange::{HOT_WORDS, Words};
use crate::install::{Source, TaskData};
use crate::memory::{EngineMemory, GuestMemory, ProcessMemories};
use crate::own_code::Part;
use crate::regions::Regions;
use crate::task::Task;
use crate::translation::{CodeFile, Translation};

/// A Linux errno number.
pub type Errno = i32;

/// Bytes of a control block: preempt, kind, detail, fault_kind, address.
const CONTROL_BYTES: usize = 24;

/// A process. Its tasks are dropped before it.
pub struct Process {
    /// Made when first needed.
    service: Option<Service>,
    /// Numbers of slots that were used and are free again.
    free_slots: Vec<u32>,
    /// Slots from here on were never used.
    next_slot: u32,
    /// Tasks that exist.
    pub tasks: u32,
    /// A task has run, so that there may be decoded blocks.
    pub ran: bool,
    engine: Arc<EngineMemory>,
    /// What can be translated, and is.
    regions: Arc<Mutex<Regions>>,
    /// Of [`Translation::edition`], when the engine was last told what has come.
    edition: u64,
    /// The engine was told to look for hot code.
    looks: bool,
    pub space: AddressSpace,
}

impl Process {
    /// A process with an empty address space.
    pub fn new(cpu: &mut Cpu) -> Result<Process, Errno> {
        let regions = Regions::new(cpu.first_index());
        Self::with_space(AddressSpace::new().map_err(|e| e.errno())?, cpu, regions)
    }

    /// A process with a copy of this one's address space.
    pub fn fork(&mut self, cpu: &mut Cpu) -> Result<Process, Errno> {
        let regions = lock(&self.regions).fork(cpu.first_index());
        let child = Self::with_space(self.space.fork().map_err(|e| e.errno())?, cpu, regions)?;
        Ok(Process { edition: self.edition, ..child })
    }

    fn with_space(space: AddressSpace, cpu: &mut Cpu, regions: Regions) -> Result<Process, Errno> {
        if space.reserved() < RESERVATION + GUARD {
            return Err(libc::ENOMEM);
        }
        let engine = Arc::new(cpu.engine_memory().map_err(|e| e.raw_os_error())?);
        Ok(Process {
            service: None,
            free_slots: Vec::new(),
            next_slot: 0,
            tasks: 0,
            ran: false,
            engine,
            regions: Arc::new(Mutex::new(regions)),
            edition: 0,
            looks: false,
            space,
        })
    }

    /// Ends it; gives the engine's memory when nobody else has it.
    pub fn end(self) -> Option<EngineMemory> {
        let Process { service, engine, space, .. } = self;
        drop(service);
        drop(space);
        Arc::into_inner(engine)
    }

    /// The memories for an instance whose task has its state there in engine memory.
    fn memories(&self, state: u32) -> ProcessMemories {
        // SAFETY: the whole reservation was checked for in `with_space`; `Host` drops a process after its tasks, and
        // the service is in the process, before the space.
        let guest = unsafe { GuestMemory::new(self.space.base()) };
        ProcessMemories { engine: self.engine.clone(), state, guest, repairer: self.space.repairer() }
    }

    fn service(&mut self, cpu: &Cpu) -> wasmtime::Result<&mut Service> {
        if self.service.is_none() {
            self.service = Some(cpu.instantiate_service(self.memories(0))?);
        }
        self.service.as_mut().ok_or_else(|| wasmtime::Error::msg("no service"))
    }

    /// A new task of this process, which is space number `space`.
    pub fn create_task(
        &mut self,
        cpu: &mut Cpu,
        translation: Option<&Arc<Translation>>,
        space: u32,
    ) -> Result<Task, Errno> {
        let number = self.free_slots.pop().or_else(|| (self.next_slot < SLOTS).then_some(self.next_slot));
        let number = number.ok_or(libc::EAGAIN)?;
        self.next_slot = self.next_slot.max(number + 1);
        let task = self.slot(cpu, number).and_then(|slot| {
            let data = self.task_data(cpu, slot, translation);
            let (store, instance) = cpu.instantiate_task(self.memories(slot.state), data)?;
            Task::new(store, instance, space, slot)
        });
        match task {
            Ok(task) => {
                self.tasks += 1;
                self.clear_control(task.slot);
                Ok(task)
            }
            Err(_) => {
                self.free_slots.push(number);
                Err(libc::ENOMEM)
            }
        }
    }

    fn task_data(&self, cpu: &Cpu, slot: Slot, translation: Option<&Arc<Translation>>) -> TaskData {
        let source = |translation: &Arc<Translation>| Source {
            regions: self.regions.clone(),
            installs: lock(&self.regions).installs.clone(),
            translation: translation.clone(),
            memories: self.memories(slot.state),
        };
        let entries = cpu.exchange().map_or(0, |exchange| exchange.entries);
        TaskData { code: translation.map(source), installed: 0, instances: Vec::new(), entries }
    }

    /// Notes a mapping of code.
    pub fn add_code(&mut self, translation: &Translation, (addr, len): (u64, u64), source: CodeFile, offset: u64) {
        let mut regions = lock(&self.regions);
        let translated = translation.prepared(&source.file, offset, len, regions.is_precise());
        regions.add(addr, len, source, offset, translated);
    }

    fn slot(&mut self, cpu: &mut Cpu, number: u32) -> wasmtime::Result<Slot> {
        if let Some(slot) = cpu.known_slot(number) {
            return Ok(slot);
        }
        self.service(cpu)?;
        let service = self.service.as_mut().ok_or_else(|| wasmtime::Error::msg("no service"))?;
        cpu.slot(number, service)
    }

    /// Gives a dropped task's slot back.
    pub fn release(&mut self, slot: Slot) {
        self.tasks = self.tasks.saturating_sub(1);
        self.free_slots.push(slot.number as u32);
    }

    /// The register block of a slot: `STATE_BYTES` bytes.
    pub fn registers(&self, slot: Slot) -> Option<*mut u8> {
        self.engine.at(slot.state, STATE_BYTES)
    }

    /// The control block of a slot.
    pub fn control(&self, slot: Slot) -> Option<Control> {
        let aligned = slot.control.is_multiple_of(8);
        self.engine.at(slot.control, CONTROL_BYTES).filter(|_| aligned).map(|base| Control { base })
    }

    fn clear_control(&self, slot: Slot) {
        if let Some(base) = self.engine.at(slot.control, CONTROL_BYTES) {
            // SAFETY: the bytes are there, and the slot's task does not run.
            unsafe { base.write_bytes(0, CONTROL_BYTES) };
        }
    }

    /// Changes the mappings in a range, and forgets what was decoded there.
    pub fn change(
        &mut self,
        cpu: &Cpu,
        (addr, len): (u64, u64),
        change: impl FnOnce(&mut AddressSpace) -> Result<(), shallop_address_space::Error>,
    ) -> Result<(), Errno> {
        self.cut(cpu, addr, len)?;
        let code_before = self.ran && self.space.executable_in(addr, len);
        let changed = change(&mut self.space).map_err(|e| e.errno());
        if code_before || self.ran && self.space.executable_in(addr, len) {
            self.flush(cpu, addr, len)?;
        }
        changed
    }

    /// Forgets what was translated from a range, which is to change.
    pub fn cut(&mut self, cpu: &Cpu, addr: u64, len: u64) -> Result<(), Errno> {
        let cut = lock(&self.regions).cut(addr, len);
        for (addr, len) in cut {
            self.forget(cpu, addr, len)?;
        }
        Ok(())
    }

    /// Forgets what was translated of a part of a file, which is to change.
    pub fn cut_part(&mut self, cpu: &Cpu, part: &Part) -> Result<(), Errno> {
        let mapped = lock(&self.regions).mapped(part);
        mapped.into_iter().try_for_each(|(addr, len)| self.cut(cpu, addr, len))
    }

    /// Has a range interpreted and looked at for hot code again.
    fn forget(&mut self, cpu: &Cpu, addr: u64, len: u64) -> Result<(), Errno> {
        self.service(cpu).and_then(|service| service.forget(addr, len)).map_err(|_| libc::EIO)
    }

    /// From now on every fault finds all registers: what was translated otherwise goes.
    pub fn turn_precise(&mut self, cpu: &Cpu) -> Result<(), Errno> {
        let was_hot = lock(&self.regions).turn_precise();
        if was_hot {
            self.forget(cpu, 0, 1 << 32)?;
            if let Some(words) = self.exchange(cpu) {
                words.retire();
            }
        }
        Ok(())
    }

    fn exchange(&self, cpu: &Cpu) -> Option<Words> {
        Words::new(&self.engine, cpu.exchange()?.words)
    }

    /// Has its tasks look for hot code, and for what was translated since. To be called before they run.
    #[inline]
    pub fn translate(&mut self, cpu: &Cpu, translation: &Translation) -> wasmtime::Result<()> {
        if self.looks && self.edition == translation.edition() { Ok(()) } else { self.announce(cpu, translation) }
    }

    fn announce(&mut self, cpu: &Cpu, translation: &Translation) -> wasmtime::Result<()> {
        let Some(words) = self.exchange(cpu) else { return Ok(()) };
        if !std::mem::replace(&mut self.looks, true) {
            words.look(translation.how.hot);
            if translation.how.storm {
                words.storm();
            }
        }
        self.edition = translation.edition();
        let news = lock(&self.regions).news(translation);
        news.chunks(HOT_WORDS).try_for_each(|pcs| {
            words.put(pcs);
            self.service(cpu)?.announce(pcs.len())
        })
    }

    /// Asks for what has become hot. To be called after a task ran.
    pub fn report_hot(&mut self, cpu: &Cpu, translation: &Translation) {
        if let Some(words) = self.exchange(cpu)
            && let Some(hot) = words.take_hot()
        {
            if lock(&self.regions).ask(translation, &hot, words) {
                self.edition = 0;
            }
            translation.wait();
        }
    }

    /// Forgets what was decoded from a range.
    pub fn flush(&mut self, cpu: &Cpu, addr: u64, len: u64) -> Result<(), Errno> {
        self.service(cpu).and_then(|service| service.flush(addr, len)).map_err(|_| libc::EIO)
    }

    /// Has a slot whose guest access trapped in precise translated code come to it again with all registers, when it runs
    /// next. False when it trapped elsewhere.
    pub fn replay(&mut self, cpu: &Cpu, slot: Slot, translation: &Translation) -> wasmtime::Result<bool> {
        let precise = translation.is_precise(lock(&self.regions).is_precise());
        Ok(precise && self.service(cpu)?.replay(slot.number)?)
    }

    /// Completes a slot's registers and control block after a trapped guest access.
    pub fn fixup(&mut self, cpu: &Cpu, slot: Slot) -> wasmtime::Result<()> {
        self.service(cpu)?.fixup(slot.number)
    }
}

/// A slot's control block in engine memory.
#[derive(Clone, Copy)]
pub struct Control {
    base: *mut u8,
}

impl Control {
    /// The first word, which makes the task yield.
    pub fn preempt_word(self) -> *mut u8 {
        self.base
    }

    fn word(self, offset: usize) -> u32 {
        debug_assert!(offset + 4 <= CONTROL_BYTES);
        // SAFETY: inside the block, which is aligned; the task that writes it is suspended, and this thread runs tasks.
        unsafe { self.base.add(offset).cast::<u32>().read() }
    }

    pub fn kind(self) -> u32 {
        self.word(4)
    }

    pub fn detail(self) -> u32 {
        self.word(8)
    }

    /// 0 load, 1 store, 2 fetch.
    pub fn fault_kind(self) -> u32 {
        self.word(12)
    }

    pub fn address(self) -> u64 {
        u64::from(self.word(16)) | u64::from(self.word(20)) << 32
    }
}

#[cfg(test)]
mod tests {
    use shallop_address_space::Protection;
    use wasmtime::Module;

    use super::*;
    use crate::config;
    use crate::task::{Stop, load_registers};

    const AT: u64 = 0x20_0000;
    const STORE: u64 = 2;

    fn cpu() -> Cpu {
        let engine = config::engine(config::Stops::ByWord).unwrap();
        let wasm = wat::parse_str(include_str!("../tests/common/cpu.wat")).unwrap();
        Cpu::new(&engine, &Module::new(&engine, wasm).unwrap()).unwrap()
    }

    fn store(process: &Process, task: &mut Task, addr: u64) -> Stop {
        let registers: Vec<u8> = [STORE, addr, 7].iter().flat_map(|word| word.to_le_bytes()).collect();
        // SAFETY: the block is longer, and the task is suspended.
        unsafe { load_registers(process.registers(task.slot).unwrap(), &registers) };
        task.run()
    }

    #[test]
    fn a_store_to_a_watched_page_is_repaired_unseen() {
        let mut cpu = cpu();
        let mut process = Process::new(&mut cpu).unwrap();
        process.space.map_anon(AT, 0x3000, Protection::READ | Protection::WRITE).unwrap();
        let mut task = process.create_task(&mut cpu, None, 0).unwrap();
        process.space.track_dirty(AT, 0x3000).unwrap();
        assert!(matches!(store(&process, &mut task, AT + 0x1008), Stop::Suspended));
        assert_eq!(process.space.take_dirty(AT, 0x3000), [AT + 0x1000]);
        assert!(matches!(store(&process, &mut task, AT + 0x3000), Stop::Fault(_)));
    }

    #[test]
    fn slots_run_out_and_come_back() {
        let mut cpu = cpu();
        let mut process = Process::new(&mut cpu).unwrap();
        process.next_slot = SLOTS - 1;
        let task = process.create_task(&mut cpu, None, 0).unwrap();
        assert_eq!(process.create_task(&mut cpu, None, 0).err(), Some(libc::EAGAIN));
        let slot = task.slot;
        drop(task);
        process.release(slot);
        assert!(process.create_task(&mut cpu, None, 0).is_ok());
    }
}
