//! [`Ahead`]: what a thread prepares while the command finds out what it is for.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// A thing that may be on its way.
#[derive(Debug)]
pub struct Ahead<T>(Mutex<Option<JoinHandle<Option<T>>>>);

impl<T> Default for Ahead<T> {
    /// Nothing is on its way.
    fn default() -> Ahead<T> {
        Ahead(Mutex::default())
    }
}

impl<T: Send + 'static> Ahead<T> {
    /// Begins to prepare it. Without a thread it is made when it is wanted.
    pub fn begin(name: &str, prepare: impl FnOnce() -> Option<T> + Send + 'static) -> Ahead<T> {
        Ahead(Mutex::new(std::thread::Builder::new().name(name.into()).spawn(prepare).ok()))
    }

    /// What was prepared, once; `None` when it was not, or could not be.
    pub fn take(&self) -> Option<T> {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.and_then(|thread| thread.join().ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_once() {
        let ahead = Ahead::begin("test", || Some(7));
        assert_eq!((ahead.take(), ahead.take()), (Some(7), None));
        assert_eq!(Ahead::<u8>::default().take(), None);
        assert_eq!(Ahead::<u8>::begin("test", || None).take(), None);
    }
}
