//! The first words of a program's stack: argc, argv, envp, the auxiliary vector, and their strings.

use shallop_linux_abi::Errno;
use shallop_linux_abi::elf::*;

use super::Program;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::tunables::PAGE;

/// Writes everything below `top`; returns the stack pointer and the auxiliary vector's bytes. `words` are added to those
/// that every program gets.
pub fn build(
    k: &Kernel,
    mm: &mut Mm,
    top: u64,
    program: &Program,
    words: &[(u64, u64)],
) -> Result<(u64, Vec<u8>), Errno> {
    // From the top down: 8 zero bytes, the path, environment, arguments, platform, random bytes; then the vectors.
    let mut area = Area { end: top - 8, bytes: Vec::new() };
    let execfn = area.string(&program.path);
    let (env, env_range) = area.strings(&program.env);
    let (argv, arg_range) = area.strings(&program.argv);
    let platform = area.string(k.isa.machine().as_bytes());
    let mut seed = [0; 16];
    k.platform.random(&mut seed);
    let random = area.put(&seed);

    let mut auxv: Vec<u8> = Vec::new();
    let common = [
        (AT_HWCAP, k.isa.hwcap()),
        (AT_PAGESZ, PAGE),
        (AT_CLKTCK, 100),
        (AT_FLAGS, 0),
        (AT_RANDOM, random),
        (AT_EXECFN, execfn),
        (AT_PLATFORM, platform),
        (AT_HWCAP2, 0),
        (AT_NULL, 0),
    ];
    for (key, value) in words.iter().chain(&common) {
        auxv.extend(key.to_le_bytes());
        auxv.extend(value.to_le_bytes());
    }
    let mut vectors: Vec<u8> = Vec::new();
    vectors.extend((argv.len() as u64).to_le_bytes());
    for pointer in argv.iter().chain([&0]).chain(&env).chain([&0]) {
        vectors.extend(pointer.to_le_bytes());
    }
    vectors.extend(&auxv);
    let sp = (area.start() - vectors.len() as u64) & !15;
    vectors.resize((area.start() - sp) as usize, 0);
    let strings = area.into_bytes();
    let write = |at, bytes: &[u8]| k.platform.write(mm.space(), at, bytes) == bytes.len();
    if !write(sp, &vectors) || !write(sp + vectors.len() as u64, &strings) {
        return Err(Errno::E2BIG);
    }
    mm.stack_start = sp;
    mm.arg_range = arg_range;
    mm.env_range = env_range;
    Ok((sp, auxv))
}

/// Bytes that grow downwards from an address; kept reversed.
struct Area {
    end: u64,
    bytes: Vec<u8>,
}

impl Area {
    fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.extend(bytes.iter().rev());
        self.start()
    }

    fn string(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.push(0);
        self.put(bytes)
    }

    /// Strings in ascending order; their addresses, and the range they take.
    fn strings(&mut self, list: &[Vec<u8>]) -> (Vec<u64>, (u64, u64)) {
        let end = self.start();
        let mut pointers: Vec<u64> = list.iter().rev().map(|s| self.string(s)).collect();
        pointers.reverse();
        (pointers, (self.start(), end))
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.reverse();
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_lie_in_order() {
        let mut area = Area { end: 100, bytes: Vec::new() };
        let (pointers, range) = area.strings(&[b"ab".to_vec(), b"c".to_vec()]);
        assert_eq!(pointers, [95, 98]);
        assert_eq!(range, (95, 100));
        assert_eq!(area.into_bytes(), b"ab\0c\0");
    }
}
