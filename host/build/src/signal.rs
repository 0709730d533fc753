//! Names of signals (signal(7)), as STOPSIGNAL takes them.

const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
pub fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix: &str, last: u8| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.parse::<u8>().is_ok_and(|n| (1..=last).contains(&n)))
    };
    NAMES.contains(&name) || real_time("RTMIN+", 15) || real_time("RTMAX-", 14)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn signals() {
        for good in ["9", "64", "SIGTERM", "usr1", "SIGRTMIN", "RTMIN+15", "SIGRTMAX-14"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "65", "-1", "SIG", "SIGNAL", "RTMIN+16", "RTMIN+", "TERM "] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
