//! What a person reads: tables, JSON, build progress, errors.

pub mod format;
pub mod progress;
pub mod pull;
pub mod table;

/// Prints a line to stdout. Nobody reading it any more ends the program quietly, as SIGPIPE would.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}
pub(crate) use say;

/// Prints to stdout.
pub fn print(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    if std::io::stdout().write_fmt(text).is_err() {
        std::process::exit(128 + 13);
    }
}

/// Prints an error with its causes; later lines of a message are kept as they are.
pub fn error(error: &anyhow::Error) {
    eprintln!("shallop: {error:#}");
}

/// "2 hours ago", as Docker words it.
pub fn ago(then_seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    format!("{} ago", duration((now - then_seconds).max(0)))
}

/// A duration in Docker's words.
pub fn duration(seconds: i64) -> String {
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        120..3600 => format!("{} minutes", seconds / 60),
        3600..7200 => "About an hour".into(),
        7200..172_800 => format!("{} hours", seconds / 3600),
        172_800..1_209_600 => format!("{} days", seconds / 86_400),
        1_209_600..5_184_000 => format!("{} weeks", seconds / 604_800),
        5_184_000..63_072_000 => format!("{} months", seconds / 2_592_000),
        _ => format!("{} years", seconds / 31_536_000),
    }
}

/// A size with decimal units and at most four digits, as Docker prints it: `123MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_dockers() {
        assert_eq!(super::size(999), "999B");
        assert_eq!(super::size(7_330_000), "7.33MB");
        assert_eq!(super::size(123_456_789), "123MB");
    }

    #[test]
    fn durations_are_dockers() {
        assert_eq!(super::duration(59), "59 seconds");
        assert_eq!(super::duration(90), "About a minute");
        assert_eq!(super::duration(3 * 3600), "3 hours");
    }
}
