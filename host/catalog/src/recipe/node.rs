//! `node`: the interface of `node:20-slim`.

use super::{Interface, PATH, Recipe, SLIM, Version};

pub const NODE: Recipe = Recipe {
    name: "node",
    summary: "Node.js 20 and npm, on Debian 13 (trixie)",
    base: Some("debian"),
    packages: &["nodejs", "npm", "ca-certificates"],
    leave_out: SLIM,
    directories: &[("usr/local/lib/node_modules", 0o755), ("usr/local/include", 0o755)],
    links: &[
        ("usr/local/bin/node", "/usr/bin/node"),
        ("usr/local/bin/nodejs", "node"),
        ("usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js"),
        ("usr/local/bin/npx", "../lib/node_modules/npm/bin/npx-cli.js"),
        ("usr/local/lib/node_modules/npm", "/usr/share/nodejs/npm"),
    ],
    files: &[("usr/local/bin/docker-entrypoint.sh", 0o755, include_str!("../../files/node/docker-entrypoint.sh"))],
    steps: &[(
        "groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node",
        "adding the user node",
    )],
    applets: false,
    interface: Interface {
        entrypoint: &["docker-entrypoint.sh"],
        command: &["node"],
        env: &[PATH],
        version: Some(Version { variable: "NODE_VERSION", package: "nodejs", prefix: "" }),
        workdir: "",
        ports: &[],
        volumes: &[],
        stop_signal: None,
    },
};
