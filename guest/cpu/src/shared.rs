//! Statics of the module: zero at first, changed through raw pointers.

use core::cell::UnsafeCell;

/// A zero-initialised static that all tasks of a process share.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: tasks of a process run one at a time, and the module has no threads of its own; native tests hold a lock
// while they use the statics.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Wraps the value, which must be all zeroes: a module's data is applied again for each task.
    pub const fn new(zero: T) -> Shared<T> {
        Shared(UnsafeCell::new(zero))
    }

    /// Where the value is.
    #[inline(always)]
    pub const fn pointer(&self) -> *mut T {
        self.0.get()
    }
}

impl<T, const N: usize> Shared<[T; N]> {
    /// Where element `index` is.
    ///
    /// # Panics
    /// When there is no such element.
    #[inline(always)]
    pub fn element(&self, index: usize) -> *mut T {
        assert!(index < N);
        // SAFETY: the index was checked.
        unsafe { self.first().add(index) }
    }

    /// Where the first element is.
    #[inline(always)]
    pub const fn first(&self) -> *mut T {
        self.0.get().cast()
    }
}
