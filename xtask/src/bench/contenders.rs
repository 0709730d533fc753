//! What the lines are run by: shallop with an image of its own, the host, and qemu-user over that image unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use shallop_config::Dirs;
use shallop_test_support::processes::translators;

use super::measure::Job;
use super::roots::unpack;
use crate::shallop::{installed, output, root, run as call};

/// The image that everything runs in: the catalog's Python, with the bench's programs.
const IMAGE: &str = "bench";
pub const BASE: &str = "catalog.internal/python";

/// Where the image has the bench's programs.
const BENCH: &str = "/bench/";

pub fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

pub struct Contenders {
    /// The path of shallop.
    pub program: String,
    /// The host's Python, not a wrapper of it.
    python: String,
    /// `kernels.c` for the host, when there is a compiler.
    pub native_kernels: Option<String>,
    /// The unpacked image.
    pub root: Option<String>,
    has_qemu: bool,
    /// The image has Lua.
    pub has_lua: bool,
    /// The folder of shallop's translated code.
    pub translations: PathBuf,
}

impl Contenders {
    /// Makes what can be made here, and says what cannot.
    pub fn prepare(shallop: &Path) -> Result<Contenders> {
        let program = utf8(shallop)?;
        let context = root().join("target/bench/context");
        fs::create_dir_all(&context)?;
        base_images(shallop)?;
        for script in ["compute.py", "getppid.py", "compute.lua"] {
            fs::copy(root().join("tests/bench").join(script), context.join(script))?;
        }
        let native_kernels = kernels(&context)?;
        let has_lua = lua(shallop, &context)?;
        let lua = if has_lua { "COPY lua/root/ /\n" } else { "" };
        let text = format!("FROM {BASE}\nCOPY *.py *.lua kernels* {BENCH}\n{lua}");
        fs::write(context.join("Dockerfile"), text)?;
        call(Command::new(shallop).args(["build", "-q", "-t", IMAGE]).arg(&context).stdout(Stdio::null()))?;
        let has_qemu = installed("qemu-riscv64-static");
        if !has_qemu {
            println!("(qemu-riscv64-static is not installed: no comparison with qemu-user)");
        }
        Ok(Contenders {
            python: output(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]))?.trim().into(),
            native_kernels: native_kernels.as_deref().map(utf8).transpose()?,
            root: Some(utf8(&unpack(shallop, IMAGE, "root")?)?),
            has_qemu,
            has_lua,
            translations: Dirs::from_env()?.translations(),
            program,
        })
    }

    /// A command in the image.
    pub fn shallop(&self, command: &[&str]) -> Vec<String> {
        [words(&[&self.program, "run", "--rm", IMAGE]), words(command)].concat()
    }

    /// A command on the host; the bench's programs are those of the workspace.
    pub fn native(&self, command: &[&str]) -> Vec<String> {
        let here = utf8(&root().join("target/bench/context")).unwrap_or_default();
        let word = |word: &&str| match *word {
            "python3" => self.python.clone(),
            word => word.strip_prefix(BENCH).map_or(word.to_owned(), |name| format!("{here}/{name}")),
        };
        command.iter().map(word).collect()
    }

    /// A command of the unpacked image under qemu-user.
    pub fn qemu(&self, command: &[&str]) -> Option<Vec<String>> {
        let root = self.root.as_ref().filter(|_| self.has_qemu)?;
        let (first, rest) = command.split_first()?;
        let program = if *first == "python3" { "/usr/bin/python3" } else { first };
        let mut line = words(&["qemu-riscv64-static", "-cpu", "rv64", "-L", root]);
        line.push(format!("{root}{program}"));
        let inside = |word: &&str| if word.starts_with(BENCH) { format!("{root}{word}") } else { (*word).to_owned() };
        line.extend(rest.iter().map(inside));
        Some(line)
    }

    /// Removes the translated code of all programs.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn forget_translations() -> Result<()> {
        const ATTEMPTS: u32 = 100;
        for _ in 0..ATTEMPTS {
            match fs::remove_dir_all(Dirs::from_env()?.translations()) {
                // A translator in the background has added something meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => return Ok(()),
            }
        }
        bail!("translators in the background go on and on")
    }

    /// Waits until the background is done with the programs that ran last.
    ///
    /// # Errors
    /// When it is not known where the translated code is.
    pub fn wait_for_translators() -> Result<()> {
        const MOST: Duration = Duration::from_secs(180);
        let (begun, translations) = (Instant::now(), Dirs::from_env()?.translations());
        while begun.elapsed() < MOST && !translators(&translations).is_empty() {
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// `true` by other container tools.
    pub fn other_tools(&self) -> Vec<(String, Job)> {
        let there = ["podman", "docker"].into_iter().filter(|tool| installed(tool));
        let line = |tool: &str| {
            let job = Job::wall(words(&[tool, "run", "--rm", "busybox", "true"]));
            (format!("busybox true by {tool}"), job)
        };
        there.map(line).collect()
    }
}

pub fn utf8(path: &Path) -> Result<String> {
    Ok(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned())
}

pub fn base_images(shallop: &Path) -> Result<()> {
    for image in ["python", "busybox"] {
        let name = format!("catalog.internal/{image}");
        if !Command::new(shallop).args(["image", "inspect", &name]).output()?.status.success() {
            call(Command::new(shallop).args(["catalog", "build", image]))?;
        }
    }
    Ok(())
}

/// Unpacks Debian's Lua for the image, where apt has it.
fn lua(shallop: &Path, context: &Path) -> Result<bool> {
    let unpacked = packages(shallop, &["lua5.4"], "usr/bin/lua5.4", &context.join("lua"));
    if let Err(error) = &unpacked {
        println!("(no Lua: {error:#})");
    }
    Ok(unpacked.is_ok())
}

/// Unpacks Debian packages for an image over the catalog's Python, below `folder/root`, unless `program` is there already.
pub fn packages(shallop: &Path, names: &[&str], program: &str, folder: &Path) -> Result<()> {
    let root = folder.join("root");
    if !root.join(program).exists() {
        fs::create_dir_all(folder)?;
        let status = output(Command::new(shallop).args(["run", "--rm", BASE, "cat", "/var/lib/dpkg/status"]))?;
        let catalog = Dirs::from_env()?.catalog_cache();
        let cache = catalog.parent().context("the catalog's cache is in a folder")?;
        shallop_test_support::packages::unpack(cache, &status, names, &root).map_err(anyhow::Error::msg)?;
        let _ = fs::remove_dir_all(folder.join("debs"));
    }
    Ok(())
}

/// Compiles `kernels.c` for the image and for the host; the host's program.
fn kernels(context: &Path) -> Result<Option<PathBuf>> {
    let native = context.with_file_name("kernels");
    for (compiler, result, more) in
        [("riscv64-linux-gnu-gcc", &context.join("kernels"), &["-static"][..]), ("gcc", &native, &[])]
    {
        if !installed(compiler) {
            println!("({compiler} is not installed: no C programs)");
            return Ok(None);
        }
        let mut gcc = Command::new(compiler);
        gcc.args(["-O2", "-DNATIVE", "-fno-math-errno", "-ffp-contract=off"]).args(more).arg("-o").arg(result);
        call(gcc.arg(root().join("guest/translate/tests/programs/kernels.c")))?;
    }
    Ok(Some(native))
}
