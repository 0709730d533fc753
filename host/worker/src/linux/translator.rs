//! The sandbox's view of the translator process: [`translation`].

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use shallop_sandbox::{Ask, Translated, Translating, Translator};
use shallop_supervisor::jobs::{self, Job, Variant};
use shallop_supervisor::wire;

/// The socket to whatever process translates for this worker at the moment.
struct Translators(UnixStream);

/// What the sandbox is told of translation, when `socket` is its end of the translator's.
pub fn translation(how: wire::Translating, socket: OwnedFd) -> Translating {
    let wire::Translating { precise, storm, hot, waits } = how;
    Translating { translator: Arc::new(Translators(UnixStream::from(socket))), precise, storm, hot, waits }
}

impl Translator for Translators {
    fn ask(&self, ask: &Ask) -> bool {
        if ask.len > jobs::MAX_REGION {
            return true;
        }
        // Without functions, it tells of the region.
        let rest = ask.starts.get(jobs::MAX_STARTS..).unwrap_or_default();
        let first = &ask.starts[..ask.starts.len() - rest.len()];
        [first].into_iter().chain(rest.chunks(jobs::MAX_STARTS)).enumerate().all(|(number, starts)| {
            let job = Job {
                region: ask.region,
                variant: if ask.precise { Variant::Precise } else { Variant::Lazy },
                offset: ask.offset,
                len: ask.len,
                lasts: ask.lasts,
                starts: starts.to_vec(),
                warm: ask.warm,
                // As many as there are places for them in the engine's memory: no more than a job may tell of.
                jumps: if number == 0 { ask.jumps.clone() } else { Vec::new() },
                whole: false,
                tell: ask.tell,
                given: ask.given as u32,
            };
            jobs::send_job(&self.0, &job, &ask.file).is_ok()
        })
    }

    fn answer(&self) -> Option<Translated> {
        // A translator that was killed in the middle of a message ends this, and what was hot stays interpreted.
        let (answer, code) = jobs::receive_answer(&self.0).ok()??;
        Some(Translated { region: answer.region, done: answer.done, code })
    }
}
