//! Threads that compile large functions beside the translator's other work: [`Crew`].

use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result};
use shallop_sandbox::{Compiler, Function};

/// Functions that are compiled at once, where there are processors for that: each takes from the time of the small ones.
const MAX_RUNNING: usize = 2;

/// A module that was compiled.
pub struct Made {
    pub region: u32,
    pub functions: Vec<Function>,
    /// `None`: it could not be.
    pub code: Option<Vec<u8>>,
}

pub struct Crew {
    compiler: Arc<Compiler>,
    running: usize,
    most: usize,
    made: (Sender<Made>, Receiver<Made>),
    /// A byte comes for each that was made.
    bell: (UnixStream, UnixStream),
}

impl Crew {
    /// # Errors
    /// When there are no descriptors.
    pub fn new(compiler: Arc<Compiler>) -> Result<Crew> {
        let bell = UnixStream::pair().context("making a socket")?;
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let most = (processors / 2).clamp(1, MAX_RUNNING);
        Ok(Crew { compiler, running: 0, most, made: channel(), bell })
    }

    /// To be polled: it can be read when something was made.
    pub fn bell(&self) -> &UnixStream {
        &self.bell.0
    }

    pub fn is_idle(&self) -> bool {
        self.running == 0
    }

    pub fn has_room(&self) -> bool {
        self.running < self.most
    }

    /// Compiles a module on a thread of its own.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(&mut self, region: u32, wasm: Vec<u8>, functions: Vec<Function>) -> Result<()> {
        let (compiler, made) = (self.compiler.clone(), self.made.0.clone());
        let mut bell = self.bell.1.try_clone().context("sharing a socket")?;
        let compile = move || {
            let code = compiler.compile(&wasm).ok();
            // They are for the process's own end only.
            let _ = made.send(Made { region, functions, code });
            let _ = bell.write_all(&[0]);
        };
        std::thread::Builder::new().name("large".into()).spawn(compile).context("starting a thread")?;
        self.running += 1;
        Ok(())
    }

    /// What was made. To be called when the bell can be read.
    pub fn take(&mut self) -> Option<Made> {
        self.bell.0.read_exact(&mut [0]).ok()?;
        self.running -= 1;
        self.made.1.recv().ok()
    }
}
