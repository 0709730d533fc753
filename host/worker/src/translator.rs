//! The sandbox's view of the translator process: [`Translators`].

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use shallop_sandbox::{Ask, Translated, Translator};
use shallop_supervisor::jobs::{self, Job, Variant};

/// The socket to whatever process translates for this worker at the moment.
pub struct Translators(UnixStream);

impl Translators {
    pub fn new(socket: OwnedFd) -> Translators {
        Translators(UnixStream::from(socket))
    }
}

impl Translator for Translators {
    fn ask(&self, ask: &Ask) -> bool {
        if ask.len > jobs::MAX_REGION {
            return true;
        }
        ask.starts.chunks(jobs::MAX_STARTS).all(|starts| {
            let job = Job {
                region: ask.region,
                variant: Variant::Lazy,
                offset: ask.offset,
                len: ask.len,
                starts: starts.to_vec(),
            };
            jobs::send_job(&self.0, &job, &ask.file).is_ok()
        })
    }

    fn answer(&self) -> Option<Translated> {
        // A translator that was killed in the middle of a message ends this, and what was hot stays interpreted.
        let (answer, code) = jobs::receive_answer(&self.0).ok()??;
        Some(Translated { region: answer.region, code })
    }
}
