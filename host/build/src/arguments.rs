//! Build arguments: given ones, the platform arguments that are always there, the predefined proxies.

use shallop_oci::Platform;

/// Names that may be given without an ARG, and that never show in the history (Dockerfile reference, "Predefined ARGs").
const PROXIES: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What `--build-arg` and the platforms give.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    given: Vec<(String, String)>,
    automatic: Vec<(&'static str, String)>,
}

impl Arguments {
    /// `build` is where the build runs, `target` what it makes; the stage's name is the one asked for with `--target`.
    pub fn new(given: &[(String, String)], build: &Platform, target: &Platform, stage: &str) -> Arguments {
        let variant = |platform: &Platform| platform.variant.clone().unwrap_or_default();
        let automatic = vec![
            ("BUILDPLATFORM", build.to_string()),
            ("BUILDOS", build.os.clone()),
            ("BUILDARCH", build.architecture.clone()),
            ("BUILDVARIANT", variant(build)),
            ("TARGETPLATFORM", target.to_string()),
            ("TARGETOS", target.os.clone()),
            ("TARGETARCH", target.architecture.clone()),
            ("TARGETVARIANT", variant(target)),
            ("TARGETSTAGE", stage.to_owned()),
        ];
        Arguments { given: given.to_vec(), automatic }
    }

    /// The value given for an ARG of this name, the platform arguments included.
    pub fn given(&self, name: &str) -> Option<String> {
        let given = self.given.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        given.or_else(|| self.automatic(name))
    }

    /// A platform argument.
    pub fn automatic(&self, name: &str) -> Option<String> {
        self.automatic.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
    }

    /// Proxies that were given: they reach every RUN, but neither history nor cache keys.
    pub fn proxies(&self) -> impl Iterator<Item = &(String, String)> {
        self.given.iter().filter(|(name, _)| PROXIES.contains(&name.as_str()))
    }

    /// Given names that nothing declares.
    pub fn unused<'a>(&'a self, declared: &'a [String]) -> Vec<&'a str> {
        let names = self.given.iter().map(|(name, _)| name.as_str());
        // Those that mean something to a builder itself are no mistake.
        let names = names.filter(|name| !name.starts_with("BUILDKIT_") && *name != "SOURCE_DATE_EPOCH");
        names.filter(|name| !PROXIES.contains(name) && !declared.iter().any(|d| d == name)).collect()
    }
}
