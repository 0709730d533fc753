//! Every path that shallop touches: [`Dirs`], from `SHALLOP_HOME`, the XDG Base Directory Specification, or Windows'
//! `LOCALAPPDATA`.
//!
//! ```text
//! data     blobs/sha256/<hex>            content by digest
//!          layers/<hex>/{tar,index,aligned}  layers by diffID, ready to be mounted
//!          ingest/                       unfinished writes
//!          locks/                        lease files
//!          shallop.db                    metadata (SQLite)
//! cache    code/                         compiled modules
//!          catalog/                      downloaded packages
//! state    containers/<id>/{journal,data,…}  writable layers and logs
//! config   registries.json               mirrors, registries without TLS
//!          substitutes.json              images whose substitutes are accepted
//!          certs.d/<host[:port]>/*.crt   certificate authorities of a registry
//! runtime  sockets of running containers
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::env;

const APP: &str = "shallop";

/// The variable that names the user's home folder on this system.
const HOME: env::Var = if cfg!(windows) { env::USERPROFILE } else { env::HOME };

/// The base folders. Nothing is created here; who writes creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// Images, layers and the database.
    pub data: PathBuf,
    /// What can be made again.
    pub cache: PathBuf,
    /// Containers.
    pub state: PathBuf,
    /// What the user wrote.
    pub config: PathBuf,
    /// Sockets; gone after a reboot.
    pub runtime: PathBuf,
}

/// Why there are no folders.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirsError {
    /// No variable says where.
    #[error("no home folder: set {}, or SHALLOP_HOME", HOME.name)]
    NoHome,
    /// `SHALLOP_HOME` is relative and there is no current folder to resolve it against.
    #[error("SHALLOP_HOME is relative and the current folder cannot be read")]
    NoCurrentDir,
}

impl Dirs {
    /// The folders that the environment names.
    ///
    /// # Errors
    /// [`DirsError`] when neither `SHALLOP_HOME` nor `HOME` is set.
    pub fn from_env() -> Result<Dirs, DirsError> {
        match cfg!(windows) {
            true => Dirs::from_windows_vars(&|var| var.get()),
            false => Dirs::from_vars(&|var| var.get()),
        }
    }

    /// All of them below one folder, as `SHALLOP_HOME` does.
    pub fn below(home: &Path) -> Dirs {
        Dirs {
            data: home.join("data"),
            cache: home.join("cache"),
            state: home.join("state"),
            config: home.join("config"),
            runtime: home.join("run"),
        }
    }

    fn from_vars(get: &dyn Fn(&env::Var) -> Option<OsString>) -> Result<Dirs, DirsError> {
        if let Some(home) = explicit(get)? {
            return Ok(home);
        }
        let home = get(&env::HOME).map(PathBuf::from);
        // The specification: relative paths in these variables are to be ignored.
        let absolute = |var| get(var).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = |var, default: &str| {
            absolute(var)
                .or_else(|| Some(home.as_ref()?.join(default)))
                .map(|path| path.join(APP))
                .ok_or(DirsError::NoHome)
        };
        let state = base(&env::XDG_STATE_HOME, ".local/state")?;
        Ok(Dirs {
            data: base(&env::XDG_DATA_HOME, ".local/share")?,
            cache: base(&env::XDG_CACHE_HOME, ".cache")?,
            config: base(&env::XDG_CONFIG_HOME, ".config")?,
            runtime: absolute(&env::XDG_RUNTIME_DIR).map_or_else(|| state.join("run"), |path| path.join(APP)),
            state,
        })
    }

    /// Windows has one folder for what programs keep of a user on this machine.
    fn from_windows_vars(get: &dyn Fn(&env::Var) -> Option<OsString>) -> Result<Dirs, DirsError> {
        if let Some(home) = explicit(get)? {
            return Ok(home);
        }
        let local = || Some(PathBuf::from(get(&env::USERPROFILE)?).join("AppData").join("Local"));
        let base = get(&env::LOCALAPPDATA).map(PathBuf::from).or_else(local).ok_or(DirsError::NoHome)?;
        Ok(Dirs::below(&base.join(APP)))
    }

    /// Blobs by digest: `blobs/sha256`.
    pub fn blobs(&self) -> PathBuf {
        self.data.join("blobs").join("sha256")
    }

    /// Layers by diffID: `layers`.
    pub fn layers(&self) -> PathBuf {
        self.data.join("layers")
    }

    /// Unfinished writes; on the same file system as blobs and layers.
    pub fn ingest(&self) -> PathBuf {
        self.data.join("ingest")
    }

    /// Blobs of which a part has come, by digest; on the same file system as blobs.
    pub fn partial(&self) -> PathBuf {
        self.data.join("partial")
    }

    /// Lock files of leases and of build steps.
    pub fn locks(&self) -> PathBuf {
        self.data.join("locks")
    }

    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.data.join("shallop.db")
    }

    /// A folder per container.
    pub fn containers(&self) -> PathBuf {
        self.state.join("containers")
    }

    /// Compiled modules.
    pub fn code_cache(&self) -> PathBuf {
        self.cache.join("code")
    }

    /// Translated guest code.
    pub fn translations(&self) -> PathBuf {
        self.cache.join("translations")
    }

    /// Images whose substitutes are accepted without a flag.
    pub fn substitutes(&self) -> PathBuf {
        self.config.join("substitutes.json")
    }

    /// What is configured of registries.
    pub fn registries(&self) -> PathBuf {
        self.config.join("registries.json")
    }

    /// Certificate authorities, in a folder for each registry.
    pub fn certificates(&self) -> PathBuf {
        self.config.join("certs.d")
    }

    /// Packages that the catalog downloaded.
    pub fn catalog_cache(&self) -> PathBuf {
        self.cache.join("catalog")
    }
}

/// What `SHALLOP_HOME` says, when it is set.
fn explicit(get: &dyn Fn(&env::Var) -> Option<OsString>) -> Result<Option<Dirs>, DirsError> {
    let Some(home) = get(&env::SHALLOP_HOME) else { return Ok(None) };
    let home = std::path::absolute(PathBuf::from(home)).map_err(|_| DirsError::NoCurrentDir)?;
    Ok(Some(Dirs::below(&home)))
}

/// Docker's `config.json`, which its command line and this one read alike; `None` where there is no home.
pub fn docker_config() -> Option<PathBuf> {
    let folder = env::DOCKER_CONFIG.get().map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(HOME.get()?).join(".docker")));
    Some(folder?.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(vars: &[(&str, &str)]) -> Result<Dirs, DirsError> {
        Dirs::from_vars(&|var| vars.iter().find(|(name, _)| *name == var.name).map(|(_, value)| value.into()))
    }

    #[test]
    fn defaults_are_below_home() {
        let dirs = dirs(&[("HOME", "/home/x")]).unwrap();
        assert_eq!(dirs.database(), Path::new("/home/x/.local/share/shallop/shallop.db"));
        assert_eq!(dirs.code_cache(), Path::new("/home/x/.cache/shallop/code"));
        assert_eq!(dirs.containers(), Path::new("/home/x/.local/state/shallop/containers"));
        assert_eq!(dirs.runtime, Path::new("/home/x/.local/state/shallop/run"));
        assert_eq!(dirs.registries(), Path::new("/home/x/.config/shallop/registries.json"));
    }

    #[test]
    fn xdg_variables_count_when_absolute() {
        let vars =
            [("HOME", "/h"), ("XDG_DATA_HOME", "/d"), ("XDG_CACHE_HOME", "rel"), ("XDG_RUNTIME_DIR", "/run/user/1")];
        let dirs = dirs(&vars).unwrap();
        assert_eq!(dirs.data, Path::new("/d/shallop"));
        assert_eq!(dirs.cache, Path::new("/h/.cache/shallop"));
        assert_eq!(dirs.runtime, Path::new("/run/user/1/shallop"));
    }

    #[test]
    fn shallop_home_wins() {
        let dirs = dirs(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d"), ("SHALLOP_HOME", "/s")]).unwrap();
        assert_eq!(dirs, Dirs::below(Path::new("/s")));
        assert_eq!(dirs.ingest(), Path::new("/s/data/ingest"));
    }

    #[test]
    fn windows_has_one_folder() {
        let dirs = |vars: &[(&str, &str)]| {
            Dirs::from_windows_vars(&|var| {
                vars.iter().find(|(name, _)| *name == var.name).map(|(_, value)| value.into())
            })
        };
        assert_eq!(dirs(&[("LOCALAPPDATA", "/l"), ("USERPROFILE", "/u")]), Ok(Dirs::below(Path::new("/l/shallop"))));
        assert_eq!(dirs(&[("USERPROFILE", "/u")]), Ok(Dirs::below(Path::new("/u/AppData/Local/shallop"))));
        assert_eq!(dirs(&[("SHALLOP_HOME", "/s"), ("LOCALAPPDATA", "/l")]), Ok(Dirs::below(Path::new("/s"))));
        assert_eq!(dirs(&[("HOME", "/h")]), Err(DirsError::NoHome));
    }

    #[test]
    fn nothing_set_is_an_error() {
        assert_eq!(dirs(&[]), Err(DirsError::NoHome));
    }
}
