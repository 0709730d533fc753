//! A registry of one image, on loopback: the first one of an archive that `shallop save` made, as `latest` of any name.

use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::http::{self, Server};

/// Sends the part of a blob that begins at an offset.
pub type Send = dyn Fn(&mut TcpStream, &[u8], usize) -> io::Result<()> + std::marker::Send + Sync;

/// Sends all of it, as registries do.
///
/// # Errors
/// The client went away.
pub fn all(stream: &mut TcpStream, part: &[u8], _: usize) -> io::Result<()> {
    stream.write_all(part)
}

/// Unpacks the archive into `place`, and serves its image from there, with ranges; blobs by `send`.
///
/// # Panics
/// When it is no archive.
pub fn of_archive(archive: &Path, place: &Path, send: Box<Send>) -> Server {
    let unpacked = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(place).status().expect("start tar");
    assert!(unpacked.success(), "tar -xf {}", archive.display());
    let index = fs::read(place.join("index.json")).expect("read the index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("the index is JSON");
    let manifest = |key: &str| index["manifests"][0][key].as_str().unwrap_or_default().to_owned();
    let (digest, media_type, place) = (manifest("digest"), manifest("mediaType"), place.to_owned());
    Server::start(move |request, stream| {
        let name = request.target.rsplit('/').next().unwrap_or_default();
        let name = if name == "latest" { &digest } else { name };
        let Ok(bytes) = fs::read(place.join("blobs").join(name.replace(':', "/"))) else {
            return http::answer(stream, 404, &[], b"");
        };
        if request.target.contains("/manifests/") {
            return http::answer(stream, 200, &[("Content-Type", &media_type)], &bytes);
        }
        let length = bytes.len();
        match request.range().filter(|at| *at < length) {
            None => http::head(stream, 200, &[("Content-Length", &length.to_string())])?,
            Some(at) => {
                let range = format!("bytes {at}-{}/{length}", length - 1);
                let headers = [("Content-Length", &*(length - at).to_string()), ("Content-Range", &range)];
                http::head(stream, 206, &headers)?;
            }
        }
        let at = request.range().unwrap_or(0).min(length);
        send(stream, &bytes[at..], at)
    })
}
