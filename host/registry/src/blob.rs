//! [`BlobReader`]: a blob as one stream, or the rest of one. Where a connection breaks it goes on at the next byte, by a
//! range request, or by reading again up to there where a server knows no ranges. Its size is the descriptor's; who reads
//! it checks the digest.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use shallop_oci::Descriptor;
use ureq::http::header;

use crate::client::{Client, Place, failure_of};
use crate::error::{RegistryError, Result};
use crate::http::{Answer, Body, broken};
use crate::progress::Step;
use crate::url::Url;

/// Bytes after which earlier breaks are forgiven.
const FORGIVING: u64 = 1 << 20;

/// What all readers of one pull share.
#[derive(Clone, Copy)]
pub(crate) struct Pulling<'a> {
    pub(crate) client: &'a Client,
    /// The server that had the manifest first, then the others.
    pub(crate) places: &'a [Place],
    /// Set when the pull has failed elsewhere.
    pub(crate) stop: &'a AtomicBool,
}

/// An answer with a blob, or with the rest of it.
struct Opened {
    body: Body,
    url: Url,
    /// Where it begins: no later than what is missing.
    begins: u64,
}

pub(crate) struct BlobReader<'a> {
    pulling: Pulling<'a>,
    descriptor: &'a Descriptor,
    tell: &'a dyn Fn(Step),
    /// Which of the places is asked.
    at: usize,
    body: Option<(Body, Url)>,
    /// Bytes that were given out.
    done: u64,
    breaks: u32,
    /// `done` when breaks were last forgiven.
    forgiven: u64,
}

impl<'a> BlobReader<'a> {
    pub(crate) fn new(pulling: Pulling<'a>, descriptor: &'a Descriptor, tell: &'a dyn Fn(Step)) -> BlobReader<'a> {
        BlobReader { pulling, descriptor, tell, at: 0, body: None, done: 0, breaks: 0, forgiven: 0 }
    }

    /// Goes on behind the first `done` bytes, which came earlier. Gives how many of them count: none where the server has
    /// no ranges, or will not go on there but sends the whole.
    pub(crate) fn resume(&mut self, done: u64) -> Result<u64> {
        // What is longer than the whole is no beginning of it.
        self.done = if done > self.descriptor.size { 0 } else { done };
        while self.body.is_none() && (1..self.descriptor.size).contains(&self.done) {
            self.check_stop()?;
            match self.open() {
                Ok(opened) => self.go_on(opened),
                Err(error) if error.is_transient() => self.broke(error)?,
                Err(error) => {
                    (self.at, self.done) = (0, 0);
                    let whole = self.open().map_err(|_| error)?;
                    self.go_on(whole);
                }
            }
        }
        self.forgiven = self.done;
        Ok(self.done)
    }

    fn go_on(&mut self, Opened { body, url, begins }: Opened) {
        self.done = begins;
        self.body = Some((body, url));
    }

    fn check_stop(&self) -> Result<()> {
        match self.pulling.stop.load(Ordering::Relaxed) {
            true => Err(RegistryError::invalid(self.what(), "the pull ended before it was complete")),
            false => Ok(()),
        }
    }

    fn more(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            self.check_stop()?;
            if self.done == self.descriptor.size {
                return self.expect_end().map(|()| 0);
            }
            let left = usize::try_from(self.descriptor.size - self.done).unwrap_or(usize::MAX);
            let want = buf.len().min(left);
            match self.try_read(&mut buf[..want]) {
                Ok(n) => {
                    self.done += n as u64;
                    (self.tell)(Step::Downloading { done: self.done, size: self.descriptor.size });
                    return Ok(n);
                }
                Err(error) => self.broke(error)?,
            }
        }
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let (body, url) = match &mut self.body {
            Some(open) => open,
            None => {
                let Opened { mut body, url, begins } = self.open()?;
                let skip = self.done - begins;
                let skipped = io::copy(&mut body.by_ref().take(skip), &mut io::sink());
                if skipped.map_err(|e| broken("GET", &url, e))? < skip {
                    return Err(broken("GET", &url, io::ErrorKind::UnexpectedEof.into()));
                }
                self.body.insert((body, url))
            }
        };
        match body.read(buf) {
            Ok(0) if !buf.is_empty() => {
                Err(broken("GET", url, io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ended too early")))
            }
            Ok(n) => Ok(n),
            Err(e) => Err(broken("GET", url, e)),
        }
    }

    /// A body is no longer than it may be.
    fn expect_end(&mut self) -> Result<()> {
        let Some((mut body, _)) = self.body.take() else { return Ok(()) };
        // Whether it ends well or breaks now does not matter.
        match body.read(&mut [0]) {
            Ok(1..) => Err(RegistryError::invalid(
                self.what(),
                format!("it goes on after the {} bytes that its manifest states", self.descriptor.size),
            )),
            _ => Ok(()),
        }
    }

    /// Waits, and lets the next read try again; or gives up.
    fn broke(&mut self, error: RegistryError) -> Result<()> {
        self.body = None;
        if !error.is_transient() {
            return Err(error);
        }
        if self.done >= self.forgiven + FORGIVING {
            (self.forgiven, self.breaks) = (self.done, 0);
        }
        self.breaks += 1;
        let http = &self.pulling.client.http;
        if self.breaks >= http.limits().tries {
            return Err(error);
        }
        let pause = http.pause(self.breaks);
        (self.tell)(Step::Retrying(pause));
        std::thread::sleep(pause);
        Ok(())
    }

    /// Asks one place after the other.
    fn open(&mut self) -> Result<Opened> {
        loop {
            let place = &self.pulling.places[self.at];
            match self.ask(place) {
                Ok(open) => return Ok(open),
                Err(error) if error.is_transient() || self.at + 1 == self.pulling.places.len() => return Err(error),
                Err(_) => self.at += 1,
            }
        }
    }

    fn ask(&self, place: &Place) -> Result<Opened> {
        let range = (self.done > 0).then(|| ("range", format!("bytes={}-", self.done)));
        let what = format!("blobs/{}", self.descriptor.digest);
        let answer = self.pulling.client.get(place, &what, range.into_iter().collect())?;
        let begins = match answer.status {
            200 => 0,
            206 if self.done > 0 => self.first_byte(&answer)?,
            _ => return Err(failure_of(answer).into_error()),
        };
        let wanted = self.descriptor.size - begins;
        if let Some(length) = answer.length.filter(|length| *length != wanted) {
            let why = format!("{length} bytes are offered where {wanted} are missing");
            return Err(RegistryError::invalid(self.what(), why));
        }
        Ok(Opened { body: answer.body, url: answer.url, begins })
    }

    /// Where the part begins that was sent (`Content-Range: bytes 5-9/10`): no later than what is missing.
    fn first_byte(&self, answer: &Answer) -> Result<u64> {
        let range = answer.header(header::CONTENT_RANGE).and_then(|text| text.strip_prefix("bytes "));
        let first = range.and_then(|text| text.split('-').next()).and_then(|text| text.trim().parse().ok());
        match first {
            Some(first) if first <= self.done => Ok(first),
            _ => Err(RegistryError::protocol(answer.url.shown(), "it sends another part than was asked for")),
        }
    }

    fn what(&self) -> String {
        format!("blob {}", self.descriptor.digest)
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() { Ok(0) } else { self.more(buf).map_err(io::Error::other) }
    }
}
