//! Sockets to outside and names, over the fake host's network.

use std::net::Ipv4Addr;

use shallop_linux_abi::Errno;

use super::{Results, straight};
use crate::Tid;
use crate::kernel::Kernel;
use crate::net::Net;
use crate::net::interface::Interfaces;
use crate::testing::{DATA, kernel, run};

const AF_INET: u64 = 2;
const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;
const NONBLOCK: u64 = 0o4000;
/// Where the tests put addresses.
const AT: u64 = DATA + 0x100;
const LEN: u64 = 16;

fn online() -> (Kernel, &'static shallop_platform::fake::Fake) {
    let (mut k, fake) = kernel();
    k.net = Net::new(fake, Interfaces::with_network(Ipv4Addr::new(172, 17, 0, 2), Ipv4Addr::new(172, 17, 0, 1)));
    (k, fake)
}

/// Puts a struct sockaddr_in at [`AT`].
fn put_address(k: &Kernel, ip: [u8; 4], port: u16) {
    let bytes = [&[2, 0][..], &port.to_be_bytes(), &ip, &[0; 8]].concat();
    k.write_memory(Tid(1), AT, &bytes).unwrap();
}

fn ran(k: &mut Kernel, fake: &'static shallop_platform::fake::Fake, calls: Vec<(&'static str, Vec<u64>)>) -> Vec<i64> {
    let (script, results): (_, Results) = straight(calls);
    run(k, fake, vec![script]);
    results.borrow().clone()
}

#[test]
fn a_connection_to_outside_is_made_used_and_closed() {
    let (mut k, fake) = online();
    fake.net.servers.borrow_mut().insert("192.0.2.1:80".parse().unwrap());
    put_address(&k, [192, 0, 2, 1], 80);
    let results = ran(
        &mut k,
        fake,
        vec![
            ("socket", vec![AF_INET, STREAM, 0]),
            ("connect", vec![0, AT, LEN]),
            ("write", vec![0, AT, 5]),
            ("read", vec![0, DATA, 16]),
            ("connect", vec![0, AT, LEN]),
            ("close", vec![0]),
        ],
    );
    assert_eq!(results, [0, 0, 5, 5, -i64::from(Errno::EISCONN.0), 0]);
    assert_eq!(fake.net.open_sockets(), 0);
}

#[test]
fn who_does_not_wait_polls_for_the_connection() {
    let (mut k, fake) = online();
    fake.net.servers.borrow_mut().insert("192.0.2.1:80".parse().unwrap());
    put_address(&k, [192, 0, 2, 1], 80);
    // struct pollfd {0, POLLOUT}.
    k.write_u64(Tid(1), DATA + 0x200, 4 << 32).unwrap();
    k.write_u32(Tid(1), DATA + 0x300, 4).unwrap();
    let results = ran(
        &mut k,
        fake,
        vec![
            ("socket", vec![AF_INET, STREAM | NONBLOCK, 0]),
            ("connect", vec![0, AT, LEN]),
            ("ppoll", vec![DATA + 0x200, 1, 0, 0, 8]),
            ("getsockopt", vec![0, 1, 4, DATA + 0x310, DATA + 0x300]),
            ("connect", vec![0, AT, LEN]),
            ("read", vec![0, DATA, 16]),
        ],
    );
    let errno = |errno: Errno| -i64::from(errno.0);
    assert_eq!(results, [0, errno(Errno::EINPROGRESS), 1, 0, 0, errno(Errno::EAGAIN)]);
}

#[test]
fn nobody_there_and_no_network_are_told_apart() {
    let (mut k, fake) = online();
    put_address(&k, [192, 0, 2, 1], 80);
    let calls = vec![("socket", vec![AF_INET, STREAM, 0]), ("connect", vec![0, AT, LEN])];
    assert_eq!(ran(&mut k, fake, calls.clone())[1], -i64::from(Errno::ECONNREFUSED.0));
    let (mut k, fake) = kernel();
    put_address(&k, [192, 0, 2, 1], 80);
    assert_eq!(ran(&mut k, fake, calls)[1], -i64::from(Errno::ENETUNREACH.0));
}

#[test]
fn datagrams_come_back_from_where_they_went() {
    let (mut k, fake) = online();
    fake.net.servers.borrow_mut().insert("192.0.2.1:53".parse().unwrap());
    put_address(&k, [192, 0, 2, 1], 53);
    k.write_u32(Tid(1), DATA + 0x300, 16).unwrap();
    let results = ran(
        &mut k,
        fake,
        vec![
            ("socket", vec![AF_INET, DATAGRAM, 0]),
            ("sendto", vec![0, DATA, 7, 0, AT, LEN]),
            ("recvfrom", vec![0, DATA, 64, 0, DATA + 0x310, DATA + 0x300]),
        ],
    );
    assert_eq!(results, [0, 7, 7]);
}

#[test]
fn the_name_server_answers_from_the_hosts_names() {
    let (mut k, fake) = online();
    fake.net.names.borrow_mut().insert("db".into(), vec!["192.0.2.9".parse().unwrap()]);
    put_address(&k, [127, 0, 0, 11], 53);
    let question = [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2][..], b"db\0", &[0, 1, 0, 1]].concat();
    k.write_memory(Tid(1), DATA + 0x400, &question).unwrap();
    let len = question.len() as u64;
    let results = ran(
        &mut k,
        fake,
        vec![
            ("socket", vec![AF_INET, DATAGRAM, 0]),
            ("sendto", vec![0, DATA + 0x400, len, 0, AT, LEN]),
            ("recvfrom", vec![0, DATA, 512, 0, 0, 0]),
        ],
    );
    // The question again, and one record of sixteen bytes.
    assert_eq!(results, [0, len as i64, len as i64 + 16]);
}
