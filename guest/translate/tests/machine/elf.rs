//! What the tests need of a linked program: its segments and functions.

pub struct Segment {
    pub address: u32,
    pub bytes: Vec<u8>,
    pub executable: bool,
}

pub struct Function {
    pub name: String,
    pub address: u32,
}

pub struct Program {
    pub segments: Vec<Segment>,
    pub functions: Vec<Function>,
}

fn number(bytes: &[u8], at: usize, count: usize) -> usize {
    bytes[at..at + count].iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte))
}

/// Reads a 64-bit little-endian program (ELF-64 object file format, version 1.5).
pub fn read(file: &[u8]) -> Program {
    let header = |at: usize, index: usize, size: usize| number(file, at, 8) + index * number(file, size, 2);
    let segments = (0..number(file, 56, 2)).map(|index| header(32, index, 54)).filter(|&at| number(file, at, 4) == 1);
    let segments = segments.map(|at| {
        let (offset, size) = (number(file, at + 8, 8), number(file, at + 32, 8));
        let executable = number(file, at + 4, 4) & 1 != 0;
        Segment { address: number(file, at + 16, 8) as u32, bytes: file[offset..offset + size].to_vec(), executable }
    });
    let mut functions = Vec::new();
    let sections: Vec<usize> = (0..number(file, 60, 2)).map(|index| header(40, index, 58)).collect();
    for &section in sections.iter().filter(|&&section| number(file, section + 4, 4) == 2) {
        let strings = number(file, sections[number(file, section + 40, 4)] + 24, 8);
        let (offset, size) = (number(file, section + 24, 8), number(file, section + 32, 8));
        for symbol in (offset..offset + size).step_by(24).filter(|&symbol| file[symbol + 4] & 15 == 2) {
            let name = file[strings + number(file, symbol, 4)..].split(|&byte| byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            functions.push(Function { name, address: number(file, symbol + 8, 8) as u32 });
        }
    }
    Program { segments: segments.collect(), functions }
}
