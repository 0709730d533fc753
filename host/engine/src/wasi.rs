//! WASI modules: a file on the host, or an image of platform `wasi/wasm`.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use shallop_store::Image;
use shallop_supervisor::{Access, Grant, Kind, Request, Workload, own_streams};

use crate::Session;
use crate::process::Process;
use crate::run::Options;

/// Bytes of a module at most.
const MAX_MODULE: u64 = 256 << 20;

/// The image has no module of this name.
#[derive(Debug)]
pub struct NoSuchProgram(String);

impl std::fmt::Display for NoSuchProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exec: {:?}: executable file not found in $PATH", self.0)
    }
}

impl std::error::Error for NoSuchProgram {}

/// `shallop run app.wasm`.
pub fn file_request(session: &Session, options: &Options) -> Result<Request> {
    let mut wasm = Vec::new();
    let file = std::fs::File::open(&options.image).with_context(|| format!("opening {}", options.image))?;
    file.take(MAX_MODULE + 1).read_to_end(&mut wasm).with_context(|| format!("reading {}", options.image))?;
    let env = options.overrides.env.iter().map(|entry| match entry.contains('=') {
        true => entry.clone(),
        false => format!("{entry}={}", std::env::var(entry).unwrap_or_default()),
    });
    let mut argv = vec![options.image.clone()];
    argv.extend(options.overrides.arguments.iter().cloned());
    request(session, options, &wasm, argv, env.collect()).with_context(|| format!("running {}", options.image))
}

/// An image's module: the file that its first argument names.
pub fn image_request(session: &Session, options: &Options, image: &Image, process: Process) -> Result<Request> {
    let path = process.argv.first().context("the image names no module")?.clone();
    let merged = session.merged(&image.layers)?;
    let absolute =
        crate::volume::normalise(&format!("{}/{path}", if path.starts_with('/') { "" } else { &process.workdir }));
    let node = merged.find(absolute.trim_start_matches('/').as_bytes())?.ok_or_else(|| NoSuchProgram(path.clone()))?;
    let size = merged.stat(&node)?.size;
    ensure!(size <= MAX_MODULE, "{path} is larger than {} MiB", MAX_MODULE >> 20);
    let mut wasm = vec![0; size as usize];
    let mut at = 0;
    while at < wasm.len() {
        match merged.read(&node, at as u64, &mut wasm[at..])? {
            0 => anyhow::bail!("{path} ends early: its layer is damaged"),
            n => at += n,
        }
    }
    request(session, options, &wasm, process.argv, process.env).with_context(|| format!("running {path}"))
}

fn request(session: &Session, options: &Options, wasm: &[u8], argv: Vec<String>, env: Vec<String>) -> Result<Request> {
    ensure!(wasm.len() as u64 <= MAX_MODULE, "the module is larger than {} MiB", MAX_MODULE >> 20);
    ensure!(wasm.starts_with(b"\0asm"), "exec format error: not a WebAssembly module");
    let code = session.module_code(wasm)?;
    let mut grants = Vec::new();
    let mut preopens = Vec::new();
    for volume in &options.volumes {
        let (access, descriptor) = volume.open()?;
        ensure!(
            matches!(access, Access::Directory { .. }),
            "-v {}: a WASI module can be given folders, not single files",
            volume.source.display()
        );
        preopens.push((volume.target.clone(), grants.len() as u32));
        grants.push(Grant { access, descriptor });
    }
    let split = |entry: String| entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Request {
        workload: Workload {
            kind: Kind::Wasi { argv: argv.clone(), env: env.into_iter().filter_map(split).collect(), preopens },
            memory_limit: options.limits.memory,
            wall_limit: options.limits.wall,
        },
        code: vec![code],
        grants,
        stdio: own_streams(options.interactive)?,
        trace: None,
        network: None,
        profile: None,
        translations: None,
        ready: Vec::new(),
        title: argv,
    })
}
