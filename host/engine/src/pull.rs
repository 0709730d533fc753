//! Pulling: from a registry into the store of a session; and [`Finding`], how a verb wants missing images to be had.

use anyhow::{Context, Result};
use shallop_config::env;
use shallop_oci::{Platform, Reference};
use shallop_registry::{Client, RegistryError};
pub use shallop_registry::{Progress, Pulled, Silent, Step};

use crate::Session;
use crate::substitutes::Substitutes;

/// When registries are asked: `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    Always,
    /// Only for what is not here.
    #[default]
    Missing,
    Never,
}

/// How a verb wants images to be found.
#[derive(Clone, Copy)]
pub struct Finding<'a> {
    pub policy: Policy,
    pub substitutes: Substitutes,
    pub progress: &'a dyn Progress,
}

impl std::fmt::Debug for Finding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Finding({:?}, {:?})", self.policy, self.substitutes)
    }
}

/// Why registries are not asked, when they are not.
pub fn offline() -> Option<&'static str> {
    env::SHALLOP_OFFLINE.is_set().then_some("registries are not asked (SHALLOP_OFFLINE is set)")
}

/// Fetches what a name stands for at its registry.
///
/// # Errors
/// [`RegistryError`], or that registries are not to be asked.
pub fn pull(
    session: &Session,
    name: &Reference,
    platform: Option<&Platform>,
    progress: &dyn Progress,
) -> Result<Pulled> {
    if let Some(why) = offline() {
        return Err(RegistryError::Name(why.to_owned())).with_context(|| name.familiar());
    }
    let client = Client::from_env(&session.dirs)?;
    Ok(shallop_registry::pull(&client, &session.store, name, platform, progress)?)
}
