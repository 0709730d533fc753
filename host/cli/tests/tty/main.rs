//! Interactive use: `shallop run -it` in a pseudo-terminal, and what happens to stdio and signals without one.

mod terminal;

use shallop_test_support::Shallop;
use terminal::Terminal;

/// The shared home with these images; `None` where the tests cannot be run.
fn ready(images: &[&str]) -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    (terminal::available() && shallop.needs("tty", images)).then_some(shallop)
}

/// Busybox's shell at its first prompt.
fn busybox(shallop: &Shallop) -> Terminal {
    let mut shell = Terminal::shallop(shallop, &["run", "-it", "--rm", "-e", "PS1=> ", "catalog/busybox", "sh"]);
    shell.expect("> ");
    shell
}

#[test]
fn a_shell_talks_through_the_terminal() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut shell = busybox(&shallop);
    shell.ask("echo $((6 * 7)) $TERM", "\r\n42 xterm\r\n");
    shell.ask("tty", "\r\n/dev/pts/0\r\n");
    shell.ask("exit 7", "\r\n");
    assert_eq!(shell.wait(), 7);
}
