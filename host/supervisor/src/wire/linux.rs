//! Over a socket: a header with descriptors, then commands one way and one outcome back.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::{Access, Translating, VERSION, Workload};
use crate::{Ready, Request, title};

/// Descriptors in one message (Linux takes 253).
const BATCH: usize = 128;

/// Bytes of a header at most.
const MAX_HEADER: usize = 16 << 20;

/// Supervisor to worker, one JSON line each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    Signal(u32),
    Winsize,
    Kill,
}

/// The first message: what the descriptors that follow it are.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    version: u32,
    workload: Workload,
    code: usize,
    grants: Vec<Access>,
    trace: bool,
    network: bool,
    profile: bool,
    /// When a translator's socket comes.
    translating: Option<Translating>,
    ready: Vec<ReadyHeader>,
    title: Vec<String>,
}

/// What is said of a [`Ready`]; its modules come last.
#[derive(Debug, Serialize, Deserialize)]
struct ReadyHeader {
    grant: u32,
    offset: u64,
    len: u32,
    precise: bool,
    modules: usize,
    unfinished: bool,
}

/// The worker's view of a [`Request`].
#[derive(Debug)]
pub struct Received {
    pub workload: Workload,
    pub code: Vec<OwnedFd>,
    pub grants: Vec<(Access, OwnedFd)>,
    pub stdio: [OwnedFd; 3],
    pub trace: Option<OwnedFd>,
    /// Where the network is asked for, when there is one.
    pub network: Option<OwnedFd>,
    pub profile: Option<OwnedFd>,
    /// Where jobs for the translator go, when hot code is to be translated.
    pub jobs: Option<(Translating, OwnedFd)>,
    pub ready: Vec<Ready>,
    /// The container's command, as far as `ps` is to show it.
    pub title: Vec<String>,
}

/// Sends everything over the control socket; `jobs` and `network` are the worker's ends of the translator's and the
/// network's socket.
pub fn send_request(
    socket: &UnixStream,
    request: &Request,
    jobs: Option<OwnedFd>,
    network: Option<OwnedFd>,
) -> Result<()> {
    let header = Header {
        version: VERSION,
        workload: request.workload.clone(),
        code: request.code.len(),
        grants: request.grants.iter().map(|g| g.access).collect(),
        trace: request.trace.is_some(),
        network: network.is_some(),
        profile: request.profile.is_some(),
        translating: request.translations.as_ref().filter(|_| jobs.is_some()).map(|wanted| wanted.how),
        ready: request.ready.iter().map(ready_header).collect(),
        title: title(&request.title),
    };
    let json = serde_json::to_vec(&header)?;
    (&*socket).write_all(&(json.len() as u32).to_le_bytes())?;
    (&*socket).write_all(&json)?;
    let grants = request.grants.iter().map(|g| g.descriptor.as_fd());
    let descriptors = request.stdio.iter().chain(&request.code).map(AsFd::as_fd).chain(grants);
    let streams = request.trace.iter().chain(&request.profile).chain(&network);
    let last = streams.chain(&jobs).chain(request.ready.iter().flat_map(|ready| &ready.modules));
    let descriptors: Vec<_> = descriptors.chain(last.map(AsFd::as_fd)).collect();
    descriptors.chunks(BATCH).try_for_each(|batch| send_descriptors(socket, batch))
}

fn ready_header(ready: &Ready) -> ReadyHeader {
    let &Ready { grant, offset, len, precise, ref modules, unfinished } = ready;
    ReadyHeader { grant, offset, len, precise, modules: modules.len(), unfinished }
}

fn send_descriptors(socket: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    ensure!(control.push(SendAncillaryMessage::ScmRights(descriptors)), "too many descriptors in one message");
    sendmsg(socket, &[IoSlice::new(&[descriptors.len() as u8])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives what [`send_request`] sent.
pub fn receive_request(socket: &UnixStream) -> Result<Received> {
    let mut len = [0; 4];
    (&*socket).read_exact(&mut len).context("reading the header's length")?;
    let len = u32::from_le_bytes(len) as usize;
    ensure!(len <= MAX_HEADER, "a header of {len} bytes is too long");
    let mut json = vec![0; len];
    (&*socket).read_exact(&mut json).context("reading the header")?;
    let header: Header = serde_json::from_slice(&json).context("reading the header")?;
    ensure!(header.version == VERSION, "the supervisor speaks version {}, this worker {VERSION}", header.version);

    let single = [header.trace, header.profile, header.network, header.translating.is_some()];
    let single = 3 + single.map(usize::from).iter().sum::<usize>();
    let modules: usize = header.ready.iter().map(|ready| ready.modules).sum();
    let total = single + header.code + header.grants.len() + modules;
    let mut descriptors = Vec::with_capacity(total);
    while descriptors.len() < total {
        receive_descriptors(socket, &mut descriptors)?;
    }
    let mut descriptors = descriptors.into_iter();
    let mut take = |n: usize| descriptors.by_ref().take(n).collect::<Vec<_>>();
    let stdio = take(3).try_into().map_err(|_| anyhow::anyhow!("three descriptors are stdio"))?;
    let code = take(header.code);
    let granted = take(header.grants.len());
    let trace = if header.trace { take(1).pop() } else { None };
    let profile = if header.profile { take(1).pop() } else { None };
    let network = if header.network { take(1).pop() } else { None };
    let jobs = header.translating.and_then(|how| Some((how, take(1).pop()?)));
    let ready = header.ready.into_iter().map(|header: ReadyHeader| Ready {
        grant: header.grant,
        offset: header.offset,
        len: header.len,
        precise: header.precise,
        modules: take(header.modules),
        unfinished: header.unfinished,
    });
    let ready = ready.collect();
    let grants = header.grants.into_iter().zip(granted).collect();
    let Header { workload, title, .. } = header;
    Ok(Received { workload, code, grants, stdio, trace, profile, network, jobs, ready, title })
}

fn receive_descriptors(socket: &UnixStream, into: &mut Vec<OwnedFd>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let message = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        bail!("the supervisor went away before all grants had come");
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            into.extend(received);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grant, Kind, Translations};

    #[test]
    fn a_request_arrives_as_it_was_sent() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let grants = (0..300).map(|_| Grant { access: Access::Immutable, descriptor: null() }).collect();
        let kind = Kind::Linux { spec: "{}".into() };
        let request = Request {
            workload: Workload { kind, memory_limit: 1 << 30, wall_limit: None },
            code: vec![null(), null()],
            grants,
            stdio: [null(), null(), null()],
            trace: None,
            network: None,
            profile: Some(null()),
            translations: Some(Translations {
                limit: 0,
                linger: 0,
                cache: "/nowhere".into(),
                how: Translating { precise: false, storm: false, hot: 2000, waits: false },
            }),
            ready: vec![Ready {
                grant: 7,
                offset: 8,
                len: 9,
                precise: true,
                modules: vec![null(), null()],
                unfinished: true,
            }],
            title: vec!["sh".into()],
        };
        send_request(&ours, &request, Some(null()), Some(null())).unwrap();
        let received = receive_request(&theirs).unwrap();
        assert_eq!((received.code.len(), received.grants.len()), (2, 300));
        assert!(received.trace.is_none() && received.profile.is_some() && received.network.is_some());
        assert!(received.jobs.is_some());
        assert_eq!((received.ready[0].offset, received.ready[0].modules.len()), (8, 2));
        assert!(received.ready[0].precise && received.ready[0].unfinished);
        assert_eq!(received.title, ["sh"]);
    }
}
