//! Opening character devices.

use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::memory::MemoryDevice;
use crate::fs::devpts;
use crate::kernel::Kernel;
use crate::tty::{PTS_MAJOR, Tty, TtyFile, job};
use crate::vfs::{File, Location};
use crate::wait::{Stop, Tid};

/// Opens the device whose node is at `location`; ENXIO when there is no such device. The place given back is where the
/// open file says it is (`/proc/self/fd`).
pub fn open_device(
    k: &mut Kernel,
    tid: Tid,
    location: &Location,
    _flags: u32,
) -> Result<(Rc<dyn File>, Location), Stop> {
    let file: Rc<dyn File> = match location.inode.stat()?.rdev {
        (1, minor) => Rc::new(MemoryDevice::new(minor, k.platform).ok_or(Errno::ENXIO)?),
        (5, 0) => Rc::new(TtyFile::slave(&job::controlling(k, tid).ok_or(Errno::ENXIO)?)),
        (5, 1) => Rc::new(TtyFile::slave(&console(k)?)),
        (5, 2) => return open_master(k, tid, location),
        (PTS_MAJOR, index) => Rc::new(TtyFile::slave(&slave(k, index)?)),
        _ => return Err(Errno::ENXIO.into()),
    };
    Ok((file, location.clone()))
}

/// The container's own terminal; there is none without `-t`.
fn console(k: &Kernel) -> Result<Rc<Tty>, Errno> {
    let tty = k.io.ttys.borrow().first().cloned().flatten();
    tty.filter(|tty| !tty.locked()).ok_or(Errno::ENXIO)
}

fn slave(k: &Kernel, index: u32) -> Result<Rc<Tty>, Errno> {
    let tty = k.io.ttys.borrow().get(index as usize).cloned().flatten().ok_or(Errno::ENXIO)?;
    if tty.locked() { Err(Errno::EIO) } else { Ok(tty) }
}

/// A new pseudo-terminal; its slave belongs to who opened the master.
fn open_master(k: &mut Kernel, tid: Tid, location: &Location) -> Result<(Rc<dyn File>, Location), Stop> {
    if k.io.ttys.borrow().iter().flatten().count() >= devpts::TERMINALS_MAX {
        return Err(Errno::ENOSPC.into());
    }
    let tty = Tty::new(k, false);
    let credentials = &k.task(tid).credentials;
    devpts::set_owner(k, location, tty.index, (credentials.fsuid, credentials.fsgid));
    Ok((Rc::new(TtyFile::master(&tty)), location.clone()))
}

/// `/dev/null`, open, and its place.
pub fn null(k: &Kernel) -> (Rc<dyn File>, Location) {
    (Rc::new(MemoryDevice::Null), crate::fs::place(k, b"/dev/null"))
}
