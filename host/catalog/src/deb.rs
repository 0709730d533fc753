//! A Debian package file: an ar archive with `control.tar.*` and `data.tar.*` (deb(5)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Bytes of a package's control files in all.
const CONTROL_MAX: u64 = 64 << 20;

/// An open package.
#[derive(Debug)]
pub struct Deb {
    path: PathBuf,
    /// (name, offset, length) of each member.
    members: Vec<(String, u64, u64)>,
}

impl Deb {
    /// Reads the archive's table of members.
    pub fn open(path: &Path) -> Result<Deb> {
        let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let members = members(&mut file).with_context(|| format!("reading {}", path.display()))?;
        Ok(Deb { path: path.to_owned(), members })
    }

    /// The files to install, as an uncompressed tar stream.
    pub fn data(&self) -> Result<tar::Archive<Box<dyn Read>>> {
        self.member("data.tar")
    }

    /// The control archive's files by name (`control`, `postinst`, `conffiles` …), none of them large.
    pub fn control_files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut archive = self.member("control.tar")?;
        let mut files = BTreeMap::new();
        let mut room = CONTROL_MAX;
        for entry in archive.entries()? {
            let entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path()?.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            let name = name.with_context(|| format!("{}: a control file without a name", self.path.display()))?;
            let mut bytes = Vec::new();
            entry.take(room + 1).read_to_end(&mut bytes).with_context(|| format!("{}: {name}", self.path.display()))?;
            let len = bytes.len() as u64;
            ensure!(len <= room, "{}: more than {CONTROL_MAX} bytes of control files", self.path.display());
            room -= len;
            files.insert(name, bytes);
        }
        ensure!(files.contains_key("control"), "{} has no control file", self.path.display());
        Ok(files)
    }

    fn member(&self, stem: &str) -> Result<tar::Archive<Box<dyn Read>>> {
        let (name, offset, len) = self
            .members
            .iter()
            .find(|(name, _, _)| name.starts_with(stem))
            .with_context(|| format!("{} has no {stem}", self.path.display()))?;
        let mut file = File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        file.seek(SeekFrom::Start(*offset))?;
        Ok(tar::Archive::new(decompress(name, file.take(*len))?))
    }
}

fn decompress(name: &str, member: Take<File>) -> Result<Box<dyn Read>> {
    let member = BufReader::with_capacity(1 << 16, member);
    match name.rsplit('.').next() {
        Some("xz") => Ok(Box::new(xz2::read::XzDecoder::new_multi_decoder(member))),
        Some("gz") => Ok(Box::new(flate2::read::GzDecoder::new(member))),
        Some("zst") => Ok(Box::new(zstd::Decoder::with_buffer(member)?)),
        Some("tar") => Ok(Box::new(member)),
        _ => bail!("{name} is compressed in an unknown way"),
    }
}

fn members(file: &mut File) -> Result<Vec<(String, u64, u64)>> {
    let end = file.metadata()?.len();
    let mut magic = [0; 8];
    file.read_exact(&mut magic)?;
    ensure!(&magic == MAGIC, "not an ar archive");
    let mut members = Vec::new();
    let mut at = MAGIC.len() as u64;
    while at + HEADER as u64 <= end {
        let mut header = [0; HEADER];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut header)?;
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim().to_owned();
        let len: u64 = text(48..58).parse().context("a member's size is no number")?;
        let start = at + HEADER as u64;
        ensure!(start + len <= end, "it ends in the middle of a member (truncated)");
        members.push((text(0..16).trim_end_matches('/').to_owned(), start, len));
        at = start + len + len % 2;
    }
    Ok(members)
}

/// A field's first line in a control stanza.
pub fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_package_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(
            format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "data.tar", 0, 0, 0, 644, 4096).as_bytes(),
        );
        std::fs::write(&path, &bytes).unwrap();
        let error = format!("{:#}", Deb::open(&path).unwrap_err());
        assert!(error.contains("x.deb") && error.contains("truncated"), "{error}");
    }

    #[test]
    fn fields() {
        assert_eq!(field("Package: a\nVersion: 1.2-3\n", "Version"), Some("1.2-3"));
        assert_eq!(field("Package: a\n", "Version"), None);
    }
}
