//! The program of `catalog.internal/hello-world`: a WASI command that greets and says what just happened.
#![forbid(unsafe_code)]

const GREETING: &str = "
Hello from shallop!
This message shows that your installation appears to be working correctly.

To print it, shallop took these steps:
 1. It found the image catalog.internal/hello-world, which is part of the program itself.
 2. It compiled the image's WebAssembly module and kept the result for the next time.
 3. It started a worker process, which gave up everything it was not granted.
 4. The worker ran the module in a sandbox, which printed what you are reading.

No Linux kernel was needed for that. Something more ambitious, an unmodified Linux
shell in a sandbox of the same kind:
 $ shallop catalog build busybox
 $ shallop run -it --rm catalog/busybox
";

fn main() {
    println!("{GREETING}");
}
