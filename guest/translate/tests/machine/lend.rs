//! Makes the memories that a module defines imports of it, since a test has no memories of the host's making to lend.

/// Sections of a module (WebAssembly core specification, "Modules").
const IMPORTS: u8 = 2;
const MEMORIES: u8 = 5;

/// An unsigned number at the beginning of `bytes`, in LEB128, which is taken off.
fn number(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn push_number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn push_section(module: &mut Vec<u8>, id: u8, body: &[u8]) {
    module.push(id);
    push_number(module, body.len() as u64);
    module.extend(body);
}

/// The sections of a module, with their ids.
fn sections(wasm: &[u8]) -> Vec<(u8, &[u8])> {
    let mut rest = &wasm[8..];
    let mut sections = Vec::new();
    while let Some((&id, behind)) = rest.split_first() {
        rest = behind;
        let len = number(&mut rest) as usize;
        let (body, behind) = rest.split_at(len);
        sections.push((id, body));
        rest = behind;
    }
    sections
}

/// How many memories a section defines, and import entries for them.
fn imports_of(mut memories: &[u8]) -> (u64, Vec<u8>) {
    let count = number(&mut memories);
    let mut imports = Vec::new();
    for _ in 0..count {
        let whole = memories;
        let flags = number(&mut memories);
        (0..1 + (flags & 1)).for_each(|_| _ = number(&mut memories));
        // A module and a name of no letters, and the kind of a memory.
        imports.extend([0, 0, 2]);
        imports.extend(&whole[..whole.len() - memories.len()]);
    }
    (count, imports)
}

/// The module, which has its memories as its first imports.
pub fn with_imported_memories(wasm: &[u8]) -> Vec<u8> {
    let sections = sections(wasm);
    let (_, memories) = sections.iter().find(|(id, _)| *id == MEMORIES).unwrap();
    let (count, memories) = imports_of(memories);
    let mut module = wasm[..8].to_vec();
    for (id, mut body) in sections {
        match id {
            IMPORTS => {
                let mut imports = Vec::new();
                push_number(&mut imports, count + number(&mut body));
                push_section(&mut module, id, &[&imports[..], &memories, body].concat());
            }
            MEMORIES => {}
            _ => push_section(&mut module, id, body),
        }
    }
    module
}
