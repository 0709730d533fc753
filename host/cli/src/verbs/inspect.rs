//! `shallop inspect`: everything that is known of images and containers, as JSON.

use crate::output::say;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use shallop_engine::{Session, images};
use shallop_oci::time;
use shallop_store::{Container, ContainerState, Image, StoreError};

/// Return low-level information on images and containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shallop inspect app
  shallop image inspect catalog/python")]
pub struct Args {
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

/// What names are looked for among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Anything,
    Image,
    Container,
}

impl Args {
    pub fn run(self, of: Of) -> Result<u8> {
        let session = Session::open()?;
        let mut found = Vec::new();
        let mut code = 0;
        for name in &self.names {
            match one(&session, name, of) {
                Ok(value) => found.push(value),
                Err(error) => {
                    eprintln!("Error: {error:#}");
                    code = 1;
                }
            }
        }
        say!("{}", serde_json::to_string_pretty(&found)?);
        Ok(code)
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(StoreError::is_no_such_image)
}

fn one(session: &Session, name: &str, of: Of) -> Result<Value> {
    if of != Of::Image {
        match session.store.container(name) {
            Ok(container) => return Ok(container_json(&container)),
            Err(StoreError::NoSuchContainer { .. }) if of == Of::Anything => {}
            Err(error) => return Err(error.into()),
        }
    }
    match images::local(session, name) {
        Ok(image) => Ok(image_json(&image)),
        Err(error) if of == Of::Anything && is_missing(&error) => bail!("No such object: {name}"),
        Err(error) => Err(error),
    }
}

fn image_json(image: &Image) -> Value {
    let tags: Vec<String> = image.tags.iter().map(shallop_oci::Reference::familiar).collect();
    json!({
        "Id": image.id.to_string(),
        "RepoTags": tags,
        "RepoDigests": image.origins.iter().map(shallop_oci::Reference::familiar).collect::<Vec<_>>(),
        "Created": image.config.created,
        "Author": image.config.author.clone().unwrap_or_default(),
        "Config": image.config.config,
        "Architecture": image.platform.architecture,
        "Os": image.platform.os,
        "Size": image.size,
        "RootFS": { "Type": "layers", "Layers": image.layers },
        "History": image.config.history,
    })
}

fn container_json(container: &Container) -> Value {
    let (status, pid, code) = match container.state {
        ContainerState::Created => ("created", 0, 0),
        ContainerState::Running { pid } => ("running", pid, 0),
        ContainerState::Exited { code } => ("exited", 0, code),
    };
    let at = |seconds: Option<i64>| time::format(seconds.unwrap_or(-62_135_596_800), 0);
    let (path, args) = container.command.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    json!({
        "Id": container.id,
        "Created": time::format(container.created, 0),
        "Path": path,
        "Args": args,
        "State": {
            "Status": status,
            "Running": status == "running",
            "Pid": pid,
            "ExitCode": code,
            "StartedAt": at(container.started),
            "FinishedAt": at(container.finished),
        },
        "Image": container.image.to_string(),
        "Name": format!("/{}", container.name),
        "Config": { "Image": container.image_name },
        "HostConfig": container.config,
    })
}
