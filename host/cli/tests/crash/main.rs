//! Commands that are killed, and disks that are full: what was there before still works, a second attempt gives what an
//! undisturbed one gives, and nothing stays behind.

#[cfg(target_os = "linux")]
mod disk;
mod home;
mod hostile;
mod killed;
mod translator;
mod warm;
