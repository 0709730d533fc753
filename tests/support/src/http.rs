//! A web server for tests, on loopback: each request is given to a function that writes the answer as it likes, well or badly.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A client that says nothing is let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a request's head, and of its body.
const HEAD_MAX: u64 = 64 << 10;
const BODY_MAX: u64 = 1 << 20;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and parameters.
    pub target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where a range that was asked for begins.
    pub fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// Answers a request; the connection is closed afterwards. An error only means that the client went away.
pub type Handler = dyn Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// A running server; ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on a free port of 127.0.0.1.
    pub fn start(handler: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind on loopback");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let handler: Arc<Handler> = Arc::new(handler);
        let thread = thread::spawn({
            let (requests, stop) = (requests.clone(), stop.clone());
            move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (handler, requests) = (handler.clone(), requests.clone());
                    thread::spawn(move || serve(stream, &*handler, &requests));
                }
            }
        });
        Server { address, requests, stop, thread: Some(thread) }
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// What was asked so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, requests: &Mutex<Vec<Request>>) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_write_timeout(Some(PATIENCE));
    // What is no HTTP (a TLS handshake) gets no answer.
    let Ok(Some(request)) = read(&stream) else { return };
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let _ = handler(&request, &mut stream);
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

fn read(stream: &TcpStream) -> io::Result<Option<Request>> {
    let mut first = [0];
    if stream.peek(&mut first)? == 0 || !first[0].is_ascii_alphabetic() {
        return Ok(None);
    }
    let mut input = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if (&mut input).take(HEAD_MAX).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first().map(String::as_str).unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0u64);
    input.take(length.min(BODY_MAX)).read_to_end(&mut request.body)?;
    Ok(Some(request))
}

/// Writes the head of an answer.
///
/// # Errors
/// The client went away.
pub fn head(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Test\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{text}\r\n").as_bytes())
}

/// Writes a whole answer.
///
/// # Errors
/// As [`head`].
pub fn answer(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    let length = body.len().to_string();
    head(stream, status, &[headers, &[("Content-Length", &length)]].concat())?;
    stream.write_all(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_and_remembered() {
        let server = Server::start(|request, stream| answer(stream, 200, &[("X", "y")], request.target.as_bytes()));
        let mut stream = TcpStream::connect(server.authority()).unwrap();
        stream.write_all(b"POST /a?b HTTP/1.1\r\nRange: bytes=5-\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\n/a?b"), "{text}");
        let asked = &server.requests()[0];
        assert_eq!((asked.method.as_str(), asked.range(), &asked.body[..]), ("POST", Some(5), &b"abc"[..]));
    }
}
