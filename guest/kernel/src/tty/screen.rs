//! `Screen`: what written bytes become on the way out (c_oflag of termios(3)), and the column that they lead to.

use super::termios::{Termios, output};

/// Distance of the tab stops.
const TAB: usize = 8;

/// Output side of a terminal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns from the left edge; of a line that is wider than the window it goes on counting.
    pub column: usize,
}

impl Screen {
    /// Appends to `out` what `bytes` become.
    pub fn put(&mut self, termios: &Termios, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len() + 16);
        for byte in bytes {
            self.put_byte(termios, *byte, out);
        }
    }

    fn put_byte(&mut self, termios: &Termios, byte: u8, out: &mut Vec<u8>) {
        let set = |flag: u32| termios.oflag & flag != 0;
        if !set(output::OPOST) {
            self.pass(byte);
            out.push(byte);
            return;
        }
        match byte {
            b'\n' if set(output::ONLCR) => {
                self.column = 0;
                out.extend(b"\r\n");
            }
            b'\n' if set(output::ONLRET) => {
                self.column = 0;
                out.push(b'\n');
            }
            b'\r' if set(output::ONOCR) && self.column == 0 => {}
            b'\r' if set(output::OCRNL) => {
                if set(output::ONLRET) {
                    self.column = 0;
                }
                out.push(b'\n');
            }
            b'\t' if termios.oflag & output::XTABS == output::XTABS => {
                let end = next_stop(self.column);
                out.resize(out.len() + end - self.column, b' ');
                self.column = end;
            }
            other => {
                self.pass(other);
                out.push(other);
            }
        }
    }

    /// Moves the column as a terminal moves its cursor.
    fn pass(&mut self, byte: u8) {
        self.column = after(self.column, byte, false);
    }

    /// The column behind `bytes` when they are echoed from `start` on; `controls`: control characters as `^X`.
    pub fn echoed(start: usize, bytes: &[u8], controls: bool) -> usize {
        bytes.iter().fold(start, |column, byte| after(column, *byte, controls))
    }
}

fn after(column: usize, byte: u8, controls: bool) -> usize {
    match byte {
        b'\t' => next_stop(column),
        0..32 | 127 if controls => column + 2,
        b'\r' => 0,
        8 => column.saturating_sub(1),
        0..32 | 127 => column,
        // Further bytes of a character.
        byte if byte & 0xc0 == 0x80 => column,
        _ => column + 1,
    }
}

fn next_stop(column: usize) -> usize {
    (column / TAB + 1) * TAB
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(screen: &mut Screen, oflag: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        screen.put(&Termios { oflag, ..Termios::default() }, bytes, &mut out);
        out
    }

    #[test]
    fn newlines_return_the_carriage() {
        let mut screen = Screen::default();
        assert_eq!(put(&mut screen, output::OPOST | output::ONLCR, b"a\nbc"), b"a\r\nbc");
        assert_eq!(screen.column, 2);
        assert_eq!(put(&mut screen, output::ONLCR, b"a\nb"), b"a\nb");
    }

    #[test]
    fn tabs_become_blanks_when_asked() {
        let mut screen = Screen::default();
        assert_eq!(put(&mut screen, output::OPOST | output::XTABS, "é\tx".as_bytes()), "é       x".as_bytes());
        assert_eq!(screen.column, 9);
        assert_eq!(put(&mut screen, output::OPOST, b"\r\t"), b"\r\t");
        assert_eq!(screen.column, 8);
    }

    #[test]
    fn columns_of_echoed_bytes() {
        assert_eq!(Screen::echoed(3, b"a\x01\t", true), 8);
        assert_eq!(Screen::echoed(3, b"a\x01", false), 4);
    }
}
