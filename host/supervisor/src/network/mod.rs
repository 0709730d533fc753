//! A sandbox's way to outside: the worker asks, the supervisor makes the sockets and looks names up, as far as the policy
//! goes.
//!
//! | module | what lives there |
//! |---|---|
//! | `policy` | what is allowed |
//! | `wire` | questions and answers, and the worker's side of them |
//! | `broker` | the supervisor's side: a thread for each worker |
//! | `names` | the host's resolver |

mod broker;
mod names;
pub mod policy;
pub mod wire;

pub use broker::Broker;
pub use policy::{GATEWAY, Policy, Rule, SUBNET_ADDRESS};
pub use wire::{Client, Family, Resolved, Status};
