//! `login` and `logout`: the user's credentials for registries, in Docker's `config.json`.

use anyhow::Result;
use shallop_config::Dirs;
use shallop_registry::{Client, DockerConfig, Settings};
pub use shallop_registry::{Kept, server_address};

/// Tries a user's credentials at a server, named by [`server_address`], and keeps them when they are good.
///
/// # Errors
/// When the server does not take them, or they cannot be kept.
pub fn login(server: &str, user: &str, password: &str) -> Result<Kept> {
    let settings = Settings::load(&Dirs::from_env()?)?;
    Ok(Client::login(settings, &mut DockerConfig::load()?, server, user, password)?)
}

/// Forgets the credentials for a server; whether there were any.
///
/// # Errors
/// When the file cannot be written, or a credential helper fails.
pub fn logout(server: &str) -> Result<bool> {
    let mut config = DockerConfig::load()?;
    let known = config.has(server);
    if known {
        config.forget(server)?;
    }
    Ok(known)
}
