//! Finding an image: in the store, embedded in the program, at its registry, or by an accepted substitute.

use anyhow::{Result, anyhow, bail};
use shallop_guest_wasm::HELLO_WORLD;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::{Config, ImageConfig, Platform, Reference};
use shallop_registry::RegistryError;
use shallop_store::{Image, LayerInfo, StoreError};

use crate::pull::{self, Finding, Policy};
use crate::substitutes::{self, offer};
use crate::{Session, catalog};

/// Finds an image by name or id; what is missing is pulled, as far as `how` allows.
///
/// # Errors
/// When it cannot be had: with the substitute there is, its differences and the flag that accepts it.
pub fn find(session: &Session, name: &str, platform: Option<&Platform>, how: &Finding<'_>) -> Result<Image> {
    let found = session.store.resolve(name, platform);
    let image = match found {
        Ok(image) if how.policy == Policy::Always && is_pulled_by(name, &image) => {
            pulled(session, name, platform, how)?
        }
        Ok(image) => image,
        Err(StoreError::NoSuchImage { .. }) => missing(session, name, platform, how)?,
        // The name stands for an image that was pulled for another platform: the registry may have both. One that was
        // built here under that name stays what it is.
        Err(StoreError::WrongPlatform { .. }) if how.policy != Policy::Never && has_origin(session, name)? => {
            pulled(session, name, platform, how)?
        }
        Err(other) => return Err(other.into()),
    };
    if !image.platform.is_supported() {
        bail!("{name} is for {}; there are linux/riscv64 and wasi/wasm", image.platform);
    }
    Ok(image)
}

/// Whether asking a registry for `name` can give another image: not when it is an id, or a name of the catalog.
fn is_pulled_by(name: &str, image: &Image) -> bool {
    Reference::parse_cli(name).is_ok_and(|reference| {
        let same = |known: &Reference| known.repository() == reference.repository();
        reference.catalog_name().is_none() && image.tags.iter().chain(&image.origins).any(same)
    })
}

fn has_origin(session: &Session, name: &str) -> Result<bool> {
    let reference = Reference::parse_cli(name)?;
    let image = session.store.resolve(name, None)?;
    Ok(image.origins.iter().any(|origin| origin.repository() == reference.repository()))
}

fn pulled(session: &Session, name: &str, platform: Option<&Platform>, how: &Finding<'_>) -> Result<Image> {
    Ok(pull::pull(session, &Reference::parse_cli(name)?, platform, how.progress)?.image)
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

fn missing(session: &Session, name: &str, platform: Option<&Platform>, how: &Finding<'_>) -> Result<Image> {
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
    let why = match (how.policy, pull::offline()) {
        (Policy::Never, _) => anyhow!("No such image: {}", reference.familiar()),
        (_, Some(offline)) => anyhow!("No such image: {}: {offline}", reference.familiar()),
        _ => {
            how.progress.note(&format!("Unable to find image '{}' locally", reference.familiar()));
            match pulled(session, name, platform, how) {
                Err(error) if is_about_the_image(&error) => error,
                other => return other,
            }
        }
    };
    let library = reference.library_name().unwrap_or_default();
    let found = shallop_catalog::substitute(library, reference.tag().unwrap_or("latest"));
    let Some(found) = found.filter(|_| library == HELLO_WORLD.name || !platform.is_some_and(Platform::is_wasi)) else {
        return Err(match library.is_empty() {
            true => why,
            false => anyhow!("{why:#}\nThe catalog has: {}", catalog_names().join(", ")),
        });
    };
    substitutes::accept(session, how.substitutes, &reference, &format!("{why:#}\n{}", offer(&reference, &found)))?;
    let image = find(session, &found.image, None, how)?;
    if found.alpine { catalog::as_alpine(session, &image, &found.image) } else { Ok(image) }
}

/// Whether an image cannot be had, while this machine is fine.
fn is_about_the_image(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RegistryError>().is_some_and(RegistryError::is_about_the_image)
}

fn catalog_names() -> Vec<String> {
    let recipes = shallop_catalog::RECIPES.iter().map(|recipe| format!("catalog/{}", recipe.name));
    recipes.chain([format!("catalog/{}", HELLO_WORLD.name)]).collect()
}

/// A layer with one file, a program.
pub(crate) fn program_layer(session: &Session, path: &str, bytes: &[u8]) -> Result<LayerInfo> {
    Ok(session.store.put_layer_with(&mut |out| {
        let mut writer = Writer::new(out);
        let entry = Entry::new(path, 0o755, Kind::File { size: bytes.len() as u64 });
        writer.append(&entry, &mut &bytes[..]).map_err(std::io::Error::other)?;
        writer.finish().map_err(std::io::Error::other)
    })?)
}

/// The embedded image, put into the store the first time that it is asked for.
fn hello_world(session: &Session) -> Result<Image> {
    const PATH: &str = "hello-world.wasm";
    let layer = program_layer(session, PATH, HELLO_WORLD.wasm)?;
    let mut config = ImageConfig::new(&Platform::wasi_wasm());
    config.config = Config { entrypoint: Some(vec![format!("/{PATH}")]), ..Config::default() };
    config.created = Some(shallop_oci::time::format(0, 0));
    let name = Reference::parse(&format!("catalog.internal/{}:latest", HELLO_WORLD.name))?;
    let id = session.store.put_image(&config, &[layer], &[name])?;
    Ok(session.store.image(&id)?)
}
