//! The workspace's own commands: `cargo xtask demo`, `test`, `bench`, `suites`, `check-portable`.
#![forbid(unsafe_code)]

mod bench;
mod demo;
mod portable;
mod shallop;
mod suites;
mod test;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  demo    set up, build, and run examples/anagrams on a real dictionary
  test    run every test; says what it skipped and which package would mend that
  suites  run test suites that others wrote inside the sandbox
  check-portable
          build for Windows and try that under wine; type-check for macOS
  bench   time start-up, forks, Python and builds beside native and what else is installed
          (bench steps: packages, pip, a compiler, git, a catalog image; these take minutes)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("demo") => demo::run(),
        Some("test") => test::run(&arguments[1..]),
        Some("bench") => bench::run(&arguments[1..]),
        Some("check-portable") => portable::run(),
        Some("suites") => suites::run(&arguments[1..]),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
