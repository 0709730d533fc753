//! The line discipline: what typed bytes become, and what written bytes become on the screen (termios(3)).
//!
//! `Discipline` holds the input queue; its methods return what is to be echoed or signalled and touch nothing else.

use std::collections::VecDeque;

use super::termios::{Termios, cc, input, local, output};
use crate::signal::number::{SIGINT, SIGQUIT, SIGTSTP};

/// Bytes of input kept while nobody reads; what comes above is dropped.
const INPUT_MAX: usize = 65536;

/// Input side of a terminal.
#[derive(Default)]
pub struct Discipline {
    pub termios: Termios,
    /// The line being edited.
    line: Vec<u8>,
    /// Finished lines, each with its end; an empty one is an end of file.
    lines: VecDeque<Vec<u8>>,
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
            self.keep(byte);
            self.echo(byte, typed);
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
        if !self.termios.local(local::ICANON) {
            self.keep(byte);
            self.echo(byte, typed);
            return;
        }
        self.edit(byte, typed);
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
            self.erase(1, typed);
        } else if t.is(byte, cc::VKILL) {
            self.erase(usize::MAX, typed);
            if !t.local(local::ECHOKE) && t.local(local::ECHOK) && t.local(local::ECHO) {
                typed.echo.extend(b"\r\n");
            }
        } else if extended && t.is(byte, cc::VWERASE) {
            self.erase_word(typed);
        } else if extended && t.is(byte, cc::VLNEXT) {
            self.literal = true;
            if t.local(local::ECHO) && t.local(local::ECHOCTL) {
                typed.echo.extend(b"^\x08");
            }
        } else if extended && t.is(byte, cc::VREPRINT) {
            self.echo(byte, typed);
            typed.echo.extend(b"\r\n");
            for byte in self.line.clone() {
                self.echo(byte, typed);
            }
        } else if t.is(byte, cc::VEOF) {
            let line = std::mem::take(&mut self.line);
            self.lines.push_back(line);
        } else if byte == b'\n' || t.is(byte, cc::VEOL) || t.is(byte, cc::VEOL2) {
            self.keep(byte);
            if t.local(local::ECHO) || (byte == b'\n' && t.local(local::ECHONL)) {
                typed.echo.extend(self.process_output(&[byte]));
            }
            let line = std::mem::take(&mut self.line);
            self.lines.push_back(line);
        } else {
            self.keep(byte);
            self.echo(byte, typed);
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.available() + self.line.len() >= INPUT_MAX {
            return;
        }
        match self.termios.local(local::ICANON) {
            true => self.line.push(byte),
            false => self.raw.push_back(byte),
        }
    }

    fn echo(&self, byte: u8, typed: &mut Typed) {
        if !self.termios.local(local::ECHO) {
            return;
        }
        let control = (byte < 32 && !matches!(byte, b'\n' | b'\t')) || byte == 127;
        if control && self.termios.local(local::ECHOCTL) {
            typed.echo.extend([b'^', byte ^ 0x40]);
        } else {
            typed.echo.extend(self.process_output(&[byte]));
        }
    }

    /// Takes back up to `count` characters of the line.
    fn erase(&mut self, count: usize, typed: &mut Typed) {
        for _ in 0..count {
            if self.erase_one(typed).is_none() {
                break;
            }
        }
    }

    fn erase_word(&mut self, typed: &mut Typed) {
        while self.line.last().is_some_and(u8::is_ascii_whitespace) {
            self.erase_one(typed);
        }
        while self.line.last().is_some_and(|b| !b.is_ascii_whitespace()) {
            self.erase_one(typed);
        }
    }

    fn erase_one(&mut self, typed: &mut Typed) -> Option<u8> {
        let utf8 = self.termios.iflag & input::IUTF8 != 0;
        let mut byte = self.line.pop()?;
        while utf8 && byte & 0xc0 == 0x80 && !self.line.is_empty() {
            byte = self.line.pop()?;
        }
        if self.termios.local(local::ECHO) && self.termios.local(local::ECHOE) {
            let wide = byte < 32 && self.termios.local(local::ECHOCTL);
            typed.echo.extend(b"\x08 \x08".repeat(if wide { 2 } else { 1 }));
        }
        Some(byte)
    }

    /// What written bytes become on the way to the screen.
    pub fn process_output(&self, bytes: &[u8]) -> Vec<u8> {
        let flags = self.termios.oflag;
        if flags & output::OPOST == 0 {
            return bytes.to_vec();
        }
        let mut out = Vec::with_capacity(bytes.len() + 16);
        for byte in bytes {
            match byte {
                b'\n' if flags & output::ONLCR != 0 => out.extend(b"\r\n"),
                b'\r' if flags & output::OCRNL != 0 => out.push(b'\n'),
                other => out.push(*other),
            }
        }
        out
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
            return Some(count);
        }
        self.flatten();
        let least = usize::from(self.termios.cc[cc::VMIN]).min(buf.len());
        if self.raw.len() < least.max(1) && !(least == 0 && self.termios.cc[cc::VTIME] == 0) {
            return None;
        }
        Some(crate::fs::pipe::take(&mut self.raw, buf))
    }

    /// Bytes that a read would give.
    pub fn available(&self) -> usize {
        match self.termios.local(local::ICANON) {
            true => self.raw.len() + self.lines.front().map_or(0, Vec::len),
            false => self.raw.len() + self.lines.iter().map(Vec::len).sum::<usize>() + self.line.len(),
        }
    }

    /// Whether a read would not wait.
    pub fn readable(&self) -> bool {
        match self.termios.local(local::ICANON) {
            true => !self.lines.is_empty() || !self.raw.is_empty(),
            false => self.available() >= usize::from(self.termios.cc[cc::VMIN]).max(1),
        }
    }

    /// Outside canonical mode lines are only bytes.
    fn flatten(&mut self) {
        if self.termios.local(local::ICANON) {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        let early: Vec<u8> = lines.into_iter().flatten().chain(std::mem::take(&mut self.line)).collect();
        for byte in early.into_iter().rev() {
            self.raw.push_front(byte);
        }
    }

    pub fn flush_input(&mut self) {
        self.line.clear();
        self.lines.clear();
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
    fn newlines_return_the_carriage() {
        let mut d = Discipline::default();
        assert_eq!(d.process_output(b"a\nb"), b"a\r\nb");
        d.termios.oflag = 0;
        assert_eq!(d.process_output(b"a\nb"), b"a\nb");
    }
}
