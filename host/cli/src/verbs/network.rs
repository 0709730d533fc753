//! The flags about the network: those shared by `run` and `build`, and those about name servers.

use anyhow::Result;
use shallop_engine::dns::Dns;
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
}

/// The flags about name servers, of `run` alone.
#[derive(Debug, clap::Args)]
pub struct DnsArgs {
    /// Set custom DNS servers, in place of the container's own, which asks this machine
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// Set DNS options
    #[arg(long, alias = "dns-opt", value_name = "NAME[:VALUE]")]
    dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
}

impl DnsArgs {
    /// # Errors
    /// When a flag has a value that is none.
    pub fn settings(&self) -> Result<Dns> {
        Dns::parse(&self.dns, &self.dns_search, &self.dns_option)
    }
}

impl NetworkArgs {
    pub fn settings(self) -> Settings {
        Settings {
            mode: self.network,
            hosts: self.add_host,
            allowed: self.network_allow,
            host_mirrors: self.host_mirrors,
            dns: Dns::default(),
        }
    }
}
