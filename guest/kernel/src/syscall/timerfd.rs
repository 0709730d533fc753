//! timerfd_create and its family: `TimerFile` counts expiries that reads take.

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;
use shallop_platform::{Clock, Platform};

use super::time::{ABSOLUTE, ClockId, clock_id, read_timespec, to_monotonic};
use super::timer::write_setting;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::time::{AlarmId, Timers};
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::vfs::{File, poll};
use crate::wait::{Stop, SysResult, Wait, WaitQueue};

/// A timer that is read (timerfd_create(2)). Expiries are worked out when someone looks.
pub struct TimerFile {
    platform: &'static dyn Platform,
    timers: Timers,
    clock: ClockId,
    /// Next expiry in monotonic nanoseconds, 0 when disarmed.
    deadline: Cell<u64>,
    interval: Cell<u64>,
    alarm: Cell<Option<AlarmId>>,
    queue: WaitQueue,
}

impl TimerFile {
    fn now(&self) -> u64 {
        self.platform.now(Clock::Monotonic)
    }

    /// How often it has expired since the last read.
    fn expired(&self) -> u64 {
        let (deadline, now) = (self.deadline.get(), self.now());
        match self.interval.get() {
            _ if deadline == 0 || now < deadline => 0,
            0 => 1,
            interval => 1 + (now - deadline) / interval,
        }
    }

    /// Takes the expiries and goes on to the next one.
    fn take(&self) -> u64 {
        let count = self.expired();
        if count > 0 {
            let next = match self.interval.get() {
                0 => 0,
                interval => self.deadline.get().saturating_add(count.saturating_mul(interval)),
            };
            self.arm(next);
        }
        count
    }

    fn arm(&self, deadline: u64) {
        self.deadline.set(deadline);
        let alarm = (deadline != 0).then(|| self.timers.wake_at(deadline, &self.queue));
        if let Some(before) = self.alarm.replace(alarm) {
            self.timers.cancel(before);
        }
    }

    /// When it expires next, for gettime: the first expiry that is not yet over.
    fn next(&self) -> u64 {
        match self.interval.get() {
            0 if self.expired() > 0 => 0,
            interval => self.deadline.get().saturating_add(self.expired().saturating_mul(interval)),
        }
    }
}

impl File for TimerFile {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        let Some(out) = buf.get_mut(..8) else { return Err(Errno::EINVAL.into()) };
        match self.take() {
            0 if nonblock => Err(Errno::EAGAIN.into()),
            0 => Err(Stop::Block(Wait::on(&self.queue))),
            count => {
                out.copy_from_slice(&count.to_le_bytes());
                Ok(8)
            }
        }
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        if self.expired() > 0 { poll::IN } else { 0 }
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.queue.clone())
    }

    fn release(&self) {
        self.arm(0);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `timerfd_create(clock, flags)`
pub fn timerfd_create(k: &mut Kernel, call: &Call) -> SysResult {
    let flags = call.args[1] as u32;
    if flags & !(open::CLOEXEC | open::NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let clock = clock_id(k, call.tid, call.args[0])?;
    if !matches!(clock, ClockId::Realtime | ClockId::Monotonic) {
        return Err(Errno::EINVAL.into());
    }
    let file = TimerFile {
        platform: k.platform,
        timers: k.timers.clone(),
        clock,
        deadline: Cell::new(0),
        interval: Cell::new(0),
        alarm: Cell::new(None),
        queue: WaitQueue::new(),
    };
    let place = anonymous::location(&k.io, Label::Anon("timerfd"), 0, 0, k.now_realtime());
    let file = OpenFile::new(Rc::new(file), place, open::RDWR | flags & open::NONBLOCK, &k.io.locks);
    Ok(k.install(call.tid, file, flags & open::CLOEXEC != 0)?.into())
}

fn timer(file: &OpenFile) -> Result<&TimerFile, Errno> {
    file.file.as_any().downcast_ref::<TimerFile>().ok_or(Errno::EINVAL)
}

/// `timerfd_settime(fd, flags, new, old)`: TFD_TIMER_CANCEL_ON_SET has no effect, the clock is never set.
pub fn timerfd_settime(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, flags, new, old, ..] = call.args;
    if flags as u32 & !3 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (interval, value) = (read_timespec(k, call.tid, new)?, read_timespec(k, call.tid, new.wrapping_add(16))?);
    let file = k.file(call.tid, fd)?;
    let timer = timer(&file)?;
    if old != 0 {
        write_setting(k, call.tid, old, timer.next(), timer.interval.get())?;
    }
    let deadline = match (value, flags & ABSOLUTE) {
        (0, _) => 0,
        (_, 0) => k.now_monotonic().saturating_add(value).max(1),
        _ => to_monotonic(k, timer.clock, value).max(1),
    };
    timer.interval.set(interval);
    timer.arm(deadline);
    Ok(0)
}

/// `timerfd_gettime(fd, value)`
pub fn timerfd_gettime(k: &mut Kernel, call: &Call) -> SysResult {
    let file = k.file(call.tid, call.args[0])?;
    let timer = timer(&file)?;
    write_setting(k, call.tid, call.args[1], timer.next(), timer.interval.get())?;
    Ok(0)
}
