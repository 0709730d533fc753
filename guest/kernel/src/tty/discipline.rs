//! The line discipline: what typed bytes become, and what is echoed of them (termios(3)).
//!
//! `Discipline` holds the input queue; its methods return what is to be echoed or signalled and touch nothing else.

use std::collections::VecDeque;

use super::screen::Screen;
use super::termios::{Termios, cc, input, local};
use crate::signal::number::{SIGINT, SIGQUIT, SIGTSTP};

/// Bytes of input kept while nobody reads.
const INPUT_MAX: usize = 65536;

/// Bytes that may come at once; with less room than this `Discipline::full` is true.
pub const PIECE: usize = 4096;

/// Longest line being edited, without its end ("Canonical mode"). What is typed behind that is lost.
const LINE_MAX: usize = 4095;

/// Input side of a terminal.
#[derive(Default)]
pub struct Discipline {
    pub termios: Termios,
    pub screen: Screen,
    /// The line being edited, and the column where it began.
    line: Vec<u8>,
    line_column: usize,
    /// Finished lines, each with its end; an empty one is an end of file.
    lines: VecDeque<Vec<u8>>,
    /// Bytes of all of `lines`.
    finished: usize,
    /// Bytes that arrived outside canonical mode.
    raw: VecDeque<u8>,
    /// The next byte is taken literally (VLNEXT).
    literal: bool,
    /// Output is stopped (VSTOP).
    pub stopped: bool,
}

/// What came of some typed bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Bytes for the screen, already processed for output.
    pub echo: Vec<u8>,
    /// Signals for the foreground group.
    pub signals: Vec<u32>,
}

impl Discipline {
    /// Takes typed bytes.
    pub fn input(&mut self, bytes: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for byte in bytes {
            self.type_byte(*byte, &mut typed);
        }
        typed
    }

    fn type_byte(&mut self, byte: u8, typed: &mut Typed) {
        if std::mem::take(&mut self.literal) {
            self.keep_and_echo(byte, typed);
            return;
        }
        let flags = self.termios.iflag;
        let byte = match byte {
            b'\r' if flags & input::IGNCR != 0 => return,
            b'\r' if flags & input::ICRNL != 0 => b'\n',
            b'\n' if flags & input::INLCR != 0 => b'\r',
            other => other,
        };
        if self.flow(byte) || self.signal(byte, typed) {
            return;
        }
        if self.termios.local(local::ICANON) {
            self.edit(byte, typed);
        } else if self.keep(byte, typed) && self.termios.local(local::ECHO) {
            match byte {
                b'\n' => self.show(b"\n", typed),
                other => self.echo(other, typed),
            }
        }
    }

    /// ^S and ^Q; true when the byte was one of them.
    fn flow(&mut self, byte: u8) -> bool {
        if self.termios.iflag & input::IXON == 0 {
            return false;
        }
        if self.termios.is(byte, cc::VSTART) {
            self.stopped = false;
            return true;
        }
        if self.termios.is(byte, cc::VSTOP) {
            self.stopped = true;
            return true;
        }
        if self.stopped && self.termios.iflag & input::IXANY != 0 {
            self.stopped = false;
        }
        false
    }

    /// ^C, ^\ and ^Z; true when the byte was one of them.
    fn signal(&mut self, byte: u8, typed: &mut Typed) -> bool {
        if !self.termios.local(local::ISIG) {
            return false;
        }
        let keys = [(cc::VINTR, SIGINT), (cc::VQUIT, SIGQUIT), (cc::VSUSP, SIGTSTP)];
        let Some((_, signal)) = keys.into_iter().find(|(index, _)| self.termios.is(byte, *index)) else {
            return false;
        };
        if !self.termios.local(local::NOFLSH) {
            self.flush_input();
        }
        self.stopped = false;
        self.echo(byte, typed);
        typed.signals.push(signal);
        true
    }

    /// A byte in canonical mode.
    fn edit(&mut self, byte: u8, typed: &mut Typed) {
        let t = self.termios;
        let extended = t.local(local::IEXTEN);
        if t.is(byte, cc::VERASE) {
            self.erase_character(byte, typed);
        } else if t.is(byte, cc::VKILL) {
            self.erase_line(byte, typed);
        } else if extended && t.is(byte, cc::VWERASE) {
            self.erase_word(typed);
        } else if extended && t.is(byte, cc::VLNEXT) {
            self.literal = true;
            if t.local(local::ECHO) && t.local(local::ECHOCTL) {
                self.show(b"^\x08", typed);
            }
        } else if extended && t.is(byte, cc::VREPRINT) && t.local(local::ECHO) {
            self.reprint(byte, typed);
        } else if t.is(byte, cc::VEOF) {
            self.finish_line();
        } else if byte == b'\n' || t.is(byte, cc::VEOL) || t.is(byte, cc::VEOL2) {
            if t.local(local::ECHO) || (byte == b'\n' && t.local(local::ECHONL)) {
                self.show(&[byte], typed);
            }
            self.line.push(byte);
            self.finish_line();
        } else {
            self.keep_and_echo(byte, typed);
        }
    }

    fn finish_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.finished += line.len();
        self.lines.push_back(line);
    }

    /// Keeps a byte; false when there is no room for it.
    fn keep(&mut self, byte: u8, typed: &mut Typed) -> bool {
        let canonical = self.termios.local(local::ICANON);
        let room = if canonical { self.line.len() < LINE_MAX } else { self.total() < INPUT_MAX };
        match (room, canonical) {
            (false, _) if self.termios.iflag & input::IMAXBEL != 0 => typed.echo.push(7),
            (false, _) => {}
            (true, true) => self.line.push(byte),
            (true, false) => self.raw.push_back(byte),
        }
        room
    }

    fn keep_and_echo(&mut self, byte: u8, typed: &mut Typed) {
        if self.line.is_empty() {
            self.line_column = self.screen.column;
        }
        if self.keep(byte, typed) {
            self.echo(byte, typed);
        }
    }

    /// A byte as its echo shows it, under ECHO.
    fn echo(&mut self, byte: u8, typed: &mut Typed) {
        if !self.termios.local(local::ECHO) {
            return;
        }
        let control = (byte < 32 && byte != b'\t') || byte == 127;
        match control && self.termios.local(local::ECHOCTL) {
            true => self.show(&[b'^', byte ^ 0x40], typed),
            false => self.show(&[byte], typed),
        }
    }

    fn show(&mut self, bytes: &[u8], typed: &mut Typed) {
        self.screen.put(&self.termios, bytes, &mut typed.echo);
    }

    fn reprint(&mut self, key: u8, typed: &mut Typed) {
        self.echo(key, typed);
        self.show(b"\n", typed);
        self.line_column = self.screen.column;
        for byte in self.line.clone() {
            self.echo(byte, typed);
        }
    }

    /// VERASE.
    fn erase_character(&mut self, key: u8, typed: &mut Typed) {
        let kept = self.line.len() - self.last_character();
        if kept == self.line.len() {
            return;
        }
        if self.termios.local(local::ECHOE) {
            self.shorten(kept, typed);
        } else {
            self.line.truncate(kept);
            self.echo(key, typed);
        }
    }

    /// VKILL.
    fn erase_line(&mut self, key: u8, typed: &mut Typed) {
        if [local::ECHOE, local::ECHOK, local::ECHOKE].into_iter().all(|flag| self.termios.local(flag)) {
            self.shorten(0, typed);
            return;
        }
        self.line.clear();
        self.echo(key, typed);
        if self.termios.local(local::ECHO) && self.termios.local(local::ECHOK) {
            self.show(b"\n", typed);
        }
    }

    /// VWERASE: the last run of letters, digits and underscores, and what is behind it.
    fn erase_word(&mut self, typed: &mut Typed) {
        let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let end = self.line.iter().rposition(in_word).map_or(0, |at| at + 1);
        let kept = self.line[..end].iter().rposition(|byte| !in_word(byte)).map_or(0, |at| at + 1);
        self.shorten(kept, typed);
    }

    /// Bytes of the line's last character; 0 of an empty one.
    fn last_character(&self) -> usize {
        let utf8 = self.termios.iflag & input::IUTF8 != 0;
        let further = self.line.iter().rev().take_while(|byte| utf8 && **byte & 0xc0 == 0x80).count();
        (further + 1).min(self.line.len())
    }

    /// Cuts the line to `kept` bytes and wipes the rest off the screen.
    fn shorten(&mut self, kept: usize, typed: &mut Typed) {
        let controls = self.termios.local(local::ECHOCTL);
        let before = Screen::echoed(self.line_column, &self.line, controls);
        self.line.truncate(kept);
        let after = Screen::echoed(self.line_column, &self.line, controls);
        if self.termios.local(local::ECHO) {
            (after..before).for_each(|_| self.show(b"\x08 \x08", typed));
        }
    }

    /// Takes input for a reader; `None` when it has to wait, 0 bytes at an end of file.
    pub fn read(&mut self, buf: &mut [u8]) -> Option<usize> {
        if self.termios.local(local::ICANON) && self.raw.is_empty() {
            let line = self.lines.front_mut()?;
            let count = line.len().min(buf.len());
            buf[..count].copy_from_slice(&line[..count]);
            if count == line.len() {
                self.lines.pop_front();
            } else {
                line.drain(..count);
            }
            self.finished -= count;
            return Some(count);
        }
        self.flatten();
        let least = usize::from(self.termios.cc[cc::VMIN]).min(buf.len());
        if self.raw.len() < least.max(1) && !(least == 0 && self.termios.cc[cc::VTIME] == 0) {
            return None;
        }
        Some(crate::fs::pipe::take(&mut self.raw, buf))
    }

    fn total(&self) -> usize {
        self.raw.len() + self.finished + self.line.len()
    }

    /// Bytes that a read would give.
    pub fn available(&self) -> usize {
        match self.termios.local(local::ICANON) {
            true => self.raw.len() + self.finished,
            false => self.total(),
        }
    }

    /// Whether a read would not wait.
    pub fn readable(&self) -> bool {
        match self.termios.local(local::ICANON) {
            true => !self.lines.is_empty() || !self.raw.is_empty(),
            false => self.available() >= usize::from(self.termios.cc[cc::VMIN]).max(1),
        }
    }

    /// No more should be typed until somebody has read: there are bytes to read and no room for [`PIECE`] others.
    pub fn full(&self) -> bool {
        self.total() + self.lines.len() > INPUT_MAX - PIECE && self.readable()
    }

    /// Outside canonical mode lines are only bytes.
    fn flatten(&mut self) {
        if self.termios.local(local::ICANON) {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        self.finished = 0;
        let early: Vec<u8> = lines.into_iter().flatten().chain(std::mem::take(&mut self.line)).collect();
        for byte in early.into_iter().rev() {
            self.raw.push_front(byte);
        }
    }

    pub fn flush_input(&mut self) {
        self.line.clear();
        self.lines.clear();
        self.finished = 0;
        self.raw.clear();
    }

    /// Seconds/10 that a raw read waits at most (VTIME with VMIN 0).
    pub fn read_timeout(&self) -> Option<u8> {
        let raw = !self.termios.local(local::ICANON) && self.termios.cc[cc::VMIN] == 0;
        Some(self.termios.cc[cc::VTIME]).filter(|t| raw && *t > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(d: &mut Discipline) -> Option<Vec<u8>> {
        let mut buf = [0; 64];
        d.read(&mut buf).map(|n| buf[..n].to_vec())
    }

    #[test]
    fn a_line_is_read_when_it_is_finished() {
        let mut d = Discipline::default();
        assert_eq!(d.input(b"lx\x7fs").echo, b"lx\x08 \x08s");
        assert_eq!(read(&mut d), None);
        assert_eq!(d.input(b"\r").echo, b"\r\n");
        assert_eq!(read(&mut d).unwrap(), b"ls\n");
    }

    #[test]
    fn control_d_ends_the_file_or_the_line() {
        let mut d = Discipline::default();
        d.input(b"ab\x04\x04");
        assert_eq!(read(&mut d).unwrap(), b"ab");
        assert_eq!(read(&mut d).unwrap(), b"");
        assert_eq!(read(&mut d), None);
    }

    #[test]
    fn control_c_signals_and_drops_the_line() {
        let mut d = Discipline::default();
        let typed = d.input(b"abc\x03");
        assert_eq!(typed.signals, [SIGINT]);
        assert_eq!(typed.echo, b"abc^C");
        d.input(b"\n");
        assert_eq!(read(&mut d).unwrap(), b"\n");
    }

    #[test]
    fn erasing_takes_whole_characters() {
        let mut d = Discipline::default();
        d.input("aé\x7f\n".as_bytes());
        assert_eq!(read(&mut d).unwrap(), b"a\n");
        d.input(b"one two \x17x\n");
        assert_eq!(read(&mut d).unwrap(), b"one x\n");
    }

    #[test]
    fn raw_mode_gives_bytes_at_once() {
        let mut d = Discipline::default();
        d.termios.lflag &= !(local::ICANON | local::ECHO | local::ISIG);
        d.termios.iflag = 0;
        assert_eq!(d.input(b"\x03\r"), Typed::default());
        assert_eq!(read(&mut d).unwrap(), b"\x03\r");
        d.termios.cc[cc::VMIN] = 0;
        assert_eq!(read(&mut d).unwrap(), b"");
    }

    #[test]
    fn words_end_where_letters_do() {
        let mut d = Discipline::default();
        d.input(b"one two-three, \x17x\x17\x17\n");
        assert_eq!(read(&mut d).unwrap(), b"one \n");
    }

    #[test]
    fn tabs_and_controls_are_wiped_whole() {
        let mut d = Discipline::default();
        assert_eq!(d.input(b"ab\t\x7f").echo, [b"ab\t".to_vec(), b"\x08 \x08".repeat(6)].concat());
        assert_eq!(d.input(b"\x16\x03\x7f").echo, [b"^\x08^C".to_vec(), b"\x08 \x08".repeat(2)].concat());
        assert_eq!(d.input(b"\x15").echo, b"\x08 \x08".repeat(2));
    }

    #[test]
    fn a_line_has_4095_bytes_and_its_end() {
        let mut d = Discipline::default();
        d.input(&[b'x'; 5000]);
        d.input(b"\n");
        let mut buf = [0; 8192];
        assert_eq!(d.read(&mut buf), Some(4096));
        assert_eq!(buf[4095], b'\n');
    }

    #[test]
    fn a_terminal_that_nobody_reads_fills_up() {
        let mut d = Discipline::default();
        let line = [[b'x'; 99].as_slice(), b"\n"].concat();
        let mut typed = 0;
        while !d.full() {
            d.input(&line);
            typed += line.len();
        }
        assert!(typed > INPUT_MAX / 2 && typed <= INPUT_MAX, "{typed}");
        assert_eq!(d.available(), typed);
        while d.full() {
            read(&mut d).unwrap();
        }
        let left = d.available();
        d.flush_input();
        assert!(left < typed && d.available() == 0);
    }
}
