//! When the precise variant brings the state up to date.
//!
//! At a *checkpoint* the state holds all registers, and the pc. When an access behind it faults, the interpreter goes on from
//! there: it does again what was done since, and comes to the same access with all registers as they are then. That is so
//! while nothing was stored where something may have been loaded before. Behind a load and a store, the next access needs
//! another checkpoint; what changes meanwhile is in locals alone.

/// What was done since the last checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Since {
    /// What cannot be done again; or the state was written, or there is no checkpoint on some way here.
    #[default]
    Spoilt,
    /// Stores at most.
    Stores,
    /// Loads, behind stores if there were any.
    Loads,
}

impl Since {
    /// Whether an access needs a checkpoint before it.
    pub fn wants_checkpoint(self) -> bool {
        self == Since::Spoilt
    }

    /// Behind a load.
    pub fn loaded(self) -> Since {
        if self == Since::Stores { Since::Loads } else { self }
    }

    /// Behind a store.
    pub fn stored(self) -> Since {
        if self == Since::Loads { Since::Spoilt } else { self }
    }
}
