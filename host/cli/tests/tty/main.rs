//! Interactive use: `shallop run -it` in a pseudo-terminal, and what happens to stdio and signals without one.

mod jobs;
mod screen;
mod signals;
mod stdio;
mod terminal;

use shallop_test_support::Shallop;
use terminal::Terminal;

/// The shared home with these images; `None` where the tests cannot be run.
fn ready(images: &[&str]) -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    (terminal::available() && shallop.needs("tty", images)).then_some(shallop)
}

/// Busybox's shell at its first prompt, which is `=> `.
fn busybox(shallop: &Shallop) -> Terminal {
    let mut shell = Terminal::shallop(shallop, &["run", "-it", "--rm", "-e", "PS1==> ", "catalog/busybox", "sh"]);
    shell.expect("=> ");
    shell
}

/// Bash at its first prompt, which is `=> `; no bracketed paste, so that lines come as they are typed.
fn bash(shallop: &Shallop) -> Terminal {
    let arguments = ["run", "-it", "--rm", "-e", "PS1==> ", "catalog/debian", "bash", "--norc", "--noprofile"];
    let mut shell = Terminal::shallop(shallop, &arguments);
    shell.expect("=> ");
    shell.ask("bind 'set enable-bracketed-paste off'", "\n");
    shell.expect("=> ");
    shell
}
