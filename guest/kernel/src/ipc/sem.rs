//! Semaphore sets (semget(2)): `Set` does operations all or none, and undoes those of processes that end.

use std::collections::HashMap;

use shallop_linux_abi::Errno;
use shallop_linux_abi::ipc::{IPC_NOWAIT, SEM_UNDO};

use crate::task::Pid;
use crate::wait::{Tid, WaitQueue};

/// Most semaphores of a set, operations of a call, sets, and the highest value (SEMMSL, SEMOPM, SEMMNI, SEMVMX).
pub const SEMAPHORES_MAX: usize = 32000;
pub const OPERATIONS_MAX: u64 = 500;
pub const SETS_MAX: usize = 32000;
pub const VALUE_MAX: i32 = 32767;

/// struct sembuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub number: u16,
    pub change: i16,
    pub flags: u16,
}

/// A semaphore: its value, and who changed it last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Semaphore {
    pub value: i32,
    pub pid: u32,
}

/// What keeps an operation from being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obstacle {
    pub number: u16,
    /// It waits for zero, not for more.
    pub zero: bool,
    pub nowait: bool,
}

/// A set.
#[derive(Default)]
pub struct Set {
    pub semaphores: Vec<Semaphore>,
    /// Seconds since the epoch; 0 for never.
    pub operated: i64,
    pub changed: i64,
    /// Woken by every change, and by the set's end.
    pub queue: WaitQueue,
    /// Who waits for what; entries of tasks that wait no more are told by the tasks.
    pub waiting: HashMap<Tid, Obstacle>,
    /// What is added to each semaphore when the process ends.
    adjustments: HashMap<Pid, Vec<i32>>,
}

impl Set {
    pub fn new(count: usize, now: i64) -> Set {
        Set { semaphores: vec![Semaphore::default(); count], changed: now, ..Set::default() }
    }

    /// Does all operations, or none: then the first obstacle is returned. EFBIG for a number outside the set, ERANGE
    /// for a value above the highest.
    pub fn operate(&mut self, pid: Pid, operations: &[Operation]) -> Result<Result<(), Obstacle>, Errno> {
        if operations.iter().any(|op| usize::from(op.number) >= self.semaphores.len()) {
            return Err(Errno::EFBIG);
        }
        let mut values: Vec<i32> = self.semaphores.iter().map(|semaphore| semaphore.value).collect();
        for op in operations {
            let value = &mut values[usize::from(op.number)];
            let change = i32::from(op.change);
            let stuck = if change == 0 { *value != 0 } else { *value + change < 0 };
            if stuck {
                let nowait = u32::from(op.flags) & IPC_NOWAIT != 0;
                return Ok(Err(Obstacle { number: op.number, zero: change == 0, nowait }));
            }
            if *value + change > VALUE_MAX {
                return Err(Errno::ERANGE);
            }
            *value += change;
        }
        for op in operations {
            let semaphore = &mut self.semaphores[usize::from(op.number)];
            (semaphore.value, semaphore.pid) = (values[usize::from(op.number)], pid.0);
            if u32::from(op.flags) & SEM_UNDO != 0 {
                let count = values.len();
                let adjustments = self.adjustments.entry(pid).or_insert_with(|| vec![0; count]);
                adjustments[usize::from(op.number)] -= i32::from(op.change);
            }
        }
        self.queue.wake();
        Ok(Ok(()))
    }

    /// SETVAL and SETALL: nothing of these semaphores is undone any more.
    pub fn set(&mut self, number: usize, value: i32, pid: Pid) {
        self.semaphores[number] = Semaphore { value, pid: pid.0 };
        self.adjustments.values_mut().for_each(|adjustments| adjustments[number] = 0);
        self.queue.wake();
    }

    /// The process ended.
    pub fn undo(&mut self, pid: Pid) {
        let Some(adjustments) = self.adjustments.remove(&pid) else { return };
        for (semaphore, adjustment) in self.semaphores.iter_mut().zip(adjustments) {
            if adjustment != 0 {
                let value = (semaphore.value + adjustment).clamp(0, VALUE_MAX);
                *semaphore = Semaphore { value, pid: pid.0 };
            }
        }
        self.queue.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(number: u16, change: i16, flags: u32) -> Operation {
        Operation { number, change, flags: flags as u16 }
    }

    #[test]
    fn all_operations_are_done_or_none() {
        let mut set = Set::new(2, 0);
        assert_eq!(set.operate(Pid(1), &[op(0, 2, 0), op(1, 1, 0)]), Ok(Ok(())));
        let stuck = Obstacle { number: 1, zero: false, nowait: true };
        assert_eq!(set.operate(Pid(1), &[op(0, -2, 0), op(1, -2, IPC_NOWAIT)]), Ok(Err(stuck)));
        assert_eq!(set.semaphores[0].value, 2);
        assert_eq!(set.operate(Pid(1), &[op(2, 1, 0)]), Err(Errno::EFBIG));
        assert_eq!(set.operate(Pid(1), &[op(0, i16::MAX, 0)]), Err(Errno::ERANGE));
    }

    #[test]
    fn what_a_process_did_is_undone_at_its_end() {
        let mut set = Set::new(1, 0);
        set.set(0, 3, Pid(1));
        assert_eq!(set.operate(Pid(2), &[op(0, -2, SEM_UNDO)]), Ok(Ok(())));
        set.undo(Pid(2));
        assert_eq!(set.semaphores[0].value, 3);
        set.undo(Pid(2));
        assert_eq!(set.semaphores[0].value, 3);
    }
}
