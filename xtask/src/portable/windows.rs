//! The program for Windows: built by mingw-w64, tried under wine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use shallop_test_support::registry;
use tempfile::TempDir;

use super::{cargo, step, target_folder};
use crate::shallop::{root, run};

pub const TARGET: &str = "x86_64-pc-windows-gnu";

const PROGRAM: &str = "shallop.exe";
const ARCHIVE: &str = "greeting.tar";

/// Builds `shallop.exe`; its path.
pub fn build() -> Result<PathBuf> {
    step(&format!("building for {TARGET}; the first time takes some minutes"));
    run(&mut cargo("build", &["shallop-cli"], TARGET))?;
    Ok(target_folder().join(TARGET).join("release").join(PROGRAM))
}

/// Runs it: what does not need Linux works, what needs it says so.
pub fn try_out(program: &Path) -> Result<()> {
    let wine = Wine::new(program)?;
    step("wine: version, catalog/hello-world");
    wine.expect(&["version"], 0, "windows/x86_64")?;
    wine.expect(&["run", "--rm", "catalog/hello-world"], 0, "Hello from shallop!")?;
    step("wine: examples/wasi-greeting");
    let context = wine.greeting()?;
    wine.expect(&["build", "-t", "greeting", "--platform", "wasi/wasm", &context], 0, "")?;
    wine.expect(&["run", "--rm", "greeting"], 7, "Hello, WASI!")?;
    wine.expect(&["run", "--rm", &format!("{context}/greeting.wasm"), "Bob"], 7, "Hello, Bob!")?;
    let volume = format!("{context}:/data");
    fs::write(wine.folder.path().join("context/note.txt"), "a note\n")?;
    wine.expect(&["run", "-v", &volume, "--name", "kept", "greeting", "Ada"], 7, "Hello, Ada!\na note\n")?;
    images(&wine)?;
    step("wine: pull");
    let served = tempfile::tempdir().context("making a folder for a registry")?;
    let archive = wine.folder.path().join(ARCHIVE);
    let registry = registry::of_archive(&archive, served.path(), Box::new(registry::all));
    let name = format!("{}/app", registry.authority());
    wine.expect(&["pull", &name], 0, "Downloaded newer image")?;
    wine.expect(&["run", "--rm", &name], 7, "Hello, WASI!")?;
    step("wine: what needs Linux says so");
    fs::write(wine.folder.path().join("context/Linux"), "FROM scratch\nRUN [\"/x\"]\n")?;
    let linux = format!("{context}/Linux");
    wine.expect(&["build", "-f", &linux, &context], 1, "Linux images are not run on Windows yet")
}

/// The verbs about images and containers.
fn images(wine: &Wine) -> Result<()> {
    step("wine: images, inspect, tag, save, load, ps, rm, rmi");
    wine.expect(&["images"], 0, "greeting")?;
    wine.expect(&["inspect", "greeting"], 0, "wasi")?;
    wine.expect(&["tag", "greeting", "again:1"], 0, "")?;
    wine.expect(&["save", "-o", ARCHIVE, "again:1"], 0, "")?;
    wine.expect(&["ps", "-a"], 0, "Exited (7)")?;
    wine.expect(&["rm", "kept"], 0, "kept")?;
    wine.expect(&["rmi", "again:1", "greeting"], 0, "Deleted")?;
    wine.expect(&["run", "--rm", "--pull", "never", "again:1"], 125, "No such image")?;
    wine.expect(&["load", "-i", ARCHIVE], 0, "again:1")?;
    wine.expect(&["run", "--rm", "again:1"], 7, "Hello, WASI!")
}

/// A Windows of its own, in a temporary folder, which is the current one too and has the program.
struct Wine {
    folder: TempDir,
}

impl Wine {
    fn new(program: &Path) -> Result<Wine> {
        let folder = tempfile::tempdir().context("making a folder for wine")?;
        fs::copy(program, folder.path().join(PROGRAM)).context("copying the program")?;
        // Debian 12's wine has no such library, which Rust's own needs. Windows has it.
        let source = root().join("xtask/src/portable/bcryptprimitives.c");
        let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
        compiler.args(["-shared", "-O", "-o", "bcryptprimitives.dll"]).arg(source).arg("-ladvapi32");
        run(compiler.current_dir(folder.path()))?;
        Ok(Wine { folder })
    }

    fn command(&self, program: &str) -> Command {
        let mut wine = Command::new("wine");
        wine.arg(program).current_dir(self.folder.path()).env("WINEPREFIX", self.folder.path().join("prefix"));
        // Nothing is shown, and nothing offered to be installed.
        wine.env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "mscoree,mshtml=").env_remove("DISPLAY");
        wine.env_remove("SHALLOP_HOME");
        wine
    }

    /// Runs the program; an error unless it ends with this code and says this.
    fn expect(&self, arguments: &[&str], code: i32, text: &str) -> Result<()> {
        let shown = format!("shallop.exe {}", arguments.join(" "));
        println!("{shown}");
        let output = self.command(PROGRAM).args(arguments).output().context("starting wine")?;
        let said = said(&output);
        ensure!(output.status.code() == Some(code), "{shown} ended with {}, not {code}:\n{said}", output.status);
        ensure!(said.contains(text), "{shown} does not say {text:?}:\n{said}");
        Ok(())
    }

    /// examples/wasi-greeting, its module compiled, in a folder of the current one.
    fn greeting(&self) -> Result<String> {
        let (example, context) = (root().join("examples/wasi-greeting"), self.folder.path().join("context"));
        fs::create_dir_all(&context)?;
        for entry in fs::read_dir(&example).with_context(|| format!("reading {}", example.display()))? {
            let entry = entry?;
            fs::copy(entry.path(), context.join(entry.file_name()))?;
        }
        let mut rustc = Command::new("rustc");
        run(rustc.current_dir(&context).args(["--target", "wasm32-wasip1", "-O", "greeting.rs"]))?;
        Ok("./context".to_owned())
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Its server would go on for a while, in a folder that is about to go.
        let end = self.command("wineboot").arg("--kill").output();
        // Without it the folder may stay.
        let _ = end;
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
