//! Where wasm memories live: [`Creator`] gives a task the memories of its process and everybody else a mapping of their own.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use shallop_address_space::fault::Repairer;
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

use crate::config::{GUARD, RESERVATION};

/// Wasm pages of a memory that is a guest's address space: all, or one less where compiled code is to take it for one that may
/// grow, and so move.
const GUEST_PAGES: RangeInclusive<u64> = 65535..=65536;

/// Wasm pages of the memory that is a part of the engine's, where a task's state begins.
const STATE_PAGES: u64 = 1;

const STATE_BYTES: usize = 65536;

/// Address space of the size that compiled code counts on; its first bytes accessible, the rest not.
pub struct Mapping {
    base: *mut u8,
}

// SAFETY: the mapping belongs to the value, and the pointer is only a number here.
unsafe impl Send for Mapping {}
// SAFETY: as above; who reads or writes through `base` answers for it.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Memories may begin anywhere in the first [`GUARD`] bytes.
    const BYTES: usize = RESERVATION + 2 * GUARD;

    /// Reserves, with the first `accessible` bytes zero, readable and writable.
    pub fn new(accessible: usize) -> rustix::io::Result<Mapping> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the system's choice.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), Self::BYTES, ProtFlags::empty(), flags)? };
        let mapping = Mapping { base: base.cast() };
        mapping.open(accessible)?;
        Ok(mapping)
    }

    /// Makes the first `bytes` accessible.
    fn open(&self, bytes: usize) -> rustix::io::Result<()> {
        if bytes > RESERVATION {
            return Err(rustix::io::Errno::NOMEM);
        }
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: within the mapping, which is private to this value.
        unsafe { mprotect(self.base.cast(), bytes, MprotectFlags::READ | MprotectFlags::WRITE) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `new`; memories that use it hold an `Arc` of it or own it. It cannot fail for a whole mapping.
        let _ = unsafe { munmap(self.base.cast(), Self::BYTES) };
    }
}

/// The engine's own data for one process (memory 0 of `cpu.wasm`), shared by the process's instances.
pub struct EngineMemory {
    mapping: Mapping,
    bytes: usize,
}

impl EngineMemory {
    pub fn new(bytes: usize) -> rustix::io::Result<EngineMemory> {
        Ok(EngineMemory { mapping: Mapping::new(bytes)?, bytes })
    }

    /// Pointer to `len` bytes at `offset`, when they are inside.
    pub fn at(&self, offset: u32, len: usize) -> Option<*mut u8> {
        let end = (offset as usize).checked_add(len)?;
        // SAFETY: within the mapping by the comparison before.
        (end <= self.bytes).then(|| unsafe { self.mapping.base.add(offset as usize) })
    }
}

/// The memories for the instances made while it is current.
#[derive(Clone)]
pub struct ProcessMemories {
    pub engine: Arc<EngineMemory>,
    /// Where the state memory begins in the engine's.
    pub state: u32,
    pub guest: GuestMemory,
    /// Repairs faults in `guest`.
    pub repairer: Repairer,
}

/// A guest's address space, owned by the process, which outlives its instances.
#[derive(Clone, Copy)]
pub struct GuestMemory {
    base: *mut u8,
}

// SAFETY: the pointer is only a number here; who reads or writes through it answers for it.
unsafe impl Send for GuestMemory {}
// SAFETY: as above.
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// # Safety
    /// `base` has [`RESERVATION`] + [`GUARD`] bytes reserved for as long as instances with this memory exist, and each
    /// access there either works or raises a signal.
    pub unsafe fn new(base: *mut u8) -> GuestMemory {
        GuestMemory { base }
    }

    pub fn base(self) -> *mut u8 {
        self.base
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// The memories that instances get.
#[derive(Clone)]
struct Current {
    process: ProcessMemories,
    /// Whether they are lent, and given back.
    lent: Option<Arc<AtomicBool>>,
}

impl Current {
    fn during<R>(self, instantiate: impl FnOnce() -> R) -> R {
        CURRENT.with(|current| current.replace(Some(self)));
        let result = instantiate();
        CURRENT.with(|current| current.replace(None));
        result
    }
}

/// Runs `instantiate` with the memories of a process for the instances that it makes.
pub fn with_process<R>(process: ProcessMemories, instantiate: impl FnOnce() -> R) -> R {
    Current { process, lent: None }.during(instantiate)
}

/// The same for further instances in a Store that has one with these memories.
///
/// Code keeps the bases that it finds then. When it is to say which memory a fault was in, wasmtime takes it that no two of a
/// Store overlap; so these are nowhere from then on, and the fault was in that of the first instance.
pub fn with_lent<R>(process: ProcessMemories, instantiate: impl FnOnce() -> R) -> R {
    let returned = Arc::new(AtomicBool::new(false));
    let result = Current { process, lent: Some(returned.clone()) }.during(instantiate);
    returned.store(true, Ordering::Relaxed);
    result
}

/// Gives out memories; see [`with_process`].
pub struct Creator;

// SAFETY: each memory has the whole reservation and guard that the engine's settings promise to compiled code.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let wanted = reserved.unwrap_or(0).saturating_add(guard);
        if wanted > RESERVATION + GUARD || minimum > RESERVATION {
            return Err("a memory of more than 4 GiB".into());
        }
        let Some(Current { process, lent }) = CURRENT.with(|current| current.borrow().clone()) else {
            return Ok(Box::new(Own::new(minimum, maximum).map_err(|e| e.to_string())?));
        };
        let fixed = match ty.minimum() {
            pages if GUEST_PAGES.contains(&pages) => Fixed::guest(process.guest),
            STATE_PAGES => Fixed::state(process.engine, process.state)?,
            _ if minimum <= process.engine.bytes => Fixed::engine(process.engine),
            _ => return Err("the engine's memory is larger than its module said".into()),
        };
        Ok(Box::new(Fixed { lent, ..fixed }))
    }
}

/// A memory that neither grows nor moves.
struct Fixed {
    base: *mut u8,
    bytes: usize,
    /// What `base` is in; `None`: an address space, which outlives its instances.
    _engine: Option<Arc<EngineMemory>>,
    /// See [`with_lent`].
    lent: Option<Arc<AtomicBool>>,
}

/// Where no memory is.
const NOWHERE: *mut u8 = ptr::dangling_mut();

impl Fixed {
    /// A guest's whole address space.
    fn guest(guest: GuestMemory) -> Fixed {
        Fixed { base: guest.base, bytes: RESERVATION, _engine: None, lent: None }
    }

    /// All of the engine's memory.
    fn engine(engine: Arc<EngineMemory>) -> Fixed {
        Fixed { base: engine.mapping.base, bytes: engine.bytes, _engine: Some(engine), lent: None }
    }

    /// The part of engine memory that begins with a task's state.
    fn state(engine: Arc<EngineMemory>, state: u32) -> Result<Fixed, String> {
        let base = engine.at(state, STATE_BYTES).filter(|_| state as usize <= GUARD);
        let base = base.ok_or("a task's state is not in the engine's memory")?;
        Ok(Fixed { base, bytes: STATE_BYTES, _engine: Some(engine), lent: None })
    }
}

// SAFETY: the pointer goes where the `Arc` does; the thread that runs tasks is the only one that uses it.
unsafe impl Send for Fixed {}
// SAFETY: as above.
unsafe impl Sync for Fixed {}

// SAFETY: base and size never change while an instance is made, after which nobody asks again: these memories do not grow, and
// those that are lent are not exported. All bytes are accessible while the `Arc` lives, or by `GuestMemory::new`'s
// contract reserved.
unsafe impl LinearMemory for Fixed {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.bytes
    }

    fn grow_to(&mut self, _: usize) -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("the memories of a task do not grow"))
    }

    fn as_ptr(&self) -> *mut u8 {
        let returned = self.lent.as_ref().is_some_and(|returned| returned.load(Ordering::Relaxed));
        if returned { NOWHERE } else { self.base }
    }
}

/// A memory of one instance alone.
struct Own {
    mapping: Mapping,
    bytes: usize,
    maximum: usize,
}

impl Own {
    fn new(minimum: usize, maximum: Option<usize>) -> rustix::io::Result<Own> {
        let maximum = maximum.map_or(RESERVATION, |bytes| bytes.min(RESERVATION));
        Ok(Own { mapping: Mapping::new(minimum)?, bytes: minimum, maximum })
    }
}

// SAFETY: the base never moves, and `bytes` are accessible.
unsafe impl LinearMemory for Own {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        RESERVATION
    }

    fn grow_to(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes > self.maximum {
            return Err(wasmtime::Error::msg("the memory is at its maximum"));
        }
        self.mapping.open(bytes).map_err(|e| wasmtime::Error::msg(format!("growing a memory: {e}")))?;
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.mapping.base
    }
}

#[cfg(test)]
mod tests {
    use shallop_address_space::AddressSpace;
    use wasmtime::{Instance, Module};

    use super::*;
    use crate::config::{Stops, engine};
    use crate::install::TaskData;
    use crate::task::{new_store, ready};

    #[test]
    fn a_fault_is_in_one_memory_however_often_it_is_lent() {
        let engine = engine(Stops::ByWord).unwrap();
        let module = |text: &str| Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let load = "(func (export \"load\") (param i32) (result i32) (i32.load (local.get 0)))";
        let first = module(&format!("(module (memory 65536 65536) {load})"));
        let further = module(&format!("(module (memory 65536 65536) (memory 65535 65536) {load})"));
        let space = AddressSpace::new().unwrap();
        // SAFETY: the space has its whole reservation, and outlives the Store.
        let guest = unsafe { GuestMemory::new(space.base()) };
        let (own, repairer) = (Arc::new(EngineMemory::new(1 << 20).unwrap()), space.repairer());
        let process = ProcessMemories { engine: own, state: 0, guest, repairer };
        let mut store = new_store(&engine, space.base().addr(), space.repairer(), TaskData::default());
        let mut instances = vec![with_process(process.clone(), || ready(Instance::new_async(&mut store, &first, &[])))];
        for _ in 0..2 {
            instances.push(with_lent(process.clone(), || ready(Instance::new_async(&mut store, &further, &[]))));
        }
        for instance in instances {
            let load = instance.unwrap().unwrap().get_typed_func::<i32, i32>(&mut store, "load").unwrap();
            let trap = ready(load.call_async(&mut store, 0x1_0000)).unwrap().unwrap_err();
            assert!(trap.downcast_ref() == Some(&wasmtime::Trap::MemoryOutOfBounds), "{trap:?}");
        }
    }

    #[test]
    fn engine_memory_checks_its_bounds() {
        let memory = EngineMemory::new(65536).unwrap();
        assert!(memory.at(65535, 1).is_some());
        assert!(memory.at(65535, 2).is_none());
        assert!(memory.at(u32::MAX, usize::MAX).is_none());
    }

    #[test]
    fn own_memory_grows_in_place_and_is_zero() {
        let mut memory = Own::new(65536, Some(3 * 65536)).unwrap();
        let base = memory.as_ptr();
        memory.grow_to(2 * 65536).unwrap();
        assert_eq!(memory.as_ptr(), base);
        // SAFETY: the memory is 128 KiB now.
        assert_eq!(unsafe { base.add(2 * 65536 - 1).read() }, 0);
        assert!(memory.grow_to(4 * 65536).is_err());
    }
}
