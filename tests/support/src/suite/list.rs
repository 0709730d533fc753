//! The suites: [`SUITES`], where they come from and what is run of them.
//!
//! dash has none: its source package holds one test, of how the package is made. busybox's shell is of the same family.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Shallop, command, workspace};

/// A suite of others.
#[derive(Debug)]
pub struct Suite {
    pub name: &'static str,
    /// The catalog's image that it runs in, and the Debian packages that are laid over it.
    pub base: &'static str,
    packages: &'static [&'static str],
    /// The source package that has it, if it is in none of those.
    source: Option<Source>,
    /// The command that runs items; its file is one of `tests/suites`.
    pub driver: &'static str,
    /// What is run one after another, each in a container.
    items: &'static [&'static str],
}

/// Works in the folder of a package's source; an error says what is missing.
type Prepare = fn(&Path) -> Result<(), String>;

#[derive(Debug)]
struct Source {
    package: &'static str,
    /// Files and folders of it (or of what `prepare` adds) that the image gets below /suite.
    paths: &'static [&'static str],
    /// Makes what the source does not have, in its folder.
    prepare: Option<Prepare>,
}

/// CPython's modules: those that have to run by every engine, then others that need no network.
const CPYTHON: &[&str] = &[
    "test_int",
    "test_float",
    "test_math",
    "test_struct",
    "test_re",
    "test_json",
    "test_dict",
    "test_list",
    "test_str",
    "test_decimal",
    "test_subprocess",
    "test_threading",
    "test_signal",
    "test_bool",
    "test_bytes",
    "test_set",
    "test_tuple",
    "test_long",
    "test_complex",
    "test_cmath",
    "test_fractions",
    "test_statistics",
    "test_random",
    "test_array",
    "test_binascii",
    "test_bisect",
    "test_heapq",
    "test_collections",
    "test_deque",
    "test_itertools",
    "test_functools",
    "test_operator",
    "test_generators",
    "test_coroutines",
    "test_contextlib",
    "test_dataclasses",
    "test_enum",
    "test_exceptions",
    "test_io",
    "test_fileio",
    "test_file",
    "test_os",
    "test_posix",
    "test_posixpath",
    "test_pathlib",
    "test_shutil",
    "test_tempfile",
    "test_glob",
    "test_stat",
    "test_fcntl",
    "test_mmap",
    "test_select",
    "test_selectors",
    "test_poll",
    "test_epoll",
    "test_eintr",
    "test_fork1",
    "test_wait3",
    "test_wait4",
    "test_popen",
    "test_pty",
    "test_resource",
    "test_time",
    "test_datetime",
    "test_queue",
    "test_sched",
    "test_thread",
    "test_threadedtempfile",
    "test_threading_local",
    "test_weakref",
    "test_gc",
    "test_zlib",
    "test_gzip",
    "test_bz2",
    "test_lzma",
    "test_zipfile",
    "test_tarfile",
    "test_hashlib",
    "test_hmac",
    "test_base64",
    "test_pickle",
    "test_copy",
    "test_csv",
    "test_configparser",
    "test_sqlite3",
    "test_string",
    "test_textwrap",
    "test_unicodedata",
    "test_codecs",
    "test_locale",
    "test_shlex",
    "test_argparse",
    "test_logging",
    "test_ctypes",
    "test_grammar",
    "test_syntax",
    "test_compile",
    "test_ast",
    "test_import",
    "test_inspect",
    "test_traceback",
    "test_sys",
    "test_platform",
];

/// Folders of perl's core tests.
const PERL: &[&str] = &["base/*.t", "cmd/*.t", "comp/*.t", "op/*.t", "re/*.t", "io/*.t", "uni/*.t", "mro/*.t"];

/// All of them.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "cpython",
        base: "python",
        packages: &["libpython3.13-testsuite"],
        source: None,
        driver: "python3 /suite/cpython.py",
        items: CPYTHON,
    },
    Suite {
        name: "busybox",
        base: "busybox",
        packages: &[],
        source: Some(Source { package: "busybox", paths: &["testsuite", "config"], prepare: Some(busybox_config) }),
        driver: "sh /suite/busybox.sh",
        items: &["-v"],
    },
    Suite {
        name: "ash",
        base: "busybox",
        packages: &[],
        source: Some(Source {
            package: "busybox",
            paths: &["shell/ash_test", "bin", "config"],
            prepare: Some(ash_helpers),
        }),
        driver: "sh /suite/ash.sh",
        items: &[""],
    },
    Suite {
        name: "bash",
        base: "python",
        packages: &["locales"],
        source: Some(Source {
            package: "bash",
            paths: &["tests", "bin", "y.tab.c", "config.h", "version.h"],
            prepare: Some(bash_helpers),
        }),
        driver: "bash /suite/bash.sh",
        items: &[""],
    },
    Suite {
        name: "perl",
        base: "python",
        packages: &["perl"],
        source: Some(Source { package: "perl", paths: &["t", "lib", "regen", "MANIFEST"], prepare: None }),
        driver: "perl /suite/perl.pl",
        items: PERL,
    },
];

impl Suite {
    /// What all of it is, item by item.
    pub fn items(&self) -> Vec<String> {
        self.items.iter().map(|item| (*item).to_owned()).collect()
    }

    /// The image that it runs in.
    pub fn image_name(&self) -> String {
        format!("shallop-suite/{}", self.name)
    }

    /// The suite of this name.
    pub fn named(name: &str) -> Option<&'static Suite> {
        SUITES.iter().find(|suite| suite.name == name)
    }

    /// Runs some of it in one container; its driver prints what [`Results::read`](super::Results::read) reads.
    pub fn run(&self, shallop: &Shallop, items: &[&str], engine: &str, limit: Duration) -> command::Finished {
        let seconds = limit.as_secs().to_string();
        let mut run = shallop.command(&["run", "--rm", "--timeout", &seconds, "-w", "/tmp"]);
        run.args(["-e", "HOME=/tmp", &self.image_name()]).args(self.driver.split(' ')).args(items);
        run.env(shallop_config::env::SHALLOP_ENGINE.name, engine);
        command::run(&mut run, b"", limit + Duration::from_secs(60))
    }

    /// Makes the image; one process at a time, since sources are shared.
    ///
    /// # Errors
    /// What could not be fetched or made.
    pub fn image(&self, shallop: &Shallop) -> Result<(), String> {
        let _lock = shallop.lock();
        let file = self.driver.split('/').next_back().unwrap_or_default();
        let mut files: Vec<(PathBuf, String)> =
            vec![(workspace().join("tests/suites").join(file), format!("/suite/{file}"))];
        if let Some(source) = &self.source {
            let folder = shallop.source(source.package)?;
            if let Some(prepare) = source.prepare {
                prepare(&folder)?;
            }
            let path = |path: &&str| {
                let is_folder = folder.join(path).is_dir();
                (folder.join(path), format!("/suite/{path}{}", if is_folder { "/" } else { "" }))
            };
            files.extend(source.paths.iter().map(path));
        }
        let files: Vec<(&Path, &str)> = files.iter().map(|(from, to)| (from.as_path(), to.as_str())).collect();
        shallop.image_with(&self.image_name(), self.base, self.packages, &files)
    }
}

/// The programs that bash's tests call: they print their arguments and environment in a certain form.
fn bash_helpers(source: &Path) -> Result<(), String> {
    let config = source.join("config.h");
    let text = "#define HAVE_UNISTD_H 1\n#define HAVE_STRING_H 1\n#define HAVE_STDLIB_H 1\n#define HAVE_LOCALE_H 1\n";
    // One that a build makes, too: tests read it.
    let made =
        fs::write(&config, text).and_then(|()| fs::write(source.join("version.h"), "#define DISTVERSION \"5.2\"\n"));
    made.map_err(|error| format!("{}: {error}", config.display()))?;
    compile(source, "support", &["recho", "zecho", "printenv", "xcase"])
}

/// The same programs for busybox's shell, and its configuration.
fn ash_helpers(source: &Path) -> Result<(), String> {
    busybox_config(source)?;
    compile(source, "shell/ash_test", &["recho", "zecho", "printenv"])
}

/// Compiles C programs of a folder of the source into its folder bin.
fn compile(source: &Path, folder: &str, names: &[&str]) -> Result<(), String> {
    let bin = source.join("bin");
    fs::create_dir_all(&bin).map_err(|error| format!("{}: {error}", bin.display()))?;
    for name in names {
        let mut gcc = Command::new("riscv64-linux-gnu-gcc");
        gcc.args(["-static", "-w", "-O1", "-DHAVE_CONFIG_H", "-I"]).arg(source);
        gcc.arg("-o").arg(bin.join(name)).arg(source.join(format!("{folder}/{name}.c")));
        let done = gcc.output().map_err(|error| format!("riscv64-linux-gnu-gcc: {error}"))?;
        if !done.status.success() {
            return Err(format!("{folder}/{name}.c: {}", String::from_utf8_lossy(&done.stderr)));
        }
    }
    Ok(())
}

/// What Debian's static busybox has built in: `config`, which the tests ask.
fn busybox_config(source: &Path) -> Result<(), String> {
    const CONFIG: &str = "debian/config/pkg/static";
    let folder = source.parent().unwrap_or(source);
    let text = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(text)?.flatten().map(|entry| entry.path());
    let archive = entries.filter(|path| path.to_string_lossy().contains(".debian.tar")).last();
    let archive = archive.ok_or("busybox's Debian files were not fetched")?;
    let done = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(source).arg(CONFIG).output().map_err(text)?;
    if !done.status.success() {
        return Err(format!("{}: {}", archive.display(), String::from_utf8_lossy(&done.stderr)));
    }
    fs::copy(source.join(CONFIG), source.join("config")).map(drop).map_err(text)
}
