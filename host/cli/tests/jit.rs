//! Programs that make machine code while they run, in each mode of the engine: a compiler of others, LuaJIT.
//!
//! Programs of our own that patch their code are `tests/syscall/memory/patched.c` and `code.c`.

use std::time::Duration;

use shallop_config::env;
use shallop_test_support::oracle::{find, skip};
use shallop_test_support::{Shallop, command, workspace};

const LIMIT: Duration = Duration::from_secs(300);

/// What `tests/jit/hot.lua` prints.
const EXPECTED: &str = "sum\t8999998.5\nfib\t46368\nprimes\t17984\nqueens\t40\nwords\t233810\t619\nroots\t223.226972\n";

#[test]
fn luajit_compiles_hot_loops() {
    let suite = "LuaJIT";
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        return skip(suite, "apt", "no apt-get and dpkg-deb in PATH");
    }
    if !shallop.needs(suite, &["busybox"]) {
        return;
    }
    let (image, script) = ("shallop-test/luajit", workspace().join("tests/jit/hot.lua"));
    if let Err(error) = shallop.image_with(image, "busybox", &["luajit"], &[(&script, "/hot.lua")]) {
        return skip(suite, "luajit", &error);
    }
    for engine in ["interpreter", "lazy", "precise", "storm"] {
        let mut run = shallop.command(&["run", "--rm", image, "luajit", "/hot.lua"]);
        run.env(env::SHALLOP_ENGINE.name, engine);
        let done = command::run(&mut run, b"", LIMIT).expect_code(0);
        assert_eq!(done.stdout, EXPECTED, "{engine}: {}", done.stderr);
    }
}
