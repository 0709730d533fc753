//! The catalog's images keep the interface of the official images of their names: a table of what each one's
//! configuration says, and of commands run in it with what they print.
//!
//! The heavy ones are built on request only: `cargo nextest run --release -E 'binary(catalog)' --run-ignored all`.

use shallop_test_support::shallop::folder;
use shallop_test_support::{Shallop, oracle};
use std::fs;

/// What an image promises.
struct Image {
    name: &'static str,
    entrypoint: &'static str,
    command: &'static str,
    workdir: &'static str,
    /// Beginnings of `NAME=value`.
    env: &'static [&'static str],
    ports: &'static [&'static str],
    volumes: &'static [&'static str],
    stop_signal: &'static str,
    /// Shell commands, each with the lines that it prints.
    says: &'static [(&'static str, &'static str)],
}

const NONE: Image = Image {
    name: "",
    entrypoint: "null",
    command: "",
    workdir: "",
    env: &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    ports: &[],
    volumes: &[],
    stop_signal: "null",
    says: &[],
};

/// What each image made by dpkg has: every package configured, nothing left to do.
const CONFIGURED: (&str, &str) = ("dpkg-query -W -f '${db:Status-Abbrev}\\n' | sort | uniq; dpkg --audit", "ii ");

const DEBIAN: Image = Image {
    name: "debian",
    command: "[\"bash\"]",
    says: &[
        CONFIGURED,
        ("id -un; echo $HOME; pwd", "root\n/root\n/"),
        ("getent passwd root www-data nobody | cut -d: -f1,2,3", "root:x:0\nwww-data:x:33\nnobody:x:65534"),
        ("readlink -f /usr/bin/awk /usr/bin/which", "/usr/bin/mawk\n/usr/bin/which.debianutils"),
        ("stat -c '%a %U:%G' /etc/shadow /tmp /root", "640 root:shadow\n1777 root:root\n700 root:root"),
        ("grep -c . /etc/nsswitch.conf >/dev/null && test -f /etc/ld.so.cache && echo ok", "ok"),
        ("useradd -m -s /bin/bash ada && su ada -c 'id -un; pwd; cd; pwd'", "ada\n/\n/home/ada"),
        ("invoke-rc.d nothing start 2>/dev/null; /usr/sbin/policy-rc.d; echo $?", "101"),
        ("apt-get check -qq && apt-cache policy dash | sed -n 1p", "dash:"),
        ("find /usr/share/doc -type f ! -name copyright; ls /usr/share/doc/dash", "copyright"),
        ("dpkg -V dash bash coreutils 2>&1 | grep -v /usr/share/ || echo intact", "intact"),
    ],
    ..NONE
};

const PYTHON: Image = Image {
    name: "python",
    command: "[\"python3\"]",
    env: &["PATH=/usr/local/bin:", "LANG=C.UTF-8", "PYTHON_VERSION=3.13."],
    says: &[
        CONFIGURED,
        (
            "which python python3 pip pip3",
            "/usr/local/bin/python\n/usr/local/bin/python3\n/usr/local/bin/pip\n/usr/local/bin/pip3",
        ),
        ("[ \"$(python -V)\" = \"Python $PYTHON_VERSION\" ] && echo true", "true"),
        (
            "python -c 'import sys, sysconfig as s; print(sys.prefix, s.get_path(\"purelib\"), s.get_path(\"scripts\"))'",
            "/usr/local /usr/local/lib/python3.13/site-packages /usr/local/bin",
        ),
        ("pip --version | cut -d' ' -f3-4", "from /usr/local/lib/python3.13/site-packages/pip"),
        (
            "python -c 'import ssl, sqlite3, zlib, bz2, lzma, ctypes, readline; print(ssl.create_default_context().cert_store_stats()[\"x509\"] > 100)'",
            "True",
        ),
    ],
    ..NONE
};

const BUSYBOX: Image = Image {
    name: "busybox",
    command: "[\"sh\"]",
    says: &[(
        "id -un; ls -d /bin/ls /etc/passwd /tmp /var/www; awk 'BEGIN { print 6 * 7 }'",
        "root\n/bin/ls\n/etc/passwd\n/tmp\n/var/www\n42",
    )],
    ..NONE
};

const NGINX: Image = Image {
    name: "nginx",
    entrypoint: "[\"/docker-entrypoint.sh\"]",
    command: "[\"nginx\",\"-g\",\"daemon off;\"]",
    env: &[NONE.env[0], "NGINX_VERSION=1."],
    ports: &["80/tcp"],
    stop_signal: "\"SIGQUIT\"",
    says: &[
        CONFIGURED,
        (
            "grep -c '<h1>Welcome to nginx!</h1>' /usr/share/nginx/html/index.html; ls /usr/share/nginx/html",
            "1\n50x.html\nindex.html",
        ),
        ("readlink /var/log/nginx/access.log /var/log/nginx/error.log", "/dev/stdout\n/dev/stderr"),
        ("ls /etc/nginx/conf.d; id -u nginx; id -g nginx", "default.conf\n101\n101"),
        (
            "ls /docker-entrypoint.d",
            "10-listen-on-ipv6-by-default.sh\n15-local-resolvers.envsh\n20-envsubst-on-templates.sh\n30-tune-worker-processes.sh",
        ),
        ("nginx -t 2>&1 | head -n 1", "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok"),
        (
            "mkdir /etc/nginx/templates; echo 'server { listen ${PORT}; set $a b; }' >/etc/nginx/templates/a.conf.template; \
          export PORT=81 NGINX_ENTRYPOINT_QUIET_LOGS=1; ln -s /usr/bin/true /usr/local/bin/nginx-debug; /docker-entrypoint.sh nginx-debug; cat /etc/nginx/conf.d/a.conf",
            "server { listen 81; set $a b; }",
        ),
        (
            "printf '#!/bin/sh\\necho from a script\\n' >/docker-entrypoint.d/90-mine.sh; chmod +x /docker-entrypoint.d/90-mine.sh; \
          printf 'export SET=yes\\n' >/docker-entrypoint.d/91-mine.envsh; chmod +x /docker-entrypoint.d/91-mine.envsh; \
          printf '#!/bin/sh\\necho $SET\\n' >/usr/local/bin/nginx-debug; chmod +x /usr/local/bin/nginx-debug;  \
          NGINX_ENTRYPOINT_QUIET_LOGS=1 /docker-entrypoint.sh nginx-debug",
            "from a script\nyes",
        ),
        ("/docker-entrypoint.sh echo as it is", "as it is"),
    ],
    ..NONE
};

const REDIS: Image = Image {
    name: "redis",
    entrypoint: "[\"docker-entrypoint.sh\"]",
    command: "[\"redis-server\"]",
    workdir: "/data",
    env: &[NONE.env[0], "REDIS_VERSION=8."],
    ports: &["6379/tcp"],
    volumes: &["/data"],
    says: &[
        CONFIGURED,
        (
            "stat -c '%U:%G' /data; pwd; which redis-server redis-cli docker-entrypoint.sh",
            "redis:redis\n/data\n/usr/local/bin/redis-server\n/usr/local/bin/redis-cli\n/usr/local/bin/docker-entrypoint.sh",
        ),
        ("docker-entrypoint.sh redis-server --version | cut -d' ' -f1-2", "Redis server"),
        (
            "printf '#!/bin/sh\\nid -un; umask; echo \"$*\"\\n' >/usr/local/sbin/redis-server; chmod +x /usr/local/sbin/redis-server; \
          touch /data/dump.rdb; docker-entrypoint.sh redis-server; docker-entrypoint.sh --port 7000 --protected-mode yes; stat -c %U /data/dump.rdb",
            "redis\n0077\n--protected-mode no\nredis\n0077\n--port 7000 --protected-mode yes\nredis",
        ),
        ("docker-entrypoint.sh id -un", "root"),
    ],
    ..NONE
};

const NODE: Image = Image {
    name: "node",
    entrypoint: "[\"docker-entrypoint.sh\"]",
    command: "[\"node\"]",
    env: &[NONE.env[0], "NODE_VERSION=20."],
    says: &[
        CONFIGURED,
        ("id -u node; id -g node; su node -c pwd; stat -c %U /home/node", "1000\n1000\n/\nnode"),
        (
            "which node npm npx; ls -d /usr/local/lib/node_modules/npm",
            "/usr/local/bin/node\n/usr/local/bin/npm\n/usr/local/bin/npx\n/usr/local/lib/node_modules/npm",
        ),
        ("docker-entrypoint.sh echo program", "program"),
    ],
    ..NONE
};

const OPENJDK: Image = Image {
    name: "openjdk",
    command: "[\"jshell\"]",
    env: &["JAVA_HOME=/opt/java/openjdk", "PATH=/opt/java/openjdk/bin:", "JAVA_VERSION=jdk-21."],
    says: &[(
        "which java javac jshell jar",
        "/opt/java/openjdk/bin/java\n/opt/java/openjdk/bin/javac\n/opt/java/openjdk/bin/jshell\n/opt/java/openjdk/bin/jar",
    )],
    ..NONE
};

/// A home with the image, unless it cannot be had.
fn home(image: &str) -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    let suite = format!("catalog {image}");
    (oracle(&suite, &[("python3", "python3")]) && shallop.needs(&suite, &[image])).then_some(shallop)
}

/// Parts of the configuration, one a line: JSON of entrypoint, command, environment and so on.
const READ: &str = "import json, sys\nc = json.load(sys.stdin)[0]['Config']\n\
    say = lambda v: print(json.dumps(v, separators=(',', ':')))\n\
    say(c.get('Entrypoint')); say(c.get('Cmd')); say(c.get('WorkingDir') or ''); say(c.get('StopSignal'))\n\
    say(sorted(c.get('ExposedPorts') or {})); say(sorted(c.get('Volumes') or {})); print(*c['Env'], sep='\\n')";

fn check(image: &Image) {
    let Some(shallop) = home(image.name) else { return };
    let name = format!("catalog.internal/{}", image.name);
    let inspected = shallop.run(&["inspect", &name]).expect_code(0);
    let mut python = std::process::Command::new("python3");
    let limit = std::time::Duration::from_secs(60);
    let read = shallop_test_support::command::run(python.args(["-c", READ]), inspected.stdout.as_bytes(), limit);
    let read = read.expect_code(0).stdout;
    let lines: Vec<&str> = read.lines().collect();
    let list = |words: &[&str]| format!("[{}]", words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(","));
    let (workdir, ports, volumes) = (format!("\"{}\"", image.workdir), list(image.ports), list(image.volumes));
    let expected = [image.entrypoint, image.command, &workdir, image.stop_signal, &ports, &volumes];
    assert_eq!(lines[..6], expected, "{name}");
    for wanted in image.env {
        assert!(lines[6..].iter().any(|entry| entry.starts_with(wanted)), "{name}: {wanted}\n{read}");
    }
    for (command, lines) in image.says {
        let done = shallop.run(&["run", "--rm", "--entrypoint", "sh", &name, "-c", command]);
        assert_eq!(done.stdout.trim_end_matches('\n'), *lines, "{name}: {command}\n{}", done.outputs());
    }
}

#[test]
fn debian() {
    check(&DEBIAN);
}

#[test]
fn python() {
    check(&PYTHON);
}

#[test]
fn busybox() {
    check(&BUSYBOX);
}

#[test]
fn nginx() {
    check(&NGINX);
}

#[test]
fn redis() {
    check(&REDIS);
}

#[test]
#[ignore = "some 400 packages"]
fn node() {
    check(&NODE);
}

#[test]
#[ignore = "140 MB of packages"]
fn openjdk() {
    check(&OPENJDK);
}

/// A wheel in a folder is installed, imported and run; an environment is made.
#[test]
fn pip_installs_where_python_looks() {
    let Some(shallop) = home("python") else { return };
    let folder = folder();
    let script = "import base64, hashlib, sys, zipfile\n\
        files = {'tide.py': 'def main(): print(\"high water\")\\n',\n\
        'tide-1.dist-info/METADATA': 'Metadata-Version: 2.1\\nName: tide\\nVersion: 1\\n',\n\
        'tide-1.dist-info/WHEEL': 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',\n\
        'tide-1.dist-info/entry_points.txt': '[console_scripts]\\ntide = tide:main\\n'}\n\
        with zipfile.ZipFile(sys.argv[1], 'w') as z:\n\
        \x20   [z.writestr(name, text) for name, text in files.items()]\n\
        \x20   z.writestr('tide-1.dist-info/RECORD', ''.join(f'{n},,\\n' for n in files))\n";
    fs::write(folder.path().join("wheel.py"), script).expect("write the script");
    let volume = format!("{}:/w", folder.path().display());
    let steps = "python /w/wheel.py /w/tide-1-py3-none-any.whl && pip install -q --no-index /w/tide-1-py3-none-any.whl && tide \
        && ls /usr/local/lib/python3.13/site-packages/tide.py && python -m venv --without-pip /opt/v && /opt/v/bin/python -c 'import sys; print(sys.prefix)' \
        && pip uninstall -q -y tide && test ! -e /usr/local/bin/tide";
    let done =
        shallop.run(&["run", "--rm", "-v", &volume, "catalog.internal/python", "sh", "-c", steps]).expect_code(0);
    assert_eq!(done.stdout, "high water\n/usr/local/lib/python3.13/site-packages/tide.py\n/opt/v\n");
}

#[test]
fn apk_in_a_stand_in_says_what_to_do() {
    let Some(shallop) = home("python") else { return };
    let apk = [
        "run",
        "--rm",
        "--substitute",
        "python:3.10-alpine",
        "apk",
        "add",
        "--no-cache",
        "gcc",
        "musl-dev",
        "linux-headers",
    ];
    let done = shallop.run(&apk).expect_code(1);
    assert!(done.stderr.contains("there is no apk"), "{}", done.outputs());
    assert!(
        done.stderr.contains("apt-get install -y --no-install-recommends gcc libc6-dev linux-libc-dev"),
        "{}",
        done.outputs()
    );
    // Only there: not in the catalog's own image.
    shallop.run(&["run", "--rm", "catalog.internal/python", "apk"]).expect_code(127);
    let history = shallop.run(&["inspect", "catalog.internal/python:as-alpine"]).expect_code(0);
    assert!(history.stdout.contains("as-alpine"), "{}", history.outputs());
}

/// Packages of another processor: laid out, named after it, and said to be so.
#[test]
fn packages_of_another_processor_are_laid_out_only() {
    let Some(shallop) = home("busybox") else { return };
    let done = shallop.run(&["catalog", "build", "--platform", "linux/amd64", "busybox"]).expect_code(0);
    assert!(done.stderr.contains("catalog.internal/busybox:amd64"), "{}", done.outputs());
    let inspected = shallop.run(&["inspect", "catalog.internal/busybox:amd64"]).expect_code(0).stdout;
    assert!(inspected.contains("\"amd64\""), "{inspected}");
    // The image that runs here stays.
    shallop.run(&["run", "--rm", "catalog.internal/busybox", "true"]).expect_code(0);
    let done = shallop.run(&["catalog", "build", "--platform", "linux/s390x", "busybox"]).expect_code(1);
    assert!(done.stderr.contains("linux/amd64 and linux/arm64"), "{}", done.outputs());
}

/// A program and its dictionary, mounted into a stand-in for `python:alpine` as a course types it.
#[test]
fn a_mounted_program_in_a_stand_in() {
    let Some(shallop) = home("python") else { return };
    let folder = folder();
    let program = shallop_test_support::workspace().join("examples/anagrams/src/anagrams.py");
    fs::copy(program, folder.path().join("anagrams.py")).expect("copy the program");
    fs::write(folder.path().join("words.txt"), "listen\nsilent\ntea\neat\nate\nboat\n").expect("write a dictionary");
    let volume = |name: &str| format!("{}:/data/{name}:ro", folder.path().join(name).display());
    let (words, program) = (volume("words.txt"), volume("anagrams.py"));
    let flags = ["run", "--rm", "--substitute", "--entrypoint", "python3", "--volume", &words, "--volume", &program];
    let rest = ["--workdir", "/data/", "python:alpine", "anagrams.py"];
    let done = shallop.run(&[&flags[..], &rest].concat()).expect_code(0);
    assert_eq!(done.stdout, "{3: 3, 4: 0, 6: 2}\n");
    assert!(done.stderr.contains("Debian in place of Alpine"), "{}", done.outputs());
}
