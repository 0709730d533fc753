//! A WASI command: `rustc --target wasm32-wasip1 -O greeting.rs` makes `greeting.wasm`.

fn main() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "WASI".into());
    println!("Hello, {name}!");
    if let Ok(text) = std::fs::read_to_string("/data/note.txt") {
        print!("{text}");
    }
    std::process::exit(7);
}
