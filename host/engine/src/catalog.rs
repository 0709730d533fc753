//! Building the catalog's images into the store.

use anyhow::{Context, Result, anyhow, ensure};
use shallop_build::{Images, Network, RunStep, Steps};
use shallop_catalog::substitute::APK;
use shallop_catalog::{Interface, LaidOut, Order, PHASE, Recipe, debian_arch, lay_out};
use shallop_oci::{Config, Digest, History, ImageConfig, Platform, Reference};
use shallop_store::{Image, StoreError};

use crate::Session;
use crate::build::Effects;
use crate::images::program_layer;
use crate::limits::{Limits, STEP_LOG};
use crate::network::Access;
use crate::pull::{Finding, Policy, Silent};
use crate::substitutes::Substitutes;

/// Label of an image whose packages are unpacked and not configured, since its processor is not to be had here.
pub const UNCONFIGURED_LABEL: &str = "org.shallop.catalog.unconfigured";

/// What is asked of the catalog.
#[derive(Debug, Clone)]
pub struct Options {
    pub platform: Platform,
    /// The image is to hold the source that its packages came from, for its own apt.
    pub apt_sources: bool,
}

/// An image that was made.
#[derive(Debug)]
pub struct Built {
    pub image: Digest,
    pub name: Reference,
    /// Whether maintainer scripts ran.
    pub configured: bool,
}

/// The name under which a recipe's image is kept: one for the platform that runs here, one more for each other.
fn name(recipe: &Recipe, platform: &Platform) -> Result<Reference> {
    let tag = if platform.is_linux() { "latest" } else { &platform.architecture };
    Ok(Reference::parse(&format!("catalog.internal/{}:{tag}", recipe.name))?)
}

/// Builds a recipe, and before it the one that it lies over when that is not here. `progress` is told of each phase.
///
/// # Errors
/// When packages cannot be had, a script of theirs fails, or the disk is full.
pub fn build(session: &Session, recipe: &Recipe, options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Built> {
    let platform = &options.platform;
    let arch = debian_arch(&platform.architecture).filter(|_| platform.os == "linux").ok_or_else(|| {
        anyhow!("the catalog has no packages for {platform}; it has linux/riscv64, linux/amd64 and linux/arm64")
    })?;
    let effects = Effects {
        session,
        finding: Finding { policy: Policy::Never, substitutes: Substitutes::Ask, progress: &Silent },
        limits: Limits::of_step(),
        log_limit: STEP_LOG,
        network: Access::none(),
    };
    let base = recipe.base.map(|base| self::base(session, base, options, progress)).transpose()?;
    let mut config = configuration(&recipe.interface, platform);
    if let Some(base) = &base {
        config.rootfs.diff_ids.clone_from(&base.layers);
        config.history.clone_from(&base.config.history);
    }
    let below = base.as_ref().map(|base| session.merged(&base.layers)).transpose()?;
    let cache = session.dirs.catalog_cache();
    let order = Order { recipe, arch, cache: &cache, apt_sources: options.apt_sources };
    let LaidOut { mut rootfs, env, script } = lay_out(order, below, progress)?;
    config.config.env = env;
    progress("storing the layer");
    let layer = effects.put_layer(&mut |out| rootfs.write(out))?;
    add(&mut config, layer, &format!("shallop catalog build {}", recipe.name), &effects.now());
    let configured = script.is_empty() || platform.is_linux();
    if !configured {
        let label = "packages are unpacked, their scripts did not run: dpkg --configure -a";
        config.config.labels.insert(UNCONFIGURED_LABEL.into(), label.into());
    } else if !script.is_empty() {
        progress("configuring packages");
        let layer = configure(&effects, &config, &script, progress)?;
        add(&mut config, layer, "RUN dpkg --configure -a", &effects.now());
    }
    let name = name(recipe, platform)?;
    let image = effects.put_image(&config, &[name.to_string()])?;
    Ok(Built { image, name, configured })
}

/// The image of a base recipe: the one that is here, or a new one.
fn base(session: &Session, recipe: &str, options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Image> {
    let recipe = shallop_catalog::lookup(recipe).with_context(|| format!("no recipe {recipe}"))?;
    let name = name(recipe, &options.platform)?;
    let id = match session.store.resolve(&name.to_string(), None) {
        Ok(image) => image.id,
        Err(StoreError::NoSuchImage { .. }) => {
            let mut tell = |phase: &str| progress(&format!("{}: {phase}", recipe.name));
            build(session, recipe, &Options { apt_sources: false, ..options.clone() }, &mut tell)?.image
        }
        Err(error) => return Err(error.into()),
    };
    let image = session.store.image(&id)?;
    session.store.pin(&image.layers)?;
    Ok(image)
}

/// The image that stands in for one of Alpine: the catalog's, with an `apk` that says what to do. Named
/// `catalog.internal/NAME:as-alpine`.
pub fn as_alpine(session: &Session, image: &Image, name: &str) -> Result<Image> {
    let layer = program_layer(session, "usr/sbin/apk", APK.as_bytes())?;
    let mut config = image.config.clone();
    // The image's own time: the same image every time.
    let created = config.created.clone().unwrap_or_default();
    add(&mut config, layer.diff_id, "an apk that tells of Debian", &created);
    let layers = config.rootfs.diff_ids.iter().map(|layer| session.store.layer_info(layer));
    let name = Reference::parse(&format!("{name}:as-alpine"))?;
    let id = session.store.put_image(&config, &layers.collect::<Result<Vec<_>, _>>()?, &[name])?;
    Ok(session.store.image(&id)?)
}

fn configuration(interface: &Interface, platform: &Platform) -> ImageConfig {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let keys = |list: &[&str]| list.iter().map(|key| ((*key).to_owned(), Default::default())).collect();
    let mut config = ImageConfig::new(platform);
    config.config = Config {
        cmd: Some(words(interface.command)),
        entrypoint: (!interface.entrypoint.is_empty()).then(|| words(interface.entrypoint)),
        working_dir: interface.workdir.to_owned(),
        exposed_ports: keys(interface.ports),
        volumes: keys(interface.volumes),
        stop_signal: interface.stop_signal.map(str::to_owned),
        ..Config::default()
    };
    config
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

/// Runs the image's script in a sandbox; the layer of what it changed.
fn configure(
    effects: &Effects<'_>,
    config: &ImageConfig,
    script: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<Digest> {
    let step = RunStep {
        layers: config.rootfs.diff_ids.clone(),
        argv: vec!["/bin/sh".into(), "-e".into(), "-c".into(), script.to_owned()],
        env: config.config.env.clone(),
        workdir: "/".into(),
        user: String::new(),
        platform: config.platform(),
        network: Network::None,
    };
    let mut said = String::new();
    let mut line = Vec::new();
    let result = effects.run(&step, &mut |bytes| {
        for byte in bytes {
            line.push(*byte);
            if *byte == b'\n' {
                let text = String::from_utf8_lossy(&line).into_owned();
                phase(text.trim_end(), progress);
                said.push_str(&text);
                line.clear();
            }
        }
    })?;
    said.push_str(&String::from_utf8_lossy(&line));
    let code = result.exit_code;
    ensure!(code == 0, "configuring the packages ended with {code}; the last words were:\n{}", tail(&said));
    result.layer.context("the step's sandbox gave no layer")
}

/// A line of output as progress: of the script's own, or dpkg's.
fn phase(line: &str, progress: &mut dyn FnMut(&str)) {
    if let Some(phase) = line.strip_prefix(PHASE) {
        progress(phase);
    } else if let Some(package) = line.strip_prefix("Setting up ") {
        progress(&format!("configuring {}", package.split(' ').next().unwrap_or_default()));
    }
}

/// The last lines of a long text.
fn tail(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
