//! Thin doors: one function per system call, a file per family. Each has the type `dispatch::Handler`.

pub mod clone;
pub mod dir;
pub mod epoll;
pub mod event;
pub mod exec;
pub mod fcntl;
pub mod futex;
pub mod ids;
pub mod info;
pub mod ioctl;
pub mod memory;
pub mod mount;
pub mod open;
pub mod path;
pub mod pipe;
pub mod poll;
pub mod rw;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod time;
pub mod wait;
pub mod xattr;
