//! `debian`: the interface of `debian:trixie-slim`.

use super::{Interface, PATH, Recipe, SLIM};

pub const DEBIAN: Recipe = Recipe {
    name: "debian",
    summary: "Debian 13 (trixie): the required packages and apt",
    base: None,
    packages: &["~E", "~prequired", "apt", "adduser"],
    leave_out: SLIM,
    // Scripts of packages with alternatives make links here, and fail where the folder was left out with its pages.
    directories: &[
        ("usr/share/man/man1", 0o755),
        ("usr/share/man/man5", 0o755),
        ("usr/share/man/man7", 0o755),
        ("usr/share/man/man8", 0o755),
    ],
    links: &[],
    files: &[
        // Nothing that a package brings is a service here.
        ("usr/sbin/policy-rc.d", 0o755, include_str!("../../files/debian/policy-rc.d")),
        ("etc/apt/sources.list", 0o644, include_str!("../../files/debian/sources.list")),
        ("etc/apt/apt.conf.d/docker-clean", 0o644, include_str!("../../files/debian/docker-clean")),
        ("etc/dpkg/dpkg.cfg.d/docker", 0o644, include_str!("../../files/debian/dpkg.cfg")),
    ],
    steps: &[],
    applets: false,
    interface: Interface {
        entrypoint: &[],
        command: &["bash"],
        env: &[PATH],
        version: None,
        workdir: "",
        ports: &[],
        volumes: &[],
        stop_signal: None,
    },
};
