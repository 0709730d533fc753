//! The kernel module's start: reads the launch spec, wires the hypercalls to the kernel, runs it, exits.

#[cfg(target_family = "wasm")]
fn main() {
    use shallop_platform::{Platform, wasi};

    static HOST: wasi::Hypercalls = wasi::Hypercalls;
    match wasi::launch_spec() {
        Ok(spec) => {
            let status = shallop_kernel::boot(&HOST, spec);
            HOST.exit(status)
        }
        Err(message) => {
            eprintln!("{message}");
            HOST.exit(125 << 8)
        }
    }
}

#[cfg(not(target_family = "wasm"))]
fn main() {
    eprintln!("this program is the sandbox's kernel: it runs inside shallop only");
    std::process::exit(2);
}
