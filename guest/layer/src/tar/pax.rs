//! PAX records (`length key=value\n`): parsing, formatting, times with fractions.

use super::Time;
use crate::error::LayerError;

/// Keys and values.
pub(super) type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Splits the body of an extended header, which is at `offset` of the archive, into its records.
pub(super) fn parse(body: &[u8], offset: u64) -> Result<Records, LayerError> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < body.len() {
        if body[at..].iter().all(|b| *b == 0) {
            break;
        }
        let here = offset + at as u64;
        let bad = |what: &str| LayerError::corrupt(format!("extended header: {what}"), here);
        let space = body[at..].iter().take(20).position(|b| *b == b' ').ok_or_else(|| bad("record without length"))?;
        let length = decimal(&body[at..at + space]).ok_or_else(|| bad("length is not a number"))?;
        let length = usize::try_from(length).map_err(|_| bad("length is too large"))?;
        let end = at.checked_add(length).filter(|e| *e <= body.len()).ok_or_else(|| bad("record is cut off"))?;
        let text = body.get(at + space + 1..end).ok_or_else(|| bad("record is too short"))?;
        let text = text.strip_suffix(b"\n").ok_or_else(|| bad("record does not end with a newline"))?;
        let equals = text.iter().position(|b| *b == b'=').ok_or_else(|| bad("record without '='"))?;
        records.push((text[..equals].to_vec(), text[equals + 1..].to_vec()));
        at = end;
    }
    Ok(records)
}

/// Appends one record; its length field counts itself.
pub(super) fn format(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + digits(length) != length {
        length = rest + digits(length);
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(n: usize) -> usize {
    n.checked_ilog10().map_or(1, |l| l as usize + 1)
}

/// An unsigned decimal number without sign or space.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

/// `[-]seconds[.fraction]`, to the nanosecond (further digits are dropped, toward the past).
pub(super) fn time(text: &[u8]) -> Option<Time> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sec = i64::try_from(decimal(whole)?).ok()?;
    let nsec = (0..9).fold(0u32, |n, i| n * 10 + fraction.get(i).map_or(0, |b| u32::from(b - b'0')));
    Some(match (negative, nsec) {
        (false, nsec) => Time { sec, nsec },
        (true, 0) => Time { sec: -sec, nsec: 0 },
        (true, nsec) => Time { sec: -sec - 1, nsec: 1_000_000_000 - nsec },
    })
}

/// The shortest text that [`time`] reads back.
pub(super) fn time_text(time: Time) -> String {
    let text = match (time.sec, time.nsec) {
        (sec, 0) => return sec.to_string(),
        (sec, nsec) if sec >= 0 => format!("{sec}.{nsec:09}"),
        (sec, nsec) => format!("-{}.{:09}", (sec + 1).unsigned_abs(), 1_000_000_000 - nsec.min(999_999_999)),
    };
    text.trim_end_matches('0').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_lengths_count_themselves() {
        for n in [1, 2, 5, 80, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 980, 990, 995, 9990] {
            let mut out = Vec::new();
            format(&mut out, b"path", &vec![b'x'; n]);
            let space = out.iter().position(|b| *b == b' ').expect("a space");
            assert_eq!(decimal(&out[..space]), Some(out.len() as u64));
            assert_eq!(parse(&out, 0).expect("parses"), vec![(b"path".to_vec(), vec![b'x'; n])]);
        }
    }

    #[test]
    fn times_round_trip() {
        for (sec, nsec) in
            [(0, 0), (5, 1), (5, 500_000_000), (-1, 0), (-1, 500_000_000), (-2, 1), (1 << 40, 999_999_999)]
        {
            let t = Time { sec, nsec };
            assert_eq!(time(time_text(t).as_bytes()), Some(t), "{}", time_text(t));
        }
        assert_eq!(time(b"1.12345678999"), Some(Time { sec: 1, nsec: 123_456_789 }));
        assert_eq!(time(b"1.x"), None);
        assert_eq!(time(b""), None);
    }

    #[test]
    fn bad_records_are_refused() {
        for body in [&b"x"[..], b"99 a=b\n", b"6 a=bc", b"5 abc\n", b"0 a=b\n", b"3 \n", b"18446744073709551616 a=b\n"]
        {
            assert!(parse(body, 0).is_err(), "{body:?}");
        }
    }
}
