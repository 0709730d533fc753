//! Building the catalog's images into the store.

use anyhow::{Context, Result};
use shallop_build::{Images, RunStep, Steps};
use shallop_catalog::{Recipe, assemble};
use shallop_oci::{Config, Digest, History, ImageConfig, Platform, Reference};

use crate::Session;
use crate::build::Effects;
use crate::images::Substitutes;
use crate::pull::{Finding, Policy, Silent};

/// Builds a recipe and tags it `catalog.internal/<name>:latest`; `progress` is told of each phase.
pub fn build(session: &Session, recipe: &Recipe, progress: &mut dyn FnMut(&str)) -> Result<Digest> {
    let mut made = assemble(recipe, &session.dirs.catalog_cache(), progress)?;
    let finding = Finding { policy: Policy::Never, substitutes: Substitutes::Ask, progress: &Silent };
    let effects = Effects { session, finding };
    progress("storing the layer");
    let layer = effects.put_layer(&mut |out| made.rootfs.write(out))?;
    let mut config = ImageConfig::new(&Platform::linux_riscv64());
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    config.config = Config {
        env: made.env.clone(),
        cmd: Some(words(recipe.command)),
        entrypoint: (!recipe.entrypoint.is_empty()).then(|| words(recipe.entrypoint)),
        ..Config::default()
    };
    let created_by = format!("shallop catalog build {}", recipe.name);
    add(&mut config, layer, &created_by, &effects.now());
    for (command, meaning) in recipe.steps {
        progress(meaning);
        let layer = step(&effects, &config, command).with_context(|| (*meaning).to_owned())?;
        add(&mut config, layer, &format!("RUN /bin/sh -c {command}"), &effects.now());
    }
    let image = effects.put_image(&config)?;
    let name = format!("catalog.internal/{}:latest", recipe.name);
    session.store.tag(&Reference::parse(&name)?, &image)?;
    Ok(image)
}

fn add(config: &mut ImageConfig, layer: Digest, created_by: &str, now: &str) {
    config.rootfs.diff_ids.push(layer);
    config.created = Some(now.to_owned());
    config.history.push(History {
        created: Some(now.to_owned()),
        created_by: Some(created_by.to_owned()),
        ..History::default()
    });
}

fn step(effects: &Effects<'_>, config: &ImageConfig, command: &str) -> Result<Digest> {
    let step = RunStep {
        layers: config.rootfs.diff_ids.clone(),
        argv: vec!["/bin/sh".into(), "-c".into(), command.to_owned()],
        env: config.config.env.clone(),
        workdir: "/".into(),
        user: String::new(),
        platform: config.platform(),
    };
    let mut said = Vec::new();
    let result = effects.run(&step, &mut |bytes| said.extend_from_slice(bytes))?;
    let text = String::from_utf8_lossy(&said);
    anyhow::ensure!(result.exit_code == 0, "{command} ended with {}: {}", result.exit_code, text.trim());
    result.layer.context("the step's sandbox gave no layer")
}
