//! Finding an image: in the store, embedded in the program, or by an accepted substitute.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, anyhow};
use shallop_guest_wasm::HELLO_WORLD;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::{Config, ImageConfig, Platform, Reference};
use shallop_store::{Image, StoreError};

use crate::{Session, catalog};

/// Label that records which image a substitute stands in for.
pub const SUBSTITUTE_LABEL: &str = "org.shallop.substitute-for";

/// How substitutes are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Substitutes {
    Accept,
    /// A terminal is asked; without one the name is an error.
    Ask,
}

/// Finds an image by name or id.
///
/// # Errors
/// When it is not here: with the substitute there is, its differences and the flag that accepts it.
pub fn find(session: &Session, name: &str, platform: Option<&Platform>, substitutes: Substitutes) -> Result<Image> {
    match session.store.resolve(name, platform) {
        Ok(image) => Ok(image),
        Err(StoreError::NoSuchImage { .. }) => missing(session, name, platform, substitutes),
        Err(other) => Err(other.into()),
    }
}

/// An image that is here, or embedded; nothing is offered in its place.
pub fn local(session: &Session, name: &str) -> Result<Image> {
    match session.store.resolve(name, None) {
        Err(StoreError::NoSuchImage { .. })
            if Reference::parse_cli(name).is_ok_and(|r| r.catalog_name() == Some(HELLO_WORLD.name)) =>
        {
            hello_world(session)
        }
        other => Ok(other?),
    }
}

fn missing(session: &Session, name: &str, platform: Option<&Platform>, substitutes: Substitutes) -> Result<Image> {
    let reference = Reference::parse_cli(name)?;
    if let Some(catalog) = reference.catalog_name() {
        if catalog == HELLO_WORLD.name {
            return hello_world(session);
        }
        return Err(match shallop_catalog::lookup(catalog) {
            Some(recipe) => {
                anyhow!("No such image: {name}\nIt is made from Debian packages: shallop catalog build {}", recipe.name)
            }
            None => anyhow!("No such image: {name}\nThe catalog has: {}", catalog_names().join(", ")),
        });
    }
    let library = reference.library_name().unwrap_or_default();
    let Some(found) = shallop_catalog::substitute(library, reference.tag().unwrap_or("latest")) else {
        return Err(anyhow!(
            "No such image: {name}\nImages cannot be pulled from registries yet; build one, or use the catalog: {}",
            catalog_names().join(", ")
        ));
    };
    if platform.is_some_and(Platform::is_wasi) && library != HELLO_WORLD.name {
        return Err(anyhow!("No such image: {name} for platform wasi/wasm"));
    }
    let differences = found.differences.iter().map(|d| format!("\n  - {d}")).collect::<String>();
    let offer = format!("{} can stand in for {name}:{differences}", found.image);
    match substitutes {
        Substitutes::Accept => eprintln!("shallop: {offer}"),
        Substitutes::Ask if asked(&offer)? => {}
        Substitutes::Ask => {
            return Err(anyhow!(
                "No such image: {name}\nImages cannot be pulled from registries yet. {offer}\nAccept it with --substitute"
            ));
        }
    }
    let image = find(session, &found.image, None, Substitutes::Accept)?;
    if found.alpine { catalog::as_alpine(session, &image, &found.image) } else { Ok(image) }
}

/// Asks a person at a terminal; no one else.
fn asked(offer: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    eprint!("{offer}\nUse it? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn catalog_names() -> Vec<String> {
    let recipes = shallop_catalog::RECIPES.iter().map(|recipe| format!("catalog/{}", recipe.name));
    recipes.chain([format!("catalog/{}", HELLO_WORLD.name)]).collect()
}

/// The embedded image, put into the store the first time that it is asked for.
fn hello_world(session: &Session) -> Result<Image> {
    const PATH: &str = "hello-world.wasm";
    let layer = session.store.put_layer_with(&mut |out| {
        let mut writer = Writer::new(out);
        let entry = Entry::new(PATH, 0o755, Kind::File { size: HELLO_WORLD.wasm.len() as u64 });
        writer.append(&entry, &mut &HELLO_WORLD.wasm[..]).map_err(std::io::Error::other)?;
        writer.finish().map_err(std::io::Error::other)
    })?;
    let mut config = ImageConfig::new(&Platform::wasi_wasm());
    config.config = Config { entrypoint: Some(vec![format!("/{PATH}")]), ..Config::default() };
    config.created = Some(shallop_oci::time::format(0, 0));
    let id = session.store.put_image(&config, &[layer])?;
    let name = format!("catalog.internal/{}:latest", HELLO_WORLD.name);
    session.store.tag(&Reference::parse(&name)?, &id)?;
    Ok(session.store.image(&id)?)
}
