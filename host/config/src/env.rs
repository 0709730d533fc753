//! Every environment variable that shallop reads, with its meaning. Read one with [`Var::get`].

use std::ffi::OsString;

/// An environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var {
    pub name: &'static str,
    /// One sentence for help texts.
    pub help: &'static str,
}

impl Var {
    /// Its value; `None` when it is unset or empty.
    pub fn get(&self) -> Option<OsString> {
        std::env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// Its value, or that of the variable with the same name in lower case, as programs read `https_proxy`.
    pub fn get_in_any_case(&self) -> Option<OsString> {
        self.get().or_else(|| std::env::var_os(self.name.to_ascii_lowercase()).filter(|value| !value.is_empty()))
    }

    /// Whether it is set to something.
    pub fn is_set(&self) -> bool {
        self.get().is_some()
    }
}

macro_rules! vars {
    ($($(#[$doc:meta])* $id:ident = $help:literal;)*) => {
        $($(#[$doc])* pub const $id: Var = Var { name: stringify!($id), help: $help };)*
        /// All of them, in the order of this file.
        pub const ALL: &[Var] = &[$($id),*];
    };
}

vars! {
    /// One folder for data, cache, state and runtime files.
    SHALLOP_HOME = "Keep everything (images, containers, caches) below this folder instead of the XDG folders";
    /// The user's home; base of the XDG defaults.
    HOME = "The user's home folder";
    /// Windows' word for it.
    USERPROFILE = "The user's home folder on Windows";
    /// Windows' folder for what programs keep of a user on this machine.
    LOCALAPPDATA = "Base of all folders on Windows (default %USERPROFILE%\\AppData\\Local)";
    /// XDG Base Directory Specification.
    XDG_DATA_HOME = "Base of the data folder (default ~/.local/share)";
    /// XDG Base Directory Specification.
    XDG_CACHE_HOME = "Base of the cache folder (default ~/.cache)";
    /// XDG Base Directory Specification.
    XDG_STATE_HOME = "Base of the state folder (default ~/.local/state)";
    /// XDG Base Directory Specification.
    XDG_CONFIG_HOME = "Base of the folder for configuration (default ~/.config)";
    /// XDG Base Directory Specification.
    XDG_RUNTIME_DIR = "Base of the folder for sockets and locks (default: below the state folder)";
    /// As Docker has it.
    DOCKER_CONFIG = "Folder of Docker's config.json (default ~/.docker): credentials of registries, proxies to pass on";
    /// https://reproducible-builds.org/specs/source-date-epoch/
    SOURCE_DATE_EPOCH = "Time stamp, in seconds since 1970, that builds write in place of the present";
    /// https://no-color.org
    NO_COLOR = "Print without colours";
    /// `interpreter`, `lazy`, and for tests `precise` and `storm`.
    SHALLOP_ENGINE = "How programs of Linux images run: \"lazy\" (the default: hot code is translated), or \"interpreter\" (\"precise\" and \"storm\" are for tests: faults find all registers everywhere; tasks are preempted all the time)";
    /// A size as `--memory` takes it.
    SHALLOP_CACHE_LIMIT = "How much translated code is kept, for example \"500m\" (default 1g); what was not used for the longest time goes first";
    /// Anything.
    SHALLOP_OFFLINE = "Do not ask registries: an image that is not here is an error at once";
    /// Also in lower case.
    HTTPS_PROXY = "Proxy for registries that are reached by https";
    /// Also in lower case.
    HTTP_PROXY = "Proxy for registries that are reached by plain http";
    /// Also in lower case.
    NO_PROXY = "Hosts and networks that are reached without a proxy, separated by commas";
    /// Read by the crate rustls-native-certs.
    SSL_CERT_FILE = "Certificate authorities, in place of the machine's own";
    /// Read by the crate rustls-native-certs.
    SSL_CERT_DIR = "Folders of certificate authorities, in place of the machine's own";
    /// Tests only.
    SHALLOP_TEST_HOT = "After how many calls or jumps back code is translated at once, while its task waits";
    /// Tests only.
    SHALLOP_TEST_LINGER = "How many seconds of CPU time a translator goes on for after its worker's end";
    /// Tests only.
    SHALLOP_TEST_REQUIRE_ORACLES = "Tests fail, instead of skipping, where a program they compare with is missing";
    /// Tests only.
    SHALLOP_TEST_SKIPS = "File to which tests append what they skipped";
    /// Tests only.
    SHALLOP_TEST_BLESS = "Tests that compare a generated page with the stored one store the new one";
    /// Tests only.
    SHALLOP_TEST_CHILD = "Set for processes that a test starts from its own program";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn names_are_unique_and_explained() {
        for (i, var) in ALL.iter().enumerate() {
            assert!(!var.help.is_empty() && !var.help.ends_with('.'), "{}", var.name);
            assert!(ALL[..i].iter().all(|other| other.name != var.name), "{} twice", var.name);
        }
    }
}
