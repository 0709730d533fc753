//! `shallop version`.

use crate::output::say;
use anyhow::Result;
use serde_json::json;

use crate::output::format::Format;

/// Show the version
#[derive(Debug, clap::Args)]
pub struct Args {
    /// table or json
    #[arg(long, default_value = "table")]
    format: Format,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let version = env!("CARGO_PKG_VERSION");
        let host = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
        let platforms = ["linux/riscv64", "wasi/wasm"];
        match self.format {
            Format::Json => say!("{}", json!({ "Version": version, "Host": host, "Platforms": platforms })),
            Format::Table => {
                say!("shallop:\n Version:    {version}\n Host:       {host}\n Platforms:  {}", platforms.join(", "));
            }
        }
        Ok(0)
    }
}
