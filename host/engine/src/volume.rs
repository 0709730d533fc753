//! `-v host:guest[:ro]`: reading the flag, opening the host side as one capability.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use shallop_supervisor::{Access, Descriptor};

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
        let (source, rest) = split_source(flag, cfg!(windows));
        let parts: Vec<&str> = rest.map_or(Vec::new(), |rest| rest.split(':').collect());
        let (target, options) = match parts[..] {
            [target] => (target, ""),
            [target, options] => (target, options),
            [] => bail!("-v {flag}: anonymous volumes are not done yet; write host-path:container-path"),
            _ => bail!("invalid volume specification: '{flag}': write host-path:container-path[:ro]"),
        };
        ensure!(target.starts_with('/'), "invalid volume specification: '{flag}': the container path must be absolute");
        let looks_like_path = source.starts_with(['/', '.', '~']) || source.contains(std::path::is_separator);
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
    pub fn open(&self) -> Result<(Access, Descriptor)> {
        let shown = self.source.display();
        if !self.source.exists() && !self.read_only {
            std::fs::create_dir_all(&self.source).with_context(|| format!("creating the volume's folder {shown}"))?;
        }
        let meta = std::fs::metadata(&self.source).with_context(|| format!("the volume's source {shown}"))?;
        if meta.is_dir() {
            let folder = shallop_supervisor::folder(&self.source);
            let folder = folder.with_context(|| format!("opening the volume's source {shown}"))?;
            return Ok((Access::Directory { read_only: self.read_only }, folder));
        }
        ensure!(meta.is_file(), "the volume's source {shown} is neither a folder nor a file");
        let (file, read_only) =
            open_file(&self.source, self.read_only).with_context(|| format!("opening the volume's source {shown}"))?;
        Ok((Access::VolumeFile { read_only }, shallop_supervisor::file(file, &self.source)))
    }
}

/// The host side of a flag, and what follows its colon. With `drives` a letter and a colon before a path belong to it.
fn split_source(flag: &str, drives: bool) -> (&str, Option<&str>) {
    let drive = match flag.as_bytes() {
        [letter, b':', b'/' | b'\\', ..] if drives && letter.is_ascii_alphabetic() => 2,
        _ => 0,
    };
    match flag[drive..].find(':') {
        Some(colon) => (&flag[..drive + colon], Some(&flag[drive + colon + 1..])),
        None => (flag, None),
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
    fn windows_paths_have_a_drive() {
        assert_eq!(split_source(r"C:\data:/d:ro", true), (r"C:\data", Some("/d:ro")));
        assert_eq!(split_source("c:/data:/d", true), ("c:/data", Some("/d")));
        assert_eq!(split_source("c:/d", false), ("c", Some("/d")));
        assert_eq!(split_source("/a:/b", true), ("/a", Some("/b")));
        assert_eq!(split_source("alone", true), ("alone", None));
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
