//! The seal of a layer's files: a checksum in the index's header, and the lengths that the index tells of the others.
//!
//! It finds what a failing disk or a stray program did to a layer, at the price of reading the index once per start. It
//! is no protection from somebody who wants to deceive: whoever can write here can do anything as this user.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};

use shallop_layer::index::{CHECKSUM, HEADER, Header};

/// Puts the checksum into an index's header.
pub fn seal(index: &mut [u8]) {
    let sum = checksum(index);
    if let Some(place) = index.get_mut(CHECKSUM) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// What is wrong with the files beside a layer's tar, in a few words; `None` when nothing is.
pub fn flaw(tar: &File, index: &mut File, aligned: Option<&File>) -> std::io::Result<Option<String>> {
    let meta = index.metadata()?;
    if !meta.is_file() {
        return Ok(Some("the index is no file".to_owned()));
    }
    let (header, sum) = read(index)?;
    index.rewind()?;
    if header.get(CHECKSUM) != Some(&sum.to_le_bytes()) {
        return Ok(Some("the index has the wrong checksum".to_owned()));
    }
    let header = match Header::parse(&header, meta.len()) {
        Ok(header) => header,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let length = |file: &File| file.metadata().map(|meta| if meta.is_file() { meta.len() } else { 0 });
    if length(tar)? < header.tar_size {
        return Ok(Some(format!("the tar has {} bytes, {} are wanted", length(tar)?, header.tar_size)));
    }
    let aligned = aligned.map_or(Ok(0), length)?;
    if aligned != header.aligned_size {
        return Ok(Some(format!("the aligned copies have {aligned} bytes, {} are wanted", header.aligned_size)));
    }
    Ok(None)
}

/// An index's header, as far as there is one, and the checksum of all of it.
fn read(index: &mut File) -> std::io::Result<(Vec<u8>, u32)> {
    let mut header = Vec::with_capacity(HEADER);
    index.take(HEADER as u64).read_to_end(&mut header)?;
    let mut crc = begin(&header);
    // As much as stays in the processor's nearest caches: an index has some hundred thousand bytes.
    let mut buffer = vec![0; 32 << 10];
    loop {
        match index.read(&mut buffer) {
            Ok(0) => return Ok((header, crc.finalize())),
            Ok(len) => crc.update(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// CRC-32 of everything but the checksum itself.
fn checksum(index: &[u8]) -> u32 {
    let (header, rest) = index.split_at(HEADER.min(index.len()));
    let mut crc = begin(header);
    crc.update(rest);
    crc.finalize()
}

/// That of the header.
fn begin(header: &[u8]) -> crc32fast::Hasher {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header.get(..CHECKSUM.start).unwrap_or(header));
    crc.update(header.get(CHECKSUM.end..).unwrap_or_default());
    crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    /// The sealed index of an empty tar.
    fn index() -> Vec<u8> {
        let mut bytes = shallop_layer::index::build(&mut &[0; 1024][..], &mut Vec::new()).unwrap();
        seal(&mut bytes);
        bytes
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let (good, tar) = (index(), file(&[0; 1024]));
        assert_eq!(flaw(&tar, &mut file(&good), None).unwrap(), None);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(flaw(&tar, &mut file(&bad), None).unwrap().is_some(), "byte {at}");
            assert!(flaw(&tar, &mut file(&good[..at]), None).unwrap().is_some(), "cut at {at}");
        }
    }

    #[test]
    fn lengths_of_the_other_files_count() {
        let flawed =
            |tar: &[u8], aligned: Option<File>| flaw(&file(tar), &mut file(&index()), aligned.as_ref()).unwrap();
        assert!(flawed(&[0; 1024], Some(file(b"more"))).unwrap().contains("aligned"));
        assert!(flawed(&[0; 1024], Some(file(b""))).is_none());
        let short = flawed(&[0; 100], None);
        assert!(short.is_none_or(|why| why.contains("tar")));
    }
}
