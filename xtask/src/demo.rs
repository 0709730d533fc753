//! `cargo xtask demo`: everything from a fresh clone to an image that was built and run, with no root rights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::shallop::{build, installed, output, root, run as call};

const BASE: &str = "catalog.internal/python";

fn run_demo(shallop: &Path) -> Result<()> {
    let dictionary = dictionary()?;
    let example = root().join("examples/anagrams");
    step("building examples/anagrams");
    call(Command::new(shallop).args(["build", "-t", "anagrams"]).arg(&example))?;
    step(&format!("counting anagrams in {}", dictionary.display()));
    let volume = format!("{}:/data/words.txt:ro", dictionary.display());
    let result = output(Command::new(shallop).args(["run", "--rm", "-v", &volume, "anagrams"]))?;
    print!("{result}");
    compare_with_native(&example, &dictionary, &result)
}

pub fn run() -> Result<()> {
    let shallop = build()?;
    let start = Instant::now();
    if base_image(&shallop)? {
        run_demo(&shallop)?;
    } else {
        step("no base image can be had here: running the embedded hello-world only");
        call(Command::new(&shallop).args(["run", "--rm", "catalog/hello-world"]))?;
    }
    println!("\ndone in {:.1} s. Three commands to try next:", start.elapsed().as_secs_f64());
    let program = shallop.display();
    println!("  {program} run --rm -it {BASE}");
    println!("  {program} run --rm anagrams sh -c 'uname -a; cat /etc/os-release; ls -l /data'");
    println!("  {program} build -t hello --substitute {}", root().join("examples/hello-python").display());
    Ok(())
}

fn step(text: &str) {
    println!("==> {text}");
}

/// Sees to the base image; false when there is no way to have one.
fn base_image(shallop: &Path) -> Result<bool> {
    let there = Command::new(shallop).args(["image", "inspect", BASE]).output().context("asking the store")?;
    if there.status.success() {
        step(&format!("base image: {BASE}, from the store"));
        return Ok(true);
    }
    if !installed("apt-get") {
        return Ok(false);
    }
    step(&format!("base image: {BASE}, made from Debian packages fetched by this machine's apt"));
    call(Command::new(shallop).args(["catalog", "build", "python"]))?;
    Ok(true)
}

/// The machine's word list, or the one of Debian's `wamerican`, fetched and unpacked without installing it.
fn dictionary() -> Result<PathBuf> {
    let machine = Path::new("/usr/share/dict/words");
    if machine.exists() {
        return fs::canonicalize(machine).context("finding the word list");
    }
    let dir = root().join("target/demo");
    let words = dir.join("words/usr/share/dict/american-english");
    if !words.exists() {
        step("fetching a word list: package wamerican");
        fs::create_dir_all(&dir)?;
        call(Command::new("apt-get").args(["download", "-qq", "wamerican"]).current_dir(&dir))?;
        let package = fs::read_dir(&dir)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
            .context("apt downloaded no package wamerican")?;
        call(Command::new("dpkg-deb").arg("-x").arg(package).arg(dir.join("words")))?;
    }
    Ok(words)
}

fn compare_with_native(example: &Path, dictionary: &Path, result: &str) -> Result<()> {
    if !installed("python3") {
        println!("(no python3 on this machine to compare with)");
        return Ok(());
    }
    let native = output(Command::new("python3").arg(example.join("src/anagrams.py")).env("WORDS", dictionary))?;
    anyhow::ensure!(native == result, "a native run gives something else:\n{native}");
    println!("a native run gives the same");
    Ok(())
}
