//! The flags about the network, shared by `run` and `build`.

use anyhow::{Result, bail};
use shallop_engine::network::Settings;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct NetworkArgs {
    /// Connect to a network: default or none
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Option<String>,
    /// Add a host name (NAME:ADDRESS; the address host-gateway is this machine's own 127.0.0.1)
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// Reach only what is named by these: a name, *.DOMAIN or address, with or without a port
    #[arg(long, value_name = "NAME[:PORT]")]
    network_allow: Vec<String>,
    /// Lend the machine's own pip, npm and apt mirrors, proxies and CA certificates, without credentials; kept in no layer
    #[arg(long)]
    host_mirrors: bool,
    /// Not done: names are looked up by this machine
    #[arg(long, value_name = "ADDRESS", hide = true)]
    dns: Vec<String>,
}

impl NetworkArgs {
    /// # Errors
    /// For what is not done.
    pub fn settings(self) -> Result<Settings> {
        if !self.dns.is_empty() {
            bail!("--dns is not done yet: names are looked up as this machine does; --add-host names single addresses");
        }
        Ok(Settings {
            mode: self.network,
            hosts: self.add_host,
            allowed: self.network_allow,
            host_mirrors: self.host_mirrors,
        })
    }
}
