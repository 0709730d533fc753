//! `login` and `logout`: credentials are tried at the registry, then kept as Docker keeps them.

use crate::client::Client;
use crate::credentials::{Credentials, DockerConfig, Kept};
use crate::endpoint::host_of_key;
use crate::error::Result;
use crate::settings::Settings;

impl Client {
    /// Tries a user's credentials at a server (as [`crate::server_address`] names it) and keeps them when they are good.
    ///
    /// # Errors
    /// When the server does not take them, or they cannot be kept.
    pub fn login(
        settings: Settings,
        docker: &mut DockerConfig,
        server: &str,
        user: &str,
        password: &str,
    ) -> Result<Kept> {
        let client = Client::new(settings, DockerConfig::default());
        let given = Credentials::Basic { user: user.to_owned(), password: password.to_owned() };
        let registry = match host_of_key(server) {
            "index.docker.io" => "docker.io",
            host => host,
        };
        let identity = client.authenticate(registry, &given)?;
        docker.keep(server, &identity.map_or(given, Credentials::Identity))
    }
}
