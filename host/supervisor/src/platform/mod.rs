//! What differs between systems: how a worker is started and steered, and what can be handed to it. Each system's file has
//! the same items, but for the signals and the steering of Linux.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(not(target_os = "linux"))]
pub use portable::*;
