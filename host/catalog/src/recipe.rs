//! The recipes: which packages make an image, what is laid over them, how its process starts.

/// One image of the catalog.
#[derive(Debug)]
pub struct Recipe {
    /// Short name: the last part of `catalog.internal/<name>`.
    pub name: &'static str,
    pub summary: &'static str,
    /// What `apt-get install` is asked for; dependencies follow. Apt's pattern `~E` is every essential package.
    pub packages: &'static [&'static str],
    /// Paths that are left out, with everything below them, as Docker's slim images do.
    pub leave_out: &'static [&'static str],
    /// What the maintainer scripts would have made: symlinks (path, target).
    pub links: &'static [(&'static str, &'static str)],
    /// What the maintainer scripts would have made: files (path, mode, text).
    pub files: &'static [(&'static str, u32, &'static str)],
    /// Shell commands run in a sandbox over the image, each with what it stands in for.
    pub steps: &'static [(&'static str, &'static str)],
    /// A directory entry per applet of busybox.
    pub applets: bool,
    pub command: &'static [&'static str],
    pub entrypoint: &'static [&'static str],
    pub env: &'static [(&'static str, &'static str)],
    /// An environment variable that gets the upstream version of a package: (variable, package).
    pub version_env: Option<(&'static str, &'static str)>,
}

const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

const SLIM: &[&str] =
    &["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/linda"];

const SHELLS: (&str, u32, &str) =
    ("etc/shells", 0o644, "# /etc/shells: valid login shells\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n");

const NSSWITCH: (&str, u32, &str) = (
    "etc/nsswitch.conf",
    0o644,
    "passwd:         files\ngroup:          files\nshadow:         files\n\nhosts:          files dns\nnetworks:       files\n\nprotocols:      db files\nservices:       db files\n",
);

const BASE_LINKS: &[(&str, &str)] = &[
    ("usr/bin/sh", "dash"),
    ("usr/bin/awk", "/etc/alternatives/awk"),
    ("etc/alternatives/awk", "/usr/bin/mawk"),
    ("usr/bin/nawk", "/etc/alternatives/nawk"),
    ("etc/alternatives/nawk", "/usr/bin/mawk"),
    ("usr/bin/which", "/etc/alternatives/which"),
    ("etc/alternatives/which", "/usr/bin/which.debianutils"),
    ("usr/bin/pager", "/etc/alternatives/pager"),
    ("etc/alternatives/pager", "/usr/bin/more"),
];

/// The modules that a first import would otherwise compile at every start.
const COMPILE: &str = "python3 -c 'import json, re, subprocess, threading, sqlite3, collections, functools, argparse, \
     datetime, random, tempfile, shutil, logging, unittest, urllib.request, http.server, csv, hashlib, decimal, \
     dataclasses, typing, pathlib, zipfile, tarfile, queue, contextlib, itertools, textwrap, string, struct, signal, \
     socket, asyncio, concurrent.futures, multiprocessing, statistics, fractions, glob, fnmatch, pickle, copy, \
     timeit, pprint, traceback, inspect, ast, configparser, getpass, platform, uuid, base64, html, secrets'";

/// Every recipe.
pub const RECIPES: &[Recipe] = &[
    Recipe {
        name: "debian",
        summary: "Debian 13 (trixie): the essential packages and apt",
        packages: &["~E", "apt", "mawk"],
        leave_out: SLIM,
        links: BASE_LINKS,
        files: &[SHELLS, NSSWITCH],
        steps: &[],
        applets: false,
        command: &["bash"],
        entrypoint: &[],
        env: &[PATH],
        version_env: None,
    },
    Recipe {
        name: "python",
        summary: "Python 3.13 on Debian 13 (trixie)",
        packages: &["~E", "apt", "mawk", "python3", "ca-certificates", "netbase", "tzdata"],
        leave_out: SLIM,
        links: &[
            ("usr/local/bin/python", "/usr/bin/python3.13"),
            ("usr/local/bin/python3", "/usr/bin/python3.13"),
            ("usr/local/bin/python3.13", "/usr/bin/python3.13"),
            ("usr/bin/sh", "dash"),
            ("usr/bin/awk", "/etc/alternatives/awk"),
            ("etc/alternatives/awk", "/usr/bin/mawk"),
            ("usr/bin/which", "/etc/alternatives/which"),
            ("etc/alternatives/which", "/usr/bin/which.debianutils"),
            ("usr/bin/pager", "/etc/alternatives/pager"),
            ("etc/alternatives/pager", "/usr/bin/more"),
        ],
        files: &[SHELLS, NSSWITCH],
        steps: &[(COMPILE, "compile the standard library's common modules (python3's postinst)")],
        applets: false,
        command: &["python3"],
        entrypoint: &[],
        env: &[PATH, ("LANG", "C.UTF-8")],
        version_env: Some(("PYTHON_VERSION", "python3.13")),
    },
    Recipe {
        name: "busybox",
        summary: "Debian's static busybox with all its applets",
        packages: &["busybox-static"],
        leave_out: &["usr/share"],
        links: &[("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")],
        files: &[
            ("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"),
            ("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n"),
            ("etc/shadow", 0o640, "root:*:::::::\nnobody:*:::::::\n"),
        ],
        steps: &[],
        applets: true,
        command: &["sh"],
        entrypoint: &[],
        env: &[PATH],
        version_env: None,
    },
];

/// The recipe called `name`.
pub fn lookup(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}
