//! Editing lines, window sizes, full-screen programs.

use crate::{Terminal, bash, busybox, ready};

const LEFT: &str = "\x1b[D";
const UP: &str = "\x1b[A";

#[test]
fn a_shell_talks_through_the_terminal() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut shell = busybox(&shallop);
    shell.ask("echo $((6 * 7)) $TERM", "\r\n42 xterm\r\n");
    shell.ask("tty; echo all > /dev/tty", "\r\n/dev/pts/0\r\nall\r\n");
    shell.ask("stty -a", "speed 38400 baud; rows 24; columns 80;");
    for setting in
        ["intr = ^C", "erase = ^?", "susp = ^Z", " icrnl ixon ", " iutf8", " onlcr", "isig icanon iexten echo"]
    {
        shell.expect(setting);
    }
    shell.send("\x04");
    assert_eq!(shell.wait(), 0);
}

/// Arrows, control-A, E, U and W, backspace and history, as both shells know them.
#[track_caller]
fn line_editing(mut shell: Terminal) {
    shell.ask(&format!("echo hello wrld{}o\x01\x05!", LEFT.repeat(3)), "\r\nhello world!\r\n");
    shell.expect("=> ");
    shell.ask("ls nonsense\x15echo one twx\x7fo three\x17four", "\r\none two four\r\n");
    shell.expect("=> ");
    shell.ask(UP, "\r\none two four\r\n");
    shell.expect("=> ");
    shell.ask("ec\t/et\tpasswd", "\r\n/etc/passwd\r\n");
    shell.expect("=> ");
    shell.line("exit");
    assert_eq!(shell.wait(), 0);
}

#[test]
fn busybox_edits_lines() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    line_editing(busybox(&shallop));
}

#[test]
fn bash_edits_lines() {
    let Some(shallop) = ready(&["debian"]) else { return };
    line_editing(bash(&shallop));
}

#[test]
fn the_terminal_edits_lines() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut cat = Terminal::shallop(&shallop, &["run", "-it", "--rm", "catalog/busybox", "sh", "-c", "echo up; cat"]);
    cat.expect("up\r\n");
    // The echo of each line, then what cat read.
    cat.ask("aé\x7fb", "aé\x08 \x08b\r\nab\r\n");
    cat.ask("one two\x17x", "\r\none x\r\n");
    cat.ask("gone\x15\x16\x03.", "\r\n\x03.\r\n");
    cat.send("no newline\x04");
    cat.expect("no newlineno newline");
    cat.send("\x04");
    assert_eq!(cat.wait(), 0);
}

#[test]
fn pastes_arrive_whole() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut shell = busybox(&shallop);
    shell.ask("stty -echo; cat > file; md5sum < file; stty echo; echo $((`wc -l < file`))lines", "\r\n");
    let line = "0123456789 ".repeat(9);
    for _ in 0..2000 {
        shell.send(&format!("{line}\n"));
    }
    // Of a line only 4095 bytes and its end are kept.
    shell.send(&format!("{}\n\x04", "x".repeat(4200)));
    shell.expect("2001lines\r\n");
    shell.ask("tail -n 1 file | wc -c", "\r\n4096\r\n");
    shell.ask("sort -u file | wc -l", "\r\n2\r\n");
    shell.expect("=> ");
    shell.send("\x04");
    assert_eq!(shell.wait(), 0);
}

#[test]
fn the_window_has_a_size() {
    let Some(shallop) = ready(&["debian"]) else { return };
    let mut shell = bash(&shallop);
    shell.ask("stty size; tput lines", "\r\n24 80\r\n24\r\n");
    // In a shell of its own: at a prompt a trap runs only when a key is pressed, if the size changes just before it.
    let script = "trap 'echo now `stty size`; exit' WINCH; echo s''et; while :; do sleep 0.05; done";
    shell.ask(&format!("sh -c \"{}\"", script.replace('`', "\\`")), "\r\nset\r\n");
    shell.resize(40, 100);
    shell.expect("now 40 100\r\n");
    shell.expect("=> ");
    shell.ask("echo $LINES $COLUMNS", "\r\n40 100\r\n");
    shell.line("exit");
    assert_eq!(shell.wait(), 0);
}

#[test]
fn full_screen_programs() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut shell = busybox(&shallop);
    shell.ask("seq 100 > numbers; less numbers", "\x1b[K23");
    shell.send(" ");
    shell.expect("\x1b[K46");
    shell.send("q");
    shell.expect("=> ");
    shell.ask("more numbers", "--More--");
    shell.send("q");
    shell.expect("=> ");
    shell.ask("vi numbers", "numbers 1/100");
    // What follows an escape at once would be part of a key's sequence.
    for (keys, position) in [("ddOfirst\x1b", "1/100"), ("Gofin\x1b", "101/101")] {
        shell.send(keys);
        shell.expect(&format!("- numbers [Modified] {position}"));
    }
    shell.send(":wq\r");
    shell.expect("=> ");
    shell.ask("head -n 1 numbers; tail -n 1 numbers", "\r\nfirst\r\nfin\r\n");
    shell.ask("stty -icanon min 0 time 2; dd bs=1 count=1 2>&1 | tail -n 1; stty sane", "0+0 records out");
    shell.line("exit");
    assert_eq!(shell.wait(), 0);
}
