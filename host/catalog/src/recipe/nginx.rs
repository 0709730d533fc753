//! `nginx`: the interface of `nginx:stable`.

use super::{Interface, PATH, Recipe, SLIM, Version};

pub const NGINX: Recipe = Recipe {
    name: "nginx",
    summary: "nginx 1.26, on Debian 13 (trixie)",
    base: Some("debian"),
    // envsubst, for the templates, is in gettext-base.
    packages: &["nginx", "gettext-base", "ca-certificates", "tzdata"],
    leave_out: SLIM,
    directories: &[
        ("docker-entrypoint.d", 0o755),
        ("etc/nginx/conf.d", 0o755),
        ("var/cache/nginx", 0o755),
        ("usr/share/nginx/html", 0o755),
    ],
    links: &[],
    files: &[
        ("docker-entrypoint.sh", 0o755, include_str!("../../files/nginx/docker-entrypoint.sh")),
        ("docker-entrypoint.d/10-listen-on-ipv6-by-default.sh", 0o755, include_str!("../../files/nginx/10-ipv6.sh")),
        ("docker-entrypoint.d/15-local-resolvers.envsh", 0o755, include_str!("../../files/nginx/15-resolvers.envsh")),
        ("docker-entrypoint.d/20-envsubst-on-templates.sh", 0o755, include_str!("../../files/nginx/20-templates.sh")),
        ("docker-entrypoint.d/30-tune-worker-processes.sh", 0o755, include_str!("../../files/nginx/30-workers.sh")),
        ("etc/nginx/conf.d/default.conf", 0o644, include_str!("../../files/nginx/default.conf")),
        ("usr/share/nginx/html/50x.html", 0o644, include_str!("../../files/nginx/50x.html")),
    ],
    steps: &[
        (
            "groupadd --system --gid 101 nginx && \
             useradd --system --gid nginx --no-create-home --home /nonexistent --comment 'nginx user' --shell /bin/false --uid 101 nginx",
            "adding the user nginx",
        ),
        (include_str!("../../files/nginx/setup.sh"), "arranging the configuration"),
    ],
    applets: false,
    interface: Interface {
        entrypoint: &["/docker-entrypoint.sh"],
        command: &["nginx", "-g", "daemon off;"],
        env: &[PATH],
        version: Some(Version { variable: "NGINX_VERSION", package: "nginx", prefix: "" }),
        workdir: "",
        ports: &["80/tcp"],
        volumes: &[],
        stop_signal: Some("SIGQUIT"),
    },
};
