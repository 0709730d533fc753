//! futex(2), set_robust_list(2), get_robust_list(2).

use shallop_linux_abi::Errno;

use super::time::{clock_to_monotonic, read_timespec};
use crate::dispatch::Call;
use crate::futex::condition::Stage;
use crate::futex::{self, Pending, pi};
use crate::kernel::Kernel;
use crate::wait::{OnSignal, Stop, SysResult, Tid, Wait};

const WAIT: u64 = 0;
const WAKE: u64 = 1;
const REQUEUE: u64 = 3;
const CMP_REQUEUE: u64 = 4;
const WAKE_OP: u64 = 5;
const LOCK_PI: u64 = 6;
const UNLOCK_PI: u64 = 7;
const TRYLOCK_PI: u64 = 8;
const WAIT_BITSET: u64 = 9;
const WAKE_BITSET: u64 = 10;
const WAIT_REQUEUE_PI: u64 = 11;
const CMP_REQUEUE_PI: u64 = 12;
const LOCK_PI2: u64 = 13;
const PRIVATE_FLAG: u64 = 128;
const CLOCK_REALTIME_FLAG: u64 = 256;
const MATCH_ANY: u32 = u32::MAX;
const ROBUST_HEAD_BYTES: u64 = 24;

pub fn futex(k: &mut Kernel, call: &Call) -> SysResult {
    let [addr, op, value, timeout, addr2, value3] = call.args;
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL.into());
    }
    let realtime = op & CLOCK_REALTIME_FLAG != 0;
    let clock = if realtime { Clock::Realtime } else { Clock::Monotonic };
    let value = value as u32;
    let op = op & 0xffff_ffff & !(PRIVATE_FLAG | CLOCK_REALTIME_FLAG);
    if realtime && !matches!(op, WAIT_BITSET | WAIT_REQUEUE_PI | LOCK_PI2) {
        return Err(Errno::ENOSYS.into());
    }
    match op {
        WAIT => wait(k, call, value, MATCH_ANY, Limit(timeout, Clock::Relative)),
        WAIT_BITSET if value3 as u32 == 0 => Err(Errno::EINVAL.into()),
        WAIT_BITSET => wait(k, call, value, value3 as u32, Limit(timeout, clock)),
        WAIT_REQUEUE_PI => wait_requeue_pi(k, call, value, addr2, Limit(timeout, clock)),
        WAKE => wake(k, call, value, MATCH_ANY),
        WAKE_BITSET if value3 as u32 == 0 => Err(Errno::EINVAL.into()),
        WAKE_BITSET => wake(k, call, value, value3 as u32),
        REQUEUE => requeue(k, call, value, timeout as u32, addr2),
        CMP_REQUEUE => {
            if k.read_u32(call.tid, addr)? != value3 as u32 {
                return Err(Errno::EAGAIN.into());
            }
            requeue(k, call, value, timeout as u32, addr2)
        }
        LOCK_PI => lock_pi(k, call, Limit(timeout, Clock::Realtime)),
        LOCK_PI2 => lock_pi(k, call, Limit(timeout, clock)),
        CMP_REQUEUE_PI => requeue_pi(k, call, value, timeout as u32, addr2, value3 as u32),
        TRYLOCK_PI => match take_pi(k, call, (call.tid, addr), false)? {
            None => Ok(0),
            Some(_) => Err(Errno::EAGAIN.into()),
        },
        UNLOCK_PI => unlock_pi(k, call),
        WAKE_OP => wake_op(k, call, value, timeout as u32, addr2, value3 as u32),
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn key(k: &Kernel, tid: Tid, addr: u64) -> futex::Key {
    futex::key(k, k.task(tid).pid, addr)
}

/// What the time by which a call gives up is measured by.
#[derive(Clone, Copy)]
enum Clock {
    Relative,
    Monotonic,
    Realtime,
}

/// By when a call gives up: where that time is, 0 for never.
#[derive(Clone, Copy)]
struct Limit(u64, Clock);

impl Limit {
    fn deadline(self, k: &Kernel, tid: Tid) -> Result<Option<u64>, Errno> {
        let Limit(addr, clock) = self;
        if addr == 0 {
            return Ok(None);
        }
        let time = read_timespec(k, tid, addr)?;
        Ok(Some(match clock {
            Clock::Relative => k.now_monotonic().saturating_add(time),
            Clock::Monotonic => time,
            Clock::Realtime => clock_to_monotonic(k, time),
        }))
    }
}

/// Waits until what `begin` gave is over; `begin` gives nothing where there is nothing to wait for.
fn wait_for<W: Pending + 'static>(
    k: &mut Kernel,
    tid: Tid,
    limit: Limit,
    on_signal: OnSignal,
    begin: impl FnOnce(&mut Kernel) -> Result<Option<W>, Errno>,
) -> SysResult {
    let progress = &k.task(tid).progress;
    let queue = match progress.saved.as_ref().and_then(|saved| saved.downcast_ref::<W>()) {
        Some(pending) if pending.is_over() => return Ok(0),
        Some(_) if progress.timed_out => return Err(Errno::ETIMEDOUT.into()),
        Some(pending) => match pending.interrupted() {
            Some(errno) if progress.interrupted => return Err(errno.into()),
            _ => pending.queue(),
        },
        None => {
            let deadline = limit.deadline(k, tid)?;
            let Some(pending) = begin(k)? else { return Ok(0) };
            let queue = pending.queue();
            let progress = &mut k.task_mut(tid).progress;
            progress.deadline = deadline;
            progress.saved = Some(Box::new(pending));
            queue
        }
    };
    let deadline = k.task(tid).progress.deadline;
    Err(Stop::Block(Wait { deadline, on_signal, ..Wait::on(&queue) }))
}

fn wait(k: &mut Kernel, call: &Call, value: u32, bits: u32, limit: Limit) -> SysResult {
    let (tid, addr) = (call.tid, call.args[0]);
    // A relative wait is not restarted with its whole time again: EINTR (as Linux with a handler that runs).
    let on_signal = if limit.0 == 0 { OnSignal::Restart } else { OnSignal::Interrupt };
    wait_for(k, tid, limit, on_signal, |k| {
        if k.read_u32(tid, addr)? != value {
            return Err(Errno::EAGAIN);
        }
        Ok(Some(k.futexes.wait(key(k, tid, addr), bits)))
    })
}

fn wake(k: &mut Kernel, call: &Call, count: u32, bits: u32) -> SysResult {
    let key = key(k, call.tid, call.args[0]);
    check_plain(k, key)?;
    Ok(k.futexes.wake(key, count as usize, bits) as u64)
}

/// EINVAL for a word that tasks wait for as a lock, or to be given one: none of them is waked.
fn check_plain(k: &Kernel, key: futex::Key) -> Result<(), Errno> {
    let plain = k.pi_locks.owner(key).is_none() && k.conditions.first(key).is_none();
    if plain { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Whether a word has waiters that do not wait for it as a lock.
fn is_waited_on(k: &Kernel, key: futex::Key) -> bool {
    k.futexes.is_waited_on(key) || k.conditions.first(key).is_some()
}

fn requeue(k: &mut Kernel, call: &Call, wake: u32, move_count: u32, to: u64) -> SysResult {
    if !to.is_multiple_of(4) || ((wake | move_count) as i32).is_negative() {
        return Err(Errno::EINVAL.into());
    }
    let (from, to) = (key(k, call.tid, call.args[0]), key(k, call.tid, to));
    check_plain(k, from)?;
    let woken = k.futexes.wake(from, wake as usize, MATCH_ANY);
    Ok((woken + k.futexes.requeue(from, to, move_count as usize)) as u64)
}

/// FUTEX_WAKE_OP: changes the second word, wakes at the first, and at the second when its old value compares.
fn wake_op(k: &mut Kernel, call: &Call, count: u32, count2: u32, addr2: u64, encoded: u32) -> SysResult {
    let sign_extend = |field: u32| ((field as i32) << 20 >> 20) as u32;
    let (op, compare) = (encoded >> 28, encoded >> 24 & 15);
    let (mut operand, against) = (sign_extend(encoded >> 12 & 0xfff), sign_extend(encoded & 0xfff));
    if op & 8 != 0 {
        operand = 1u32.wrapping_shl(operand);
    }
    let old = k.read_u32(call.tid, addr2)?;
    let new = match op & 7 {
        0 => operand,
        1 => old.wrapping_add(operand),
        2 => old | operand,
        3 => old & !operand,
        4 => old ^ operand,
        _ => return Err(Errno::ENOSYS.into()),
    };
    k.write_u32(call.tid, addr2, new)?;
    let (a, b) = (old as i32, against as i32);
    let holds = match compare {
        0 => a == b,
        1 => a != b,
        2 => a < b,
        3 => a <= b,
        4 => a > b,
        5 => a >= b,
        _ => return Err(Errno::ENOSYS.into()),
    };
    let (first, second) = (key(k, call.tid, call.args[0]), key(k, call.tid, addr2));
    check_plain(k, first)?;
    let mut woken = k.futexes.wake(first, count as usize, MATCH_ANY);
    if holds {
        check_plain(k, second)?;
        woken += k.futexes.wake(second, count2 as usize, MATCH_ANY);
    }
    Ok(woken as u64)
}

/// FUTEX_LOCK_PI and FUTEX_LOCK_PI2: waits until the lock is the caller's.
fn lock_pi(k: &mut Kernel, call: &Call, limit: Limit) -> SysResult {
    let tid = call.tid;
    wait_for(k, tid, limit, OnSignal::Again, |k| {
        let Some((key, owner)) = take_pi(k, call, (tid, call.args[0]), false)? else { return Ok(None) };
        queue_for_lock(k, key, owner, (tid, call.args[0])).map(Some)
    })
}

fn queue_for_lock(k: &Kernel, key: futex::Key, owner: Tid, of: (Tid, u64)) -> Result<pi::Waiting, Errno> {
    if k.pi_locks.waits_for(owner, of.0) {
        return Err(Errno::EDEADLK);
    }
    Ok(k.pi_locks.wait(key, owner, of))
}

/// FUTEX_WAIT_REQUEUE_PI: waits for a word until `requeue_pi`, and then for the lock at `then`. A signal has it begin again, or
/// ends it once it waits for the lock.
fn wait_requeue_pi(k: &mut Kernel, call: &Call, value: u32, then: u64, limit: Limit) -> SysResult {
    let (tid, addr) = (call.tid, call.args[0]);
    wait_for(k, tid, limit, OnSignal::Again, |k| {
        let (word, lock) = (key(k, tid, addr), key(k, tid, then));
        if !then.is_multiple_of(4) || word == lock {
            return Err(Errno::EINVAL);
        }
        if k.read_u32(tid, addr)? != value {
            return Err(Errno::EAGAIN);
        }
        k.read_u32(tid, then)?;
        Ok(Some(k.conditions.wait(word, lock, (tid, then))))
    })
}

/// FUTEX_CMP_REQUEUE_PI: gives the lock at `to` to who has waited longest, and has `most` others wait for it, or one more where the
/// lock is another's.
fn requeue_pi(k: &mut Kernel, call: &Call, wake: u32, most: u32, to: u64, expected: u32) -> SysResult {
    let (tid, addr) = (call.tid, call.args[0]);
    let (word, lock) = (key(k, tid, addr), key(k, tid, to));
    if !to.is_multiple_of(4) || wake != 1 || (most as i32).is_negative() || word == lock {
        return Err(Errno::EINVAL.into());
    }
    if k.read_u32(tid, addr)? != expected {
        return Err(Errno::EAGAIN.into());
    }
    if k.futexes.is_waited_on(word) {
        return Err(Errno::EINVAL.into());
    }
    let mut moved = 0;
    while moved <= u64::from(most)
        && let Some(waiter) = k.conditions.first(word)
    {
        if waiter.lock != lock {
            return Err(Errno::EINVAL.into());
        }
        let stage = match take_pi(k, call, (waiter.tid, to), most > 0)? {
            None => Stage::Done,
            Some((lock, owner)) => Stage::Lock(queue_for_lock(k, lock, owner, (waiter.tid, waiter.addr))?),
        };
        k.conditions.advance(&waiter, stage);
        moved += 1;
    }
    Ok(moved)
}

/// Takes a lock that is free for `taker`, with a mark where others `wait`; else marks it as waited for, and gives its key and its
/// owner. Its address is one of the caller's memory.
fn take_pi(k: &Kernel, call: &Call, (taker, addr): (Tid, u64), wait: bool) -> Result<Option<(futex::Key, Tid)>, Errno> {
    let tid = call.tid;
    let word = k.read_u32(tid, addr)?;
    let owner = Tid(word & pi::TID_MASK);
    if owner == taker {
        return Err(Errno::EDEADLK);
    }
    let key = key(k, tid, addr);
    match k.pi_locks.owner(key) {
        // What the word says and what is known here must agree.
        Some(known) if known != owner => return Err(Errno::EINVAL),
        Some(_) => return Ok(Some((key, owner))),
        None if is_waited_on(k, key) => return Err(Errno::EINVAL),
        None => {}
    }
    if owner.0 == 0 {
        let mark = if wait { pi::WAITERS } else { 0 };
        k.write_u32(tid, addr, word & pi::OWNER_DIED | mark | taker.0)?;
        return Ok(None);
    }
    k.write_u32(tid, addr, word | pi::WAITERS)?;
    if k.tasks.get(owner).is_none() {
        return Err(Errno::ESRCH);
    }
    Ok(Some((key, owner)))
}

/// FUTEX_UNLOCK_PI: gives the lock to who has waited longest for it.
fn unlock_pi(k: &mut Kernel, call: &Call) -> SysResult {
    let (tid, addr) = (call.tid, call.args[0]);
    if Tid(k.read_u32(tid, addr)? & pi::TID_MASK) != tid {
        return Err(Errno::EPERM.into());
    }
    let key = key(k, tid, addr);
    match k.pi_locks.owner(key) {
        Some(known) if known != tid => return Err(Errno::EINVAL.into()),
        None if is_waited_on(k, key) => return Err(Errno::EINVAL.into()),
        _ => {}
    }
    let next = k.pi_locks.grant(key).map_or(0, |granted| pi::WAITERS | granted.tid.0);
    k.write_u32(tid, addr, next)?;
    Ok(0)
}

pub fn set_robust_list(k: &mut Kernel, call: &Call) -> SysResult {
    if call.args[1] != ROBUST_HEAD_BYTES {
        return Err(Errno::EINVAL.into());
    }
    k.task_mut(call.tid).robust_list = call.args[0];
    Ok(0)
}

pub fn get_robust_list(k: &mut Kernel, call: &Call) -> SysResult {
    let [tid, head, len, ..] = call.args;
    let target = if tid == 0 { call.tid } else { Tid(tid as u32) };
    let list = k.tasks.get(target).ok_or(Errno::ESRCH)?.robust_list;
    k.write_u64(call.tid, head, list)?;
    k.write_u64(call.tid, len, ROBUST_HEAD_BYTES)?;
    Ok(0)
}
