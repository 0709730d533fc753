//! DNS messages (RFC 1035): reading a question, writing its answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shallop_host_abi::hypercall::resolved;
use shallop_platform::Family;

const HEADER: usize = 12;
const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const IN: u16 = 1;
/// Seconds for which an answer may be kept: how long it really holds, the host's resolver does not tell.
const TTL: u32 = 30;

/// Response codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    Malformed = 1,
    Failed = 2,
    NoName = 3,
    NotImplemented = 4,
    Refused = 5,
}

impl Code {
    /// Of a status of the host's.
    pub fn of(status: u32) -> Code {
        match status {
            resolved::OK => Code::Ok,
            resolved::NO_NAME => Code::NoName,
            resolved::REFUSED => Code::Refused,
            _ => Code::Failed,
        }
    }
}

/// What is asked about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Addresses(Family),
    /// The name of the address that the name in question stands for.
    NameOf(IpAddr),
    Other,
}

/// What an answer says of the name in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Name(String),
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    id: u16,
    /// Whether recursion is wanted, which is told back.
    recursion: bool,
    /// As it was asked, to be told back.
    question: Vec<u8>,
    name: String,
    kind: u16,
}

impl Query {
    /// Reads a message.
    ///
    /// # Errors
    /// What to answer to one that cannot be served, if anything.
    pub fn parse(bytes: &[u8]) -> Result<Query, Option<Vec<u8>>> {
        let half = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let (Some(id), Some(flags), Some(questions), true) = (half(0), half(2), half(4), bytes.len() >= HEADER) else {
            return Err(None);
        };
        // An answer is not answered, or two servers could go on for ever.
        if flags & 0x8000 != 0 {
            return Err(None);
        }
        let recursion = flags & 0x100 != 0;
        let refuse = |code| Err(Some(header(id, recursion, code, 0, 0)));
        if flags & 0x7800 != 0 {
            return refuse(Code::NotImplemented);
        }
        let Some((name, end)) = name(bytes).filter(|_| questions == 1) else { return refuse(Code::Malformed) };
        let (Some(kind), Some(class)) = (half(end), half(end + 2)) else { return refuse(Code::Malformed) };
        if class != IN {
            return refuse(Code::NotImplemented);
        }
        Ok(Query { id, recursion, question: bytes[HEADER..end + 4].to_vec(), name, kind })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn wanted(&self) -> Wanted {
        match self.kind {
            A => Wanted::Addresses(Family::V4),
            AAAA => Wanted::Addresses(Family::V6),
            PTR => reversed(&self.name).map_or(Wanted::Other, Wanted::NameOf),
            _ => Wanted::Other,
        }
    }

    /// The answer; what is longer than `limit` is left away, and says so.
    pub fn answer(&self, code: Code, found: &[Data], limit: usize) -> Vec<u8> {
        let records: Vec<u8> = found.iter().flat_map(record).collect();
        let fits = HEADER + self.question.len() + records.len() <= limit;
        let mut bytes = header(self.id, self.recursion, code, 1, if fits { found.len() as u16 } else { 0 });
        if !fits {
            bytes[2] |= 2;
        }
        bytes.extend(&self.question);
        if fits {
            bytes.extend(records);
        }
        bytes
    }
}

fn header(id: u16, recursion: bool, code: Code, questions: u16, answers: u16) -> Vec<u8> {
    let flags = 0x8080 | u16::from(recursion) << 8 | code as u16;
    [id, flags, questions, answers, 0, 0].iter().flat_map(|half| half.to_be_bytes()).collect()
}

/// A record about the name in the question.
fn record(data: &Data) -> Vec<u8> {
    let (kind, octets) = match data {
        Data::Address(IpAddr::V4(ip)) => (A, ip.octets().to_vec()),
        Data::Address(IpAddr::V6(ip)) => (AAAA, ip.octets().to_vec()),
        Data::Name(name) => (PTR, labels(name)),
    };
    // The name by reference: it is behind the header.
    let mut bytes = (0xc000 | HEADER as u16).to_be_bytes().to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(IN.to_be_bytes());
    bytes.extend(TTL.to_be_bytes());
    bytes.extend((octets.len() as u16).to_be_bytes());
    bytes.extend(octets);
    bytes
}

/// A name as messages have it. What is too long for a label cannot come from a resolver; it is cut.
fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').map(|label| &label.as_bytes()[..label.len().min(63)]);
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in labels.filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

/// The address that a name below in-addr.arpa or ip6.arpa stands for (RFC 1035, RFC 3596).
fn reversed(name: &str) -> Option<IpAddr> {
    let name = name.to_ascii_lowercase();
    let backwards = |part: &str| part.split('.').rev().map(str::to_owned).collect::<Vec<_>>();
    if let Some(part) = name.strip_suffix(".in-addr.arpa") {
        return backwards(part).join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits = backwards(name.strip_suffix(".ip6.arpa")?);
    if digits.len() != 32 || digits.iter().any(|digit| digit.len() != 1) {
        return None;
    }
    u128::from_str_radix(&digits.concat(), 16).ok().map(|bits| Ipv6Addr::from_bits(bits).into())
}

/// The question's name, and where it ends. Labels with bytes that no host's name has are no name.
fn name(bytes: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1;
        if len == 0 {
            return Some((labels.join("."), at));
        }
        // References (two highest bits) have nothing to refer to yet.
        let label = bytes.get(at..at + len).filter(|_| len < 64)?;
        if label.contains(&b'.') || at > HEADER + 255 {
            return None;
        }
        labels.push(String::from_utf8(label.to_vec()).ok()?);
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(IN.to_be_bytes());
        bytes
    }

    #[test]
    fn a_question_is_answered_with_its_own_words() {
        let bytes = question("Db.Example", A);
        let query = Query::parse(&bytes).unwrap();
        assert_eq!((query.name(), query.wanted()), ("Db.Example", Wanted::Addresses(Family::V4)));
        let answer = query.answer(Code::Ok, &[Data::Address("192.0.2.1".parse().unwrap())], 512);
        assert_eq!(answer[..4], [0x12, 0x34, 0x81, 0x80]);
        assert_eq!(answer[6..8], [0, 1]);
        assert_eq!(answer[12..bytes.len()], bytes[12..]);
        assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 1]);
    }

    #[test]
    fn long_answers_are_cut_and_say_so() {
        let query = Query::parse(&question("a", AAAA)).unwrap();
        let many = vec![Data::Address("2001:db8::1".parse().unwrap()); 40];
        let answer = query.answer(Code::Ok, &many, 512);
        assert_eq!((answer[2] & 2, answer[7], answer.len()), (2, 0, 12 + 7));
        assert!(query.answer(Code::Ok, &many, usize::MAX).len() > 1000);
    }

    #[test]
    fn names_stand_for_addresses_backwards() {
        let wanted = |name: &str| Query::parse(&question(name, PTR)).unwrap().wanted();
        assert_eq!(wanted("7.2.0.192.in-addr.ARPA"), Wanted::NameOf("192.0.2.7".parse().unwrap()));
        let six = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        assert_eq!(wanted(&six), Wanted::NameOf("2001:db8::1".parse().unwrap()));
        for other in ["2.0.192.in-addr.arpa", "256.2.0.192.in-addr.arpa", "in-addr.arpa", "10.ip6.arpa", "db"] {
            assert_eq!(wanted(other), Wanted::Other, "{other}");
        }
        let query = Query::parse(&question("7.2.0.192.in-addr.arpa", PTR)).unwrap();
        let answer = query.answer(Code::Ok, &[Data::Name("db.test".into())], 512);
        assert_eq!(answer[answer.len() - 11..], *b"\0\x09\x02db\x04test\0");
    }

    #[test]
    fn nonsense_is_refused_or_ignored() {
        assert_eq!(Query::parse(&[0; 5]), Err(None));
        let mut answer = question("a", A);
        answer[2] |= 0x80;
        assert_eq!(Query::parse(&answer), Err(None));
        let cut = &question("example", A)[..15];
        let refusal = Query::parse(cut).unwrap_err().unwrap();
        assert_eq!(refusal[3] & 15, Code::Malformed as u8);
        let mut looped = question("a", A);
        looped[12] = 0xc0;
        assert!(Query::parse(&looped).is_err());
    }
}
