//! What `ps` shows of a worker: the container's command, written over the arguments that the process was started with.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// Has `ps` show this command behind the worker's name and verb. Where the system does not let it, it shows nothing of it.
pub fn show(command: &[String]) {
    let _ = write(command);
}

fn write(command: &[String]) -> Option<()> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (start, end) = arguments(&stat)?;
    let place = fs::read("/proc/self/cmdline").ok()?;
    // The words before the room for the title stay.
    let kept = place.len() - place.rsplit(|&byte| byte == 0).nth(1)?.len() - 1;
    let mut bytes: Vec<u8> = ["--"].into_iter().chain(command.iter().map(String::as_str)).flat_map(word).collect();
    bytes.resize((end - start).checked_sub(kept as u64)? as usize, 0);
    // The last byte is 0: behind another one, the environment is shown too (proc_pid_cmdline(5)).
    *bytes.last_mut()? = 0;
    File::options().write(true).open("/proc/self/mem").ok()?.write_all_at(&bytes, start + kept as u64).ok()
}

fn word(word: &str) -> impl Iterator<Item = u8> {
    word.bytes().chain([0])
}

/// Where the arguments of a process begin and end: `arg_start` and `arg_end` of proc_pid_stat(5).
fn arguments(stat: &str) -> Option<(u64, u64)> {
    // Behind the name, which may hold anything, comes the third field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    let (start, end) = (field(48)?, field(49)?);
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_this_process_are_found() {
        let (start, end) = arguments(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        let mut found = vec![0; (end - start) as usize];
        File::open("/proc/self/mem").unwrap().read_exact_at(&mut found, start).unwrap();
        let words: Vec<u8> = std::env::args().flat_map(|argument| word(&argument).collect::<Vec<_>>()).collect();
        assert_eq!(found, words);
    }

    #[test]
    fn what_is_no_such_line_has_no_arguments() {
        assert_eq!(arguments("1 (a) b) S 0"), None);
        assert_eq!(arguments(""), None);
    }
}
