//! `-v host:guest[:ro]`: reading the flag, opening the host side as one capability.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use shallop_supervisor::Access;

/// One `-v` flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
    pub read_only: bool,
}

impl Volume {
    /// Parses `host:guest[:options]`; options are `ro`, `rw` and the SELinux and consistency words that have no meaning here.
    pub fn parse(flag: &str) -> Result<Volume> {
        let parts: Vec<&str> = flag.split(':').collect();
        let (source, target, options) = match parts[..] {
            [source, target] => (source, target, ""),
            [source, target, options] => (source, target, options),
            [_] => bail!("-v {flag}: anonymous volumes are not done yet; write host-path:container-path"),
            _ => bail!("invalid volume specification: '{flag}': write host-path:container-path[:ro]"),
        };
        ensure!(target.starts_with('/'), "invalid volume specification: '{flag}': the container path must be absolute");
        let looks_like_path = source.starts_with(['/', '.', '~']) || source.contains('/');
        ensure!(looks_like_path, "-v {flag}: named volumes are not done yet; write a host path (./{source})");
        let mut read_only = false;
        for option in options.split(',').filter(|o| !o.is_empty()) {
            match option {
                "ro" | "readonly" => read_only = true,
                "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
                _ => bail!("invalid volume specification: '{flag}': unknown option '{option}'"),
            }
        }
        let source = std::path::absolute(source).with_context(|| format!("-v {flag}"))?;
        Ok(Volume { source, target: normalise(target), read_only })
    }

    /// Opens the host side: a directory (created when missing, as Docker does) or a single file.
    pub fn open(&self) -> Result<(Access, OwnedFd)> {
        let shown = self.source.display();
        if !self.source.exists() && !self.read_only {
            std::fs::create_dir_all(&self.source).with_context(|| format!("creating the volume's folder {shown}"))?;
        }
        let meta = std::fs::metadata(&self.source).with_context(|| format!("the volume's source {shown}"))?;
        if meta.is_dir() {
            let flags = rustix::fs::OFlags::DIRECTORY.bits() as i32;
            let dir = File::options().read(true).custom_flags(flags).open(&self.source);
            let dir = dir.with_context(|| format!("opening the volume's source {shown}"))?;
            return Ok((Access::Directory { read_only: self.read_only }, dir.into()));
        }
        ensure!(meta.is_file(), "the volume's source {shown} is neither a folder nor a file");
        let (file, read_only) =
            open_file(&self.source, self.read_only).with_context(|| format!("opening the volume's source {shown}"))?;
        Ok((Access::VolumeFile { read_only }, file.into()))
    }
}

/// Opens for writing where asked and allowed, else for reading only.
fn open_file(path: &Path, read_only: bool) -> std::io::Result<(File, bool)> {
    if !read_only {
        match File::options().read(true).write(true).open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {}
            other => return other.map(|file| (file, false)),
        }
    }
    File::open(path).map(|file| (file, true))
}

/// Resolves `.`, `..`, doubled and trailing slashes of an absolute path by its text alone.
pub fn normalise(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_docker_reads_them() {
        let volume = Volume::parse("/a/b:/c/../d/:ro").unwrap();
        assert_eq!((volume.source, volume.target.as_str(), volume.read_only), ("/a/b".into(), "/d", true));
        assert!(Volume::parse("./x:/d").unwrap().source.is_absolute());
        assert!(Volume::parse("/a:d").unwrap_err().to_string().contains("absolute"));
        assert!(Volume::parse("data:/d").unwrap_err().to_string().contains("named volumes"));
        assert!(Volume::parse("/a:/b:rq").unwrap_err().to_string().contains("rq"));
    }

    #[test]
    fn a_single_file_is_one_open_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        std::fs::write(&path, "x").unwrap();
        let volume = Volume::parse(&format!("{}:/w:ro", path.display())).unwrap();
        assert_eq!(volume.open().unwrap().0, Access::VolumeFile { read_only: true });
    }
}
