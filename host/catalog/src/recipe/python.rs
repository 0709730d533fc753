//! `python`: the interface of `python:3.13-slim`.
//!
//! Debian's interpreter stays where it is, under /usr. That `/usr/local` is an environment of it (`pyvenv.cfg`, PEP 405)
//! makes `sys.prefix` `/usr/local`, and pip installs where it does in the official image, without Debian's guard against
//! that (PEP 668).

use super::{Interface, Recipe, SLIM};

pub const PYTHON: Recipe = Recipe {
    name: "python",
    summary: "Python 3.13 with pip, on Debian 13 (trixie)",
    base: Some("debian"),
    packages: &["python3", "python3-venv", "ca-certificates", "netbase", "tzdata"],
    leave_out: SLIM,
    directories: &[("usr/local/lib/python3.13", 0o755), ("usr/local/lib/python3.13/site-packages", 0o755)],
    links: &[
        ("usr/local/bin/python", "python3"),
        ("usr/local/bin/python3", "python3.13"),
        ("usr/local/bin/python3.13", "/usr/bin/python3.13"),
        ("usr/local/bin/pydoc", "pydoc3"),
        ("usr/local/bin/pydoc3", "/usr/bin/pydoc3"),
    ],
    files: &[(
        "usr/local/pyvenv.cfg",
        0o644,
        "home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.13\nexecutable = /usr/bin/python3.13\n",
    )],
    steps: &[("/usr/local/bin/python3 -m ensurepip --default-pip", "installing pip")],
    applets: false,
    interface: Interface {
        entrypoint: &[],
        command: &["python3"],
        env: &[
            // First, as the official image has it: what is put there goes before everything else.
            ("PATH", "/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
        ],
        version: Some(super::Version { variable: "PYTHON_VERSION", package: "python3.13", prefix: "" }),
        workdir: "",
        ports: &[],
        volumes: &[],
        stop_signal: None,
    },
};
