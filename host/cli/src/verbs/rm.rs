//! `shallop rm`: remove containers.

use crate::output::say;
use anyhow::Result;
use shallop_engine::Session;

/// Remove one or more containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shallop rm amazing_hopper
  shallop rm $(shallop ps -aq)")]
pub struct Args {
    /// Say nothing of containers that do not exist
    #[arg(short, long)]
    force: bool,
    /// Accepted for Docker's sake: anonymous volumes go with their container
    #[arg(short, long)]
    volumes: bool,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let session = Session::open()?;
        let mut code = 0;
        for name in &self.containers {
            let removed = session.store.container(name).and_then(|c| session.store.remove_container(&c.id));
            match removed {
                Ok(()) => say!("{name}"),
                Err(shallop_store::StoreError::NoSuchContainer { .. }) if self.force => {}
                Err(error) => {
                    eprintln!("shallop: {error}");
                    code = 1;
                }
            }
        }
        Ok(code)
    }
}
