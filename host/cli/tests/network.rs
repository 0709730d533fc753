//! Containers and steps on the network: their own loopback, servers of this machine by grant, names, what is refused.
//!
//! Servers are on this machine's 127.0.0.1; nothing goes further.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use shallop_test_support::oracle::skip;
use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop, command};

const HOST: &str = "host.docker.internal:host-gateway";
const BUSYBOX: &str = "catalog.internal/busybox";

fn shallop(suite: &str) -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    shallop.needs(suite, &["busybox"]).then_some(shallop)
}

/// Runs a shell script in busybox.
fn sh(shallop: &Shallop, flags: &[&str], script: &str) -> Finished {
    shallop.run(&[&["run", "--rm", "--timeout", "280"], flags, &[BUSYBOX, "sh", "-c", script]].concat())
}

/// A server that answers `count` connections with a page; its port.
fn http_server(count: usize, page: &'static str) -> u16 {
    let server = TcpListener::bind("127.0.0.1:0").expect("listen on the loopback");
    let port = server.local_addr().expect("a bound socket has an address").port();
    std::thread::spawn(move || {
        for stream in server.incoming().take(count) {
            let mut stream = stream.expect("accept");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set a time-out");
            let mut request: Vec<u8> = Vec::new();
            let mut buf = [0; 512];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buf) {
                    Ok(count) if count > 0 => request.extend(&buf[..count]),
                    _ => break,
                }
            }
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        }
    });
    port
}

#[test]
fn a_container_has_a_loopback_of_its_own() {
    let Some(shallop) = shallop("network") else { return };
    let script = "mkdir /www && echo inside > /www/page && httpd -p 127.0.0.1:8000 -h /www && wget -qO- http://localhost:8000/page";
    for flags in [&[][..], &["--network", "none"]] {
        let done = sh(&shallop, flags, script).expect_code(0);
        assert_eq!(done.stdout, "inside\n");
    }
}

#[test]
fn this_machine_is_reached_by_grant_alone() {
    let Some(shallop) = shallop("network") else { return };
    let port = http_server(1, "from the host\n");
    let script = format!("wget -qO- http://host.docker.internal:{port}/");
    let done = sh(&shallop, &["--add-host", HOST], &script).expect_code(0);
    assert_eq!(done.stdout, "from the host\n");
    let refused =
        sh(&shallop, &[], &format!("wget -qO- http://172.17.0.1:{port}/; wget -qO- http://127.0.0.1:{port}/"));
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains(&format!("the network policy refused TCP to 172.17.0.1:{port}")),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("Connection refused"), "{}", refused.stderr);
    let none = sh(&shallop, &["--network", "none"], &format!("wget -qO- http://172.17.0.1:{port}/"));
    assert!(
        none.stderr.contains("Network is unreachable") || none.stderr.contains("Network unreachable"),
        "{}",
        none.stderr
    );
}

#[test]
fn datagrams_go_out_and_come_back() {
    let Some(shallop) = shallop("network") else { return };
    let server = UdpSocket::bind("127.0.0.1:0").expect("bind on the loopback");
    let port = server.local_addr().expect("a bound socket has an address").port();
    server.set_read_timeout(Some(Duration::from_secs(60))).expect("set a time-out");
    let answer = std::thread::spawn(move || {
        let mut buf = [0; 600];
        let (count, from) = server.recv_from(&mut buf).expect("receive a question");
        assert!(buf[..count].starts_with(b"\0\x01question\0"), "{:?}", &buf[..count]);
        // The first block of a file, which is the last one too.
        server.send_to(b"\0\x03\0\x01answer\n", from).expect("answer");
    });
    let script = format!("tftp -g -r question -l /answer host.docker.internal {port} && cat /answer");
    let done = sh(&shallop, &["--add-host", HOST], &script);
    assert_eq!(done.stdout, "answer\n", "{}", done.stderr);
    answer.join().expect("the server ends");
}

#[test]
fn the_containers_own_name_server_answers() {
    let Some(shallop) = shallop("network") else { return };
    let script = "cat /etc/resolv.conf | head -n 1; nslookup db.test; nslookup other.test";
    let done = sh(&shallop, &["--add-host", "db.test:192.0.2.7", "--network-allow", "db.test:5432"], script);
    assert!(done.stdout.starts_with("nameserver 127.0.0.11\n"), "{}", done.stdout);
    assert!(done.stdout.contains("192.0.2.7"), "{}\n{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("the network policy refused the name other.test"), "{}", done.stderr);
}

#[test]
fn name_servers_are_those_that_were_asked_for() {
    let Some(shallop) = shallop("network") else { return };
    let resolv_conf = |flags: &[&str]| sh(&shallop, flags, "cat /etc/resolv.conf").expect_code(0).stdout;
    let flags = ["--dns", "192.0.2.1", "--dns", "192.0.2.2", "--dns-search", "a.test", "--dns-option", "timeout:1"];
    let servers = "nameserver 192.0.2.1\nnameserver 192.0.2.2\n";
    assert_eq!(resolv_conf(&flags), format!("{servers}search a.test\noptions timeout:1\n"));
    assert_eq!(resolv_conf(&["--dns-search", "."]), "nameserver 127.0.0.11\noptions ndots:0\n");
    assert_eq!(resolv_conf(&["--network", "none", "--dns", "192.0.2.1"]), "nameserver 192.0.2.1\n");
    // They are reached as all else is.
    let done = sh(&shallop, &["--dns", "172.17.0.1"], "nslookup web.test");
    assert!(done.stderr.contains("the network policy refused UDP to 172.17.0.1:53"), "{}", done.stderr);
    let done = sh(&shallop, &["--dns", "192.0.2.1", "--network-allow", "web.test"], "nslookup web.test");
    assert!(done.stderr.contains("the network policy refused UDP to 192.0.2.1:53"), "{}", done.stderr);
}

/// A name server on this machine's 127.0.0.1 that says 192.0.2.7 of every name; what it was asked, question by question.
fn name_server() -> Option<std::sync::mpsc::Receiver<Vec<u8>>> {
    let server = UdpSocket::bind("127.0.0.1:53")
        .map_err(|error| skip("network", "a free port 53 and the right to it", &error.to_string()))
        .ok()?;
    let (asked, questions) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buf = [0; 512];
        while let Ok((count, from)) = server.recv_from(&mut buf) {
            let (question, record) = (&buf[12..count], b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x07");
            let is_address = question.ends_with(b"\0\x01\0\x01");
            let answers = u8::from(is_address);
            let head = [buf[0], buf[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0];
            let answer = [&head[..], question, if is_address { &record[..] } else { b"" }].concat();
            if server.send_to(&answer, from).is_err() || asked.send(question.to_vec()).is_err() {
                return;
            }
        }
    });
    Some(questions)
}

#[test]
fn a_name_server_that_was_named_is_asked() {
    let (Some(shallop), Some(questions)) = (shallop("network"), name_server()) else { return };
    let flags = ["--dns", "172.17.0.1", "--add-host", HOST, "--dns-search", "a.test"];
    let done = sh(&shallop, &flags, "ping -c 1 -W 1 web; nslookup -type=a mail.test");
    assert!(done.stdout.contains("192.0.2.7"), "{}{}", done.stdout, done.stderr);
    let asked: Vec<Vec<u8>> = questions.try_iter().collect();
    for name in [&b"\x03web\x01a\x04test\0"[..], b"\x04mail\x04test\0"] {
        assert!(asked.iter().any(|question| question.starts_with(name)), "{asked:?}");
    }
}

#[test]
fn addresses_have_names() {
    let Some(shallop) = shallop("network") else { return };
    let script = "for name in 192.0.2.7 172.17.0.2 127.0.0.1 ::1 203.0.113.8 172.17.0.1 box; do nslookup $name; done";
    let flags = ["--add-host", "db.test:192.0.2.7", "--hostname", "box", "--network-allow", "db.test:5432"];
    let done = sh(&shallop, &flags, script);
    let names: Vec<&str> =
        done.stdout.lines().filter_map(|line| line.split_once("name = ")).map(|(_, name)| name).collect();
    assert_eq!(names, ["db.test", "box", "localhost", "localhost"], "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("Address: 172.17.0.2"), "{}", done.stdout);
    assert!(done.stderr.contains("the network policy refused the name of 203.0.113.8"), "{}", done.stderr);
    assert!(!done.stderr.contains("refused the name of 172.17.0.1"), "{}", done.stderr);
}

#[test]
fn an_allow_list_holds() {
    let Some(shallop) = shallop("network") else { return };
    let port = http_server(1, "allowed\n");
    let allow = format!("host.docker.internal:{port}");
    let script = format!("wget -qO- http://host.docker.internal:{port}/; wget -qO- http://host.docker.internal:1/");
    let done = sh(&shallop, &["--add-host", HOST, "--network-allow", &allow], &script);
    assert_eq!(done.stdout, "allowed\n", "{}", done.stderr);
    assert!(done.stderr.contains("refused TCP to 172.17.0.1:1"), "{}", done.stderr);
}

#[test]
fn nobody_listening_is_told_as_linux_tells_it() {
    let Some(shallop) = shallop("network") else { return };
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").expect("find a free port");
        free.local_addr().expect("a bound socket has an address").port()
    };
    let done = sh(&shallop, &["--add-host", HOST], &format!("wget -qO- http://host.docker.internal:{port}/"));
    assert!(done.stderr.contains("Connection refused"), "{}", done.stderr);
}

#[test]
fn steps_have_the_network_that_they_ask_for() {
    let Some(shallop) = shallop("network") else { return };
    let port = http_server(1, "for a step\n");
    let dockerfile = format!(
        "FROM {BUSYBOX}\nRUN wget -qO /page http://host.docker.internal:{port}/\n\
         RUN --network=none ! wget -qO- http://host.docker.internal:{port}/ && ls /sys/class/net > /none\n\
         RUN wget -qO- http://169.254.169.254/ || true\n"
    );
    let context = folder();
    let context = context.path().to_string_lossy();
    let image = "shallop-test/network";
    let build = ["build", "--no-cache", "-t", image, "--add-host", HOST, "-f", "-", &context];
    let done = shallop.run_with(&build, dockerfile.as_bytes()).expect_code(0);
    assert!(done.stderr.contains("the network policy refused TCP to 169.254.169.254:80"), "{}", done.stderr);
    let shown = shallop.run(&["run", "--rm", image, "cat", "/page", "/none"]).expect_code(0);
    assert_eq!(shown.stdout, "for a step\nlo\n");
}

#[test]
fn a_wait_for_the_network_stops_nobody_else() {
    let Some(shallop) = shallop("network") else { return };
    let server = TcpListener::bind("127.0.0.1:0").expect("listen on the loopback");
    let port = server.local_addr().expect("a bound socket has an address").port();
    // Nobody accepts; the connection is made all the same, and no answer comes.
    let script = format!(
        "wget -qO- http://host.docker.internal:{port}/ & pid=$!; i=0; \
         while [ $i -lt 200 ]; do i=$((i+1)); (exit 0); done; echo counted $i; kill $pid; wait $pid; echo ended"
    );
    let done = sh(&shallop, &["--add-host", HOST], &script);
    assert!(done.stdout.contains("counted 200\n") && done.stdout.contains("ended\n"), "{}{}", done.stdout, done.stderr);
}

#[test]
fn proxies_of_dockers_configuration_are_passed_on() {
    let Some(shallop) = shallop("network") else { return };
    let config = folder();
    let text = r#"{"proxies": {"default": {"httpProxy": "http://proxy.test:3128", "noProxy": "localhost"}}}"#;
    std::fs::write(config.path().join("config.json"), text).expect("write config.json");
    let run = |arguments: &[&str], input: &[u8]| {
        let mut shallop = shallop.command(arguments);
        shallop.env("DOCKER_CONFIG", config.path());
        command::run(&mut shallop, input, Duration::from_secs(240))
    };
    let script = "echo $HTTP_PROXY $http_proxy $NO_PROXY";
    let done = run(&["run", "--rm", "-e", "http_proxy=own", BUSYBOX, "sh", "-c", script], b"").expect_code(0);
    assert_eq!(done.stdout, "http://proxy.test:3128 own localhost\n");
    let context = folder();
    let image = "shallop-test/proxies";
    let dockerfile = format!("FROM {BUSYBOX}\nRUN echo $HTTP_PROXY > /proxy\n");
    let build = ["build", "--no-cache", "-t", image, "-f", "-", &context.path().to_string_lossy()];
    run(&build, dockerfile.as_bytes()).expect_code(0);
    let shown = shallop.run(&["run", "--rm", image, "sh", "-c", "cat /proxy; env"]).expect_code(0);
    assert!(shown.stdout.starts_with("http://proxy.test:3128\n"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("HTTP_PROXY="), "{}", shown.stdout);
    let inspected = shallop.run(&["inspect", image]).expect_code(0);
    assert!(!inspected.stdout.contains("proxy.test"), "{}", inspected.stdout);
}

#[test]
fn flags_that_mean_nothing_are_refused() {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    for (flags, word) in [
        (&["--network", "host"][..], "--network host"),
        (&["--network", "mine"], "--network mine"),
        (&["--add-host", "nonsense"], "--add-host"),
        (&["--network-allow", "http://x"], "--network-allow"),
        (&["--dns", "dns.test"], "--dns"),
        (&["--dns-search", "a b"], "--dns-search"),
        (&["--dns-option", ""], "--dns-option"),
        (&["--network", "none", "--host-mirrors"], "--host-mirrors"),
    ] {
        let done = shallop.run(&[&["run", "--rm"], flags, &[BUSYBOX, "true"]].concat());
        assert_eq!(done.code, 125, "{flags:?}");
        assert!(done.stderr.contains(word), "{flags:?}: {}", done.stderr);
    }
}
