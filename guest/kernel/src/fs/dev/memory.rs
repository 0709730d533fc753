//! The devices of major 1 (mem(4), null(4), random(4)).

use std::any::Any;

use shallop_linux_abi::Errno;
use shallop_platform::Platform;

use crate::vfs::{Backing, File, GuestMemory};
use crate::wait::Stop;

/// RNDGETENTCNT: how many bits the pool has.
const RNDGETENTCNT: u32 = 0x8004_5200;
/// What the pool always has (random(4), since Linux 5.18).
const ENTROPY_BITS: u32 = 256;

/// An open device of major 1.
pub(super) enum MemoryDevice {
    Null,
    Zero,
    Full,
    Random(&'static dyn Platform),
}

impl MemoryDevice {
    /// The device of this minor number, if there is one.
    pub fn new(minor: u32, platform: &'static dyn Platform) -> Option<MemoryDevice> {
        match minor {
            3 => Some(MemoryDevice::Null),
            5 => Some(MemoryDevice::Zero),
            7 => Some(MemoryDevice::Full),
            8 | 9 => Some(MemoryDevice::Random(platform)),
            _ => None,
        }
    }
}

impl File for MemoryDevice {
    fn read_at(&self, _offset: u64, buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        match self {
            MemoryDevice::Null => return Ok(0),
            MemoryDevice::Zero | MemoryDevice::Full => buf.fill(0),
            MemoryDevice::Random(platform) => platform.random(buf),
        }
        Ok(buf.len())
    }

    fn write_at(&self, _offset: u64, bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        match self {
            MemoryDevice::Full if !bytes.is_empty() => Err(Errno::ENOSPC.into()),
            _ => Ok(bytes.len()),
        }
    }

    fn ioctl(&self, request: u32, arg: u64, memory: &dyn GuestMemory) -> Result<u64, Stop> {
        match (self, request) {
            (MemoryDevice::Random(_), RNDGETENTCNT) => {
                memory.write(arg, &ENTROPY_BITS.to_le_bytes())?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn backing(&self, _offset: u64, len: u64, _shared: bool) -> Result<Vec<Backing>, Errno> {
        match self {
            MemoryDevice::Zero => Ok(vec![Backing::Zero { len }]),
            _ => Err(Errno::ENODEV),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use shallop_platform::fake::Fake;

    use super::*;

    #[test]
    fn each_minor_behaves_as_its_name_says() {
        let host: &'static Fake = Box::leak(Box::new(Fake::new()));
        let device = |minor| MemoryDevice::new(minor, host).unwrap();
        let mut buf = [7; 4];
        assert_eq!(device(3).read_at(0, &mut buf, false).unwrap(), 0);
        assert_eq!(device(5).read_at(0, &mut buf, false).unwrap(), 4);
        assert_eq!(buf, [0; 4]);
        assert!(matches!(device(7).write_at(0, b"x", false), Err(Stop::Errno(Errno::ENOSPC))));
        assert_eq!(device(9).read_at(0, &mut buf, false).unwrap(), 4);
        assert_ne!(buf, [0; 4]);
        assert!(MemoryDevice::new(1, host).is_none());
    }
}
