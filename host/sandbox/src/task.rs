//! One Linux task: a Store with an instance of the processor module on a fiber of its own, run by hand.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::ptr;
use std::task::{Context, Poll, Waker};

use shallop_address_space::fault::Repairer;
use wasmtime::unix::StoreExt;
use wasmtime::{Engine, Instance, Store, Trap, TypedFunc, Val};

use crate::cpu::Slot;
use crate::install::TaskData;

/// The future of the import `suspend`: gives the thread back once.
#[derive(Default)]
pub struct Suspend {
    suspended: bool,
}

impl Future for Suspend {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.suspended, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The result of a future that never waits.
pub fn ready<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(wasmtime::Error::msg("a call that cannot wait waited")),
    }
}

thread_local! {
    /// The address of this thread's last memory fault under wasm; 0: none.
    static FAULT: Cell<usize> = const { Cell::new(0) };
}

/// A Store whose memory faults in the space at `base` are repaired or recorded.
pub fn new_store(engine: &Engine, base: usize, repairer: Repairer, data: TaskData) -> Store<TaskData> {
    let mut store = Store::new(engine, data);
    let handler = move |signal, info: *const libc::siginfo_t, _: *const libc::c_void| {
        // SAFETY: the system passes a valid siginfo, and SIGSEGV has an address.
        signal == libc::SIGSEGV && repair_or_record(unsafe { (*info).si_addr() } as usize, base, &repairer)
    };
    // SAFETY: repairing is async-signal-safe, and so is setting a constant-initialised thread-local without destructor.
    unsafe { store.set_signal_handler(handler) };
    store
}

/// True: the access works now. False: the address is noted, and the fault is wasmtime's to turn into a trap.
fn repair_or_record(addr: usize, base: usize, repairer: &Repairer) -> bool {
    // Pages that are repaired can be read all the time, so that the access was a store.
    if addr.checked_sub(base).is_some_and(|guest| repairer.repair(guest as u64, true)) {
        return true;
    }
    FAULT.set(addr);
    false
}

/// Sets an instance's shadow stack pointer.
pub fn set_stack(store: &mut Store<TaskData>, instance: &Instance, top: i32) -> wasmtime::Result<()> {
    let pointer = instance.get_global(&mut *store, "__stack_pointer");
    pointer.ok_or_else(|| wasmtime::Error::msg("the processor module has no stack pointer"))?.set(store, Val::I32(top))
}

/// Why [`Task::run`] came back.
pub enum Stop {
    /// The task suspended itself; its control block tells why.
    Suspended,
    /// It trapped on an access to this host address.
    Fault(usize),
    /// Translated code came to an access above 4 GiB.
    FarFault,
    /// It trapped otherwise, and cannot go on.
    Broken,
}

type Running = Pin<Box<dyn Future<Output = (wasmtime::Result<()>, Store<TaskData>)>>>;

/// What a task's Store is doing.
enum Activity {
    /// Nothing: not started, or trapped.
    Idle(Store<TaskData>),
    /// In `suspend`, on its fiber.
    Suspended(Running),
    /// It cannot be used any more.
    Gone,
}

/// One task.
pub struct Task {
    activity: Activity,
    instance: Instance,
    run: TypedFunc<i32, ()>,
    /// The process it belongs to.
    pub space: u32,
    pub slot: Slot,
}

impl Task {
    pub fn new(mut store: Store<TaskData>, instance: Instance, space: u32, slot: Slot) -> wasmtime::Result<Task> {
        let run = instance.get_typed_func(&mut store, "run")?;
        Ok(Task { activity: Activity::Idle(store), instance, run, space, slot })
    }

    /// Runs until the task suspends itself or traps.
    pub fn run(&mut self) -> Stop {
        FAULT.set(0);
        if let Activity::Idle(_) = self.activity
            && self.begin().is_err()
        {
            return Stop::Broken;
        }
        let Activity::Suspended(running) = &mut self.activity else { return Stop::Broken };
        let Poll::Ready((result, store)) = running.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return Stop::Suspended;
        };
        self.activity = Activity::Idle(store);
        stopped(&result)
    }

    /// Makes an idle task one that is suspended before its first instruction.
    fn begin(&mut self) -> wasmtime::Result<()> {
        if let Activity::Idle(store) = std::mem::replace(&mut self.activity, Activity::Gone) {
            self.activity = Activity::Suspended(self.start(store)?);
        }
        Ok(())
    }

    /// Calls `run` on a new fiber, with the shadow stack empty.
    fn start(&self, mut store: Store<TaskData>) -> wasmtime::Result<Running> {
        set_stack(&mut store, &self.instance, self.slot.stack)?;
        let (run, slot) = (self.run.clone(), self.slot.number);
        Ok(Box::pin(async move {
            let result = run.call_async(&mut store, slot).await;
            (result, store)
        }))
    }
}

/// Why `run` returned, which it does by trapping only.
fn stopped(result: &wasmtime::Result<()>) -> Stop {
    let trap = result.as_ref().err().and_then(|error| error.downcast_ref::<Trap>());
    match (trap, FAULT.replace(0)) {
        (Some(Trap::MemoryOutOfBounds), addr) if addr != 0 => Stop::Fault(addr),
        // The engine divides by nothing that it has not looked at; see `conclude` in `guest/translate/src/code.rs`.
        (Some(Trap::IntegerDivisionByZero), _) => Stop::FarFault,
        _ => Stop::Broken,
    }
}

/// Copies between a register block in engine memory and a buffer of the same length.
///
/// # Safety
/// `block` has `registers.len()` bytes that nobody else uses during the call.
pub unsafe fn load_registers(block: *mut u8, registers: &[u8]) {
    // SAFETY: by the contract; a buffer of ours is outside engine memory.
    unsafe { ptr::copy_nonoverlapping(registers.as_ptr(), block, registers.len()) };
}

/// The other direction of [`load_registers`].
///
/// # Safety
/// As there.
pub unsafe fn save_registers(block: *const u8, registers: &mut [u8]) {
    // SAFETY: as in `load_registers`.
    unsafe { ptr::copy_nonoverlapping(block, registers.as_mut_ptr(), registers.len()) };
}
