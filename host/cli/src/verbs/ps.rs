//! `shallop ps`: the list of containers.

use crate::output::say;
use anyhow::Result;
use serde_json::json;
use shallop_engine::Session;
use shallop_store::{Container, ContainerState};

use crate::output::format::Format;
use crate::output::table::Table;
use crate::output::{ago, duration};

/// List containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shallop ps -a
  shallop ps -aq")]
pub struct Args {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Show the latest created container
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// table or json
    #[arg(long, default_value = "table")]
    format: Format,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let mut containers = Session::open()?.store.containers()?;
        if self.latest {
            containers.truncate(1);
        } else if !self.all {
            containers.retain(|container| matches!(container.state, ContainerState::Running { .. }));
        }
        match (self.quiet, self.format) {
            (true, _) => containers.iter().for_each(|container| say!("{}", self.id(container))),
            (_, Format::Json) => containers.iter().for_each(|container| say!("{}", as_json(container))),
            (_, Format::Table) => self.table(&containers),
        }
        Ok(0)
    }

    fn id(&self, container: &Container) -> String {
        container.id.chars().take(if self.no_trunc { 64 } else { 12 }).collect()
    }

    fn table(&self, containers: &[Container]) {
        let mut table = Table::new(&["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
        for container in containers {
            table.row(vec![
                self.id(container),
                container.image_name.clone(),
                command(container, self.no_trunc),
                ago(container.created),
                status(container),
                String::new(),
                container.name.clone(),
            ]);
        }
        table.print();
    }
}

/// The command in quotes, cut to 20 characters as Docker cuts it.
fn command(container: &Container, whole: bool) -> String {
    let text = container.command.join(" ");
    let shown = match text.char_indices().nth(20) {
        Some((end, _)) if !whole => format!("{}…", &text[..text[..end].char_indices().last().map_or(0, |(i, _)| i)]),
        _ => text,
    };
    format!("\"{shown}\"")
}

fn status(container: &Container) -> String {
    match container.state {
        ContainerState::Created => "Created".into(),
        ContainerState::Running { .. } => {
            let now = shallop_oci::time::now().as_secs() as i64;
            format!("Up {}", duration((now - container.started.unwrap_or(now)).max(0)))
        }
        ContainerState::Exited { code } => {
            format!("Exited ({code}) {}", ago(container.finished.unwrap_or(container.created)))
        }
    }
}

fn as_json(container: &Container) -> serde_json::Value {
    json!({
        "ID": container.id,
        "Image": container.image_name,
        "Command": command(container, true),
        "CreatedAt": shallop_oci::time::format(container.created, 0),
        "Status": status(container),
        "Names": container.name,
    })
}
