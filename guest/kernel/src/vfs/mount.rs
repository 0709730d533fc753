//! The mount table: which file system covers which place.

/// All mounts of the sandbox.
#[derive(Default)]
pub struct MountTable {}
