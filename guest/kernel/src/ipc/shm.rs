//! Shared memory segments (shmget(2)): `Segment` is a memory object with an id.

use std::rc::{Rc, Weak};

use crate::kernel::Kernel;
use crate::mm::{Content, Object, Vma};
use crate::task::Pid;

/// Most segments (SHMMNI).
pub const SEGMENTS_MAX: usize = 4096;

/// A segment.
pub struct Segment {
    /// `None` once it was removed: it lives as long as it is attached then.
    pub kept: Option<Rc<Object>>,
    object: Weak<Object>,
    /// Bytes, as asked for.
    pub size: u64,
    /// Seconds since the epoch; 0 for never.
    pub attached: i64,
    pub detached: i64,
    pub changed: i64,
    pub creator: u32,
    pub last: u32,
}

impl Segment {
    pub fn new(object: Rc<Object>, size: u64, creator: u32, now: i64) -> Segment {
        let weak = Rc::downgrade(&object);
        Segment { kept: Some(object), object: weak, size, attached: 0, detached: 0, changed: now, creator, last: 0 }
    }

    /// The memory; `None` when it was removed and is attached nowhere.
    pub fn object(&self) -> Option<Rc<Object>> {
        self.object.upgrade()
    }

    /// Whether a mapping shows it.
    pub fn is_shown_by(&self, vma: &Vma) -> bool {
        matches!(&vma.content, Content::Shared { object, .. } if std::ptr::eq(Rc::as_ptr(object), self.object.as_ptr()))
    }
}

impl Kernel {
    /// How often a segment is attached (shm_nattch).
    pub fn attachments(&self, segment: &Segment) -> u64 {
        let mut seen = Vec::new();
        let mut count = 0;
        for process in self.processes.iter().filter(|process| !process.is_zombie()) {
            // Processes after vfork(2) share one map.
            let map = Rc::as_ptr(&process.mm);
            if seen.contains(&map) {
                continue;
            }
            seen.push(map);
            let mm = process.mm.borrow();
            count += mm.vmas().filter(|vma| segment.is_shown_by(vma)).count() as u64;
        }
        count
    }

    /// A process that ends, or becomes another program, detaches what it had attached.
    pub fn detach_segments(&mut self, pid: Pid) {
        let Some(process) = self.processes.get(pid) else { return };
        let mm = process.mm.clone();
        // Shared with a process that goes on.
        if Rc::strong_count(&mm) > 2 {
            return;
        }
        let now = self.now_realtime().sec;
        for entry in self.ipc.shm.iter_mut() {
            if mm.borrow().vmas().any(|vma| entry.item.is_shown_by(vma)) {
                (entry.item.detached, entry.item.last) = (now, pid.0);
            }
        }
    }

    /// Forgets segments that were removed and are attached no more.
    pub fn drop_dead_segments(&mut self) {
        self.ipc.shm.retain(|entry| entry.item.object().is_some());
    }
}
