//! What a worker gives up before anything else: descriptors that its parent left open by mistake.

/// Closes every descriptor but stdin, stdout and stderr (close_range(2)). Call it first thing, before this process has
/// opened anything of its own.
pub fn close_inherited() {
    // SAFETY: closing descriptors touches no memory; at the process's start nobody here owns any of them. A kernel
    // without the call (Linux before 5.9) leaves them open, as they would be without this.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

#[cfg(test)]
mod tests {
    /// In a process of its own, so that the test runner keeps its descriptors.
    #[test]
    fn closes_what_is_open() {
        if std::env::var_os("CLOSE_INHERITED_CHILD").is_some() {
            let file = std::mem::ManuallyDrop::new(std::fs::File::open("/dev/null").unwrap());
            super::close_inherited();
            assert!(file.metadata().is_err());
            return;
        }
        let own = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(own);
        child.args(["--exact", "inherited::tests::closes_what_is_open"]).env("CLOSE_INHERITED_CHILD", "1");
        assert!(child.stdout(std::process::Stdio::null()).status().unwrap().success());
    }
}
