//! A sandbox's way to outside: the worker asks, the supervisor makes the sockets and looks names up, as far as the policy
//! goes.
//!
//! | module | what lives there |
//! |---|---|
//! | `policy` | what is allowed |
//! | `wire` | questions and answers, and the worker's side of them |
//! | `broker` | the supervisor's side: a thread for each worker |
//! | `names` | the host's resolver |

#[cfg(target_os = "linux")]
mod broker;
#[cfg(target_os = "linux")]
mod names;
pub mod policy;
#[cfg(target_os = "linux")]
pub mod wire;

#[cfg(target_os = "linux")]
pub use broker::Broker;
pub use policy::{GATEWAY, Policy, Rule, SUBNET_ADDRESS};
#[cfg(target_os = "linux")]
pub use wire::{Client, Family, Resolved, Status};
