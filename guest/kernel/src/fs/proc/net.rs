//! /proc/<pid>/net: there is no network but the loopback interface's name; the tables are empty.

use shallop_linux_abi::Errno;

use super::file;
use crate::fs::pseudo::tree::{Directory, Row, Subject};
use crate::kernel::Kernel;

pub(super) static DIRECTORY: Directory = Directory { rows: &ROWS, more: None };

static ROWS: [Row; 11] = [
    file("dev", dev),
    file("tcp", |_, _| Ok(sockets(8, ""))),
    file("tcp6", |_, _| Ok(sockets(32, ""))),
    file("udp", |_, _| Ok(sockets(8, " ref pointer drops"))),
    file("udp6", |_, _| Ok(sockets(32, " ref pointer drops"))),
    file("unix", |_, _| Ok(b"Num       RefCount Protocol Flags    Type St Inode Path\n".to_vec())),
    file("route", route),
    file(
        "arp",
        |_, _| Ok(b"IP address       HW type     Flags       HW address            Mask     Device\n".to_vec()),
    ),
    file("if_inet6", |_, _| Ok(Vec::new())),
    file("netlink", |_, _| {
        Ok(b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n".to_vec())
    }),
    file("sockstat", |_, _| {
        Ok(b"sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\n".to_vec())
    }),
];

fn dev(_: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    let head = "Inter-|   Receive                                                |  Transmit\n \
                face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
    let zeroes = "       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0";
    Ok(format!("{head}    lo:{zeroes}\n").into_bytes())
}

fn route(_: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    Ok(format!("{head:<127}\n").into_bytes())
}

/// The heading of a table of sockets whose addresses have this many digits.
fn sockets(digits: usize, more: &str) -> Vec<u8> {
    let (local, remote) = ("local_address", if digits > 8 { "remote_address" } else { "rem_address" });
    let width = digits + 6;
    let rest = "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    format!("  sl  {local:<width$}{remote:<width$}{rest}{more}\n").into_bytes()
}
