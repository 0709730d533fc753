//! `openjdk`: the interface of `eclipse-temurin:21-jdk` and of `openjdk:21`.

use super::{Interface, Recipe, SLIM, Version};

pub const OPENJDK: Recipe = Recipe {
    name: "openjdk",
    summary: "OpenJDK 21 with its compiler, on Debian 13 (trixie)",
    base: Some("debian"),
    packages: &["openjdk-21-jdk-headless", "ca-certificates", "tzdata"],
    leave_out: SLIM,
    directories: &[("opt/java", 0o755)],
    links: &[("opt/java/openjdk", "/usr/lib/jvm/java-21-openjdk-{arch}")],
    files: &[],
    steps: &[],
    applets: false,
    interface: Interface {
        entrypoint: &[],
        command: &["jshell"],
        env: &[
            ("JAVA_HOME", "/opt/java/openjdk"),
            ("PATH", "/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
        ],
        version: Some(Version { variable: "JAVA_VERSION", package: "openjdk-21-jdk-headless", prefix: "jdk-" }),
        workdir: "",
        ports: &[],
        volumes: &[],
        stop_signal: None,
    },
};
