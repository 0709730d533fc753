//! Single instructions, each with a few hundred states, against qemu's user-mode emulator.
//!
//! Skipped when the emulator or the cross compiler is missing (Debian: qemu-user-static, gcc-riscv64-linux-gnu),
//! unless the environment has `SHALLOP_TEST_REQUIRE_ORACLES`.

mod compressed;
mod emulator;
mod float;
mod fuzz;
mod instructions;
mod model;
mod random;
mod table;
