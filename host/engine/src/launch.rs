//! From an image, a process and volumes to a worker's `Request`: numbers the grants and fills the launch spec.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use shallop_compiler::translated::{self, Found};
use shallop_host_abi::ABI_VERSION;
use shallop_host_abi::spec::{Bind, LaunchSpec, LayerGrant, Mount, Network};
use shallop_supervisor::jobs::Variant;
use shallop_supervisor::network::{self, Policy};
use shallop_supervisor::{Access, Grant, Kind, Ready, Request, Translations, Workload};

use crate::dns::Dns;
use crate::limits::Limits;
use crate::process::Process;
use crate::session::Layer;
use crate::volume::Volume;

/// Everything about a Linux sandbox but its stdio.
#[derive(Debug)]
pub struct LinuxSandbox {
    pub arch: String,
    pub hostname: String,
    pub process: Process,
    pub layers: Vec<Layer>,
    pub upper_journal: File,
    pub upper_data: File,
    pub volumes: Vec<Volume>,
    /// What of the network it may reach; `None`: nothing.
    pub network: Option<Policy>,
    /// What it is told of name servers.
    pub dns: Dns,
    /// Files that are laid over the image's for the time that it runs: path, text.
    pub files: Vec<(String, String)>,
    pub tty: bool,
    pub interactive: bool,
    pub limits: Limits,
    pub strace: bool,
    /// When hot code is to be translated.
    pub translations: Option<Translations>,
}

/// The container's stdio, its trace stream and its profile stream.
#[derive(Debug)]
pub struct Streams {
    pub stdio: [OwnedFd; 3],
    pub trace: Option<OwnedFd>,
    /// Where samples go, when they are taken.
    pub profile: Option<OwnedFd>,
}

impl LinuxSandbox {
    /// The worker's request; `kernel` and `cpu` are compiled modules.
    pub fn request(self, kernel: File, cpu: File, streams: Streams) -> Result<Request> {
        let mut grants = Grants { translations: self.translations.clone(), ..Grants::default() };
        let layers = self.layers.into_iter().map(|layer| grants.layer(layer)).collect();
        let upper_journal = grants.add(Access::Own { limit: self.limits.disk }, self.upper_journal.into());
        let upper_data = grants.add(Access::Own { limit: self.limits.disk }, self.upper_data.into());
        let mounts = self.volumes.iter().map(|volume| grants.volume(volume)).collect::<Result<_>>()?;
        let title = self.process.argv.clone();
        let policy = self.network.clone().map(|policy| Policy { own_name: Some(self.hostname.clone()), ..policy });
        let spec = LaunchSpec {
            version: ABI_VERSION,
            arch: self.arch,
            overlay_files: [network_files(&self.hostname, self.network.as_ref(), &self.dns), self.files].concat(),
            network: self.network.as_ref().map(|_| container_network()),
            hostname: self.hostname,
            argv: self.process.argv,
            env: self.process.env,
            cwd: self.process.workdir,
            user: self.process.user,
            layers,
            upper_journal,
            upper_data,
            mounts,
            tty: self.tty,
            interactive: self.interactive,
            memory_limit: self.limits.memory,
            disk_limit: self.limits.disk,
            tasks_max: self.limits.tasks,
            strace: self.strace,
            profile: streams.profile.is_some(),
            seed: seed()?,
        };
        let spec = String::from_utf8(spec.to_json()).context("the launch spec is JSON")?;
        Ok(Request {
            workload: Workload {
                kind: Kind::Linux { spec },
                memory_limit: self.limits.memory,
                wall_limit: self.limits.wall,
            },
            code: vec![kernel.into(), cpu.into()],
            grants: grants.list,
            stdio: streams.stdio,
            trace: streams.trace,
            profile: streams.profile,
            network: policy,
            translations: self.translations,
            ready: grants.ready,
            title,
        })
    }
}

/// The list of grants; a grant's place is its handle.
#[derive(Debug, Default)]
pub struct Grants {
    pub list: Vec<Grant>,
    /// When translated code is wanted.
    translations: Option<Translations>,
    /// What it has for the code of the layers.
    ready: Vec<Ready>,
}

impl Grants {
    /// Adds one and returns its handle.
    pub fn add(&mut self, access: Access, descriptor: OwnedFd) -> u32 {
        self.list.push(Grant { access, descriptor });
        self.list.len() as u32 - 1
    }

    fn layer(&mut self, layer: Layer) -> LayerGrant {
        LayerGrant {
            tar: self.add(Access::Immutable, layer.tar.into()),
            index: self.add(Access::Immutable, layer.index.into()),
            aligned: layer.aligned.map(|file| self.code(file)),
        }
    }

    /// The file with a layer's programs, and what is translated of them.
    fn code(&mut self, file: File) -> u32 {
        let wanted = self.translations.iter();
        let find = |wanted: &Translations| {
            // A process starts with the lazy variant, and has the other one when it handles faults.
            let variants: &[Variant] =
                if wanted.how.precise { &[Variant::Precise] } else { &[Variant::Lazy, Variant::Precise] };
            translated::find(&wanted.cache, &file, variants)
        };
        let found = wanted.flat_map(find).collect::<Vec<_>>();
        let grant = self.add(Access::Immutable, file.into());
        let ready = |found: Found| {
            let precise = found.variant == Variant::Precise;
            let modules = found.modules.into_iter().map(OwnedFd::from).collect();
            Ready { grant, offset: found.offset, len: found.len, precise, modules, unfinished: found.unfinished }
        };
        self.ready.extend(found.into_iter().map(ready));
        grant
    }

    fn volume(&mut self, volume: &Volume) -> Result<Mount> {
        let (access, descriptor) = volume.open()?;
        let directory = matches!(access, Access::Directory { .. });
        let handle = self.add(access, descriptor);
        let bind = if directory { Bind::Directory(handle) } else { Bind::File(handle) };
        Ok(Mount { target: volume.target.clone(), bind, read_only: volume.read_only })
    }
}

/// What a container sees of the network outside.
fn container_network() -> Network {
    Network { address: network::SUBNET_ADDRESS, gateway: network::GATEWAY }
}

/// The files that Docker puts over every image.
fn network_files(hostname: &str, policy: Option<&Policy>, dns: &Dns) -> Vec<(String, String)> {
    let own = if policy.is_some() { network::SUBNET_ADDRESS } else { Ipv4Addr::LOCALHOST };
    let mut hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    for (name, ip) in policy.iter().flat_map(|policy| &policy.hosts) {
        hosts.push_str(&format!("{ip}\t{name}\n"));
    }
    hosts.push_str(&format!("{own}\t{hostname}\n"));
    let file = |path: &str, text: String| (path.to_owned(), text);
    vec![
        file("/etc/hostname", format!("{hostname}\n")),
        file("/etc/hosts", hosts),
        file("/etc/resolv.conf", dns.resolv_conf(policy.is_some())),
    ]
}

/// A seed from the host's random source.
fn seed() -> Result<u64> {
    use std::io::Read;
    let mut bytes = [0; 8];
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).context("reading random bytes")?;
    Ok(u64::from_le_bytes(bytes))
}
