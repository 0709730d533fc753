//! The protocol between a worker and its translator process: jobs with the file of the code, answers with native code.
//!
//! A message is its length (u32, little-endian), JSON of that length, and one byte that carries a descriptor.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The hidden verb of the `shallop` program that starts a translator process.
pub const VERB: &str = "internal-translate";

/// Bytes of a message's JSON at most.
const MAX_MESSAGE: usize = 16 << 20;

/// Bytes of one region at most; larger ones stay interpreted.
pub const MAX_REGION: u32 = 128 << 20;

/// Functions wanted by one job at most.
pub const MAX_STARTS: usize = 4096;

/// Computed jumps that one job tells of at most.
pub const MAX_JUMPS: usize = 4096;

/// How translated code treats faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Variant {
    /// Registers are lost at a fault, which must end the process.
    Lazy,
    /// A fault finds all registers.
    Precise,
}

/// Code that is to be translated. Its file comes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The worker's number for the region, repeated in the answers.
    pub region: u32,
    pub variant: Variant,
    /// Where the region is in the file.
    pub offset: u64,
    pub len: u32,
    /// The file never changes: the region may be found by it again.
    pub lasts: bool,
    /// Offsets in the region of functions to translate.
    pub starts: Vec<u32>,
    /// Those are to be translated when the worker has ended, unless the region is small enough for all of it.
    pub warm: bool,
    /// Offsets of computed jumps, and of where they went when they were interpreted.
    pub jumps: Vec<(u32, u32)>,
    /// All of it is wanted, in as few modules as can be; none of them is sent.
    pub whole: bool,
    /// Whether an answer is to tell that all is done.
    pub tell: bool,
    /// How many modules of the region, from the first, the worker has from its start.
    pub given: u32,
}

/// A module of translated functions. Its file comes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub region: u32,
    /// There is no module, and the file means nothing: a job that wanted to be told is done.
    pub done: bool,
}

/// Sends a job; blocks until the other side takes it.
pub fn send_job(socket: &UnixStream, job: &Job, file: &File) -> Result<()> {
    send(socket, job, file.as_fd())
}

/// The next job and its file; `None` when the worker is gone.
pub fn receive_job(socket: &UnixStream) -> Result<Option<(Job, File)>> {
    let Some((job, file)) = receive::<Job>(socket)? else { return Ok(None) };
    ensure!(
        job.len <= MAX_REGION && job.starts.len() <= MAX_STARTS && job.jumps.len() <= MAX_JUMPS,
        "a job is too large"
    );
    Ok(Some((job, file)))
}

/// Sends an answer.
pub fn send_answer(socket: &UnixStream, answer: &Answer, code: &File) -> Result<()> {
    send(socket, answer, code.as_fd())
}

/// The next answer and its code; `None` when the translator's side is closed.
pub fn receive_answer(socket: &UnixStream) -> Result<Option<(Answer, File)>> {
    receive(socket)
}

fn send(socket: &UnixStream, message: &impl Serialize, file: BorrowedFd<'_>) -> Result<()> {
    let json = serde_json::to_vec(message)?;
    ensure!(json.len() <= MAX_MESSAGE, "a message of {} bytes is too long", json.len());
    let mut bytes = Vec::with_capacity(4 + json.len());
    bytes.extend((json.len() as u32).to_le_bytes());
    bytes.extend(json);
    (&*socket).write_all(&bytes).context("sending a message")?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    ensure!(control.push(SendAncillaryMessage::ScmRights(&files)), "no room for a descriptor");
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL).context("sending a descriptor")?;
    Ok(())
}

fn receive<T: DeserializeOwned>(socket: &UnixStream) -> Result<Option<(T, File)>> {
    let mut len = [0; 4];
    match (&*socket).read_exact(&mut len) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error).context("reading a message"),
    }
    let len = u32::from_le_bytes(len) as usize;
    ensure!(len <= MAX_MESSAGE, "a message of {len} bytes is too long");
    let mut json = vec![0; len];
    (&*socket).read_exact(&mut json).context("reading a message")?;
    let file = receive_descriptor(socket)?;
    Ok(Some((serde_json::from_slice(&json).context("reading a message")?, file.into())))
}

fn receive_descriptor(socket: &UnixStream) -> Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut received) => received.next(),
        _ => None,
    });
    rights.context("a message came without its descriptor")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            region: 3,
            variant: Variant::Lazy,
            offset: 4096,
            len: 100,
            lasts: true,
            starts: vec![0, 40],
            warm: false,
            jumps: vec![(2, 8)],
            whole: false,
            tell: false,
            given: 0,
        }
    }

    #[test]
    fn messages_arrive_in_order_with_their_files() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"code").unwrap();
        send_job(&ours, &job(), &file).unwrap();
        send_job(&ours, &Job { region: 4, ..job() }, &file).unwrap();
        drop(ours);
        let (first, got) = receive_job(&theirs).unwrap().unwrap();
        assert_eq!(first, job());
        assert_eq!(got.metadata().unwrap().len(), 4);
        assert_eq!(receive_job(&theirs).unwrap().unwrap().0.region, 4);
        assert!(receive_job(&theirs).unwrap().is_none());
    }

    #[test]
    fn nonsense_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours).write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(receive_job(&theirs).is_err());
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours).write_all(&[3, 0, 0, 0, b'{', b'}', b' ', 0]).unwrap();
        assert!(receive_job(&theirs).is_err(), "there is no descriptor");
    }
}
