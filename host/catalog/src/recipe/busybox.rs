//! `busybox`: the interface of `busybox:glibc`, from one static program. It has no dpkg, so nothing is configured in it.

use super::{Interface, PATH, Recipe};

pub const BUSYBOX: Recipe = Recipe {
    name: "busybox",
    summary: "Debian's static busybox with all its applets",
    base: None,
    packages: &["busybox-static"],
    leave_out: &["usr/share/doc", "usr/share/initramfs-tools", "usr/share/lintian", "usr/share/man"],
    directories: &[
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("proc", 0o555),
        ("root", 0o700),
        ("run", 0o755),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("usr/bin", 0o755),
        ("usr/sbin", 0o755),
        ("usr/lib", 0o755),
        ("usr/local", 0o755),
        ("usr/local/bin", 0o755),
        ("usr/local/lib", 0o755),
        ("var", 0o755),
        ("var/tmp", 0o1777),
        ("var/spool", 0o755),
        ("var/www", 0o755),
    ],
    links: &[("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")],
    files: &[
        (
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\n\
             www-data:x:33:33:www-data:/var/www:/bin/false\noperator:x:37:37:operator:/var:/bin/false\n\
             nobody:x:65534:65534:nobody:/home:/bin/false\n",
        ),
        (
            "etc/group",
            0o644,
            "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nwheel:x:10:root\n\
             www-data:x:33:\noperator:x:37:\nusers:x:100:\nnogroup:x:65534:\n",
        ),
        ("etc/shadow", 0o640, "root:*:::::::\nnobody:*:::::::\n"),
    ],
    steps: &[],
    applets: true,
    interface: Interface {
        entrypoint: &[],
        command: &["sh"],
        env: &[PATH],
        version: None,
        workdir: "",
        ports: &[],
        volumes: &[],
        stop_signal: None,
    },
};
