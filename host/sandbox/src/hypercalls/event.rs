//! The event and clock families: waiting, forwarded signals, time, chance.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno as Os;
use rustix::time::{ClockId, clock_gettime};
use shallop_host_abi::hypercall::event;
use wasmtime::{Caller, Linker};

use super::net::Net;
use super::{answer, bytes_mut, check_ended, define, define_fallible, os_errno, split};
use crate::kernel::Host;
use crate::process::Errno;

const NS: i64 = 1_000_000_000;

/// Where stdin is among the polled descriptors.
const STDIN: usize = 3;

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "event_alarm", alarm, deadline: i64);
    define!(linker, "event_take_signal", take_signal);
    define!(linker, "clock_now", clock_now, clock: u32);
    define!(linker, "random", random, dst: u32, len: u32);
    define_fallible(linker, "event_wait", |mut caller: Caller<'_, Host>, deadline: i64| {
        let (_, host) = split(&mut caller);
        let result = wait(host, deadline);
        check_ended(host)?;
        Ok(answer(result.map(u64::from)))
    })
}

/// The events that are there, waiting for one until the monotonic `deadline` in nanoseconds.
fn wait(host: &mut Host, deadline: i64) -> Result<u32, Errno> {
    loop {
        host.events.drain();
        let pending = pending(host)?;
        let timeout = if pending != 0 { Some(0) } else { left(deadline) };
        let stdin = poll_once(host, timeout)?;
        let bits = pending | self::pending(host)? | if stdin { event::STDIN } else { 0 };
        if bits != 0 || left(deadline) == Some(0) || host.interrupt.ended().is_some() {
            return Ok(bits);
        }
    }
}

/// A task that runs at the monotonic `deadline` in nanoseconds yields.
fn alarm(_: &mut [u8], host: &mut Host, deadline: i64) -> Result<u64, Errno> {
    let left = left(deadline).map(|ns| Duration::from_nanos(ns.unsigned_abs()));
    host.interrupt.set_alarm(left.and_then(|left| Instant::now().checked_add(left)));
    Ok(0)
}

/// What other threads, and the network, have left for the kernel.
fn pending(host: &mut Host) -> Result<u32, Errno> {
    let signal = if host.events.has_signal() { event::SIGNAL } else { 0 };
    let winsize = if host.events.take_winsize() { event::WINSIZE } else { 0 };
    let news = host.net.as_mut().map_or(Ok(false), Net::fetch)?;
    Ok(signal | winsize | if news { event::NET } else { 0 })
}

/// Nanoseconds until `deadline`; `None`: it never comes.
fn left(deadline: i64) -> Option<i64> {
    match deadline {
        i64::MAX => None,
        deadline => Some(deadline.saturating_sub(monotonic()).max(0)),
    }
}

/// Polls stdin, the event descriptor and the network's. True when stdin has something that was not reported yet.
fn poll_once(host: &mut Host, timeout: Option<i64>) -> Result<bool, Errno> {
    let timeout = timeout.map(|ns| Timespec { tv_sec: ns / NS, tv_nsec: ns % NS });
    let (wake, stdin) = (host.events.descriptor(), rustix::stdio::stdin());
    // Without a network the event descriptor is there in its place.
    let [sockets, answers] = host.net.as_ref().map_or([wake, wake], Net::descriptors);
    let mut fds = [&wake, &sockets, &answers, &stdin].map(|fd| PollFd::new(fd, PollFlags::IN));
    let watched = if host.stdin_armed { &mut fds[..] } else { &mut fds[..STDIN] };
    match poll(watched, timeout.as_ref()) {
        Ok(_) | Err(Os::INTR) => {}
        Err(error) => return Err(os_errno(error)),
    }
    let ready = host.stdin_armed && !fds[STDIN].revents().is_empty();
    host.stdin_armed &= !ready;
    Ok(ready)
}

fn take_signal(_: &mut [u8], host: &mut Host) -> Result<u64, Errno> {
    Ok(host.events.take_signal().unwrap_or(0).into())
}

fn monotonic() -> i64 {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec.saturating_mul(NS).saturating_add(now.tv_nsec)
}

fn clock_now(_: &mut [u8], _: &mut Host, clock: u32) -> Result<u64, Errno> {
    let clock = match clock {
        0 => ClockId::Realtime,
        1 => ClockId::Monotonic,
        2 => ClockId::ProcessCPUTime,
        _ => return Err(libc::EINVAL),
    };
    u64::try_from(nanoseconds(clock)).map_err(|_| libc::EOVERFLOW)
}

fn random(memory: &mut [u8], _: &mut Host, dst: u32, len: u32) -> Result<u64, Errno> {
    fill_random(bytes_mut(memory, dst, len)?).map(|()| 0)
}

/// Fills with bytes that nobody can guess.
pub fn fill_random(mut place: &mut [u8]) -> Result<(), Errno> {
    while !place.is_empty() {
        match rustix::rand::getrandom(&mut *place, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => place = &mut place[count..],
            Err(Os::INTR) => {}
            Err(error) => return Err(os_errno(error)),
        }
    }
    Ok(())
}

/// Nanoseconds of real time (0) or since some start (1), for the kernel's own library.
pub fn wasi_clock(clock: u32) -> Option<u64> {
    let clock = match clock {
        0 => ClockId::Realtime,
        1 => ClockId::Monotonic,
        _ => return None,
    };
    u64::try_from(nanoseconds(clock)).ok()
}
