//! The error of address-space operations: a Linux error number.

use rustix::io::Errno;
use std::fmt;

/// Why an operation on an address space failed.
///
/// Both the checks of this crate and the host's system calls speak Linux error numbers, so the number is all there is:
/// it goes to the guest unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error(Errno);

impl Error {
    /// Not page aligned, or outside the part of the space that may be mapped.
    pub const EINVAL: Error = Error(Errno::INVAL);
    /// A page of the range is not mapped, or there are too many mappings.
    pub const ENOMEM: Error = Error(Errno::NOMEM);
    /// A page to be moved is not mapped.
    pub const EFAULT: Error = Error(Errno::FAULT);
    /// The protection asked for is not allowed for this file.
    pub const EACCES: Error = Error(Errno::ACCESS);

    /// The Linux error number, positive.
    pub fn errno(self) -> i32 {
        self.0.raw_os_error()
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error(errno)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address space: {}", self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_linux() {
        assert_eq!(Error::EINVAL.errno(), 22);
        assert_eq!(Error::ENOMEM.errno(), 12);
        assert_eq!(Error::EACCES.errno(), 13);
        assert_eq!(Error::from(std::io::Error::from_raw_os_error(9)).errno(), 9);
    }
}
