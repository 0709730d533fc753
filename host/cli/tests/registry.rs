//! Registries as users meet them: Debian's `docker-registry` on loopback, filled by skopeo; `pull`, `run` and `build` that
//! fetch, `login`, `save` and `load`.

use shallop_test_support::http::{self, Server};
use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop, command, oracle, registry};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(300);
/// `ann`, `secret`.
const HTPASSWD: &str = "ann:$2y$05$Lp5AsZ6GuPkXqRqI3/pjF.OQzaR3FZcwJAh9cYmGvo2CfoCQejfe2\n";

/// A running registry.
struct Registry {
    child: Child,
    authority: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// On a free port, with or without a password; `None` where there is no docker-registry or no skopeo.
    fn start(password: bool) -> Option<Registry> {
        if !oracle("registry", &[("docker-registry", "docker-registry"), ("skopeo", "skopeo")]) {
            return None;
        }
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            path("data").display()
        );
        if password {
            fs::write(path("htpasswd"), HTPASSWD).expect("write htpasswd");
            config += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path("htpasswd").display());
        }
        fs::write(path("config.yml"), config).expect("write the configuration");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path("config.yml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start docker-registry");
        let mut log = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut said = String::new();
        let authority = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).is_ok_and(|n| n > 0), "docker-registry ended: {said}");
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split('"').next().unwrap_or_default().to_owned();
            }
            said.push_str(&line);
        };
        // Its log is read on, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Registry { child, authority, _folder: folder })
    }

    /// Copies an archive of one image to `name`, with skopeo.
    fn fill(&self, archive: &Path, name: &str) {
        let source = format!("oci-archive:{}", archive.display());
        let target = format!("docker://{}/{name}", self.authority);
        skopeo(&["copy", "--dest-tls-verify=false", "--dest-creds", "ann:secret", &source, &target]);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn skopeo(arguments: &[&str]) -> String {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy").args(arguments);
    command::run(&mut command, b"", LIMIT).expect_code(0).stdout
}

/// A home of its own, and a command that may use the network; its credentials are in the home.
fn home() -> Shallop {
    Shallop::private(env!("CARGO_BIN_EXE_shallop"))
}

fn online(shallop: &Shallop, arguments: &[&str]) -> Finished {
    online_with(shallop, arguments, b"")
}

fn online_with(shallop: &Shallop, arguments: &[&str], input: &[u8]) -> Finished {
    let mut command = shallop.command(arguments);
    command.env_remove("SHALLOP_OFFLINE").env("DOCKER_CONFIG", shallop.home().join("docker"));
    command::run(&mut command, input, LIMIT)
}

/// Builds an image of one file, and saves it.
fn saved(shallop: &Shallop, tag: &str, text: &str, archive: &Path) {
    let context = folder();
    fs::write(context.path().join("file"), text).expect("write a file");
    fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY file /file\nCMD [\"/file\"]\n").expect("write");
    shallop.run_in(context.path(), &["build", "-q", "-t", tag, "."]).expect_code(0);
    shallop.run(&["save", "-o", &archive.to_string_lossy(), tag]).expect_code(0);
}

fn inspect(shallop: &Shallop, name: &str) -> serde_json::Value {
    let shown = shallop.run(&["inspect", name]).expect_code(0);
    let list: serde_json::Value = serde_json::from_str(&shown.stdout).expect("inspect prints JSON");
    list[0].clone()
}

/// S12: with and without a tag, digests, `images`, `inspect`, `image rm`, `tag`.
#[test]
fn pulling() {
    let Some(registry) = Registry::start(false) else { return };
    let (maker, shallop, place) = (home(), home(), folder());
    let archive = place.path().join("x.tar");
    saved(&maker, "python", "one", &archive);
    registry.fill(&archive, "library/python:latest");
    saved(&maker, "python:3.9", "two", &archive);
    registry.fill(&archive, "library/python:3.9");
    let name = format!("{}/library/python", registry.authority);
    let done = online(&shallop, &["pull", &name]).expect_code(0);
    let lines: Vec<&str> = done.stdout.lines().collect();
    let [first, second, wanted, loaded, complete, digest, status, last] = lines[..] else {
        panic!("eight lines\n{}", done.outputs())
    };
    assert_eq!((first, second), ("Using default tag: latest", "latest: Pulling from library/python"));
    for (line, end) in [(wanted, "Pulling fs layer"), (loaded, "Download complete"), (complete, "Pull complete")] {
        let (layer, words) = line.split_once(": ").unwrap_or_default();
        assert!(layer.len() == 12 && words == end, "{line}");
    }
    let digest = digest.strip_prefix("Digest: ").unwrap_or_default();
    assert_eq!(status, format!("Status: Downloaded newer image for {name}:latest"));
    assert_eq!(last, format!("{name}:latest"));
    let again = online(&shallop, &["pull", &format!("{name}:latest")]).expect_code(0).stdout;
    assert!(again.contains(&format!("Status: Image is up to date for {name}:latest")), "{again}");
    assert!(!again.contains("Using default tag"), "{again}");
    // The digest that everybody else sees.
    let seen =
        skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{name}:latest")]);
    assert_eq!(seen.trim(), digest);
    assert_eq!(
        online(&shallop, &["pull", "-q", &format!("{name}:3.9")]).expect_code(0).stdout,
        format!("{name}:3.9\n")
    );
    let listed = shallop.run(&["images", "--digests"]).expect_code(0).stdout;
    assert!(listed.lines().count() == 3 && listed.contains(digest), "{listed}");
    let by_digest = format!("{name}@{digest}");
    assert_eq!(inspect(&shallop, &by_digest)["RepoDigests"][0], by_digest.as_str());
    assert_eq!(inspect(&shallop, &by_digest)["Id"], inspect(&maker, "python")["Id"]);
    shallop.run(&["tag", &name, "mine:1"]).expect_code(0);
    shallop.run(&["rmi", &format!("{name}:latest")]).expect_code(0);
    let removed = shallop.run(&["image", "rm", "mine:1"]).expect_code(0).stdout;
    assert!(
        removed.contains("Untagged: mine:1\n") && removed.contains(&format!("Untagged: {by_digest}\n")),
        "{removed}"
    );
    let done = online(&shallop, &["pull", &by_digest]).expect_code(0).stdout;
    assert!(done.contains(&format!("{by_digest}: Pulling from library/python")), "{done}");
    assert!(done.contains(&format!("Status: Downloaded newer image for {by_digest}")), "{done}");
}

#[test]
fn what_cannot_be_pulled() {
    let Some(registry) = Registry::start(false) else { return };
    let (shallop, place) = (home(), folder());
    let archive = place.path().join("x.tar");
    saved(&shallop, "app", "text", &archive);
    registry.fill(&archive, "app:latest");
    let name = |tag: &str| format!("{}/app{tag}", registry.authority);
    online(&shallop, &["pull", &name(":nope")]).expect_code(1).expect_error("not found: manifest unknown");
    let nowhere = format!("{}/nothing", registry.authority);
    online(&shallop, &["pull", &nowhere]).expect_code(1).expect_error("not found: ");
    online(&shallop, &["pull", "--platform", "linux/amd64", &name("")])
        .expect_code(1)
        .expect_error("wanted linux/amd64, actual: linux/riscv64");
    online(&shallop, &["pull", "-a", &name("")]).expect_code(1).expect_error("not done yet");
    online(&shallop, &["pull", "catalog/python"]).expect_code(1).expect_error("shallop catalog build python");
    online(&shallop, &["pull", "catalog.internal/nothing"]).expect_code(1).expect_error("no registry");
    shallop
        .run(&["pull", "python:3.9"])
        .expect_code(1)
        .expect_error("SHALLOP_OFFLINE")
        .expect_error("3.13 in place of 3.9");
    online(&shallop, &["run", "--pull", "never", "--rm", &name("")]).expect_code(125).expect_error("No such image");
    // Nobody listens there.
    online(&shallop, &["pull", "127.0.0.1:1/app"]).expect_code(1).expect_error("connection refused");
}

#[test]
fn a_password() {
    let Some(registry) = Registry::start(true) else { return };
    let (shallop, place) = (home(), folder());
    let archive = place.path().join("x.tar");
    saved(&shallop, "app", "text", &archive);
    registry.fill(&archive, "app:latest");
    let (server, name) = (registry.authority.as_str(), format!("{}/app", registry.authority));
    online(&shallop, &["pull", &name]).expect_code(1).expect_error(&format!("pull access denied for {name}"));
    let log_in = ["login", "-u", "ann", "--password-stdin", server];
    online_with(&shallop, &log_in, b"wrong\n").expect_code(1).expect_error("401");
    let done = online_with(&shallop, &log_in, b"secret\n").expect_code(0);
    assert_eq!(done.stdout, "Login Succeeded\n");
    online(&shallop, &["pull", &name]).expect_code(0);
    // skopeo reads what was written.
    let config = shallop.home().join("docker/config.json");
    let target = format!("docker://{name}:latest");
    skopeo(&["inspect", "--authfile", &config.to_string_lossy(), "--tls-verify=false", &target]);
    let out = online(&shallop, &["logout", server]).expect_code(0).stdout;
    assert_eq!(out, format!("Removing login credentials for {server}\n"));
    assert_eq!(online(&shallop, &["logout", server]).expect_code(0).stdout, format!("Not logged in to {server}\n"));
    online(&shallop, &["pull", &name]).expect_code(1).expect_error("pull access denied");
    online(&shallop, &["login", "--password-stdin", server]).expect_code(1).expect_error("Must provide --username");
    online(&shallop, &["login", server]).expect_code(1).expect_error("non TTY");
}

#[test]
fn a_credential_helper() {
    use std::os::unix::fs::PermissionsExt;
    let Some(registry) = Registry::start(true) else { return };
    let (shallop, place) = (home(), folder());
    let archive = place.path().join("x.tar");
    saved(&shallop, "app", "text", &archive);
    registry.fill(&archive, "app:latest");
    let helper = place.path().join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread -r asked\nif [ \"$1 $asked\" = 'get {}' ]; then\n  echo '{{\"Username\":\"ann\",\"Secret\":\"secret\"}}'\n\
         else\n  echo 'credentials not found in native keychain'\n  exit 1\nfi\n",
        registry.authority
    );
    fs::write(&helper, script).expect("write the helper");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("make it a program");
    let config = shallop.home().join("docker");
    fs::create_dir_all(&config).expect("create a folder");
    fs::write(config.join("config.json"), r#"{"credsStore":"test"}"#).expect("write the configuration");
    let path = format!("{}:{}", place.path().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = shallop.command(&["pull", "-q", &format!("{}/app", registry.authority)]);
    command.env_remove("SHALLOP_OFFLINE").env("DOCKER_CONFIG", &config).env("PATH", path);
    command::run(&mut command, b"", LIMIT).expect_code(0);
}

#[test]
fn run_and_build_fetch_what_is_missing() {
    let Some(registry) = Registry::start(false) else { return };
    let (maker, shallop, place) = (home(), home(), folder());
    let archive = place.path().join("hello.tar");
    maker.run(&["run", "--rm", "catalog/hello-world"]).expect_code(0);
    maker.run(&["save", "-o", &archive.to_string_lossy(), "catalog.internal/hello-world"]).expect_code(0);
    registry.fill(&archive, "hello:latest");
    let name = format!("{}/hello", registry.authority);
    let done = online(&shallop, &["run", "--rm", &name]).expect_code(0);
    assert!(done.stdout.contains("Hello from shallop!"), "{}", done.outputs());
    assert!(done.stderr.contains(&format!("Unable to find image '{name}:latest' locally")), "{}", done.outputs());
    assert!(done.stderr.contains("latest: Pulling from hello"), "{}", done.outputs());
    let again = online(&shallop, &["run", "--rm", &name]).expect_code(0);
    assert!(!again.stderr.contains("Pulling"), "{}", again.outputs());
    let always = online(&shallop, &["run", "--rm", "--pull", "always", &name]).expect_code(0);
    assert!(always.stderr.contains("Pulling from hello"), "{}", always.outputs());
    // A base image.
    let other = home();
    let context = folder();
    fs::write(context.path().join("Dockerfile"), format!("FROM {name}\nLABEL a=b\n")).expect("write");
    let path = context.path().to_string_lossy().into_owned();
    let built = online(&other, &["build", "--platform", "wasi/wasm", "-t", "mine", &path]).expect_code(0);
    assert!(built.stderr.contains("Pulling from hello"), "{}", built.outputs());
    let built = online(&other, &["build", "--pull", "--platform", "wasi/wasm", "-t", "mine", &path]).expect_code(0);
    assert!(built.stderr.contains("Pulling from hello"), "{}", built.outputs());
    assert_eq!(inspect(&other, "mine")["Config"]["Labels"]["a"], "b");
}

/// S10: save, unpack, read, load.
#[test]
fn an_archive_is_read_by_others_and_back() {
    if !oracle("registry", &[("skopeo", "skopeo")]) {
        return;
    }
    let (maker, place) = (home(), folder());
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    saved(&maker, "user/app:v1", "text", Path::new(&path("x.tar")));
    maker.run(&["tag", "user/app:v1", "user/app:v2"]).expect_code(0);
    maker.run(&["save", "-o", &path("both.tar"), "user/app"]).expect_code(0);
    let id = inspect(&maker, "user/app:v1")["Id"].as_str().unwrap_or_default().to_owned();
    // As a learner looks at it.
    fs::create_dir(path("unpacked")).expect("create a folder");
    let mut tar = Command::new("tar");
    command::run(tar.args(["-xf", &path("both.tar"), "-C", &path("unpacked")]), b"", LIMIT).expect_code(0);
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(place.path().join("unpacked").join(name)).expect("read")).expect("JSON")
    };
    let manifest = read("manifest.json");
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["user/app:v1", "user/app:v2"]));
    assert_eq!(manifest[0]["Config"], format!("blobs/sha256/{}", id.trim_start_matches("sha256:")));
    assert_eq!(read("index.json")["manifests"][1]["annotations"]["io.containerd.image.name"], "docker.io/user/app:v2");
    // Others copy it; what comes back is the same image.
    skopeo(&[
        "copy",
        &format!("docker-archive:{}", path("x.tar")),
        &format!("docker-archive:{}:user/a:b", path("d.tar")),
    ]);
    skopeo(&["copy", &format!("oci-archive:{}", path("x.tar")), &format!("oci-archive:{}:user/a:b", path("o.tar"))]);
    command::run(Command::new("gzip").args(["-k", &path("both.tar")]), b"", LIMIT).expect_code(0);
    for (archive, names) in [
        ("x.tar", vec!["user/app:v1"]),
        ("d.tar", vec!["user/a:b"]),
        ("o.tar", vec!["user/a:b"]),
        ("both.tar.gz", vec!["user/app:v1", "user/app:v2"]),
    ] {
        let shallop = home();
        let done = shallop.run(&["load", "-i", &path(archive)]).expect_code(0);
        let wanted: String = names.iter().map(|name| format!("Loaded image: {name}\n")).collect();
        assert_eq!(done.stdout, wanted, "{archive}");
        assert_eq!(inspect(&shallop, names[0])["Id"], id.as_str(), "{archive}");
    }
    // From stdin, over another image of that name.
    let shallop = home();
    saved(&shallop, "user/app:v1", "older", Path::new(&path("old.tar")));
    let done = shallop.run_with(&["load"], &fs::read(path("both.tar.gz")).expect("read")).expect_code(0);
    assert!(
        done.stdout.starts_with("The image user/app:v1 already exists, renaming the old one with ID sha256:"),
        "{}",
        done.stdout
    );
    assert_eq!(shallop.run(&["load", "-q", "-i", &path("both.tar")]).expect_code(0).stdout, "");
    shallop.run(&["load", "-i", &path("nothing.tar")]).expect_code(1).expect_error("nothing.tar");
    shallop.run(&["load"]).expect_code(1).expect_error("no archive of images");
    shallop.run(&["save", "-o", &path("none.tar"), "nothing"]).expect_code(1).expect_error("No such image");
    assert!(!place.path().join("none.tar").exists());
}

/// Podman with all that it keeps in one folder; `None` where there is none, or none that works for this user.
fn podman(place: &Path) -> Option<impl Fn(&[&str]) -> Finished> {
    if !oracle("podman", &[("podman", "podman")]) {
        return None;
    }
    let place = place.to_owned();
    let run = move |arguments: &[&str]| {
        let path = |name: &str| place.join(name).to_string_lossy().into_owned();
        let mut command = Command::new("podman");
        command.args(["--root", &path("root"), "--runroot", &path("run"), "--tmpdir", &path("libpod")]);
        command.args(["--storage-driver", "vfs"]).args(arguments).env("HOME", &place).env("XDG_RUNTIME_DIR", &place);
        command::run(&mut command, b"", LIMIT)
    };
    let able = run(&["images"]);
    if able.code != 0 {
        oracle::skip("podman", "podman that works for this user", able.stderr.trim());
    }
    (able.code == 0).then_some(run)
}

#[test]
fn podman_reads_an_archive_and_we_read_its_own() {
    let place = folder();
    let Some(podman) = podman(place.path()) else { return };
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let maker = home();
    saved(&maker, "user/app:v1", "text", Path::new(&path("one.tar")));
    maker.run(&["tag", "user/app:v1", "user/app:v2"]).expect_code(0);
    maker.run(&["save", "-o", &path("two.tar"), "user/app"]).expect_code(0);
    let made = inspect(&maker, "user/app:v1");
    let id = made["Id"].as_str().unwrap_or_default();
    let done = podman(&["load", "-i", &path("one.tar")]).expect_code(0);
    assert_eq!(done.stdout, "Loaded image: docker.io/user/app:v1\n");
    let shown = podman(&["inspect", "--format", "{{.Id}} {{.Architecture}} {{.Config.Cmd}}", "docker.io/user/app:v1"]);
    assert_eq!(shown.expect_code(0).stdout, format!("{} riscv64 [/file]\n", id.trim_start_matches("sha256:")));
    // Of several images it takes the names as they are, which are its own then.
    let done = podman(&["load", "-i", &path("two.tar")]).expect_code(0);
    assert_eq!(done.stdout, "Loaded image: localhost/user/app:v1\nLoaded image: localhost/user/app:v2\n");
    let cases = [
        ("docker-archive", "docker.io/user/app:v1", &["user/app:v1"][..]),
        ("oci-archive", "docker.io/user/app:v1", &["user/app:v1"]),
        ("docker-archive", "localhost/user/app:v2", &["localhost/user/app:v2"]),
    ];
    for (n, (format, name, loaded)) in cases.into_iter().enumerate() {
        let archive = path(&format!("{n}.tar"));
        podman(&["save", "-q", "--format", format, "-o", &archive, name]).expect_code(0);
        let shallop = home();
        let done = shallop.run(&["load", "-i", &archive]).expect_code(0);
        let wanted: String = loaded.iter().map(|name| format!("Loaded image: {name}\n")).collect();
        assert_eq!(done.stdout, wanted, "{format}");
        let there = inspect(&shallop, loaded[0]);
        for key in ["RootFS", "Architecture", "Config"] {
            assert_eq!(there[key], made[key], "{format}: {key}");
        }
    }
}

/// A registry that serves a saved archive; it stops in the middle of its largest blob, as long as a client waits there, until `go_on`.
fn halting(archive: &Path, place: &Path, go_on: &Arc<AtomicBool>, served: &Arc<AtomicUsize>) -> Server {
    let (go_on, served) = (go_on.clone(), served.clone());
    let send = move |stream: &mut TcpStream, part: &[u8], at: usize| {
        let halts = at + part.len() > HALT && !go_on.load(Ordering::Relaxed);
        let sent = if halts { &part[..HALT - at] } else { part };
        stream.write_all(sent)?;
        served.fetch_add(sent.len(), Ordering::Relaxed);
        while halts && !go_on.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    };
    registry::of_archive(archive, place, Box::new(send))
}

/// Where a halting registry stops.
const HALT: usize = 3 << 20;

#[test]
fn a_pull_that_was_killed_is_gone_on_with() {
    let (maker, shallop, place) = (home(), home(), folder());
    let archive = place.path().join("x.tar");
    let noise: String = (0u32..400_000).map(|i| format!("{:08x}", i.wrapping_mul(2_654_435_761))).collect();
    saved(&maker, "app", &noise, &archive);
    let (go_on, served) = (Arc::default(), Arc::default());
    let server = halting(&archive, place.path(), &go_on, &served);
    let name = format!("{}/app", server.authority());
    let mut command = shallop.command(&["pull", &name]);
    command.env_remove("SHALLOP_OFFLINE").env("DOCKER_CONFIG", shallop.home().join("docker")).stdout(Stdio::null());
    let mut child = command.spawn().expect("start a pull");
    let partial = || fs::read_dir(shallop.home().join("data/partial")).into_iter().flatten().flatten();
    let deadline = Instant::now() + LIMIT;
    while !partial().any(|entry| entry.metadata().is_ok_and(|meta| meta.len() == HALT as u64)) {
        assert!(Instant::now() < deadline, "no part of the layer came");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("kill the pull");
    child.wait().expect("wait for the pull");
    go_on.store(true, Ordering::Relaxed);
    online(&shallop, &["pull", &name]).expect_code(0);
    let begins: Vec<usize> = server.requests().iter().filter_map(http::Request::range).collect();
    assert_eq!(begins, [HALT]);
    let served = served.load(Ordering::Relaxed);
    assert!(served < noise.len() + 20_000, "{served} bytes were served, of a layer of some {}", noise.len());
    assert_eq!(partial().count(), 0);
    assert_eq!(inspect(&shallop, &name)["Id"], inspect(&maker, "app")["Id"]);
}
