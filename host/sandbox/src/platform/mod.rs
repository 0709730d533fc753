//! What differs between systems in running a WASI module: how its memories lie, how it is woken and measured, how a
//! granted folder is named. Each system's file has the same items.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(not(target_os = "linux"))]
pub use portable::*;
