//! Go's notation of durations and quoted strings, which the history of an image is written in.

use anyhow::{Result, bail};

const UNITS: [(&str, f64); 6] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Nanoseconds of `1m30s`, `500ms`; not negative.
pub fn duration(text: &str) -> Result<i64> {
    let mut rest = text;
    let mut total = 0.0;
    if text == "0" {
        return Ok(0);
    }
    let wrong = || format!("invalid duration \"{text}\": write for example 30s or 1m30s");
    if text.is_empty() {
        bail!(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        match (number.parse::<f64>(), UNITS.iter().find(|(name, _)| *name == unit)) {
            (Ok(number), Some((_, scale))) => total += number * scale,
            _ => bail!(wrong()),
        }
        rest = next;
    }
    Ok(total as i64)
}

/// A duration as Go prints it: `0s`, `500ms`, `1m30s`, `1h0m0s`.
pub fn shown(nanoseconds: i64) -> String {
    let total = nanoseconds.max(0) as u64;
    match total {
        0 => return "0s".into(),
        1..1_000 => return format!("{total}ns"),
        1_000..1_000_000 => return format!("{}µs", decimal(total, 1_000)),
        1_000_000..1_000_000_000 => return format!("{}ms", decimal(total, 1_000_000)),
        _ => {}
    }
    let minutes = total / 60_000_000_000;
    let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` without zeros at the end; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `%q` of a list: `["a" "b"]`.
pub fn quoted(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "))
}

fn quote(word: &str) -> String {
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() || (c.is_whitespace() && c != ' ') => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_both_ways() {
        assert_eq!(duration("1m30s").unwrap(), 90_000_000_000);
        assert_eq!(duration("500ms").unwrap(), 500_000_000);
        assert_eq!(duration("1h.5s").unwrap(), 3_600_500_000_000);
        assert!(duration("5").is_err() && duration("").is_err() && duration("s").is_err() && duration("-5s").is_err());
        for text in ["0s", "7ns", "1.5µs", "500ms", "1.5s", "1m30s", "1h0m0s", "25h1m0.25s"] {
            assert_eq!(shown(duration(&text.replace('µ', "u")).unwrap()), text);
        }
    }

    #[test]
    fn quotes_are_gos() {
        assert_eq!(quoted(&["a'b".into(), "c\"\\".into()]), r#"["a'b" "c\"\\"]"#);
        assert_eq!(quote("\n\u{1b}é\u{a0}"), "\"\\n\\x1bé\\u00a0\"");
    }
}
