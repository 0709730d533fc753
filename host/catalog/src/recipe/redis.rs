//! `redis`: the interface of `redis:8`.

use super::{Interface, PATH, Recipe, SLIM, Version};

pub const REDIS: Recipe = Recipe {
    name: "redis",
    summary: "Redis 8, on Debian 13 (trixie)",
    base: Some("debian"),
    packages: &["redis-server", "tzdata"],
    leave_out: SLIM,
    directories: &[],
    links: &[
        ("usr/local/bin/redis-server", "/usr/bin/redis-server"),
        ("usr/local/bin/redis-cli", "/usr/bin/redis-cli"),
        ("usr/local/bin/redis-benchmark", "/usr/bin/redis-benchmark"),
        ("usr/local/bin/redis-check-aof", "/usr/bin/redis-check-aof"),
        ("usr/local/bin/redis-check-rdb", "/usr/bin/redis-check-rdb"),
        ("usr/local/bin/redis-sentinel", "/usr/bin/redis-server"),
    ],
    files: &[("usr/local/bin/docker-entrypoint.sh", 0o755, include_str!("../../files/redis/docker-entrypoint.sh"))],
    steps: &[("install -d -o redis -g redis -m 755 /data", "making /data")],
    applets: false,
    interface: Interface {
        entrypoint: &["docker-entrypoint.sh"],
        command: &["redis-server"],
        env: &[PATH],
        version: Some(Version { variable: "REDIS_VERSION", package: "redis-server", prefix: "" }),
        workdir: "/data",
        ports: &["6379/tcp"],
        volumes: &["/data"],
        stop_signal: None,
    },
};
