//! Who may do what to a file: mode bits, capabilities, the sticky bit (path_resolution(7), capabilities(7)).

use shallop_linux_abi::Errno;

use super::{FileKind, InodeRef, Stat};
use crate::task::Credentials;
use crate::task::credentials::cap;

/// What is asked of a file; or'ed together.
pub const EXEC: u32 = 1;
pub const WRITE: u32 = 2;
pub const READ: u32 = 4;

/// EOPNOTSUPP for an extended attribute that no file system here keeps. Those of access control lists are among them, since nothing
/// would look at the lists: programs then set the mode, as they do on a mount without them.
pub fn check_xattr_name(name: &[u8]) -> Result<(), Errno> {
    let kept = [&b"user."[..], b"trusted.", b"security."];
    if kept.iter().any(|prefix| name.starts_with(prefix)) { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

/// EACCES unless `want` is granted by the mode bits or by a capability.
pub fn check(who: &Credentials, inode: &InodeRef, want: u32) -> Result<(), Errno> {
    // Root in the container: only executing a plain file depends on its mode.
    if who.has(cap::DAC_OVERRIDE) && (want & EXEC == 0 || inode.kind() == FileKind::Directory) {
        return Ok(());
    }
    check_stat(who, &inode.stat()?, want)
}

/// As [`check`], on metadata already at hand.
pub fn check_stat(who: &Credentials, stat: &Stat, want: u32) -> Result<(), Errno> {
    let bits = if who.fsuid == stat.uid {
        stat.mode >> 6
    } else if who.in_group(stat.gid) {
        stat.mode >> 3
    } else {
        stat.mode
    };
    if want & !bits & 7 == 0 {
        return Ok(());
    }
    let directory = stat.mode & 0o170000 == FileKind::Directory.mode_bits();
    let override_all = directory || want & EXEC == 0 || stat.mode & 0o111 != 0;
    let granted = who.has(cap::DAC_OVERRIDE) && override_all
        || who.has(cap::DAC_READ_SEARCH) && (want == READ || directory && want & WRITE == 0);
    if granted { Ok(()) } else { Err(Errno::EACCES) }
}

/// Whether `who` may change the mode, owner or times as the file's owner may.
pub fn is_owner(who: &Credentials, stat: &Stat) -> bool {
    who.fsuid == stat.uid || who.has(cap::FOWNER)
}

/// Removing or renaming `child` out of a directory with the sticky bit: EPERM unless one owns either.
pub fn check_sticky(who: &Credentials, directory: &Stat, child: &Stat) -> Result<(), Errno> {
    let protected = directory.mode & 0o1000 != 0;
    if protected && who.fsuid != child.uid && who.fsuid != directory.uid && !who.has(cap::FOWNER) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mode: u32, uid: u32, gid: u32) -> Stat {
        Stat { mode, uid, gid, ..Stat::default() }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let who = Credentials::new(1000, 1000, vec![50]);
        assert!(check_stat(&who, &stat(0o100077, 1000, 1), READ).is_err());
        assert!(check_stat(&who, &stat(0o100640, 0, 50), READ).is_ok());
        assert!(check_stat(&who, &stat(0o100640, 0, 50), WRITE).is_err());
        assert!(check_stat(&who, &stat(0o100604, 0, 0), READ).is_ok());
    }

    #[test]
    fn root_reads_everything_but_executes_only_executables() {
        let root = Credentials::new(0, 0, vec![]);
        assert!(check_stat(&root, &stat(0o100000, 5, 5), READ | WRITE).is_ok());
        assert!(check_stat(&root, &stat(0o100644, 5, 5), EXEC).is_err());
        assert!(check_stat(&root, &stat(0o100645, 5, 5), EXEC).is_ok());
        assert!(check_stat(&root, &stat(0o040000, 5, 5), EXEC).is_ok());
    }

    #[test]
    fn sticky_directories_protect_other_peoples_files() {
        let who = Credentials::new(1000, 1000, vec![]);
        let tmp = stat(0o041777, 0, 0);
        assert_eq!(check_sticky(&who, &tmp, &stat(0o100666, 0, 0)), Err(Errno::EPERM));
        assert!(check_sticky(&who, &tmp, &stat(0o100666, 1000, 0)).is_ok());
    }
}
